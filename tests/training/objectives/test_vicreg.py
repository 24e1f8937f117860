"""The loss of VICReg is that of lightly, which follows the authors' code."""

import pytest
import torch
from expect import raises
from lightly.loss import VICRegLoss
from objective_samples import assert_same_gradients, batch_of, gradients, plain_net, started

from medzoo.errors import UsageError
from medzoo.training.objectives import vicreg

OPTIONS = vicreg.Options(invariance=7.0, variance=11.0, covariance=3.0, hidden=12, projection=10)


def test_loss_and_gradient_are_those_of_lightly():
    objective = started(vicreg.Objective(plain_net(), OPTIONS, "multiclass"))
    batch = batch_of([16, 16])
    values = objective(batch, 0)
    projected = [objective.projector(objective.backbone(view)) for view in batch["views"]]
    expected = VICRegLoss(lambda_param=7.0, mu_param=11.0, nu_param=3.0)(*projected)
    assert float(values["loss"]) == pytest.approx(float(expected), rel=1e-6)
    weighted = 7 * values["invariance"] + 11 * values["variance"] + 3 * values["covariance"]
    assert float(weighted) == pytest.approx(float(expected), rel=1e-6) and values["covariance"] > 0
    assert_same_gradients(gradients(objective, values["loss"]), gradients(objective, expected))


def test_the_loss_is_computed_in_full_precision_under_autocast():
    objective, seen = vicreg.Objective(plain_net(), OPTIONS, "multiclass").train(), []
    objective.projector.register_forward_hook(lambda module, given, made: seen.append(made))
    with torch.autocast("cpu", torch.bfloat16):
        values = objective(batch_of([16, 16], dtype=torch.float32), 0)
    assert seen[0].dtype == torch.bfloat16 and values["loss"].dtype == torch.float32
    expected = vicreg.terms(*(part.float() for part in seen))
    assert float(values["covariance"]) == pytest.approx(float(expected["covariance"]), rel=1e-5)


def test_equal_projections_of_all_images_cost_the_whole_variance():
    rows = torch.ones(4, 3, dtype=torch.float64)
    assert float(vicreg.terms(rows, rows)["variance"]) == pytest.approx(1 - 1e-2)  # the root of the epsilon


def test_both_views_change_alike():
    first, second = vicreg.views(vicreg.Options())
    law = first.augmentation
    assert first == second and (law.min_area, law.flip, law.tone, law.grey, law.blur) == (0.08, 0.5, 0.8, 0.2, 0.5)
    assert (law.hue, law.solarize) == (0.1, 0.1)


def test_what_it_cannot_train_is_refused():
    with raises(UsageError, "batch-too-small"):
        vicreg.check(plain_net(), OPTIONS, 16, 1)
    with raises(UsageError, "architecture-not-for-method"):
        vicreg.check(torch.nn.Conv2d(3, 8, 3), OPTIONS, 16, 8)
