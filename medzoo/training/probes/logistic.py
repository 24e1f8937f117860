"""L2-regularised logistic regression for many problems (strengths, resamples, fractions, folds) on the same features.

The objective is scikit-learn's: C times the sum of losses plus half the squared weights; the intercept is not penalised. Features
are standardised by the training rows of each problem. Problems with the same rows are solved together (`newton.py`). The others
change a solution only through rounding; for a large C that can be as large as `accuracy`, and `polish` removes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from medzoo.errors import UsageError
from medzoo.training.probes import arrays
from medzoo.training.probes.arrays import Array, Standardiser
from medzoo.training.probes.newton import minimise
from medzoo.training.probes.outputs import class_outputs, label_outputs
from medzoo.training.probes.principal_axes import principal_axes

KINDS = ("binary", "multiclass", "multilabel")


@dataclass(frozen=True)
class Problem:
    """One regression.

    Args:
        strength: scikit-learn's C; larger is weaker regularisation.
        rows: its training rows: None (all), a mask, or weights (N,).
    """

    strength: float
    rows: Array | None = None


@dataclass(frozen=True)
class LogisticModel:
    """A solved regression.

    Args:
        strength: C.
        classes: number of columns of `probabilities`.
        outputs: the class or label of every row of `weights`. Two classes have one row: the log odds of the second.
        rest: with two classes, the column of the first; its probability is the rest.
        softmax: whether the outputs share a softmax; otherwise each has its sigmoid.
        constants: probability by class or label that does not vary in training.
        weights: (outputs, D) float64, of standardised features.
        intercepts: (outputs,) float64.
        standardise: of the training rows.
        gradient: norm of the gradient of mean loss plus penalty; the largest of the labels.
        bound: the distance of the weights from the optimum, relative to their norm, is not larger (intercepts apart).
        steps: Newton steps.
        converged: whether gradient and bound are as small as asked for.
    """

    strength: float
    classes: int
    outputs: tuple[int, ...]
    rest: int | None
    softmax: bool
    constants: dict[int, float]
    weights: torch.Tensor
    intercepts: torch.Tensor
    standardise: Standardiser
    gradient: float
    bound: float
    steps: int
    converged: bool

    def probabilities(self, features: Array) -> torch.Tensor:
        """(N, classes) float64 probabilities for rows of features."""
        return self.from_standardised(self.standardise(arrays.as_features(features)))

    def from_standardised(self, rows: torch.Tensor) -> torch.Tensor:
        """(N, classes) float64 probabilities for rows that `standardise` gave; models of the same rows can share them.

        Args:
            rows: (N, D).
        """
        answer = torch.zeros(len(rows), self.classes, dtype=torch.float64, device=rows.device)
        for column, value in self.constants.items():
            answer[:, column] = value
        if self.outputs:
            scores = (rows @ self.weights.T.to(rows.dtype)).double() + self.intercepts
            answer[:, list(self.outputs)] = scores.softmax(1) if self.softmax else scores.sigmoid()
        if self.rest is not None:
            answer[:, self.rest] = 1 - answer[:, self.outputs[0]]
        return answer


def fit_logistic(
    features: Array,
    labels: Array,
    problems: Sequence[Problem],
    *,
    kind: str,
    classes: int,
    tolerance: float = 1e-6,
    accuracy: float = 0.05,
    dtype: torch.dtype = torch.float32,
    start: Sequence[LogisticModel] | None = None,
) -> list[LogisticModel]:
    """Solve every problem; a problem that float32 cannot solve is continued in float64.

    Args:
        features: (N, D).
        labels: class numbers (N,), or (N, L) of 0, 1 and NaN (not annotated) for "multilabel".
        problems: strengths and rows.
        kind: one of KINDS.
        classes: number of classes or labels. Classes that are absent from a problem's rows get probability 0.
        tolerance: the largest norm of the gradient of mean loss plus penalty.
        accuracy: the largest `LogisticModel.bound`.
        dtype: of the computation.
        start: solutions of the same problems to start from.

    Raises:
        DataContractError: features are not finite, or labels outside their range.
        UsageError: for shapes, an unknown kind, or a strength that is not above 0.
    """
    rows = arrays.as_features(features)
    if kind not in KINDS:
        raise UsageError(f"Unknown kind of probe {kind!r}: expected {', '.join(KINDS)}.", code="probe-kind-unknown")
    for problem in problems:
        if not 0 < problem.strength < float("inf"):
            raise UsageError(
                f"C is {problem.strength}; it must be finite and above 0.", code="regularisation-not-positive"
            )
    as_targets = arrays.as_label_columns if kind == "multilabel" else arrays.as_classes
    targets = as_targets(labels, len(rows), classes).to(rows.device)
    # problems of the same rows share their products
    sets: dict[bytes, list[int]] = {}
    weights = [arrays.as_row_weights(problem.rows, len(rows)).to(rows.device) for problem in problems]
    for index, weight in enumerate(weights):
        sets.setdefault(weight.cpu().numpy().tobytes(), []).append(index)
    found: dict[int, LogisticModel] = {}
    for members in sets.values():
        used = weights[members[0]] > 0
        here = _RowSet(rows[used], targets[used], weights[members[0]][used], classes, tolerance, accuracy)
        strengths = {problems[index].strength: index for index in members}
        begin = None if start is None else [start[index] for index in strengths.values()]
        models = {model.strength: model for model in here.solve(list(strengths), dtype, begin)}
        weak = [model for model in models.values() if not model.converged]
        if weak and dtype != torch.float64:
            again = here.solve([model.strength for model in weak], torch.float64, weak)
            models |= {model.strength: model for model in again}
        found |= {index: models[problems[index].strength] for index in members}
    return [found[index] for index in range(len(problems))]


def polish(
    models: Sequence[LogisticModel],
    features: Array,
    labels: Array,
    problems: Sequence[Problem],
    *,
    kind: str,
    classes: int,
) -> list[LogisticModel]:
    """Continue solutions in float64 until their weights have about seven digits.

    Args:
        models: as `fit_logistic` gave them for these problems.
        features: (N, D).
        labels: of the features.
        problems: strengths and rows.
        kind: one of KINDS.
        classes: number of classes or labels.
    """
    return fit_logistic(
        features, labels, problems, kind=kind, classes=classes, tolerance=1e-9, accuracy=1e-7, dtype=torch.float64,
        start=models,
    )  # fmt: skip


@dataclass(frozen=True)
class _RowSet:
    """The training rows of problems that differ in their strength only."""

    features: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    classes: int
    tolerance: float
    accuracy: float

    def solve(
        self, strengths: list[float], dtype: torch.dtype, start: Sequence[LogisticModel] | None
    ) -> list[LogisticModel]:
        """The solutions for these strengths.

        Args:
            strengths: each once.
            dtype: of the computation.
            start: a solution for each strength to start from.
        """
        standardise = arrays.standardiser(self.features, self.weights)
        outputs_of = label_outputs if self.targets.ndim == 2 else class_outputs
        head = outputs_of(self.targets, self.weights)
        width, count, units = self.features.shape[1], len(strengths), len(head.totals())
        if not head.columns:
            weights = torch.zeros(count, 0, width + 1, dtype=torch.float64, device=self.features.device)
            numbers = torch.zeros(count, 0)
            gradient, bound, steps = numbers, numbers, numbers
        else:
            share = self.weights / self.weights.sum()
            space = principal_axes(standardise(self.features, dtype), share.to(dtype))
            basis = head.basis().to(space.rows)
            # problems are ordered by strength, then by label; (K, P, D + 1)
            begin = torch.zeros(basis.shape[1], count * units, space.rows.shape[1]).to(space.rows)
            if start is not None:
                full = torch.stack([torch.cat([m.weights, m.intercepts[:, None]], 1) for m in start]).to(space.rows)
                full = space.inside(full)
                begin = torch.einsum("ck,pcd->kpd", basis, full) if head.softmax else full.flatten(0, 1)[None]
            penalty = 1 / torch.outer(torch.tensor(strengths, dtype=torch.float64), head.totals().cpu())
            solved = minimise(
                space.rows, head.loss(count, dtype), penalty.flatten().to(space.rows), begin.contiguous(),
                space.squares, tolerance=self.tolerance, accuracy=self.accuracy,
            )  # fmt: skip
            weights = space.outside(solved.weights)
            if head.softmax:
                weights = torch.einsum("ck,kpd->pcd", basis, weights)
            weights = weights.reshape(count, len(head.columns), -1).double()
            gradient, bound, steps = (v.view(count, units) for v in (solved.gradient, solved.bound, solved.steps))
        converged = (
            ((gradient <= self.tolerance) & (bound <= self.accuracy)).all(1) if head.columns else torch.ones(count)
        )
        return [
            LogisticModel(
                strength=strength, classes=self.classes, outputs=head.columns, rest=head.rest, softmax=head.softmax,
                constants=head.constants, weights=weights[i, :, :-1], intercepts=weights[i, :, -1],
                standardise=standardise, gradient=max(gradient[i].tolist(), default=0.0),
                bound=max(bound[i].tolist(), default=0.0), steps=int(max(steps[i].tolist(), default=0)),
                converged=bool(converged[i]),
            )
            for i, strength in enumerate(strengths)
        ]  # fmt: skip
