"""reference/protocols.md: every protocol with its comment and its options, and all keys that a protocol may have."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from medzoo.training.objectives import method
from medzoo.training.options.fields import options_of
from medzoo.training.options.pretrain_protocol import list_pretrain_protocols, read_pretrain_protocol
from medzoo.training.options.protocol import list_protocols
from medzoo.training.options.protocol_options import OF_PROBES, PROBES, Protocol
from medzoo.training.pretrain_options import PretrainOptions
from site_pages.markdown import as_text, front_matter
from site_pages.option_tables import keys
from site_pages.toml_files import header, read_tables, values_table

PROTOCOLS = Path(__file__).resolve().parents[2] / "recipes" / "protocols"
INTRODUCTION = """\
A protocol says how every checkpoint of a table is trained and tested. `--protocol NAME` takes one of these files, and
`--protocol FILE.toml` your own. `--set "KEY=VALUE, ..."` changes single options. The options, not the name, are part
of the identity of a result, so results of different protocols are never averaged.

A file has one table for each mode: `[finetune]`, `[segmentation]` (the fine-tuning of tasks with masks), and one for
each probe: PROBES. A table `[finetune.tasks.NAME]` overrides options for one task. An option that a file does not set
has the default of [the last section](#keys). Files that begin with `pretrain_` hold options of pre-training.
"""
EXTRA = {
    "precision": "of the computations: fp32, bf16, or auto, which is bf16 where the device computes it natively and is resolved "
    "before the hash is made",
    "head_bias": "whether a fresh head has a bias",
    "name": "of the protocol: the name of its file",
    "mode": "of the run: the name of the table in the file",
}


def protocols_page() -> str:
    """The page as Markdown."""
    parts = [
        front_matter("Protocols", "All protocols with their options"),
        INTRODUCTION.replace("PROBES", ", ".join(f"`[{one}]`" for one in PROBES)),
    ]
    parts += [
        "## Evaluation\n",
        *(_evaluation(name) for name in sorted(list_protocols(), key=lambda name: (name != "medzoo", name))),
    ]
    parts += ["## Pre-training\n", *(_pretraining(name) for name in list_pretrain_protocols())]
    parts += [
        "## All keys of a protocol {#keys}\n",
        "With their defaults. The file of a protocol has no `name` and no `mode`.\n",
    ]
    parts.append(keys(Protocol, texts=EXTRA))
    probes = "; ".join(f"`{key}`: {', '.join(modes)}" for key, modes in OF_PROBES.items())
    parts += [
        f"Used by probes only: {probes}.\n",
        "A file of pre-training may have all options of [recipes/pretrain.py](recipes.md#pretrain) and of "
        "its [method](recipes.md#methods).\n",
    ]
    return "\n".join(parts)


def _evaluation(name: str) -> str:
    """A protocol of evaluation."""
    path = PROTOCOLS / f"{name}.toml"
    helps = {one.name: one.metadata.get("help") or EXTRA.get(one.name, "") for one in fields(Protocol)}
    parts = [f"### {name} {{#{name}}}\n", header(path)]
    for table, one in read_tables(path).items():
        if one.values:
            parts += [f"**[{table}]**\n", f"{as_text(one.comment)}\n", values_table(one, helps)]
    return "\n".join(parts)


def _pretraining(name: str) -> str:
    """Options of a pre-training."""
    values = read_pretrain_protocol(name)
    kinds = [PretrainOptions, *([method(values["method"]).Options] if "method" in values else [])]
    helps = {one.name: one.metadata.get("help") or "" for kind in kinds for one, *_ in options_of(kind)}
    one = read_tables(PROTOCOLS / f"{name}.toml")[""]
    return "\n".join([f"### {name} {{#{name}}}\n", header(PROTOCOLS / f"{name}.toml"), values_table(one, helps)])
