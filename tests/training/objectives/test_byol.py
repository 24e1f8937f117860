"""BYOL: its loss is the paper's, its teacher is the moving average, and its checkpoint is the student."""

import torch
from loop_samples import PLAN
from pair_samples import batch_for, check_loss, check_teacher, cosine, exact_objective, loop_of
from torch import nn

from medzoo.training.objectives import byol


def test_the_loss_is_the_papers(tiny_net):
    """2 - 2 cos of each prediction and the teacher's projection of the other view; here, a fourth of that minus 1."""
    objective = exact_objective(byol, tiny_net)
    nn.init.normal_(objective.teacher.net[1].layers[0].weight)  # a teacher that differs from the student
    batch = batch_for(byol, objective)
    one, two = batch["views"]
    predicted = [objective.predictor(objective.projector(objective.backbone(view))) for view in (one, two)]
    targets = [objective.teacher.net(view).detach() for view in (one, two)]
    paper = 0.0
    for row in range(6):
        for first, second in ((0, 1), (1, 0)):
            paper = paper + (2 - 2 * cosine(predicted[first][row], targets[second][row])) / 6
    check_loss(objective, objective(batch, 0)["loss"], paper / 4 - 1)


def test_the_teacher_is_the_average_of_backbone_and_projection(tmp_path, tiny_net, make_batches):
    objective = byol.Objective(tiny_net(8), byol.Options(hidden=16, projection=16), "multiclass")
    loop = loop_of(tmp_path, objective, make_batches(byol.views(objective.options)), PLAN)
    student = nn.Sequential(objective.backbone, objective.projector)
    middle = 1 - 0.004 * (torch.cos(torch.tensor(torch.pi * 4 / 11, dtype=torch.float64)) + 1) / 2
    check_teacher(loop, student, {0: 0.996, 4: float(middle), 11: 1.0})


def test_the_views_differ_in_blur_and_solarization():
    options = byol.Options(
        blur=0.9, second_blur=0.2, min_area=0.3, tone=0.2, grey=0.1, flip=0.4, hue=0.05, solarize=0.3
    )
    one, two = (view.augmentation for view in byol.views(options))
    assert (one.blur, two.blur) == (0.9, 0.2) and (one.solarize, two.solarize) == (0.0, 0.3)
    for law in (one, two):
        assert (law.min_area, law.flip, law.grey, law.tone) == (0.3, 0.4, 0.1, 0.8)
        assert (law.brightness, law.contrast, law.saturation, law.hue) == (0.2, 0.2, 0.1, 0.05)


def test_a_collapse_is_seen_in_the_log(tiny_net):
    objective = exact_objective(byol, tiny_net)
    batch = batch_for(byol, objective)
    assert 0.2 < objective(batch, 0)["feature_std"] < 1.5
    nn.init.zeros_(objective.predictor.layers[-1].weight)
    assert objective(batch, 0)["feature_std"] < 1e-6
