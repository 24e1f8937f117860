"""Strict JSON for untrusted files: no duplicate keys, finite numbers only, no broken Unicode."""

from __future__ import annotations

import json
import math
import re
from typing import Any

HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")  # the first half of a surrogate pair


def strict_json(text: str) -> Any:  # noqa: ANN401
    """The value of a JSON text.

    Args:
        text: the content of a file.

    Raises:
        ValueError: for invalid JSON, a duplicate key, NaN, a number that is too large, or half of a surrogate pair.
        RecursionError: for deep nesting.

    >>> strict_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: a key occurs twice
    """
    value = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite)
    if HALF_PAIR.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    rows = dict(pairs)
    if len(rows) != len(pairs):
        raise ValueError("a key occurs twice")
    return rows


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        raise ValueError(f"{number} is too large for a float")
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a JSON number")
