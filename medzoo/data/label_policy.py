"""Policies for labels that radiologists or a text labeller marked as uncertain (-1).

CheXpert and similar data sets label a finding present (1), absent (0), uncertain (-1), or leave it empty. The four policies are
those of the CheXpert paper and of the studies that medzoo compares. They are part of a result's identity.
Source: https://arxiv.org/abs/1901.07031
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medzoo.data.rng import uniform
from medzoo.errors import UsageError

KINDS = ("mask", "zero", "one", "soft")
SOFT = (0.55, 0.85)  # https://arxiv.org/abs/1911.06475, as Hosseinzadeh Taher et al. use it


@dataclass(frozen=True)
class LabelPolicy:
    """One policy.

    Args:
        kind: "mask" (as if not annotated), "zero", "one", or "soft" (a random number from [low, high) in training).
        low: lower limit of "soft".
        high: upper limit of "soft".
    """

    kind: str = "mask"
    low: float = SOFT[0]
    high: float = SOFT[1]

    def __str__(self) -> str:
        return f"soft:{self.low:g}:{self.high:g}" if self.kind == "soft" else self.kind


def parse_policy(text: str | None) -> LabelPolicy:
    """Parse a policy: mask, zero, one, soft or soft:LOW:HIGH; None means mask.

    Raises:
        UsageError: for anything else.

    >>> str(parse_policy("soft")), parse_policy("soft:0:0.3").high
    ('soft:0.55:0.85', 0.3)
    """
    kind, *numbers = (text or "mask").split(":")
    if kind in KINDS and not numbers:
        return LabelPolicy(kind)
    try:
        low, high = map(float, numbers)
    except ValueError:
        low = high = -1.0
    if kind != "soft" or not 0 <= low < high <= 1:
        raise UsageError(
            f"Unknown label policy {text!r}. Choose {', '.join(KINDS)}, or soft:LOW:HIGH with 0 <= LOW < HIGH <= 1.",
            code="label-policy-unknown",
        )
    return LabelPolicy(kind, low, high)


def settle(labels: np.ndarray, policy: LabelPolicy) -> tuple[np.ndarray, np.ndarray]:
    """Apply a policy: the resulting labels, and which of them were uncertain.

    Args:
        labels: (N, C) of 0, 1, -1 (uncertain) and NaN (not annotated).
        policy: replaces -1; "soft" gives NaN here, and a random number in training.

    Returns:
        float32 (N, C) of 0, 1 and NaN, and bool (N, C).

    >>> settle(np.array([[1.0, -1.0]]), LabelPolicy("zero"))[0].tolist()
    [[1.0, 0.0]]
    """
    uncertain = labels == -1
    value = {"zero": 0.0, "one": 1.0}.get(policy.kind, np.nan)
    return np.where(uncertain, np.float32(value), labels).astype(np.float32), uncertain


def draw_soft(
    labels: np.ndarray, uncertain: np.ndarray, policy: LabelPolicy, *, seed: int, epoch: int, indices: np.ndarray
) -> np.ndarray:
    """Training labels of an epoch: uncertain ones get a random number that depends only on (seed, epoch, index).

    Args:
        labels: (N, C) of the chosen images.
        uncertain: (N, C) of the chosen images.
        policy: of the task.
        seed: of the run.
        epoch: pass over the data.
        indices: (N,) positions of the images in their split.
    """
    if policy.kind != "soft":
        return labels
    share = uniform("soft label", seed, epoch, indices, labels.shape[1]).astype(np.float32)
    drawn = np.float32(policy.low) + np.float32(policy.high - policy.low) * share
    return np.where(uncertain, drawn, labels).astype(np.float32)
