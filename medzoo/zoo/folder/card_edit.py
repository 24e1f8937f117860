"""Change a part of a folder's configuration and card: what the user edited in the card stays."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from medzoo import store
from medzoo.closed_schema import plain
from medzoo.errors import CardError
from medzoo.zoo.folder.card import render
from medzoo.zoo.folder.card_results import ResultRow, check_rows
from medzoo.zoo.folder.config import FolderConfig, parse_config, read_config
from medzoo.zoo.registry.locations import CARD, CONFIG


def write_results(folder: Path, rows: Iterable[Mapping[str, Any] | ResultRow]) -> bool:
    """Replace the results in a folder's config.json and card.

    Args:
        folder: of a checkpoint, with facts.
        rows: of `check_rows`; none removes the results.

    Returns:
        Whether anything changed.

    Raises:
        CardError: for invalid rows, for a folder without facts, and if the results in the card were edited.
    """
    old = read_config(folder)
    new = _with_results(old, rows)
    card = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else None
    text = render(new) if card is None else edited_card(card, render(old), render(new), str(folder / CARD))
    if new.facts == old.facts and text == card:
        return False
    store.write_text(folder / CONFIG, config_text(new))
    store.write_text(folder / CARD, text)
    return True


def differing_results(folder: Path, rows: Iterable[Mapping[str, Any] | ResultRow]) -> list[str]:
    """Where the results of a folder differ from given rows: one line for each row; none if they are equal.

    Args:
        folder: of a checkpoint, with facts.
        rows: of `check_rows`.
    """
    old = read_config(folder)
    new = _with_results(old, rows)
    assert old.facts is not None and new.facts is not None
    before, after = (
        {(row.task, row.metric, row.protocol, row.label): row for row in facts.results}
        for facts in (old.facts, new.facts)
    )
    lines = []
    for key in dict.fromkeys([*before, *after]):
        mine, theirs = before.get(key), after.get(key)
        name = ", ".join(part for part in key if part)
        if mine is None or theirs is None:
            lines.append(f"{name}: {'not in the card' if mine is None else 'not in the results'}")
        elif mine != theirs:
            lines.append(
                f"{name}: {mine.value:.4f} ({mine.spread}); the results give {theirs.value:.4f} ({theirs.spread})"
            )
    if not lines and (folder / CARD).is_file():
        table, card = _result_lines(render(new)), (folder / CARD).read_text(encoding="utf-8").split("\n")
        lines += [f"{CARD} lacks the line {line}" for line in table if line not in card]
    return lines


def _result_lines(card: str) -> list[str]:
    """The lines of the table of results in a rendered card."""
    _, _, after = card.partition("\n## Results\n")
    return [line for line in after.partition("\n## ")[0].split("\n") if line.startswith("| ")]


def _with_results(config: FolderConfig, rows: Iterable[Mapping[str, Any] | ResultRow]) -> FolderConfig:
    if config.facts is None:
        raise CardError(
            f"{config.path} has no facts. Write it with medzoo.save(model, directory, card=...).", code="facts-missing"
        )
    return replace(config, facts=replace(config.facts, results=check_rows(rows)))


def config_text(config: FolderConfig) -> str:
    """The folder's config.json with the facts of a changed configuration; all other keys stay.

    Args:
        config: with facts; its folder has a config.json.

    Raises:
        IntegrityError: if medzoo could not read the result.
    """
    assert config.facts is not None
    rows = json.loads((config.path / CONFIG).read_bytes())
    rows["medzoo"] = plain(config.facts)
    rows["pretrained_cfg"]["license"] = config.facts.license.id
    text = json.dumps(rows, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    parse_config(text, config.path)
    return text


def edited_card(text: str, before: str, after: str, where: str) -> str:
    """A card that the user may have edited, with the differences between two rendered cards.

    Args:
        text: the card.
        before: the card as it was rendered.
        after: the card as it is rendered now.
        where: its file, for messages.

    Raises:
        CardError: if the user edited these lines too; the message has the new lines.

    >>> edited_card("title\\nscore 1\\nmy own line", "title\\nscore 1", "title\\nscore 2", "README.md")
    'title\\nscore 2\\nmy own line'
    """
    lines, old, new = text.split("\n"), before.split("\n"), after.split("\n")
    # apply the differences between the two rendered cards to the edited card, from the end
    for kind, a, b, c, d in reversed(difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()):
        if kind == "equal":
            continue
        start, end = max(0, a - 1), min(len(old), b + 1)  # with one line around it, so that the block is unique
        block = old[start:end]
        matches = [at for at in range(len(lines) - len(block) + 1) if lines[at : at + len(block)] == block]
        if len(matches) != 1:
            raise CardError(
                f"{where}: these lines were edited. Change them yourself: {' / '.join(old[a:b]).strip() or 'nothing'!r} "
                f"becomes {' / '.join(new[c:d]).strip()!r}.",
                code="card-edited",
            )
        lines[matches[0] : matches[0] + len(block)] = [*old[start:a], *new[c:d], *old[b:end]]
    return "\n".join(lines)
