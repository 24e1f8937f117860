"""The facts of a checkpoint and of a task as the lines that the page shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from medzoo.bench import metrics
from medzoo.bench.catalog.model import CatalogCheckpoint, CatalogTask
from medzoo.errors import listed
from medzoo.zoo.registry.checkpoint import Checkpoint, Input

SEARCHED = ("Other names", "Architecture", "Paper", "Classes", "Cite")  # the search reads these lines
NAMED_AUTHORS = 3  # of a paper; the others are counted
MOST_LINKS = 12  # to checkpoints; the tasks of ImageNet have more than 60
PROGRAMS = ("medzoo ", "accelerate ")  # of commands that the page shows as code
RULES = {"unit": "the range of the type", "per_image_minmax": "its minimum and maximum"}
AGAIN = {True: "redistributable", False: "not redistributable"}
IMAGES = {"CXR": "chest X-ray", "US": "ultrasound", "natural": "photographs"}
TERMS = {"own terms": "a text, not a licence id"}
WEIGHTS = {
    "download": "medzoo downloads them",
    "by hand": "you download a file, medzoo converts it",
    "recipe": "not published, a recipe trains them",
    "drawn": "random numbers, drawn by medzoo.load",
}


@dataclass(frozen=True)
class ShownFact:
    """A line of an opened entry.

    Args:
        term: what the line is about.
        text: parts between backticks are code.
        link: address of the text; may be empty.
        entries: links to other entries of the page: their ids and names.
    """

    term: str
    text: str = ""
    link: str = ""
    entries: tuple[tuple[str, str], ...] = ()


def checkpoint_lines(one: CatalogCheckpoint) -> tuple[ShownFact, ...]:
    """The lines of a checkpoint; unknown facts have none.

    Args:
        one: the checkpoint.
    """
    return tuple(line for line in _checkpoint(one) if line.text or line.entries)


def weight_steps(one: CatalogCheckpoint) -> tuple[str, tuple[str, ...]]:
    """What the user does before `load`: sentences, and the commands that they speak of.

    Args:
        one: the checkpoint; nothing is to be done for weights that medzoo downloads or draws.
    """
    if one.weights in ("drawn", "download"):
        return "", ()
    code = one.get.split("`")[1::2]
    commands = tuple(part for part in code if part.startswith(PROGRAMS) and len(part.split()) > 2)
    text = one.get
    for command in commands:
        text = text.replace(f"The command is `{command}`", "The command is below")
        text = text.replace(f"`{command}`", "the command below")
    return text, commands


def _checkpoint(one: CatalogCheckpoint) -> Iterator[ShownFact]:
    facts, terms = one.facts, one.facts.license
    variant = ", a variant that `medzoo.zoo.variants` registers with timm" if facts.facts.get("variant") else ""
    yield ShownFact("Other names", ", ".join(facts.alias))
    yield ShownFact("Architecture", f"`{facts.architecture}`{variant}")
    yield ShownFact("Network", _network(one))
    yield ShownFact("Training", _training(one))
    yield ShownFact("Input", _input(facts.input))
    yield ShownFact("Input note", facts.input.note or "")
    yield ShownFact(
        "Stored head",
        f"{len(facts.model.labels)} outputs: {listed(facts.model.labels, 14)}" if facts.model.labels else "",
    )
    yield ShownFact("Licence", f"{terms.id}, {AGAIN[terms.redistributable]}", terms.url or "")
    accept = " medzoo asks you to accept the terms." if terms.needs_acceptance and one.weights != "recipe" else ""
    yield ShownFact("Terms", f"{terms.note or ''}{accept}".strip())
    yield ShownFact("Upstream", *_upstream(facts))
    if facts.citation is not None:
        paper = facts.citation
        authors, year = _authors(paper.authors or ""), f", {paper.year}" if paper.year else ""
        yield ShownFact("Paper", f"{authors}{paper.title}{year}", paper.paper or "")
    yield ShownFact("Saw images of", entries=tuple((f"t-{name}", name) for name in one.seen_tasks))


def _network(one: CatalogCheckpoint) -> str:
    count, width = one.facts.facts.get("parameters"), one.facts.facts.get("features")
    if count is None or one.bytes is None:
        return ""
    size = "" if one.facts.random else f", {one.bytes / 1e6:.0f} MB in fp32"
    if one.facts.hub is not None:
        size = f", download of {one.facts.hub.size / 1e6:.0f} MB"
    return f"{count / 1e6:.2f} M parameters without a classifier, {width} features{size}"


def _training(one: CatalogCheckpoint) -> str:
    past = one.facts.pretraining
    if past is None:
        return "none: the weights are random"
    rows = [
        past.method or "",
        f"{past.images:,} images" if past.images else "",
        f"{past.epochs} epochs" if past.epochs else "",
    ]
    return ", ".join(filter(None, rows))


def _input(shape: Input) -> str:
    channels = "RGB (grey is repeated)" if shape.channels == 3 else "grey"
    mean, std = (", ".join(f"{value:.4g}" for value in _once(values)) for values in (shape.mean, shape.std))
    clip = f"clipped to {shape.clip[0]:g} to {shape.clip[1]:g} HU, " if shape.clip else ""
    crop = f"; the authors crop to {100 * shape.crop_pct:.4g} %" if shape.crop_pct and shape.crop_pct < 1 else ""
    return f"{shape.size} px, {channels}, {clip}scaled by {RULES[shape.rule]}, mean {mean}, std {std}{crop}"


def _once(values: tuple[float, ...]) -> tuple[float, ...]:
    """One value for three equal ones."""
    return values[:1] if len(set(values)) == 1 else values


def _upstream(facts: Checkpoint) -> tuple[str, str]:
    """The text and the address of the authors' file."""
    source = facts.upstream
    if source is None:
        return "", ""
    if source.hub:
        revision = f"/tree/{source.revision}" if source.revision else ""
        return (
            f"{source.hub}{f', {source.file}' if source.file else ''}",
            f"https://huggingface.co/{source.hub}{revision}",
        )
    return source.file or (source.url or "").rstrip("/").rpartition("/")[2], source.url or ""


def _authors(names: str) -> str:
    people = [name.strip().removeprefix("and ") for name in names.split(",") if name.strip()]
    if people[1:] == ["others"]:
        return f"{people[0]} and others. "
    if len(people) <= NAMED_AUTHORS:
        return f"{', '.join(people)}. " if people else ""
    return f"{people[0]} and {len(people) - 1} others. "


def task_lines(one: CatalogTask) -> tuple[ShownFact, ...]:
    """The lines of a task; unknown facts have none.

    Args:
        one: the task.
    """
    return tuple(line for line in _task(one) if line.text or line.entries)


def _task(one: CatalogTask) -> Iterator[ShownFact]:
    facts = one.facts
    yield ShownFact(
        "Classes", f"{len(facts.classes)}: {listed(facts.classes, 30)}" if facts.classes else "from the data"
    )
    yield ShownFact("Scored", _scored(one))
    regions = "; ".join(
        f"{name}: mask values {', '.join(map(str, values))}" for name, values in (facts.regions or {}).items()
    )
    yield ShownFact("Regions", regions)
    channels = {1: "grey", 3: "colour"}.get(facts.channels or 0, "")
    window = f"window {facts.window[0]:g} to {facts.window[1]:g}" if facts.window else ""
    yield ShownFact("Images", ", ".join(filter(None, (one.modality, channels, window))))
    yield ShownFact("Patients", facts.groups if facts.groups.startswith("none") else f"grouped by {facts.groups}")
    yield ShownFact("Splits", facts.split)
    yield ShownFact(
        "Labels", "may be uncertain: `--label-policy mask`, `zero`, `one` or `soft`" if facts.uncertain else ""
    )
    yield ShownFact("How to get it", facts.how)
    yield ShownFact("From", facts.url, facts.url if facts.url.startswith("https://") else "")
    yield ShownFact(
        "Terms", facts.license + (". Labels of single cases must not be published." if facts.labels_stay else "")
    )
    yield ShownFact("Cite", facts.citation)
    yield ShownFact("Note", facts.note if one.source != "your own" else "")
    rest = len(one.seen_by) - MOST_LINKS
    links = tuple((f"c-{name}", name) for name in one.seen_by[:MOST_LINKS])
    yield ShownFact("Seen by", f" and {rest} more" if rest > 0 else "", entries=links)


def _scored(one: CatalogTask) -> str:
    over = f", mean over {', '.join(one.facts.scored)}" if one.facts.scored else ""
    return f"{metrics.metric(one.facts.metric).title} for each {one.facts.unit}{over}"
