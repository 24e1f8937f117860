"""Logistic regressions of several strengths on the same rows, solved together by a truncated Newton method.

All problems share the two matrix products of a step: features times directions, and residuals times features. Each problem has
its own step length and its own end. Conjugate gradients solve for the Newton direction. The preconditioner is diagonal in the
basis of the features' principal axes; there it nearly equals the inverse of the Hessian, however unequal the features are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from medzoo.training.probes.losses import Loss, LossState, line_search

SMALL = 1e-3  # norm of weights below which their relative accuracy does not matter


@dataclass(frozen=True)
class Solved:
    """Solutions of P problems.

    Args:
        weights: (K, P, D + 1); the last column is the intercept.
        gradient: (P,) largest absolute entry of the gradient of the mean loss plus penalty (scikit-learn's `tol`).
        bound: (P,) norm of the gradient over that of its penalty term: the relative distance of the weights from the optimum is
            not larger, since the penalty makes the objective strongly convex. Weights below SMALL count as SMALL.
        steps: (P,) Newton steps.
    """

    weights: torch.Tensor
    gradient: torch.Tensor
    bound: torch.Tensor
    steps: torch.Tensor


def minimise(
    rows: torch.Tensor,
    loss: Loss,
    penalty: torch.Tensor,
    start: torch.Tensor,
    axes: torch.Tensor,
    *,
    tolerance: float,
    accuracy: float,
    max_steps: int = 100,
) -> Solved:
    """Minimise mean loss + penalty / 2 |w|^2 for every problem.

    Args:
        rows: (n, D + 1) features; the last column is 1.
        loss: of all problems.
        penalty: (P,) strengths.
        start: (K, P, D + 1) first weights.
        axes: (D + 1,) mean square of every column of `rows`.
        tolerance: a problem ends when the largest entry of its gradient is below it,
        accuracy: and when `Solved.bound` is below it.
        max_steps: the most Newton steps.
    """
    weights, problems = start.clone(), torch.arange(len(penalty), device=rows.device)
    gradients, bounds, counts = (torch.zeros_like(penalty) for _ in range(3))
    found = start.clone()
    penalised = torch.ones_like(axes)
    penalised[-1] = 0.0  # the intercept
    best = torch.full_like(penalty, torch.inf)  # the smallest gradient of a problem, and since when
    stalled = torch.zeros_like(penalty)
    scores = _forward(rows, weights)
    for step in range(max_steps + 1):
        shrink = penalty[:, None] * penalised
        state = loss.at(scores)
        pull = shrink * weights
        gradient = _backward(rows, state.residual()) + pull
        size, pulled = _norm(gradient), penalty * _norm(weights * penalised).clamp_min(SMALL)
        largest = gradient.abs().amax((0, 2))
        better = size < best * 0.9
        found[:, problems[size < best]] = weights[:, size < best]
        improved = problems[size < best]
        gradients[improved] = largest[size < best]
        bounds[improved] = (size / pulled.clamp_min(torch.finfo(size.dtype).tiny))[size < best]
        counts[improved] = step
        stalled = torch.where(better, 0, stalled + 1)
        best = torch.minimum(best, size)
        # a step that rounding spoils ends a problem too; the caller reads the gradient
        ended = ((largest <= tolerance) & (size <= accuracy * pulled)) | (size == 0) | (stalled >= 4)
        if bool(ended.all()) or step == max_steps:
            break
        if bool(ended.any()):
            kept = ~ended
            problems, penalty, shrink, best, stalled = (
                rest[kept] for rest in (problems, penalty, shrink, best, stalled)
            )
            weights, scores, gradient = weights[:, kept], scores[:, kept], gradient[:, kept]
            size, pulled = size[kept], pulled[kept]
            loss, state = loss.subset(kept), state.subset(kept)
        scale = 1.0 / (state.curvature().clamp_min(torch.finfo(size.dtype).tiny ** 0.5)[:, None] * axes + shrink)
        goal = _forcing(size, pulled, accuracy, first=step == 0)
        direction, moved = _newton_direction(rows, state, shrink, gradient, scale, goal)
        length = line_search(
            loss, scores, moved, (shrink * weights * direction).sum((0, 2)), (shrink * direction.square()).sum((0, 2))
        )
        weights = weights + length[:, None] * direction
        # the scores are updated, and computed anew from time to time so that rounding does not add up
        scores = _forward(rows, weights) if step % 8 == 7 else scores + length[:, None] * moved
    return Solved(found, gradients, bounds, counts.long())


def _forcing(size: torch.Tensor, pulled: torch.Tensor, accuracy: float, *, first: bool) -> torch.Tensor:
    """How small the residual of the Newton equation must be: small near the optimum, never smaller than the end needs."""
    relative = size / pulled.clamp_min(torch.finfo(size.dtype).tiny)
    share = torch.full_like(size, 0.3) if first else (0.3 * relative.sqrt()).clamp(0.02, 0.3)
    return torch.maximum(share, (0.5 * accuracy / relative).clamp_max(0.5)) * size


def _newton_direction(
    rows: torch.Tensor,
    state: LossState,
    shrink: torch.Tensor,
    gradient: torch.Tensor,
    scale: torch.Tensor,
    goal: torch.Tensor,
    limit: int = 200,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Preconditioned conjugate gradients for H d = -g; returns d and the scores that it adds."""
    tiny = torch.finfo(gradient.dtype).tiny
    direction = torch.zeros_like(gradient)
    moved = gradient.new_zeros(*gradient.shape[:2], len(rows))
    columns: torch.Tensor | None = None  # of the problems that are still in the products; None: all
    rest = -gradient
    along = rest * scale
    product = (rest * along).sum((0, 2))
    going = torch.ones_like(product)  # 0 where a problem has reached its goal: it moves no further
    for _ in range(limit):
        scores = _forward(rows, along)
        bent = _backward(rows, state.times(scores)).addcmul_(shrink.expand_as(along), along)
        length = (going * product / (along * bent).sum((0, 2)).clamp_min_(tiny))[:, None]
        if columns is None:
            direction.addcmul_(length, along)
            moved.addcmul_(length, scores)
        else:
            direction.index_add_(1, columns, length * along)
            moved.index_add_(1, columns, length * scores)
        rest.addcmul_(length, bent, value=-1.0)
        kept = _norm(rest) > goal
        left = int(kept.sum())
        if not left:
            break
        if 2 * left <= len(goal):  # to leave columns out costs copies: worth it when half of them have ended
            columns = kept.nonzero()[:, 0] if columns is None else columns[kept]
            shrink, scale, product, goal = (part[kept] for part in (shrink, scale, product, goal))
            rest, along, state, kept = rest[:, kept], along[:, kept], state.subset(kept), kept[kept]
        going = kept.to(product.dtype)
        guess = rest * scale
        following = (rest * guess).sum((0, 2))
        along = guess.addcmul_((following / product.clamp_min_(tiny))[:, None], along)
        product = following
    return direction, moved


def _forward(rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(K, P, D) weights → (K, P, n) scores: one matrix product for all problems."""
    return (weights.reshape(-1, rows.shape[1]) @ rows.T).view(*weights.shape[:2], len(rows))


def _backward(rows: torch.Tensor, residuals: torch.Tensor) -> torch.Tensor:
    """(K, P, n) residuals → (K, P, D) gradients."""
    return (residuals.reshape(-1, len(rows)) @ rows).view(*residuals.shape[:2], rows.shape[1])


def _norm(values: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(values, dim=(0, 2))
