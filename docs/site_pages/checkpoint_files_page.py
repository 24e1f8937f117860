"""reference/checkpoint_files.md: the keys of hub_configs/NAME.toml and of a folder's config.json."""

from __future__ import annotations

from pathlib import Path

from medzoo.zoo.folder.card_results import ResultRow
from medzoo.zoo.folder.config import KEYS
from medzoo.zoo.folder.facts import (
    FolderCalibration,
    FolderEvaluation,
    FolderFacts,
    Rule,
    Source,
    Step,
    TrainedDecoder,
)
from medzoo.zoo.registry.checkpoint import Checkpoint, Citation, Golden, Hub, Input, Model, Pretraining, Upstream
from medzoo.zoo.registry.licenses import License
from site_pages.markdown import as_text, block, code, front_matter, table
from site_pages.option_tables import MissingTextError, keys

EXAMPLE = Path(__file__).resolve().parents[2] / "hub_configs" / "resnet50-mocov2-imagenet.toml"
TABLES: dict[str, type] = {
    "[input]": Input, "[model]": Model, "[pretraining]": Pretraining, "[upstream]": Upstream, "[license]": License,
    "[citation]": Citation, "[hub]": Hub, "[golden]": Golden,
}  # fmt: skip
FOLDER_KEYS = {
    "architecture": "timm's name of the architecture, or one of medzoo/zoo/variants.py",
    "num_classes": "outputs of the stored head; 0 without one",
    "num_features": "width of the pooled features",
    "pretrained_cfg": "timm's table: input_size, mean, std, interpolation, crop_pct, first_conv, classifier",
    "label_names": "labels of the stored head, in order",
    "problem_type": "transformers' word: single_label_classification, multi_label_classification or regression",
    "model_args": "keywords of the architecture, without num_classes",
    "medzoo": "medzoo's facts, see below; a folder of timm has none",
}
FACTS: dict[str, type] = {
    "input": Rule, "lineage": Step, "source": Source, "decoder": TrainedDecoder, "calibration": FolderCalibration,
    "evaluation": FolderEvaluation, "results": ResultRow,
}  # fmt: skip
FILES = {
    "config.json": "architecture, input convention and facts",
    "model.safetensors": "the weights, with timm's names",
    "README.md": "the model card; the Hub shows it",
    "decoder.safetensors": "of a segmentation network: the decoder; model.safetensors has its encoder",
}


def checkpoint_files_page() -> str:
    """The page as Markdown."""
    if set(FOLDER_KEYS) != KEYS:
        raise MissingTextError(
            f"checkpoint_files_page.FOLDER_KEYS and medzoo.zoo.folder.config.KEYS differ: {set(FOLDER_KEYS) ^ KEYS}"
        )
    parts = [front_matter("Checkpoint files", "Keys of hub_configs files and of config.json")]
    parts += [
        "## hub_configs/NAME.toml {#registry}\n",
        "One file for each checkpoint that medzoo knows; the name of the file is the name of the "
        "checkpoint. An unknown key is an error. A key whose value is unknown is left out. "
        "[Add a checkpoint](../how_to/add_a_checkpoint.md) shows how to write one. `medzoo.info(NAME)` returns the content.\n",
    ]
    parts += [block("toml", EXAMPLE.read_text(encoding="utf-8")), "### Top of the file\n", keys(Checkpoint)]
    for name, kind in TABLES.items():
        parts += [f"### {name} {{#registry-{name.strip('[]')}}}\n", _meaning(kind), keys(kind)]
    parts += [
        "## A checkpoint folder {#folder}\n",
        "What `medzoo.load`, timm (`local-dir:FOLDER`) and transformers read.\n",
    ]
    parts += [table(["file", "content"], ([code(name), as_text(text)] for name, text in FILES.items()))]
    parts += [
        "### config.json {#config}\n",
        table(["key", "meaning"], ([code(name), as_text(text)] for name, text in FOLDER_KEYS.items())),
    ]
    parts += [
        "### The table medzoo in config.json {#facts}\n",
        keys(FolderFacts),
        "`license`, `citation` and `golden` are those of the registry.\n",
    ]
    for name, kind in FACTS.items():
        parts += [f"### medzoo: {name} {{#facts-{name}}}\n", _meaning(kind), keys(kind)]
    return "\n".join(parts)


def _meaning(kind: type) -> str:
    """The first sentence of a docstring."""
    return as_text((kind.__doc__ or "").split("\n\n")[0]) + "\n"
