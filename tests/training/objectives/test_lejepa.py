"""The loss of LeJEPA is that of lightly and the formula of the paper; its random directions are equal in all processes."""

import pytest
import torch
from expect import raises
from lightly.loss import LeJEPALoss
from objective_samples import assert_same_gradients, batch_of, gradients, plain_net, plain_vit, started
from tiny import tiny_swin

from medzoo.errors import UsageError
from medzoo.training.objectives import lejepa

OPTIONS = lejepa.Options(sigreg=0.2, directions=16, hidden=12, projection=5, small_views=2)
SIDES = [16, 16, 8, 8]


def made(net=plain_net, seed=0, **changes):
    return started(lejepa.Objective(net(), OPTIONS, "multiclass"), seed=seed)


def projections(objective, batch):
    """(V, N, D), one pass for each size."""
    large, small = (torch.cat(batch["views"][part]) for part in (slice(2), slice(2, None)))
    features = torch.cat([objective.backbone(large), objective.backbone(small)])
    return objective.projector(features).unflatten(0, (len(batch["views"]), -1))


def directions(objective, step):
    """What the distance draws in a step."""
    drawn, own = [], objective.distance._generate_unit_vectors
    objective.distance._generate_unit_vectors = lambda *given: drawn.append(own(*given)) or drawn[-1]
    objective(batch_of(SIDES), step)
    del objective.distance._generate_unit_vectors
    return drawn[0]


def test_loss_and_gradient_by_hand():
    objective, batch = made(), batch_of(SIDES)
    values, directed = objective(batch, 3), directions(objective, 3)
    rows = projections(objective, batch)
    invariance = (rows - rows[:2].mean(0)).square().mean()
    # the distance of the characteristic function of each direction from that of a normal distribution
    knots = torch.linspace(0, 3, 17, dtype=torch.float64)
    angles = (rows @ directed)[..., None] * knots
    normal = torch.exp(-(knots**2) / 2)
    error = (angles.cos().mean(1) - normal) ** 2 + angles.sin().mean(1) ** 2
    distance = 2 * torch.trapezoid(error * normal, knots).mean() * rows.shape[1]
    assert float(values["sigreg"]) == pytest.approx(float(distance), rel=1e-6)
    assert float(values["invariance"]) == pytest.approx(float(invariance), rel=1e-6)
    expected = 0.2 * distance + 0.8 * invariance
    assert float(values["loss"]) == pytest.approx(float(expected), rel=1e-6)
    assert_same_gradients(gradients(objective, values["loss"]), gradients(objective, expected))


def test_loss_is_that_of_lightly():
    objective, batch = made(plain_vit), batch_of(SIDES)
    loss, directed = objective(batch, 1)["loss"], directions(objective, 1)
    rows = projections(objective, batch)
    oracle = LeJEPALoss(lambda_param=0.2, sigreg_num_vectors=16).double()
    oracle.sigreg._generate_unit_vectors = lambda *given: directed
    expected = oracle(local_proj=rows[2:], global_proj=rows[:2])
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    assert_same_gradients(gradients(objective, loss), gradients(objective, expected))


def test_directions_depend_on_the_seed_and_the_step_only():
    one, other = made(), made(seed=1)
    torch.manual_seed(5)
    first = directions(one, 2)
    torch.manual_seed(6)  # as in another process
    assert torch.equal(first, directions(one, 2))
    assert not torch.equal(first, directions(one, 3)) and not torch.equal(first, directions(other, 2))
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one(batch_of(SIDES), 0)
    assert torch.equal(torch.rand(3), expected), "the noise of the step continues as if nothing had been drawn"


@pytest.mark.parametrize("net", [plain_net, plain_vit])
def test_every_view_counts(net):
    objective = made(net)
    batch = batch_of(SIDES)
    for view in batch["views"]:
        view.requires_grad_()
    objective(batch, 0)["loss"].backward()
    assert all(view.grad.abs().max() > 0 for view in batch["views"])


def test_views_are_the_papers():
    views = lejepa.views(lejepa.Options())
    areas = [(one.augmentation.min_area, one.augmentation.max_area) for one in views]
    assert areas == [(0.3, 1.0)] * 2 + [(0.05, 0.3)] * 6 and [one.side(224) for one in views] == [224] * 2 + [98] * 6
    alike = {(one.augmentation.blur, one.augmentation.solarize, one.augmentation.hue) for one in views}
    assert alike == {(0.5, 0.2, 0.1)}


def test_what_it_cannot_train_is_refused():
    with raises(UsageError, "batch-too-small"):
        lejepa.check(plain_net(), OPTIONS, 16, 1)
    with raises(UsageError, "architecture-not-for-method"):
        lejepa.check(torch.nn.Conv2d(3, 8, 3), OPTIONS, 16, 8)
    with raises(UsageError, "architecture-not-for-method"):
        lejepa.check(tiny_swin(), OPTIONS, 16, 8)
    with raises(UsageError, "view-too-small"):
        lejepa.check(plain_vit(patch_size=8), OPTIONS, 16, 8)
