"""SimCLR: the projection head of its options, one or two passes, and similarities that autocast does not round."""

import torch
from pair_samples import batch_for, check_loss, cosine, exact_objective
from torch import nn

from medzoo.training.objectives import simclr
from medzoo.training.objectives.simclr import Options, nt_xent, projection_head

RADNET = Options(
    temperature=0.5, projection=256, projection_layers=3, projection_norm=False, last_activation="sigmoid",
    separate_views=True, min_area=0.08, tone=0.8, blur=0.0,
)  # fmt: skip


def paper_loss(rows, temperature):
    """-log(exp(pair / T) / sum of exp(other / T)) of all 12 rows; row k and row k + 6 are a pair."""
    total = 0.0
    for row in range(12):
        powers = {other: torch.exp(cosine(rows[row], rows[other]) / temperature) for other in range(12) if other != row}
        total = total - torch.log(powers[(row + 6) % 12] / sum(powers.values())) / 12
    return total


def test_the_loss_is_the_papers(tiny_net):
    objective = exact_objective(simclr, tiny_net, temperature=0.3)
    batch = batch_for(simclr, objective)
    rows = objective.projector(objective.backbone(torch.cat(batch["views"])))
    check_loss(objective, objective(batch, 0)["loss"], paper_loss(rows, 0.3))


def test_with_separate_views_each_is_normalised_by_itself(tiny_net):
    objective = exact_objective(simclr, tiny_net, separate_views=True)
    batch = batch_for(simclr, objective)
    batch["views"][1] = 3 * batch["views"][1] + 1
    rows = torch.cat([objective.projector(objective.backbone(view)) for view in batch["views"]])
    together = objective.projector(objective.backbone(torch.cat(batch["views"])))
    assert not torch.allclose(rows, together, rtol=1e-2)
    check_loss(objective, objective(batch, 0)["loss"], paper_loss(rows, 0.2))


def test_the_usual_head_is_the_one_of_earlier_runs():
    """Names and shapes of its weights, so that their saved states can be resumed; and equal weights from a seed."""
    torch.manual_seed(0)
    head = projection_head(8, Options(projection=4))
    assert [(name, tuple(value.shape)) for name, value in head.named_parameters()] == [
        ("0.weight", (8, 8)), ("1.weight", (8,)), ("1.bias", (8,)), ("3.weight", (4, 8)),
    ]  # fmt: skip
    torch.manual_seed(0)
    first, second = nn.Linear(8, 8, bias=False), nn.Linear(8, 4, bias=False)
    assert torch.equal(head[0].weight, first.weight) and torch.equal(head[3].weight, second.weight)


def test_the_head_of_radnet():
    """Linear, ReLU, linear, sigmoid, linear; without BatchNorm and biases."""
    head = projection_head(8, RADNET)
    assert [type(layer) for layer in head] == [nn.Linear, nn.ReLU, nn.Linear, nn.Sigmoid, nn.Linear]
    assert [tuple(value.shape) for value in head.parameters()] == [(8, 8), (8, 8), (256, 8)]


def test_the_views_of_radnet():
    one, two = (view.augmentation for view in simclr.views(RADNET))
    assert one == two and (one.min_area, one.flip, one.tone, one.grey, one.blur) == (0.08, 0.5, 0.8, 0.2, 0.0)
    assert one.brightness == one.contrast == one.saturation == 0.8


def test_biases_are_where_no_norm_follows():
    normed = projection_head(8, Options(projection_layers=3, projection_bias=True))
    assert [layer.bias is not None for layer in normed if isinstance(layer, nn.Linear)] == [False, False, True]
    plain = projection_head(8, Options(projection_norm=False, projection_bias=True))
    assert [layer.bias is not None for layer in plain if isinstance(layer, nn.Linear)] == [True, True]


def test_autocast_does_not_round_the_similarities():
    one, two = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0)).unbind(0)
    with torch.autocast("cpu", torch.bfloat16):
        short = nt_xent(one, two, 0.2)
    assert torch.equal(short, nt_xent(one, two, 0.2))


def test_a_collapse_is_seen_in_the_log(tiny_net):
    objective = exact_objective(simclr, tiny_net, projection_norm=False, projection_bias=True)
    batch = batch_for(simclr, objective)
    assert objective(batch, 0)["feature_std"] > 0.02
    nn.init.zeros_(objective.projector[-1].weight)
    assert objective(batch, 0)["feature_std"] < 1e-6
