"""How an image is scaled to [0, 1], in the field `notes` of a pretrained_cfg, which timm passes on unchanged.

The block `medzoo` of config.json holds the same facts, but a network that timm or transformers loaded has only its
pretrained_cfg.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

InputRule = Literal["unit", "per_image_minmax"]
RULE = re.compile(r"medzoo input rule: (unit|per_image_minmax)")
CLIP = re.compile(r"medzoo input clip: (\S+) to (\S+) HU")
WINDOW = re.compile(r"[a-z0-9.,:+-]{1,80}( HU)?")  # LOW:HIGH, LOW:HIGH HU, or a rule
WINDOW_NOTE = re.compile(rf"medzoo input window: ({WINDOW.pattern})")


def to_notes(rule: str, clip: tuple[float, ...] | None, window: str | None = None) -> tuple[str, ...]:
    """The notes of an input; empty for the rule "unit" alone, which timm's transform follows.

    Args:
        rule: the rule that scales to [0, 1].
        clip: lowest and highest HU.
        window: the range to which the images of a fine-tuning were clipped.

    >>> to_notes("per_image_minmax", (-1024.0, 3072.0))
    ('medzoo input rule: per_image_minmax', 'medzoo input clip: -1024.0 to 3072.0 HU')
    """
    rows = [f"medzoo input rule: {rule}"] if rule != "unit" else []
    rows += [f"medzoo input clip: {clip[0]} to {clip[1]} HU"] if clip is not None else []
    rows += [f"medzoo input window: {window}"] if window is not None else []
    return tuple(rows)


def from_notes(config: Mapping[str, Any]) -> tuple[InputRule, tuple[float, float] | None]:
    """The rule and the clip in the notes of a pretrained_cfg; other notes are ignored.

    Args:
        config: timm's pretrained_cfg.

    >>> from_notes({"notes": ("medzoo input rule: per_image_minmax", "trained long")})
    ('per_image_minmax', None)
    """
    rule: InputRule = "unit"
    clip: tuple[float, float] | None = None
    for note in _notes(config):
        if match := RULE.fullmatch(note):
            rule = match[1]  # type: ignore[assignment]
        elif match := CLIP.fullmatch(note):
            try:
                low, high = float(match[1]), float(match[2])
            except ValueError:
                continue
            clip = (low, high) if low < high else None
    return rule, clip


def window_of_notes(config: Mapping[str, Any]) -> str | None:
    """The window in the notes of a pretrained_cfg; None without one.

    Args:
        config: timm's pretrained_cfg.

    >>> window_of_notes({"notes": ("medzoo input window: -45:105 HU",)})
    '-45:105 HU'
    """
    found = [match[1] for note in _notes(config) if (match := WINDOW_NOTE.fullmatch(note))]
    return found[-1] if found else None


def _notes(config: Mapping[str, Any]) -> list[str]:
    notes = config.get("notes") or ()
    return [notes] if isinstance(notes, str) else [str(note) for note in notes]
