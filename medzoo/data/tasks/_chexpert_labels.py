"""The fourteen findings of the CheXpert labeller, which CheXpert and MIMIC-CXR publish as one column each.

A cell is 1 (present), 0 (absent), -1 (uncertain) or empty (the report does not mention the finding).
Source: https://arxiv.org/abs/1901.07031
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from medzoo.data.files.csv_columns import marked

# CheXpert's order; MIMIC-CXR-JPG has the same columns in alphabetical order.
FINDINGS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
# The five of the competition, whose mean AUROC the studies report.
FIVE = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
BLANKS = ("zero", "mask")
# zero is the default because of the counts in https://github.com/mlmed/torchxrayvision, torchxrayvision/data/chexpert_train.csv.gz.
BLANK_NOTE = (
    "An empty cell means that the report does not mention the finding. The studies train with such cells as absent "
    "(--unknown_label 0). blank=zero, the default here, does the same; blank=mask leaves them out of loss and metrics. "
    "With blank=mask No Finding has no negatives, because its cells are 1 or empty."
)


def findings(columns: Mapping[str, Sequence[str]], ids: Sequence[str], where: object, blank: str) -> np.ndarray:
    """The fourteen labels of each row.

    Args:
        columns: a table with one column per finding, in any order.
        ids: ids of the rows, for messages.
        where: the table, for messages.
        blank: "zero" (not mentioned means absent) or "mask" (not mentioned means not annotated).

    Returns:
        float32 (N, 14) of 1, 0, -1 (uncertain) and, for "mask", NaN.

    Raises:
        DataContractError: if a cell has another value; the message lists these cells.
    """
    labels = marked(columns, FINDINGS, ids, where)
    return np.nan_to_num(labels, nan=0.0) if blank == "zero" else labels
