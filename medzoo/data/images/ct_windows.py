"""Named CT windows in Hounsfield units (HU), windows as numbers, and as rules (`window_rules`).

A window is (low, high): lower values are black, higher values are white. A named window is for HU only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from medzoo.data.images.window_rules import SPELLINGS, parse_rule
from medzoo.errors import ImageError, UnknownNameError, UsageError

Window = tuple[float, float]
WindowChoice = Window | str

_RADIOPAEDIA = "https://radiopaedia.org/articles/windowing-ct"


@dataclass(frozen=True)
class CTWindow:
    """A window as level and width.

    Args:
        level: its middle, HU.
        width: HU.
        source: URL of these numbers.
    """

    level: float
    width: float
    source: str = _RADIOPAEDIA

    @property
    def limits(self) -> Window:
        """(low, high), HU."""
        return self.level - self.width / 2, self.level + self.width / 2


WINDOWS: dict[str, CTWindow] = {
    "lung": CTWindow(-600, 1500),
    "mediastinum": CTWindow(50, 350),
    "heart": CTWindow(200, 600),
    "abdomen": CTWindow(50, 400),
    "soft_tissue": CTWindow(50, 400),  # the article's abdominal soft tissues
    "liver": CTWindow(30, 150),
    "spine": CTWindow(50, 250),
    "bone": CTWindow(400, 1800),
    "brain": CTWindow(40, 80),
    "stroke": CTWindow(40, 40),
    "subdural": CTWindow(75, 215),  # middle of the article's 50 to 100 and 130 to 300
    "temporal_bone": CTWindow(600, 2800),
    # the 12 bits of most scanners, https://www.radiologyweb.org/Physics_Data/Physics/37_Physics.htm
    "full": CTWindow(1023.5, 4095, "https://www.radiologyweb.org/Physics_Data/Physics/37_Physics.htm"),
}
HU_SCALE: Window = WINDOWS["full"].limits
ANY: Window = (-3.0e38, 3.0e38)  # clips nothing: for masks, whose numbers are labels


def window_named(name: str) -> Window:
    """(low, high) of a named CT window.

    Args:
        name: a key of `WINDOWS`.

    Raises:
        UnknownNameError: for any other name.

    Source: https://radiopaedia.org/articles/windowing-ct

    >>> window_named("lung")
    (-1350.0, 150.0)
    """
    if name not in WINDOWS:
        hint = f"Give one of {', '.join(WINDOWS)}; (low, high); {SPELLINGS}."
        raise UnknownNameError("window", name, WINDOWS, hint)
    return WINDOWS[name].limits


def limits_of(window: WindowChoice) -> Window:
    """The numbers of a window.

    Args:
        window: a name, or (low, high).

    Raises:
        ImageError: unless both are finite and low < high.
        UsageError: for a rule, which has different numbers for each image.

    >>> limits_of((-160, 240))
    (-160.0, 240.0)
    """
    if (rule := parse_rule(window)) is not None:
        raise UsageError(
            f"The window {rule} has different limits for each image. Give (low, high) or a name here.",
            code="window-rule-not-allowed",
        )
    if isinstance(window, str):
        return window_named(window)
    try:
        low, high = (float(value) for value in window)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ImageError(
            f"The window {window} should be (low, high) with low < high, or a name such as 'lung'.",
            code="window-invalid",
        )
    return low, high


def checked_window(window: WindowChoice) -> WindowChoice:
    """A window in its normal form: a name, (low, high) as floats, or a rule as text.

    Args:
        window: a name, (low, high) or a rule.

    Raises:
        ImageError: for numbers that are not a window.
        UsageError: for an unknown name or an invalid rule.

    >>> checked_window("percentile:1.0,99"), checked_window((0, 4095)), checked_window("lung")
    ('percentile:1,99', (0.0, 4095.0), 'lung')
    """
    if (rule := parse_rule(window)) is not None:
        return str(rule)
    limits = limits_of(window)
    return window if isinstance(window, str) else limits


def window_text(window: WindowChoice) -> str:
    """A window as text, as users type it after a task's name.

    >>> window_text((-160.0, 240.0)), window_text("zscore:3")
    ('-160:240', 'zscore:3')
    """
    return window if isinstance(window, str) else "{:.12g}:{:.12g}".format(*window)


def parse_windows(text: str) -> tuple[Window, ...]:
    """Parse several windows of HU, with commas between them.

    Args:
        text: names and LOW:HIGH, as in "lung,mediastinum,-500:1300".

    Raises:
        UsageError: for anything else, and for a window outside of the scale of CT.

    >>> parse_windows("lung,-160:240")
    ((-1350.0, 150.0), (-160.0, 240.0))
    """
    windows = tuple(limits_of(parse_window(part.strip())) for part in text.split(","))
    for low, high in windows:
        if high <= HU_SCALE[0] or low >= HU_SCALE[1]:
            raise UsageError(
                f"The window {low:g}:{high:g} is outside of the scale of CT, {HU_SCALE[0]:g} to {HU_SCALE[1]:g} HU.",
                code="ct-window-outside-scale",
            )
    return windows


def parse_window(text: str) -> WindowChoice:
    """Parse a window as users type it: a name, two numbers with a colon between them, or a rule.

    Args:
        text: "lung", "-160:240", "percentile:1,99" or "zscore:3".

    Raises:
        UsageError: for anything else.

    >>> parse_window("-160:240"), parse_window("lung"), parse_window("percentile:1,99")
    ((-160.0, 240.0), 'lung', 'percentile:1,99')
    """
    if ":" not in text or parse_rule(text) is not None:
        return checked_window(text)
    try:
        low, high = (float(part) for part in text.split(":"))
        return limits_of((low, high))
    except (ValueError, ImageError):
        raise UsageError(
            f"window={text!r} should be a name such as lung, LOW:HIGH as in -160:240, {SPELLINGS}.",
            code="window-invalid",
        ) from None
