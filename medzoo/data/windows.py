"""Named CT windows in Hounsfield units (HU), and numbers that stand for a window.

A window is (low, high): what lies below is black, what lies above is white. By name it is meant for HU and for nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from medzoo.errors import ImageError, UnknownNameError, UsageError

Window = tuple[float, float]
WindowChoice = Window | str

_RADIOPAEDIA = "https://radiopaedia.org/articles/windowing-ct"


@dataclass(frozen=True)
class CTWindow:
    """A window as radiologists write it.

    Args:
        level: its middle, HU.
        width: HU.
        source: where these numbers stand.
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
ANY: Window = (-3.0e38, 3.0e38)  # clips nothing: for masks, whose numbers are no scale


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
        raise UnknownNameError("window", name, WINDOWS, f"The names are {', '.join(WINDOWS)}; or give (low, high).")
    return WINDOWS[name].limits


def limits_of(window: WindowChoice) -> Window:
    """The numbers of a window, whatever stands for it.

    Args:
        window: a name, or (low, high).

    Raises:
        ImageError: unless both are finite and low < high.

    >>> limits_of((-160, 240))
    (-160.0, 240.0)
    """
    if isinstance(window, str):
        return window_named(window)
    try:
        low, high = (float(value) for value in window)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ImageError(f"The window {window} should be (low, high) with low < high, or a name such as 'lung'.")
    return low, high


def parse_window(text: str) -> WindowChoice:
    """A window as people type it: a name, or two numbers with a colon between them.

    Args:
        text: "lung" or "-160:240".

    Raises:
        UsageError: for anything else.

    >>> parse_window("-160:240"), parse_window("lung")
    ((-160.0, 240.0), 'lung')
    """
    if ":" not in text:
        window_named(text)
        return text
    try:
        low, high = (float(part) for part in text.split(":"))
        return limits_of((low, high))
    except (ValueError, ImageError):
        raise UsageError(f"window={text!r} should be a name such as lung, or LOW:HIGH as in -160:240.") from None
