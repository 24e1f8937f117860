"""reference/suites.md: every suite with its comment, rows and columns, and all keys that a suite may have."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medzoo.bench.suite import Suite
from medzoo.bench.suites.read import _CheckpointRow, _SuiteFile, _TaskRow, list_suites, load_suite
from site_pages.markdown import as_text, code, front_matter, table, toml_value
from site_pages.option_tables import keys
from site_pages.toml_files import header

SUITES = Path(__file__).resolve().parents[2] / "recipes" / "suites"
INTRODUCTION = """A suite is the plan of a table: checkpoints, tasks, protocols and seeds.
`python recipes/benchmark.py recipes/suites/NAME.toml` does all missing runs and writes the table
([options](recipes.md#benchmark)); `--dry-run` lists the runs first. Copy a file to start your own: its keys are in
[the last section](#keys).
"""


def suites_page() -> str:
    """The page as Markdown."""
    suites = {name: load_suite(name) for name in list_suites()}
    overview = table(
        ["suite", "table", "rows", "columns", "runs"],
        (
            [
                f"[{code(name)}](#{name})",
                as_text(one.title),
                str(len(one.checkpoints)),
                str(len(one.tasks)),
                f"{len(one.cells()):,}",
            ]
            for name, one in suites.items()
        ),
    )
    parts = [front_matter("Suites", "All suites with their checkpoints and tasks"), INTRODUCTION, overview]
    parts += [_suite(name, suite) for name, suite in suites.items()]
    parts += [
        "## All keys of a suite {#keys}\n",
        keys(_SuiteFile),
        "### Keys of a task\n",
        "In `[[tasks]]`, next to the keys of the suite that a task may override.\n",
        keys(_TaskRow),
        "### Keys of a checkpoint\n",
        keys(_CheckpointRow),
    ]
    parts.append(
        "A step in `[[pretrain]]` has a `name`, and options of [recipes/pretrain.py](recipes.md#pretrain) and of its "
        "[method](recipes.md#methods).\n"
    )
    return "\n".join(parts)


def _suite(name: str, suite: Suite) -> str:
    """One suite."""
    content = tomllib.loads((SUITES / f"{name}.toml").read_text(encoding="utf-8"))
    facts = {"mode": suite.mode, "protocols": suite.protocols, "seeds": suite.seeds}
    facts |= {
        key: content[key]
        for key in ("precision", "control", "margin", "published", "folds", "per_class", "fractions", "sizes", "draws")
        if key in content
    }
    shown = ", ".join(f"{key} {code(toml_value(value))}" for key, value in facts.items())
    linked = ", ".join(f"[{one}](protocols.md#{one})" for one in suite.protocols)
    parts = [
        f"## {name} {{#{name}}}\n",
        header(SUITES / f"{name}.toml"),
        f"{as_text(suite.title)}: {len(suite.cells()):,} runs with {shown}. Protocol: {linked}.\n",
    ]
    parts.append(
        table(
            ["checkpoint", "label in the table", *["compared with"] * bool(suite.controls)],
            (
                [code(one), as_text(label), *[", ".join(map(code, suite.controls.get(one, ())))] * bool(suite.controls)]
                for one, label in suite.checkpoints
            ),
        )
    )
    rows = [[as_text(str(task["title"])), code(task["name"]), _options(task)] for task in suite.tasks]
    parts.append(table(["column", "task", "options"], rows))
    steps = [[code(step["name"]), _options(step)] for step in suite.pretrain]
    parts += ["Pre-trained first:\n", table(["checkpoint", "options"], steps)] if steps else []
    return "\n".join(parts)


def _options(values: Mapping[str, Any]) -> str:
    """The options of a task or a pre-training, without its names."""
    rows = {key: value for key, value in values.items() if key not in ("name", "title")}
    return ", ".join(code(f"{key} = {toml_value(value)}") for key, value in rows.items())
