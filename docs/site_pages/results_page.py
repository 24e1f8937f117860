"""reference/results.md: the files of a result, of an analysis and of a run folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medzoo.bench.analyses.record import _KEYS as ANALYSIS_KEYS
from medzoo.bench.results.schema import RESULT
from site_pages.markdown import as_text, block, code, front_matter, table
from site_pages.option_tables import MissingTextError
from site_pages.result_fields import ANALYSIS, COLUMNS, FIELDS, MASK_COLUMNS, RUN_FOLDER, STATUS

TABLES = Path(__file__).resolve().parents[2] / "benchmarks" / "tables" / "real_small"
WORDS = {"str": "text", "int": "whole number", "number": "number", "bool": "true or false", "sha256": "sha256"}
SHOWN = 2  # rows of metrics in the example
INTRODUCTION = """\
Each run gives two files in the store: `RESULTS/TASK@VERSION/CHECKPOINT/PROTOCOL/ID.json` and
`ID.predictions.parquet`. ID is the beginning of `run_id`. Files are written once and never changed. The schema is
closed: an unknown field is an error. A field with *optional* may be absent.
"""


def results_page() -> str:
    """The page as Markdown."""
    rows = list(result_fields(RESULT))
    places = [place for place, _, _ in rows]
    if wrong := set(places) ^ set(FIELDS):
        raise MissingTextError(
            f"result_fields.FIELDS and medzoo.bench.results.schema.RESULT differ: {', '.join(sorted(wrong))}."
        )
    if set(ANALYSIS) != ANALYSIS_KEYS:
        raise MissingTextError(
            f"result_fields.ANALYSIS and the keys of an analysis differ: {set(ANALYSIS) ^ ANALYSIS_KEYS}."
        )
    parts = [front_matter("Results", "Files of results, predictions, analyses and run folders"), INTRODUCTION]
    parts.append("## medzoo.result/1 {#result}\n")
    parts.append(
        table(
            ["field", "type", "meaning"],
            (
                [code(place), kind + (", optional" if optional else ""), _text(FIELDS[place])]
                for place, kind, optional in rows
            ),
        )
    )
    parts += [
        "## Example {#example}\n",
        f"From `benchmarks/tables/real_small`, with {SHOWN} of its metrics:\n",
        block("json", example()),
    ]
    parts += [
        "## Predictions {#predictions}\n",
        "One row for each image of the test split. Every metric, interval and test can be computed from them again.\n",
        _two("column", COLUMNS),
        "Of a segmentation:\n",
        _two("column", MASK_COLUMNS),
    ]
    parts += [
        "## Analyses {#analyses}\n",
        "`RESULTS/analyses/TASK@VERSION/ANALYSIS-ID.json`, next to its figure (SVG and PNG).\n",
        _two("key", ANALYSIS),
    ]
    parts += [
        "## Run folder {#run-folder}\n",
        "`--out`, by default `runs/TASK/CHECKPOINT/ID`. One process uses it at a time.\n",
        _two("file", RUN_FOLDER),
    ]
    parts += ["## status.json {#status}\n", _two("key", STATUS)]
    return "\n".join(parts)


def result_fields(spec: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, str, bool]]:
    """The place, the type in words and whether it is optional, of every field of a schema.

    Args:
        spec: an object of `medzoo.bench.results.schema`.
        where: the place of this object.

    >>> list(result_fields({"a": "int|null", "b?": {"*": "str"}}))
    [('a', 'whole number or null', False), ('b', 'object', True), ('b.*', 'text', False)]
    """
    for key, inner in spec.items():
        place = f"{where}{key.rstrip('?')}"
        yield place, _type(inner), key.endswith("?")
        if isinstance(inner, dict):
            yield from result_fields(inner, f"{place}.")
        elif isinstance(inner, list):
            yield from result_fields(inner[0], f"{place}[].")


def _type(spec: Any) -> str:  # noqa: ANN401 - of the schema
    if isinstance(spec, dict):
        return "object"
    if isinstance(spec, list):
        return "list of objects"
    if isinstance(spec, tuple):
        return " or ".join(map(code, spec))
    word, _, null = spec.partition("|")
    return f"{WORDS[word]} or null" if null else WORDS[word]


def example() -> str:
    """A committed result as JSON, with its first metrics only."""
    path = sorted(TABLES.glob("*/*/medzoo/*.json"))[0]
    result = json.loads(path.read_text(encoding="utf-8"))
    result["metrics"] = result["metrics"][:SHOWN]
    return json.dumps(result, indent=2)


def _two(heading: str, texts: Mapping[str, str]) -> str:
    return table([heading, "meaning"], ([code(key), _text(text)] for key, text in texts.items()))


def _text(text: str) -> str:
    """Text in which links stay."""
    return text if "](" in text else as_text(text)
