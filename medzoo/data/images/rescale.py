"""Rescale stored numbers by slope and intercept. Integers stay integers, in a type for all possible results."""

from __future__ import annotations

import math

import numpy as np

_WHOLE = tuple(np.dtype(name) for name in ("uint8", "int16", "uint16", "int32", "uint32", "int64"))


def type_holding(low: int, high: int, preferred: np.dtype | None = None) -> np.dtype | None:
    """The preferred integer type if it can hold both ends, else the narrowest that can; None if no type can.

    >>> type_holding(-1024, 3071)
    dtype('int16')
    """
    for dtype in (*(() if preferred is None else (preferred,)), *_WHOLE):
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return dtype
    return None


def rescaled(array: np.ndarray, slope: float, intercept: float, ends: tuple[float, float] | None = None) -> np.ndarray:
    """The array times slope plus intercept.

    Args:
        array: of any shape.
        slope: not 0.
        intercept: in units of the result.
        ends: lowest and highest number that can be stored; by default those of the type, so that all images of a data set
            get the same type.

    Returns:
        integers if slope, intercept and array are integers; otherwise float32 (float64 for 32 stored bits and more).

    >>> rescaled(np.array([0, 4095], np.uint16), 1, -1024, (0, 4095))
    array([-1024,  3071], dtype=int16)
    """
    if slope == 1 and intercept == 0:
        return array
    if array.dtype.kind in "ui":
        limits = np.iinfo(array.dtype)
        low, high = ends if ends is not None else (limits.min, limits.max)
        if float(slope).is_integer() and float(intercept).is_integer():
            results = sorted(int(slope) * end + int(intercept) for end in (math.ceil(low), math.floor(high)))
            dtype = type_holding(results[0], results[1], array.dtype)
            if dtype is not None and max(map(abs, results)) < 2**62:
                return (array.astype(np.int64) * int(slope) + int(intercept)).astype(dtype)
    wide = array.dtype.itemsize > (2 if array.dtype.kind in "ui" else 4)
    return (array.astype(np.float64) * slope + intercept).astype(np.float64 if wide else np.float32)


def scaled_ends(ends: tuple[float, float], slope: float, intercept: float) -> tuple[float, float]:
    """(low, high) after slope and intercept.

    >>> scaled_ends((0, 4095), 2, -4096)
    (-4096.0, 4094.0)
    """
    first, last = (float(end) * slope + intercept for end in ends)
    return min(first, last), max(first, last)


def usable(slope: float, intercept: float) -> bool:
    """Whether a header's numbers can rescale: two neighbouring stored numbers must give different results.

    >>> usable(0.5, -1024), usable(0, 1), usable(1e-30, 1), usable(float("nan"), 0)
    (True, False, False, False)
    """
    return math.isfinite(slope) and math.isfinite(intercept) and intercept + slope != intercept
