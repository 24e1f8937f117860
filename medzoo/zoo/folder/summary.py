"""The facts of a checkpoint's folder, as `medzoo info` shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medzoo.closed_schema import plain
from medzoo.zoo.folder.config import read_config


def folder_facts(folder: Path) -> dict[str, Any]:
    """The facts of a folder's config.json; unknown facts are absent.

    Args:
        folder: with config.json and model.safetensors.

    Raises:
        IntegrityError: for a configuration that cannot be read.
    """
    config = read_config(folder)
    rows: dict[str, Any] = {
        "name": config.name,
        "folder": str(folder.absolute()),
        "architecture": config.architecture,
        "model": {
            "kwargs": plain(config.model_args),
            "outputs": config.num_classes,
            "labels": list(config.label_names),
        },
        "input": plain(config.input),
    }
    rows["model"] = {key: value for key, value in rows["model"].items() if value}
    facts = plain(config.facts) if config.facts else {}
    return rows | {key: value for key, value in facts.items() if key not in ("name", "input")}
