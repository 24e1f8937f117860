"""The loss of Barlow Twins is the formula of the paper."""

import pytest
import torch
from expect import raises
from objective_samples import assert_same_gradients, batch_of, gradients, plain_net, started

from medzoo.errors import UsageError
from medzoo.training.objectives import barlowtwins

OPTIONS = barlowtwins.Options(redundancy=0.03, hidden=12, projection=10)


def formula(first, second, weight):
    """Standardise each value over the batch, then sum over the matrix of correlations."""
    one, two = ((z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt() for z in (first, second))
    matrix = torch.einsum("ni,nj->ij", one, two) / len(one)
    same = torch.eye(len(matrix), dtype=torch.bool)
    return ((matrix[same] - 1) ** 2).sum() + weight * (matrix[~same] ** 2).sum()


def test_loss_and_gradient_by_hand():
    objective = started(barlowtwins.Objective(plain_net(), OPTIONS, "multiclass"))
    batch = batch_of([16, 16])
    loss = objective(batch, 0)["loss"]
    expected = formula(*[objective.projector(objective.backbone(view)) for view in batch["views"]], 0.03)
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    assert_same_gradients(gradients(objective, loss), gradients(objective, expected))


def test_the_loss_is_computed_in_full_precision_under_autocast():
    objective, seen = barlowtwins.Objective(plain_net(), OPTIONS, "multiclass").train(), []
    objective.projector.register_forward_hook(lambda module, given, made: seen.append(made))
    with torch.autocast("cpu", torch.bfloat16):
        loss = objective(batch_of([16, 16], dtype=torch.float32), 0)["loss"]
    assert seen[0].dtype == torch.bfloat16 and loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(formula(*(part.float() for part in seen), 0.03)), rel=1e-5)


def test_views_are_the_papers():
    first, second = (one.augmentation for one in barlowtwins.views(barlowtwins.Options()))
    assert (first.min_area, first.flip, first.tone, first.grey) == (0.08, 0.5, 0.8, 0.2)
    assert (first.brightness, first.contrast, first.saturation) == (0.4, 0.4, 0.2)
    assert (first.blur, second.blur) == (1.0, 0.1)
    assert (first.solarize, second.solarize, first.hue, second.hue) == (0.0, 0.2, 0.1, 0.1)


def test_what_it_cannot_train_is_refused():
    with raises(UsageError, "batch-too-small"):
        barlowtwins.check(plain_net(), OPTIONS, 16, 1)
    with raises(UsageError, "architecture-not-for-method"):
        barlowtwins.check(torch.nn.Conv2d(3, 8, 3), OPTIONS, 16, 8)
