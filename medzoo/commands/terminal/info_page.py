"""The page of `medzoo info`: the facts about a checkpoint on one screen, with the next command at its end."""

from __future__ import annotations

import os
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medzoo.closed_schema import plain
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.locations import availability

WIDTH = 100  # characters, if the output is not a terminal
HEIGHT = 24  # lines
LABEL = 14  # characters of the labels at the left
_COMMAND = re.compile(r"`([^`]+)`")


def checkpoint_page(entry: Checkpoint, hub: str | os.PathLike[str] | None, width: int | None) -> str:
    """The facts about a checkpoint of the registry, in at most 24 lines of 100 characters.

    Args:
        entry: the checkpoint.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.
        width: characters of the terminal; None for a file or a pipe.
    """
    page = _Page(width)
    past, source, facts = entry.pretraining, entry.upstream, entry.facts
    page.line(entry.name + (f"  (also {', '.join(entry.alias)})" if entry.alias else ""), most=2)
    page.row("network", _network(entry.architecture, entry.model.kwargs, facts), most=2)
    if entry.model.labels:
        page.row("outputs", f"{len(entry.model.labels)}: {', '.join(entry.model.labels)}", most=2)
    if past is not None:
        page.row("pre-training", _training(plain(past)), most=2)
    page.row("input", _input(plain(entry.input)), most=2)
    page.row("", entry.input.note, most=2)
    terms = "may be published again" if entry.license.redistributable else "may not be published again"
    page.row("licence", "; ".join(filter(None, [entry.license.id, terms, entry.license.url])), most=2)
    page.row("", entry.license.note, most=2)
    if entry.citation is not None:
        year = f" ({entry.citation.year})" if entry.citation.year else ""
        page.row("paper", f"{entry.citation.title}{year}", most=2)
        page.row("", entry.citation.paper, most=1)
    how = availability(entry, hub)
    page.row("weights", WEIGHTS[how], most=1)
    if source is not None and how in ("by hand", "recipe"):
        page.row("", source.url, most=1)
        page.row("", _without_command(source.instructions or ""), most=3)
    return page.text(next_command(entry, hub))


# The words of `medzoo list` with their meaning.
WEIGHTS = {
    "drawn": "drawn from torch's random generator; there is no file",
    "here": "here: on this machine",
    "download": "download: medzoo gets them at first use",
    "by hand": "by hand: you download the authors' file, medzoo converts it",
    "recipe": "recipe: not published; a recipe trains them on your images",
}


def folder_page(rows: Mapping[str, Any], typed: str, hub: str | os.PathLike[str] | None, width: int | None) -> str:
    """The facts about a checkpoint's folder, in at most 24 lines of 100 characters.

    Args:
        rows: the facts of its config.json, as `folder_facts` gives them.
        typed: the path or name that the user gave, for the next command.
        hub: directory hub that the user gave.
        width: characters of the terminal; None for a file or a pipe.
    """
    page = _Page(width)
    model, licence = rows.get("model", {}), rows.get("license") or {}
    page.line(rows["name"], most=1)
    page.row("folder", rows["folder"], most=1, end=True)
    page.row("network", _network(rows["architecture"], model.get("kwargs", {}), {}), most=2)
    labels = model.get("labels", [])
    if model.get("outputs"):
        names = f": {', '.join(map(str, labels))}" if labels else ", whose names are not recorded"
        page.row("outputs", f"{model['outputs']}{names}", most=2)
    steps = rows.get("lineage") or []
    for number, step in enumerate(steps[-4:]):
        page.row("trained on" if not number else "", _step(step), most=1)
    page.row("input", _input(rows["input"]), most=2)
    page.row("", rows["input"].get("note"), most=2)
    if licence:
        terms = "may be published again" if licence.get("redistributable") else "may not be published again"
        page.row("licence", "; ".join(filter(None, [licence.get("id"), terms, licence.get("url")])), most=2)
    page.row("results", _results(rows.get("results") or []), most=2)
    page.row("sha256", rows.get("sha256"), most=1)
    if not labels and not rows.get("decoder"):
        return page.text(_in_python(typed, hub))
    more = f" --hub {shlex.quote(os.fspath(hub))}" if hub else ""
    return page.text(f"medzoo predict {shlex.quote(typed)} IMAGES --out predictions.csv{more}")


def next_command(entry: Checkpoint, hub: str | os.PathLike[str] | None = None) -> str:
    """The one command, or the one line of Python, with which a user goes on.

    Args:
        entry: the checkpoint.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.
    """
    how, source = availability(entry, hub), entry.upstream
    if how in ("drawn", "here"):
        return _in_python(entry.name, hub if how == "here" else None)
    if how == "download" or source is None:
        return f"medzoo fetch {entry.name}{' --accept-license' if entry.license.needs_acceptance else ''}"
    found = _COMMAND.search(source.instructions or "")
    if how == "recipe" and found:
        return found[1]
    if source.format is None:
        return f"medzoo info {entry.name} --all"
    return f"medzoo convert {source.file or 'FILE'} {entry.name}"


def _in_python(name: str, hub: str | os.PathLike[str] | None = None) -> str:
    more = f", hub={os.fspath(hub)!r}" if hub else ""
    return f"medzoo.load({name!r}{more})"


def _without_command(instructions: str) -> str:
    """The instructions with the command that ends the page replaced by a word."""
    return _COMMAND.sub("below", instructions, count=1)


def _network(architecture: str, keywords: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    parts = [architecture]
    if facts.get("parameters"):
        parts.append(f"{facts['parameters'] / 1e6:.1f} M parameters")
    if facts.get("features"):
        parts.append(f"{facts['features']} features")
    parts += [f"{key} {value}" for key, value in keywords.items()]
    return ", ".join(parts)


def _training(past: Mapping[str, Any]) -> str:
    """Method, data, kinds of images, counts and initial weights of a pre-training in one sentence."""
    text = f"{past.get('method') or 'method unknown'} on {' + '.join(past.get('data', []))}"
    if past.get("modalities"):
        text += f" ({', '.join(past['modalities'])})"
    parts = [text]
    if past.get("images"):
        parts.append(f"{past['images']:,} images")
    if past.get("epochs"):
        parts.append(f"{past['epochs']} epochs")
    if past.get("init"):
        parts.append(f"from {'random weights' if past['init'] == 'random' else past['init']}")
    return ", ".join(parts)


def _step(step: Mapping[str, Any]) -> str:
    """One step of a folder's lineage."""
    parts = [str(step.get("data", "unknown data"))]
    parts += [str(step[key]) for key in ("method", "name") if step.get(key)]
    return ", ".join(parts)


def _input(shape: Mapping[str, Any]) -> str:
    """The input convention in one sentence."""
    side = shape["size"]
    parts = [f"{shape.get('channels', 3)} x {side} x {side}"]
    parts += [f"{key} {', '.join(f'{value:.4g}' for value in shape[key])}" for key in ("mean", "std")]
    if shape.get("interpolation"):
        parts.append(shape["interpolation"])
    if shape.get("crop_pct"):
        parts.append(f"crop {shape['crop_pct']:g}")
    if shape.get("rule", "unit") != "unit":
        parts.append(shape["rule"])
    if shape.get("clip"):
        parts.append(f"clip {shape['clip'][0]:g} to {shape['clip'][1]:g} HU")
    return "; ".join(parts)


def _results(rows: Sequence[Mapping[str, Any]]) -> str:
    """The results of a folder: task, metric and value."""
    return "; ".join(f"{row['task']} {row['metric']} {row['value']:.4g}" for row in rows)


class _Page:
    """Labelled rows, wrapped to a width and cut to a number of lines each, so that the page fits a screen."""

    def __init__(self, width: int | None) -> None:
        self.width = min(WIDTH, max(width or WIDTH, 50))
        self._rows: list[tuple[str, str, int]] = []

    def line(self, text: str, *, most: int) -> None:
        """A text without a label, in at most so many lines."""
        self._rows.append(("", text, most))

    def row(self, label: str, text: str | None, *, most: int, end: bool = False) -> None:
        """A text behind a label; nothing for None. With `end`, a text that is too long keeps its end, as paths need."""
        if not text:
            return
        room = self.width - LABEL
        if end and len(text) > room:
            text = f"…{text[1 - room :]}"
        self._rows.append((f"{label:<{LABEL}}", text, most))

    def text(self, command: str) -> str:
        """The page with a command at its end; a long command continues after a backslash."""
        python = command.startswith("medzoo.load(")
        wrapped = [f"next, in Python: {command}"] if python else list(_continued(f"next: {command}", self.width))
        lines: list[str] = []
        for most in (3, 2, 1):  # lines of one fact: fewer, if the page would be longer than a screen
            lines = self._lines(most)
            if any(line.endswith("…") for line in lines):
                lines.append("(… stands for more: --all shows it)")
            lines += ["", *wrapped]
            if len(lines) <= HEIGHT:
                break
        return "\n".join(lines)

    def _lines(self, most: int) -> list[str]:
        found = []
        for label, text, limit in self._rows:
            room, limit = self.width - len(label), min(most, limit)
            head, _, last = text.rpartition(" ")
            address = [last] if "://" in last and len(last) > room else []  # whole on one line, to be copied or clicked
            lines = textwrap.wrap(
                head if address else text,
                room,
                max_lines=max(1, limit - len(address)),
                placeholder=" …",
                break_on_hyphens=False,
            )
            lines += address
            found += [
                f"{label if not number else ' ' * len(label)}{line}".rstrip() for number, line in enumerate(lines)
            ]
        return found


def _continued(text: str, width: int) -> Iterator[str]:
    """A command in lines that a shell reads as one; words are not broken."""
    lines = textwrap.wrap(text, width - 2, break_long_words=False, break_on_hyphens=False, subsequent_indent=" " * 4)
    for line in lines[:-1]:
        yield f"{line} \\"
    yield lines[-1]
