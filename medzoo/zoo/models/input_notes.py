"""The rule that scales an image to [0, 1], in the field `notes` of a pretrained_cfg, which timm passes on unchanged.

The block `medzoo` of config.json holds the same rule, but a network that timm or transformers loaded has only its
pretrained_cfg.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

InputRule = Literal["unit", "per_image_minmax"]
RULE = re.compile(r"medzoo input rule: (unit|per_image_minmax)")
CLIP = re.compile(r"medzoo input clip: (\S+) to (\S+) HU")


def to_notes(rule: str, clip: tuple[float, ...] | None) -> tuple[str, ...]:
    """The notes of an input; empty for the rule "unit", which timm's transform follows.

    Args:
        rule: the rule that scales to [0, 1].
        clip: lowest and highest HU.

    >>> to_notes("per_image_minmax", (-1024.0, 3072.0))
    ('medzoo input rule: per_image_minmax', 'medzoo input clip: -1024.0 to 3072.0 HU')
    """
    rows = [f"medzoo input rule: {rule}"] if rule != "unit" else []
    rows += [f"medzoo input clip: {clip[0]} to {clip[1]} HU"] if clip is not None else []
    return tuple(rows)


def from_notes(config: Mapping[str, Any]) -> tuple[InputRule, tuple[float, float] | None]:
    """The rule and the clip in the notes of a pretrained_cfg; other notes are ignored.

    Args:
        config: timm's pretrained_cfg.

    >>> from_notes({"notes": ("medzoo input rule: per_image_minmax", "trained long")})
    ('per_image_minmax', None)
    """
    notes = config.get("notes") or ()
    rule: InputRule = "unit"
    clip: tuple[float, float] | None = None
    for note in [notes] if isinstance(notes, str) else notes:
        if match := RULE.fullmatch(str(note)):
            rule = match[1]  # type: ignore[assignment]
        elif match := CLIP.fullmatch(str(note)):
            try:
                low, high = float(match[1]), float(match[2])
            except ValueError:
                continue
            clip = (low, high) if low < high else None
    return rule, clip
