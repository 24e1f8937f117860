"""The fourteen findings of the CheXpert labeller, as CheXpert and MIMIC-CXR publish them: by the name of their column.

A cell says 1 (present), 0 (absent), -1 (uncertain) or nothing (the report does not mention the finding).
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
# Why zero is the default: https://github.com/mlmed/torchxrayvision, torchxrayvision/data/chexpert_train.csv.gz, was counted.
BLANK_NOTE = (
    "An empty cell means that the report does not mention the finding. The studies train with such cells as absent "
    "(--unknown_label 0), and so does blank=zero, the default here; blank=mask leaves them out of loss and metrics. "
    "With blank=mask No Finding has no negative at all, since its column holds 1 or nothing."
)


def findings(columns: Mapping[str, Sequence[str]], ids: Sequence[str], where: object, blank: str) -> np.ndarray:
    """The fourteen labels of each row.

    Args:
        columns: a table with one column a finding, in whatever order.
        ids: of the rows, for messages.
        where: for messages.
        blank: "zero" (not mentioned is absent) or "mask" (not mentioned is not annotated).

    Returns:
        float32 (N, 14) of 1, 0, -1 (uncertain) and, for "mask", NaN.

    Raises:
        DataContractError: with the cells that hold anything else.
    """
    labels = marked(columns, FINDINGS, ids, where)
    return np.nan_to_num(labels, nan=0.0) if blank == "zero" else labels
