"""Model cards that are true: rendered from a folder's own facts, with nothing invented."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import paths
from medzoo.errors import CardError
from medzoo.zoo.licenses import License, check_license

if TYPE_CHECKING:
    from medzoo.zoo.config import FolderConfig

UNKNOWN = "not known"


def render(config: FolderConfig, *, repo: str | None = None) -> str:
    """The README.md of a folder.

    Args:
        config: the folder's configuration, with facts.
        repo: where it is published (org/name), if it is.

    Raises:
        CardError: without facts or with a licence id that does not exist.
    """
    import jinja2

    facts = config.facts
    if facts is None:
        raise CardError(f"{config.path} states no facts; write it with medzoo.save(model, directory, card=...).")
    check_license(facts.license.id, f"The card of {facts.name}")
    folder = paths.data_dir("model_cards")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=False, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["cell"] = _cell
    text: str = environment.get_template("template.md").render(
        front=_front_matter(config), config=config, facts=facts, input=config.input, repo=repo,
        variant=_is_variant(config.architecture), unknown=UNKNOWN, results=[_result(row) for row in facts.results],
        noncommercial=[step for step in facts.lineage if _binds(step.license) and step.name != facts.name],
    )  # fmt: skip
    return text


def card_of(folder_or_name: str) -> str:
    """The card of a folder, or of a checkpoint by name: its README.md, or the registry's facts.

    Args:
        folder_or_name: a folder, a run folder, or a checkpoint's name.

    Raises:
        UnknownNameError: for an unknown name.
    """
    from medzoo.zoo.places import CARD, is_folder
    from medzoo.zoo.registry import info

    path = Path(folder_or_name)
    for folder in (path, path / "checkpoint"):
        if is_folder(folder):
            card = folder / CARD
            if not card.is_file():
                raise CardError(f"{folder} has no {CARD}.")
            return card.read_text(encoding="utf-8")
    return str(info(folder_or_name)) + "\n"


def _front_matter(config: FolderConfig) -> str:
    """YAML that is also JSON, value by value: no YAML writer is needed, and every reader agrees on it."""
    facts = config.facts
    assert facts is not None
    identifier = check_license(facts.license.id, facts.name)
    rows: dict[str, Any] = {"license": identifier}
    if identifier == "other":
        if not facts.license.url:
            raise CardError(f"The card of {facts.name} has license 'other' and no url of its terms.")
        rows |= {"license_name": facts.license.note or "own-terms", "license_link": facts.license.url}
    rows["library_name"] = "timm"
    rows["pipeline_tag"] = "image-classification" if config.num_classes else "image-feature-extraction"
    rows["tags"] = ["timm", "transformers", "medzoo", "medical-imaging", config.architecture]
    bases = [step.repo for step in facts.lineage[:-1] if step.repo]
    if bases:
        rows["base_model"] = bases[-1:]
    if facts.results:
        rows["model-index"] = _model_index(facts.name, facts.results)
    return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}" for key, value in rows.items())


def _model_index(name: str, results: tuple[Mapping[str, Any], ...]) -> list[dict[str, Any]]:
    rows = []
    for result in map(_result, results):
        metric: dict[str, Any] = {"type": result["metric"], "value": result["value"]}
        if result["n"] is not None:
            metric["args"] = {"n": result["n"]}
        task = {"type": "image-classification"}
        rows.append({"task": task, "dataset": {"type": result["task"], "name": result["task"]}, "metrics": [metric]})
    return [{"name": name, "results": rows}] if rows else []


def _result(row: Mapping[str, Any]) -> dict[str, Any]:
    missing = [key for key in ("task", "metric", "value") if key not in row]
    if missing or isinstance(row["value"], bool) or not isinstance(row["value"], int | float):
        raise CardError(f"A result row needs task, metric and a number as value, not {dict(row)}.")
    if not math.isfinite(row["value"]):
        raise CardError(f"The result {row['metric']} on {row['task']} is {row['value']}; leave undefined results out.")
    n = row.get("n")
    return {
        "task": str(row["task"]), "metric": str(row["metric"]), "value": float(row["value"]),
        "n": int(n) if n is not None else None, "note": str(row.get("note") or ""),
    }  # fmt: skip


def _binds(identifier: str | None) -> bool:
    return identifier is not None and License(identifier, redistributable=True).needs_acceptance


def _is_variant(architecture: str) -> bool:
    import timm

    import medzoo.zoo.variants as variants

    return timm.models.model_entrypoint(architecture).__module__ == variants.__name__


def _cell(value: object) -> str:
    """A value inside a Markdown table."""
    shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return shown.replace("|", "\\|").replace("\n", " ")
