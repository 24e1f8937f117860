"""Windows computed from the image, for MR and other values without a known scale: percentiles or z-scores.

A rule must be chosen; it is never a default, because two images of one data set then have different scales. `percentile:1,99`
uses the 1st and the 99th percentile of the values, `zscore:3` the mean minus and plus three standard deviations. Both use the
slice or volume that is read; with `:series` after it, the volume of the slice. Padding pixels of the header do not count.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from medzoo.errors import ImageError, UsageError

SERIES = ":series"
SPELLINGS = "percentile:LOW,HIGH as in percentile:1,99, or zscore:K as in zscore:3; add :series for the limits of the whole volume"
_RULE = re.compile(r"(percentile|zscore):([^:]*)(:series)?")


class FittedWindow(tuple[float, float]):
    """(low, high) computed by a rule.

    Args:
        limits: (low, high).
        text: the rule and its input, for notes.
    """

    text: str

    def __new__(cls, limits: tuple[float, float], text: str) -> FittedWindow:
        """A tuple with a text."""
        window = super().__new__(cls, limits)
        window.text = text
        return window


@dataclass(frozen=True)
class WindowRule:
    """A rule that computes a window.

    Args:
        kind: "percentile" or "zscore".
        numbers: (low, high) in percent, or (standard deviations,).
        series: whether it uses the whole volume of a slice.
    """

    kind: str
    numbers: tuple[float, ...]
    series: bool = False

    def __str__(self) -> str:
        return f"{self.kind}:{','.join(f'{number:.12g}' for number in self.numbers)}{SERIES if self.series else ''}"

    def fit(self, values: np.ndarray, what: str = "this image") -> FittedWindow:
        """The window for an array of values.

        Args:
            values: of any shape, finite.
            what: name of the values, for notes.

        >>> parse_rule("percentile:10,90").fit(np.arange(101)), parse_rule("zscore:2").fit(np.array([1.0, 3.0]))
        ((10.0, 90.0), (0.0, 4.0))
        """
        text = f"{self} of {what}"
        if not values.size:
            return FittedWindow((0.0, 1.0), f"{text} (which has no values)")
        lowest, highest = float(values.min()), float(values.max())
        if lowest == highest:  # the value becomes the lowest of its scale
            return FittedWindow((lowest, lowest + max(1.0, abs(lowest) * 1e-6)), f"{text} (all values are equal)")
        if self.kind == "percentile":
            low, high = (float(number) for number in np.percentile(values, self.numbers))
        else:
            mean, spread = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
            low, high = mean - self.numbers[0] * spread, mean + self.numbers[0] * spread
        if not low < high:
            low, high, text = lowest, highest, f"{text} (no spread: lowest to highest value)"
        if values.dtype.kind in "ui" and math.ceil(low) > math.floor(high):
            low, high = math.floor(low), math.ceil(high)
        return FittedWindow((low, high), text)


def parse_rule(window: object) -> WindowRule | None:
    """Parse a rule; None if the window is a name or (low, high).

    Args:
        window: as given to `read_image`.

    Raises:
        UsageError: for an invalid rule.

    >>> parse_rule("percentile:1,99"), parse_rule("zscore:3:series"), parse_rule("lung")
    (WindowRule(kind='percentile', numbers=(1.0, 99.0), series=False), WindowRule(kind='zscore', numbers=(3.0,), series=True), None)
    """
    if isinstance(window, WindowRule):
        return window
    if not isinstance(window, str) or not window.startswith(("percentile", "zscore")):
        return None
    match = _RULE.fullmatch(window)
    try:
        numbers = tuple(float(part) for part in match[2].split(",")) if match else ()
    except ValueError:
        numbers = ()
    if match is not None and match[1] == "percentile":
        valid = len(numbers) == 2 and 0 <= numbers[0] < numbers[1] <= 100
    else:
        valid = len(numbers) == 1 and 0 < numbers[0] < math.inf
    if match is None or not valid:
        raise UsageError(f"window={window!r} should be {SPELLINGS}.", code="window-rule-invalid")
    return WindowRule(match[1], numbers, bool(match[3]))


def refuse_series_rule(rule: WindowRule, where: str) -> None:
    """Raise an error for `:series` where the volume is unknown.

    Raises:
        ImageError: with what to do instead.
    """
    if rule.series:
        raise ImageError(
            f"{where}: window={str(rule)!r} needs the volume of the image: a NIfTI file, a DICOM file with several frames, or "
            f"read_image(FOLDER, frame=12) for a series. Without {SERIES} each image has separate limits.",
            code="series-rule-without-volume",
        )
