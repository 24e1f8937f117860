"""Model cards: rendered only from the facts of a folder or of the registry."""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import paths, store
from medzoo.closed_schema import parse, plain
from medzoo.errors import CardError, UnknownNameError
from medzoo.zoo.folder.card_citation import bibtex
from medzoo.zoo.folder.card_fields import read_card
from medzoo.zoo.folder.card_input import facts_of
from medzoo.zoo.folder.card_results import check_rows, model_index
from medzoo.zoo.folder.facts import Step
from medzoo.zoo.registry.checkpoint import Checkpoint, architecture_facts
from medzoo.zoo.registry.hints import no_checkpoint
from medzoo.zoo.registry.licenses import License, check_license
from medzoo.zoo.registry.locations import CARD, folder_of, hub_folder, next_step, trained_folder
from medzoo.zoo.registry.registry import info, is_known

if TYPE_CHECKING:
    import jinja2

    from medzoo.zoo.folder.config import FolderConfig
    from medzoo.zoo.folder.facts import FolderFacts
    from medzoo.zoo.registry.checkpoint import Input

UNKNOWN = "not known"
HEADS = {"multi_label_classification": "multi-label", "regression": "regression"}


@dataclass(frozen=True)
class DataFacts:
    """Title, address and terms of a pre-training data set."""

    title: str
    url: str | None = None
    terms: str | None = None
    hub: str | None = None


@dataclass(frozen=True)
class Subject:
    """The content of a card.

    Args:
        facts: name, licence, lineage, results and the rest.
        architecture: the name of a timm architecture or of a variant.
        input: the input convention.
        num_classes: of the stored head.
        labels: of the stored head.
        problem_type: transformers' name of it.
        place: the argument of `load` in the examples: a repository, a registry name, or a folder.
        kind: "repo", "name" or "folder".
        obtain: how to get the weights, for a name without a copy on the Hub.
    """

    facts: FolderFacts
    architecture: str
    input: Input
    num_classes: int
    labels: tuple[str, ...]
    problem_type: str | None
    place: str
    kind: str
    obtain: str | None = None


def render(config: FolderConfig, *, repo: str | None = None) -> str:
    """The README.md of a folder.

    Args:
        config: the folder's configuration, with facts.
        repo: its repository on the Hub (org/name), if it is published.

    Raises:
        CardError: without facts or with an unknown licence id.
    """
    if config.facts is None:
        raise CardError(
            f"{config.path} has no facts. Write it with medzoo.save(model, directory, card=...).", code="facts-missing"
        )
    place, kind = (repo, "repo") if repo else ("path/to/this/folder", "folder")
    return _render(
        Subject(
            config.facts, config.architecture, config.input, config.num_classes, config.label_names, config.problem_type,
            place, kind,
        )
    )  # fmt: skip


def render_entry(entry: Checkpoint) -> str:
    """The card of a named checkpoint, only from the registry's facts. Weights that a recipe trains are loaded from its run.

    Args:
        entry: its facts.

    >>> from medzoo.zoo.registry.registry import info
    >>> render_entry(info("resnet50-radimagenet")).splitlines()[0]
    '---'
    """
    lineage = tuple(parse(Step, plain(step), f"{entry.name}: lineage") for step in entry.lineage())
    # random weights have no pre-training; a card of trained weights must name its data
    facts = facts_of(
        read_card(entry if entry.pretraining else _random(entry)), entry.input, lineage if entry.pretraining else ()
    )
    pin = entry.hub
    facts = replace(facts, sha256=pin.sha256 if pin else "", environment={}, citation=entry.citation)
    folder = trained_folder(entry)
    place, kind = (pin.repo, "repo") if pin else (folder, "folder") if folder else (entry.name, "name")
    obtain = None if pin or entry.random else next_step(entry, here=False)
    labels = entry.model.labels
    return _render(Subject(facts, entry.architecture, entry.input, len(labels), labels, None, place, kind, obtain))


def _random(entry: Checkpoint) -> dict[str, Any]:

    return {"name": entry.name, "license": entry.license, "data": ["nothing"], "input": plain(entry.input)}


def card_of(folder_or_name: str, *, hub: str | os.PathLike[str] | None = None) -> str:
    """The card of a folder or of a named checkpoint: its README.md, or a card from the registry's facts.

    Args:
        folder_or_name: a folder, a run folder, a checkpoint's name, or org/name in a directory hub.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.

    Raises:
        UnknownNameError: for an unknown name.
    """
    if is_known(folder_or_name):  # the name comes before a folder of the same name
        folder = hub_folder(info(folder_or_name).name, hub)
    else:
        folder = folder_of(folder_or_name, hub)
        path = Path(folder_or_name).expanduser()
        if folder is None and path.is_dir():
            raise no_checkpoint(path)
    if folder is None:
        return render_entry(info(folder_or_name))
    if not (folder / CARD).is_file():
        raise CardError(f"{folder} has no {CARD}.", code="card-missing")
    return (folder / CARD).read_text(encoding="utf-8")


def committed_cards() -> dict[str, Path]:
    """The cards in model_cards, by the name of the checkpoint."""
    return {
        path.stem: path
        for path in sorted(
            paths.data_dir("model_cards").glob("[!.]*.md")
        )  # without temporary files of a killed process
        if path.stem not in ("template", "README")
    }


def write_card(entry: Checkpoint) -> Path:
    """Write the card of a named checkpoint into model_cards."""
    path = paths.data_dir("model_cards") / f"{entry.name}.md"
    store.write_text(path, render_entry(entry))
    return path


def untrue_cards() -> list[str]:
    """The committed cards that differ from the facts, each with the first different line.

    >>> untrue_cards()
    []
    """
    wrong = []
    for name, path in committed_cards().items():
        try:
            expected = render_entry(info(name)).splitlines()
        except UnknownNameError:
            wrong.append(f"{path.name}: there is no checkpoint {name}; remove the card")
            continue
        actual = path.read_text(encoding="utf-8").splitlines()
        if actual != expected:
            pairs = enumerate(zip(actual, expected, strict=False))
            at = next((i for i, (a, b) in pairs if a != b), min(len(actual), len(expected)))
            lines = [rows[at] if at < len(rows) else "(ends)" for rows in (actual, expected)]
            wrong.append(f"{path.name}, line {at + 1}: {lines[0]!r}; the facts give {lines[1]!r}")
    return wrong


def _render(subject: Subject) -> str:
    facts = subject.facts
    check_license(facts.license.id, f"The card of {facts.name}")
    known = architecture_facts().get(subject.architecture, {})
    window = _window_text(facts.evaluation.window) if facts.evaluation and facts.evaluation.window else None
    text: str = _environment(paths.data_dir("model_cards")).get_template("template.md").render(
        front=_front_matter(subject), card=subject, facts=facts, input=subject.input, unknown=UNKNOWN,
        variant=known.get("variant", False) or (not known and _is_variant(subject.architecture)),
        parameters=known.get("parameters"), features=known.get("features"), data=data_facts(),
        head=_head(subject), extra_rule=_extra_rule(subject.input, window), window=window, results=check_rows(facts.results),
        bibtex=bibtex(facts.citation) if facts.citation else None,
        binding=[step for step in facts.lineage if _is_binding(step.license) and step.name != facts.name],
    )  # fmt: skip
    return re.sub(r"\n{3,}", "\n\n", text)


@cache
def _environment(folder: Path) -> jinja2.Environment:
    """The reader of the template in a folder. It compiles a template once, and again when the file has changed."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=False, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["cell"] = _cell
    return environment


def _window_text(window: str) -> str:
    """The window of a fine-tuning in words: "-45 to 105 HU", or the rule."""
    return window if window[0].isalpha() else window.replace(":", " to ", 1)


def _extra_rule(shape: Input, window: str | None) -> str:
    """The input steps that the transforms of timm and transformers do not have; empty if there are none."""
    rows = ["the scaling by each image's minimum and maximum"] if shape.rule == "per_image_minmax" else []
    if window:
        rows.append(f"the clipping to the window {window}")
    elif shape.clip:
        rows.append("the clipping of Hounsfield units")
    return " and ".join(rows)


def _head(subject: Subject) -> str:
    """The kind of classifier, if it is known: upstream authors rarely state it."""
    if subject.problem_type is None:
        return "" if subject.facts.source or subject.kind == "name" else "single-label "
    return f"{HEADS.get(subject.problem_type, 'single-label')} "


@cache
def data_facts() -> dict[str, DataFacts]:
    """Title, address and terms of the pre-training data sets, by medzoo's name of them."""
    path = Path(__file__).parent / "data_sets.toml"
    return {name: parse(DataFacts, row, str(path)) for name, row in tomllib.loads(path.read_text()).items()}


def _front_matter(subject: Subject) -> str:
    """YAML front matter whose values are JSON: it needs no YAML writer, and all readers parse it the same."""
    facts = subject.facts
    identifier = check_license(facts.license.id, facts.name)
    rows: dict[str, Any] = {"license": identifier}
    if identifier == "other":
        if not facts.license.url:
            raise CardError(
                f"The card of {facts.name} has license 'other' but no url of its terms. Add the url.",
                code="license-url-missing",
            )
        rows |= {"license_name": _license_name(facts.license), "license_link": facts.license.url}
    rows["library_name"] = "timm"
    headless = "image-segmentation" if facts.decoder else "image-feature-extraction"
    rows["pipeline_tag"] = "image-classification" if subject.num_classes else headless
    rows["tags"] = ["timm", "transformers", "medzoo", "medical-imaging", subject.architecture]
    sets = data_facts()
    if known := [sets[step.data].hub for step in facts.lineage if step.data in sets and sets[step.data].hub]:
        rows["datasets"] = list(dict.fromkeys(known))
    if bases := [step.repo for step in facts.lineage[:-1] if step.repo]:
        rows |= {"base_model": bases[-1:], "base_model_relation": "finetune"}
    if facts.results:
        rows["model-index"] = model_index(facts.name, check_rows(facts.results))
    return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}" for key, value in rows.items())


def _license_name(terms: License) -> str:
    """A short id of special terms for the Hub, from the beginning of their note."""
    words = re.split(r"[:.;,(]", terms.note or "own terms")[0]
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:48] or "own-terms"


def _is_binding(identifier: str | None) -> bool:
    return identifier is not None and License(identifier, redistributable=True).needs_acceptance


def _is_variant(architecture: str) -> bool:
    import timm

    import medzoo.zoo.variants as variants

    return timm.models.model_entrypoint(architecture).__module__ == variants.__name__


def _cell(value: object) -> str:
    """A value as a cell of a Markdown table."""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
