"""Stored analyses, in the store of results: one JSON for each, next to its figure.

A stored analysis is used again until its identity changes. Making it again (`medzoo compare --again`) replaces it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from medzoo import store
from medzoo.bench.results.record import plain
from medzoo.bench.results.store import safe_name
from medzoo.errors import ResultError

SCHEMA = "medzoo.analysis/1"
FOLDER = "analyses"  # in the store of results
_KEYS = {"schema", "id", "identity", "title", "question", "sentence", "rows", "table", "environment"}


@dataclass(frozen=True)
class StoredAnalysis:
    """An analysis in the store.

    Args:
        path: of its JSON; `figure` is next to it.
        content: schema, id, identity (analysis, task, subjects, options, inputs, version), title, question, sentence, rows
            (all numbers), table (the rows that a page shows), environment.
    """

    path: Path
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the analysis."""
        return str(self.content["identity"]["analysis"])

    @property
    def subjects(self) -> list[str]:
        """The names of the two checkpoints, without paths of a machine."""
        return list(self.content["identity"]["subjects"])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its numbers."""
        return list(self.content["rows"])

    def figure(self, form: str) -> Path:
        """Its figure.

        Args:
            form: "svg" or "png".
        """
        return self.path.with_suffix(f".{form}")


def analysis_id(identity: Mapping[str, Any]) -> str:
    """The key of an analysis: the sha256 of its identity.

    Args:
        identity: analysis, task, subjects, options, inputs; and the version of the analysis, from 2.
    """
    return store.sha256_of(identity)


def path_of(root: Path, identity: Mapping[str, Any]) -> Path:
    """The file of an analysis, whether it exists or not.

    Args:
        root: of the store of results.
        identity: as for `analysis_id`.
    """
    task = f"{safe_name(identity['task']['id'])}@{safe_name(identity['task']['version'], 20)}"
    name = f"{safe_name(identity['analysis'])}-{analysis_id(identity)[:16]}.json"
    return root / FOLDER / task / name


def put_analysis(root: Path, content: Mapping[str, Any], figures: Mapping[str, bytes]) -> StoredAnalysis:
    """Add an analysis to a store, atomically: its figures first, then its JSON.

    Args:
        root: of the store of results.
        content: as in `StoredAnalysis`, without schema and id; without a table, a page shows all rows.
        figures: bytes by form, "svg" and "png".

    Raises:
        ResultError: if a row is not a dict of texts and finite numbers.
    """
    key = analysis_id(plain(content["identity"]))
    whole = plain({"schema": SCHEMA, "id": key, "table": content["rows"], **content})
    _check(whole)
    path = path_of(root, whole["identity"])
    for form, content_of_form in figures.items():
        store.write_bytes(path.with_suffix(f".{form}"), content_of_form)
    store.write_json(path, whole)
    return StoredAnalysis(path, whole)


def get_analysis(root: Path, identity: Mapping[str, Any]) -> StoredAnalysis | None:
    """The stored analysis of an identity; None if there is none, or a part of it is missing.

    Args:
        root: of the store of results.
        identity: as for `analysis_id`.
    """
    path = path_of(root, plain(identity))
    if not path.is_file() or not all(path.with_suffix(f".{form}").is_file() for form in ("svg", "png")):
        return None
    return _read(path)


def stored_analyses(root: Path, *, name: str | None = None, task: str | None = None) -> list[StoredAnalysis]:
    """The analyses in a store, in the order of their files; a broken file is left out with a warning.

    Args:
        root: of the store of results.
        name: of the analysis; None takes all.
        task: by its name in results; None takes all.
    """
    found = [read for path in sorted((root / FOLDER).glob("*@*/*.json")) if (read := _read(path)) is not None]
    return [one for one in found if name in (None, one.name) and task in (None, one.content["identity"]["task"]["id"])]


def _read(path: Path) -> StoredAnalysis | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        _check(content)
    except (OSError, ValueError, ResultError) as error:
        warnings.warn(f"{path} is not a readable analysis: {error} It is left out.", stacklevel=3)
        return None
    return StoredAnalysis(path, content)


def _check(content: Any) -> None:  # noqa: ANN401 - any JSON
    """Refuse what is not a complete record."""
    if not isinstance(content, dict) or set(content) != _KEYS or content["schema"] != SCHEMA:
        raise ResultError(f"It should have exactly the keys {', '.join(sorted(_KEYS))}.", code="analysis-schema")
    if analysis_id(content["identity"]) != content["id"]:
        raise ResultError("Its id does not match its identity: one of them was edited.", code="analysis-id-mismatch")
    rows: Sequence[Any] = [*content["rows"], *content["table"]]
    for place, row in enumerate(rows):
        for key, value in row.items():
            if isinstance(value, float) and not isfinite(value):
                raise ResultError(
                    f"Row {place} has {key} = {value}; a row contains finite numbers, or None with a reason.",
                    code="analysis-number-not-finite",
                )
            if value is not None and not isinstance(value, str | int | float | bool):
                raise ResultError(
                    f"Row {place} has {key} = {value!r:.80}; a row contains texts and numbers.",
                    code="analysis-row-nested",
                )
