"""One row a patient: the mean of the probabilities of the patient's images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from medzoo.training.predict.head import Columns, PredictionHead

RULE = "mean"  # the name of the rule in the table


class PatientMeans:
    """Sums of probabilities (or values) by patient, in the order of the first image.

    Args:
        head: of the network.

    >>> means = PatientMeans(PredictionHead("binary", ("normal", "sick")))
    >>> means.add("p1", np.array([0.2, 0.8])); means.add("p1", np.array([0.6, 0.4]))
    >>> [cells[:4] for cells in means.rows()]
    [['p1', 2, 'mean', 'sick']]
    """

    def __init__(self, head: PredictionHead) -> None:
        self.head = head
        self._sums: dict[str, tuple[int, np.ndarray]] = {}

    @property
    def columns(self) -> Columns:
        """Names and types of the columns of `rows`."""
        return {"patient_id": "text", "images": "int", "rule": "text", **self.head.columns}

    def add(self, patient_id: str, row: np.ndarray) -> None:
        """Add an image.

        Args:
            patient_id: of its patient.
            row: (K,) probabilities or values.
        """
        count, total = self._sums.get(patient_id, (0, np.zeros(len(row))))
        self._sums[patient_id] = count + 1, total + row

    def rows(self) -> Iterator[list[Any]]:
        """One row a patient; thresholds decide on the mean."""
        for patient_id, (count, total) in self._sums.items():
            yield [patient_id, count, RULE, *self.head.cells(total / count)]
