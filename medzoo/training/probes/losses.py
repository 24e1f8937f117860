"""Losses of stacked logistic regressions: softmax over classes, or one sigmoid per problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch


class LossState(Protocol):
    """A loss at one point: what Newton's method needs there."""

    def residual(self) -> torch.Tensor:
        """(K, P, n) derivative of the mean loss by the scores."""

    def times(self, scores: torch.Tensor) -> torch.Tensor:
        """(K, P, n) second derivative of the mean loss, applied to scores."""

    def curvature(self) -> torch.Tensor:
        """(P,) mean eigenvalue of the second derivative."""

    def subset(self, kept: torch.Tensor) -> LossState:
        """Only some problems."""


class Loss(Protocol):
    """A loss of P problems as a function of scores (K, P, n)."""

    def at(self, scores: torch.Tensor) -> LossState:
        """The derivatives at these scores."""

    def slopes(self, scores: torch.Tensor, moved: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(P,) first and second derivative of the mean loss along `moved`."""

    def subset(self, kept: torch.Tensor) -> Loss:
        """Only some problems."""


def line_search(
    loss: Loss,
    scores: torch.Tensor,
    moved: torch.Tensor,
    slope: torch.Tensor,
    bend: torch.Tensor,
    *,
    share: float = 0.2,
) -> torch.Tensor:
    """The length of each problem's step: Newton's method on the slope, inside a bracket; only scores are needed.

    Args:
        loss: of all problems.
        scores: (K, P, n) before the step.
        moved: (K, P, n) what a step of length 1 adds.
        slope: (P,) slope of the penalty at length 0.
        bend: (P,) second derivative of the penalty.
        share: the slope at the end is at most this share of the slope at length 0.
    """
    first = loss.slopes(scores, moved)[0] + slope
    length, low, high = torch.ones_like(slope), torch.zeros_like(slope), torch.full_like(slope, torch.inf)
    for _ in range(20):
        one, two = loss.slopes(scores + length[:, None] * moved, moved)
        one, two = one + slope + length * bend, two + bend
        enough = one.abs() <= share * first.abs()
        if bool(enough.all()):
            break
        low, high = torch.where(one < 0, length, low), torch.where(one > 0, length, high)
        following = (length - one / two.clamp_min(torch.finfo(two.dtype).tiny)).minimum(4 * length)
        outside = (following <= low) | (following >= high)
        following = torch.where(outside, torch.where(high.isinf(), 2 * length, (low + high) / 2), following)
        length = torch.where(enough, length, following)
    return length


@dataclass(frozen=True)
class Softmax:
    """Cross-entropy of several classes; all problems have the same rows and classes.

    The scores have one row less than there are classes: they are coordinates in the plane of zero sum, where the optimum is.

    Args:
        onehot: (C, 1, n) 1 at the class of a row.
        share: (n,) weight of every row; the sum is 1.
        basis: (C, C - 1) orthonormal columns that span the plane.
    """

    onehot: torch.Tensor
    share: torch.Tensor
    basis: torch.Tensor

    def _full(self, scores: torch.Tensor) -> torch.Tensor:
        return (self.basis @ scores.flatten(1)).view(-1, *scores.shape[1:])

    def at(self, scores: torch.Tensor) -> LossState:
        """The derivatives at these scores."""
        return SoftmaxState(self, self._full(scores).softmax(0))

    def slopes(self, scores: torch.Tensor, moved: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(P,) first and second derivative of the mean loss along `moved`."""
        full = self._full(moved)
        weighted = self._full(scores).softmax(0).mul_(full)
        mean = weighted.sum(0)
        one = (mean - (self.onehot * full).sum(0)) @ self.share
        return one, (weighted.mul_(full).sum(0) - mean.square()) @ self.share

    def subset(self, kept: torch.Tensor) -> Loss:
        """Only some problems: they share everything."""
        return self


@dataclass(frozen=True)
class SoftmaxState:
    """Softmax probabilities (C, P, n) at a point."""

    loss: Softmax
    probabilities: torch.Tensor

    def residual(self) -> torch.Tensor:
        """(C - 1, P, n); 1 - p is the sum of the other classes, so that it keeps its digits where p is near 1."""
        others = self.probabilities * (1 - self.loss.onehot)
        missed = others - self.loss.onehot * others.sum(0)
        return self._reduced(missed.mul_(self.loss.share))

    def times(self, scores: torch.Tensor) -> torch.Tensor:
        """(C - 1, P, n) second derivative, applied to scores."""
        weighted = self.loss._full(scores).mul_(self.probabilities)
        weighted.addcmul_(self.probabilities, weighted.sum(0), value=-1.0)
        return self._reduced(weighted.mul_(self.loss.share))

    def curvature(self) -> torch.Tensor:
        """(P,) mean eigenvalue in the plane."""
        return (1 - self.probabilities.square().sum(0)) @ self.loss.share / (len(self.probabilities) - 1)

    def subset(self, kept: torch.Tensor) -> LossState:
        """Only some problems."""
        return SoftmaxState(self.loss, self.probabilities[:, kept])

    def _reduced(self, full: torch.Tensor) -> torch.Tensor:
        return (self.loss.basis.T @ full.flatten(1)).view(-1, *full.shape[1:])


@dataclass(frozen=True)
class Sigmoid:
    """Cross-entropy of one label per problem.

    Args:
        sign: (P, n) +1 where the label is 1, otherwise -1.
        share: (P, n) weight of every row, 0 where the label is unknown; the sum of a problem is 1.
    """

    sign: torch.Tensor
    share: torch.Tensor

    def at(self, scores: torch.Tensor) -> LossState:
        """The derivatives at these scores."""
        missed = (-self.sign * scores[0]).sigmoid()
        return SigmoidState(-self.sign * self.share * missed, self.share * missed * (self.sign * scores[0]).sigmoid())

    def slopes(self, scores: torch.Tensor, moved: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(P,) first and second derivative of the mean loss along `moved`."""
        missed = (-self.sign * scores[0]).sigmoid()
        one = -(self.sign * self.share * missed * moved[0]).sum(1)
        return one, (self.share * missed * (1 - missed) * moved[0].square()).sum(1)

    def subset(self, kept: torch.Tensor) -> Loss:
        """Only some problems."""
        return Sigmoid(self.sign[kept], self.share[kept])


@dataclass(frozen=True)
class SigmoidState:
    """First and second derivative (P, n) of the mean loss by the scores."""

    first: torch.Tensor
    second: torch.Tensor

    def residual(self) -> torch.Tensor:
        """(1, P, n)."""
        return self.first[None]

    def times(self, scores: torch.Tensor) -> torch.Tensor:
        """(1, P, n) second derivative, applied to scores."""
        return scores * self.second

    def curvature(self) -> torch.Tensor:
        """(P,) mean second derivative."""
        return self.second.sum(1)

    def subset(self, kept: torch.Tensor) -> LossState:
        """Only some problems."""
        return SigmoidState(self.first[kept], self.second[kept])
