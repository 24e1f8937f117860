"""Which outputs a logistic regression has for the labels of its training rows: a softmax, one sigmoid, or one for every label."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from medzoo.training.probes.losses import Loss, Sigmoid, Softmax


@dataclass(frozen=True)
class Outputs:
    """The outputs that training rows determine.

    Args:
        columns: class or label of every output. Two classes have one output: the log odds of the second.
        rest: with two classes, the column of the first.
        softmax: whether the outputs share a softmax.
        constants: probability by class or label that does not vary.
        targets: (n,) number of the output for a softmax; else (outputs, n) of 0, 1 and NaN.
        weights: (n,) of the rows.
    """

    columns: tuple[int, ...]
    rest: int | None
    softmax: bool
    constants: dict[int, float]
    targets: torch.Tensor
    weights: torch.Tensor

    def totals(self) -> torch.Tensor:
        """The sum of row weights of every independent problem: one for a softmax, else one for every output."""
        if self.softmax:
            return self.weights.sum()[None]
        return (~self.targets.isnan() * self.weights).sum(1)

    def basis(self) -> torch.Tensor:
        """(outputs, K): an orthonormal basis of the plane in which the outputs of a softmax sum to zero; (1, 1) for sigmoids."""
        if not self.softmax:
            return torch.ones(1, 1, dtype=torch.float64)
        # Helmert's: column k is k times +1, then -k, normalised
        matrix = torch.zeros(len(self.columns), len(self.columns) - 1, dtype=torch.float64)
        for k in range(1, len(self.columns)):
            matrix[:k, k - 1], matrix[k, k - 1] = 1.0, -float(k)
        return matrix / matrix.norm(dim=0)

    def loss(self, copies: int, dtype: torch.dtype) -> Loss:
        """The mean loss of `copies` problems for every independent problem.

        Args:
            copies: number of strengths.
            dtype: of the computation.
        """
        if self.softmax:
            onehot = (torch.arange(len(self.columns), device=self.targets.device)[:, None, None] == self.targets).to(
                dtype
            )
            return Softmax(onehot, (self.weights / self.weights.sum()).to(dtype), self.basis().to(onehot))
        known = ~self.targets.isnan()
        share = known * self.weights / self.totals()[:, None]
        sign = torch.where(self.targets == 1, 1.0, -1.0)
        return Sigmoid(sign.to(dtype).repeat(copies, 1), share.to(dtype).repeat(copies, 1))


def class_outputs(labels: torch.Tensor, weights: torch.Tensor) -> Outputs:
    """Outputs for classes; those that are absent have none.

    Args:
        labels: (n,) int64.
        weights: (n,) float64.
    """
    present, numbers = labels.unique(return_inverse=True)
    columns = tuple(present.tolist())
    if len(columns) == 1:
        return Outputs((), None, False, {columns[0]: 1.0}, numbers.double()[None][:0], weights)
    if len(columns) == 2:
        return Outputs(columns[1:], columns[0], False, {}, numbers.double()[None], weights)
    return Outputs(columns, None, True, {}, numbers, weights)


def label_outputs(labels: torch.Tensor, weights: torch.Tensor) -> Outputs:
    """One output for every label that varies; a label of one value predicts it, a label without annotations 0.5.

    Args:
        labels: (n, L) of 0, 1 and NaN.
        weights: (n,) float64.
    """
    columns, constants = [], {}
    for label, values in enumerate(labels.T):
        known = values[~values.isnan()]
        if len(known) and bool((known != known[0]).any()):
            columns.append(label)
        else:
            constants[label] = float(known[0]) if len(known) else 0.5
    return Outputs(tuple(columns), None, False, constants, labels.T[columns].contiguous(), weights)
