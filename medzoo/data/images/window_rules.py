"""Windows that are found from the image itself, for MR and other numbers whose scale no file states: percentiles, or z-scores.

A rule is an explicit choice, never a default: two images of one data set then have two scales. `percentile:1,99` takes the 1st
and the 99th percentile of the values, `zscore:3` the mean less and plus three standard deviations. Both look at what is read: a
slice if a slice is read, a volume if a volume is read; with `:series` behind it, at the volume that a slice belongs to. Pixels
that a header calls padding do not count.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from medzoo.errors import ImageError, UsageError

SERIES = ":series"
SPELLINGS = (
    "percentile:LOW,HIGH as in percentile:1,99, or zscore:K as in zscore:3; with :series behind it, of the whole volume"
)
_RULE = re.compile(r"(percentile|zscore):([^:]*)(:series)?")


class FittedWindow(tuple[float, float]):
    """(low, high) as a rule found them.

    Args:
        limits: (low, high).
        text: the rule and what it looked at, for notes.
    """

    text: str

    def __new__(cls, limits: tuple[float, float], text: str) -> FittedWindow:
        """A tuple with a name."""
        made = super().__new__(cls, limits)
        made.text = text
        return made


@dataclass(frozen=True)
class WindowRule:
    """A rule that finds a window.

    Args:
        kind: "percentile" or "zscore".
        numbers: (low, high) in percent, or (standard deviations,).
        series: whether it looks at the volume that a slice belongs to.
    """

    kind: str
    numbers: tuple[float, ...]
    series: bool = False

    def __str__(self) -> str:
        return f"{self.kind}:{','.join(f'{number:.12g}' for number in self.numbers)}{SERIES if self.series else ''}"

    def fit(self, values: np.ndarray, what: str = "this image") -> FittedWindow:
        """The window of some values.

        Args:
            values: of any shape, finite.
            what: they are, for notes.

        >>> parse_rule("percentile:10,90").fit(np.arange(101)), parse_rule("zscore:2").fit(np.array([1.0, 3.0]))
        ((10.0, 90.0), (0.0, 4.0))
        """
        text = f"{self} of {what}"
        if not values.size:
            return FittedWindow((0.0, 1.0), f"{text} (which has no values)")
        lowest, highest = float(values.min()), float(values.max())
        if lowest == highest:  # it becomes the lowest value of a scale that holds no other
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
    """The rule that a window is, or None where it is another choice: a name, or (low, high).

    Args:
        window: as given to `read_image`.

    Raises:
        UsageError: for a rule that is not spelled right.

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
        right = len(numbers) == 2 and 0 <= numbers[0] < numbers[1] <= 100
    else:
        right = len(numbers) == 1 and 0 < numbers[0] < math.inf
    if match is None or not right:
        raise UsageError(f"window={window!r} should be {SPELLINGS}.")
    return WindowRule(match[1], numbers, bool(match[3]))


def refuse_series_rule(rule: WindowRule, where: str) -> None:
    """Refuse `:series` where no volume is known.

    Raises:
        ImageError: with what to do instead.
    """
    if rule.series:
        raise ImageError(
            f"{where}: window={str(rule)!r} needs the volume that the image belongs to: a NIfTI file, a DICOM file of several "
            f"frames, or read_image(FOLDER, frame=12) of a series. Without {SERIES} the limits are those of each image."
        )
