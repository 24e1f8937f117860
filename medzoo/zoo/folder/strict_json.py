"""JSON of files that others wrote: one value a key, numbers that are numbers, text that every file takes."""

from __future__ import annotations

import json
import math
import re
from typing import Any

HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")  # escapes of which two make a letter


def strict_json(text: str) -> Any:  # noqa: ANN401
    """The value of a JSON text.

    Args:
        text: the content of a file.

    Raises:
        ValueError: for what is no JSON, a key that stands twice, NaN, a number beyond all numbers, or half of a letter.
        RecursionError: for deep nesting.

    >>> strict_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: a key stands twice
    """
    value = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite)
    if HALF_PAIR.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    rows = dict(pairs)
    if len(rows) != len(pairs):
        raise ValueError("a key stands twice")
    return rows


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        raise ValueError(f"{number} is beyond all numbers")
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON number")
