"""What all probes do with their arrays: conversion to tensors, checks, and standardisation by weighted rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from medzoo.errors import DataContractError, UsageError

Array = np.ndarray | torch.Tensor


def as_features(features: Array) -> torch.Tensor:
    """Features as a tensor (N, D) of float32 or float64.

    Args:
        features: numbers; other types than float64 become float32.

    Raises:
        DataContractError: if a number is NaN or infinite.
        UsageError: for another shape.
    """
    rows = torch.as_tensor(features)
    if rows.ndim != 2 or not rows.numel():
        raise UsageError(
            f"Features must have the shape (rows, width), not {tuple(rows.shape)}.", code="probe-features-shape"
        )
    if rows.dtype != torch.float64:
        rows = rows.float()
    finite = torch.isfinite(rows)
    if not finite.all():
        broken = int((~finite).any(1).sum())
        raise DataContractError(
            f"{broken} of {len(rows)} rows of the features hold NaN or infinite numbers. Check the network and its input.",
            code="features-not-finite",
        )
    return rows


def as_classes(labels: Array, rows: int, classes: int) -> torch.Tensor:
    """Class numbers as a tensor (N,) of int64.

    Args:
        labels: integers from 0, one for every row.
        rows: how many are expected.
        classes: number of classes.
    """
    numbers = torch.as_tensor(labels)
    if numbers.shape != (rows,):
        raise UsageError(
            f"There are {rows} rows of features; the labels have the shape {tuple(numbers.shape)}.",
            code="probe-labels-shape",
        )
    whole = numbers.long()
    if bool((whole != numbers).any()) or bool((whole < 0).any()) or bool((whole >= classes).any()):
        raise DataContractError(
            f"Labels must be whole numbers from 0 to {classes - 1}: found {numbers.min():g} to {numbers.max():g}.",
            code="probe-labels-outside",
        )
    return whole


def as_label_columns(labels: Array, rows: int, classes: int) -> torch.Tensor:
    """Labels of a multi-label task as float64 (N, L): 0, 1 or NaN for "not annotated"."""
    columns = torch.as_tensor(labels).double()
    if columns.shape != (rows, classes):
        raise UsageError(
            f"Expected labels of the shape {(rows, classes)}, found {tuple(columns.shape)}.", code="probe-labels-shape"
        )
    if not bool(((columns == 0) | (columns == 1) | columns.isnan()).all()):
        raise DataContractError("Labels must be 0, 1 or NaN.", code="probe-labels-outside")
    return columns


def as_row_weights(rows: Array | None, count: int) -> torch.Tensor:
    """The weight of every row as float64 (N,).

    Args:
        rows: None (all rows count once), a mask of booleans, or weights of at least 0.
        count: number of rows.
    """
    if rows is None:
        return torch.ones(count, dtype=torch.float64)
    weights = torch.as_tensor(rows).double()
    if weights.shape != (count,):
        raise UsageError(
            f"There are {count} rows of features; the row weights have the shape {tuple(weights.shape)}.",
            code="probe-rows-shape",
        )
    if not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()) or not bool((weights > 0).any()):
        raise UsageError("Row weights must be finite, at least 0, and not all 0.", code="probe-rows-outside")
    return weights


@dataclass(frozen=True)
class Standardiser:
    """Mean and deviation of the training rows; they standardise all other rows too.

    Args:
        mean: (D,) float64.
        scale: (D,) float64, the deviation (divided by n); 1 for a constant feature.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __call__(self, features: torch.Tensor, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        """Standardised rows.

        Args:
            features: (N, D).
            dtype: of the answer; the subtraction is in float64.
        """
        if features.shape[1] != len(self.mean):
            raise UsageError(
                f"The probe was fitted on {len(self.mean)} features, these rows have {features.shape[1]}.",
                code="probe-features-shape",
            )
        mean, scale = self.mean.to(features.device), self.scale.to(features.device)
        return ((features.double() - mean) / scale).to(dtype)


def standardiser(features: torch.Tensor, weights: torch.Tensor) -> Standardiser:
    """The statistics of weighted rows; a row of weight 2 counts as two equal rows.

    Args:
        features: (N, D).
        weights: (N,) float64.
    """
    rows, share = features.double(), weights / weights.sum()
    mean = share @ rows
    variance = share @ (rows - mean).square()
    # rounding leaves a tiny deviation for a constant feature: its square is compared with that of the mean
    constant = variance <= (10 * torch.finfo(torch.float64).eps * mean).square() + torch.finfo(torch.float64).tiny
    return Standardiser(mean, torch.where(constant, 1.0, variance.sqrt()))
