"""Supervised training with several labels per image."""

import pytest
import torch
import torch.nn.functional as F

from medzoo.training.objectives.supervised import Objective, Options


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_several_labels_are_smoothed_as_in_fine_tuning(smoothing):
    """Half of the share goes to each answer, yes and no; labels without annotation count nothing."""
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]])
    label = torch.tensor([[1.0, 0.0, float("nan")], [0.0, 1.0, 1.0]])
    objective = Objective(torch.nn.Identity(), Options(label_smoothing=smoothing), "multilabel")
    known = ~label.isnan()
    target = label[known] * (1 - smoothing) + smoothing / 2
    expected = F.binary_cross_entropy_with_logits(logits[known], target)
    assert torch.allclose(objective({"image": logits, "label": label}, 0)["loss"], expected)
