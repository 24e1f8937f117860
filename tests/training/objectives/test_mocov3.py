"""MoCo v3: its loss is the paper's, its teacher is the moving average, and a patch embedding can stay as it is."""

import pytest
import torch
from loop_samples import PLAN
from pair_samples import batch_for, check_loss, check_teacher, cosine, exact_objective, loop_of
from tiny import tiny_vit
from torch import nn

import medzoo
from medzoo.training import loop
from medzoo.training.objectives import byol, mocov3
from medzoo.training.pretrain import PretrainOptions, pretrain
from medzoo.training.pretraining.info_nce import info_nce


def test_the_loss_is_the_papers(tiny_net):
    """-2 T log(exp(q k+ / T) / sum exp(q k / T)) of each view's queries and the teacher's keys of the other view."""
    objective = exact_objective(mocov3, tiny_net, temperature=0.3)
    nn.init.normal_(objective.teacher.net[1].layers[0].weight)  # a teacher that differs from the student
    batch = batch_for(mocov3, objective)
    queries = [objective.predictor(objective.projector(objective.backbone(view))) for view in batch["views"]]
    keys = [objective.teacher.net(view).detach() for view in batch["views"]]
    paper = 0.0
    for first, second in ((0, 1), (1, 0)):
        for row in range(6):
            powers = [torch.exp(cosine(queries[first][row], keys[second][other]) / 0.3) for other in range(6)]
            paper = paper - 2 * 0.3 * torch.log(powers[row] / sum(powers)) / 6
    check_loss(objective, objective(batch, 0)["loss"], paper)


def test_autocast_does_not_round_the_similarities():
    queries, keys = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0)).unbind(0)
    with torch.autocast("cpu", torch.bfloat16):
        short = info_nce(queries, keys, 0.2)
    assert torch.equal(short, info_nce(queries, keys, 0.2))


def test_the_teacher_is_the_average_of_backbone_and_projection(tmp_path, tiny_net, make_batches):
    options = mocov3.Options(hidden=16, projection=16, momentum=0.9)
    objective = mocov3.Objective(tiny_net(8), options, "multiclass")
    student = nn.Sequential(objective.backbone, objective.projector)
    training = loop_of(tmp_path, objective, make_batches(mocov3.views(options)), PLAN)
    check_teacher(training, student, {0: 0.9, 11: 1.0})


def test_the_usual_momentum_is_the_papers():
    assert mocov3.Options().momentum == 0.99


@pytest.mark.parametrize("freeze", [True, False])
def test_the_patch_embedding_of_a_vision_transformer(tmp_path, make_batches, freeze):
    """Frozen, it stays bit for bit; all other weights of the network are trained."""
    torch.manual_seed(0)
    options = mocov3.Options(hidden=16, projection=16, freeze_patch_embedding=freeze)
    objective = mocov3.Objective(tiny_vit(), options, "multiclass")
    before = {name: value.detach().clone() for name, value in objective.backbone.named_parameters()}
    training = loop_of(tmp_path, objective, make_batches(mocov3.views(options)), PLAN)
    training.train_next()
    training.train_next()
    same = {name for name, value in objective.backbone.named_parameters() if torch.equal(value, before[name])}
    assert same == ({"patch_embed.proj.weight", "patch_embed.proj.bias"} if freeze else set())


def test_a_convolutional_network_has_no_frozen_weights(tiny_net):
    objective = mocov3.Objective(tiny_net(8), mocov3.Options(hidden=16), "multiclass")
    assert all(value.requires_grad for value in objective.backbone.parameters())


def test_the_projection_head_has_the_chosen_layers(tiny_net):
    for layers in (2, 3):
        objective = exact_objective(mocov3, tiny_net, projection_layers=layers)
        for head, count in ((objective.projector, layers), (objective.predictor, 2)):
            kinds = [type(layer) for layer in head.layers]
            assert kinds.count(nn.Linear) == kinds.count(nn.BatchNorm1d) == count
            assert kinds.count(nn.ReLU) == count - 1 and kinds[-1] is nn.BatchNorm1d


def test_the_views_are_the_papers():
    one, two = (view.augmentation for view in mocov3.views(mocov3.Options()))
    assert (one.blur, two.blur, one.min_area, one.saturation) == (1.0, 0.1, 0.08, 0.2)
    assert (one.solarize, two.solarize, one.hue, two.hue) == (0.0, 0.2, 0.1, 0.1)


@pytest.mark.parametrize("method", ["byol", "mocov3"])
def test_the_checkpoint_is_the_student(tiny_hub, tmp_path, monkeypatch, method):
    """Not the teacher, whose weights differ."""
    seen = []

    class Watched(loop.Loop):
        def __init__(self, objective, *rest, **more):
            seen.append(objective)
            super().__init__(objective, *rest, **more)

    monkeypatch.setattr(loop, "Loop", Watched)
    module = {"byol": byol, "mocov3": mocov3}[method]
    options = PretrainOptions(
        method=method, checkpoint="lab/tiny", hub=str(tiny_hub), task="phantom_oct,n=24", size=32, epochs=2, batch_size=8,
        precision="fp32", out=str(tmp_path / "run"), license="apache-2.0", device="cpu",
    )  # fmt: skip
    stored = medzoo.load(str(pretrain(options, module.Options(hidden=16, projection=16)))).state_dict()
    student, teacher = seen[0].backbone.state_dict(), seen[0].teacher.net[0].state_dict()
    assert stored.keys() == student.keys() and all(torch.equal(stored[key], student[key]) for key in stored)
    assert not any(torch.equal(teacher[key], student[key]) for key in student if key.endswith("conv1.weight"))
