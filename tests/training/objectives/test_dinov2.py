"""DINOv2: each of its three losses is that of lightly, with masks that are empty, uneven or full."""

from dataclasses import replace

import pytest
import torch
from expect import raises
from lightly.loss import DINOLoss, IBOTPatchLoss, KoLeoLoss
from loop_samples import PLAN
from objective_samples import assert_same_gradients, batch_of, gradients, plain_net, plain_vit, started

from medzoo.errors import UsageError
from medzoo.training.accelerator import make_accelerator
from medzoo.training.loop import Loop
from medzoo.training.objectives import dinov2
from medzoo.training.pretraining.masking.patch_loss import MaskedPatches, patch_loss
from medzoo.training.run_state.run_folder import RunFolder

OPTIONS = dinov2.Options(
    prototypes=12, hidden=10, bottleneck=6, small_views=2, momentum=0.5, temperature_epochs=2, patch_weight=0.7,
    spread_weight=0.3,
)  # fmt: skip
SIDES = [16, 16, 8, 8]


def made(**changes):
    objective = dinov2.Objective(plain_vit(), replace(OPTIONS, **changes), "multiclass")
    torch.nn.init.normal_(objective.mask_token)
    return started(objective)


def tokens_of(net, images, mask=None, token=None):
    """The class token and the patch tokens, block by block."""
    patches = net.patch_embed(images)
    if mask is not None:
        patches = torch.where(mask[..., None], token, patches)
    tokens = net.norm(net.blocks(net._pos_embed(patches)))
    return tokens[:, 0], tokens[:, 1:]


def by_hand(objective, batch, step, mask, centres, temperature):
    """The three losses, with lightly's modules, and the new centers."""
    large = torch.cat(batch["views"][:2])
    network, head, patch_head = objective.teacher.net
    with torch.no_grad():
        pooled, tokens = tokens_of(network.eval(), large)
        teacher, teacher_patches = head(pooled), patch_head(tokens[mask.flatten(1)])
    pooled, tokens = tokens_of(objective.backbone, large, mask, objective.mask_token)
    small = torch.cat([tokens_of(objective.backbone, view)[0] for view in batch["views"][2:]])
    student = objective.heads[0](torch.cat([pooled, small])).chunk(4)

    of_classes, of_patches = DINOLoss(12).double(), IBOTPatchLoss(12).double()
    of_classes.center.copy_(centres[0])
    of_patches.center.center.copy_(centres[1])
    losses = [
        of_classes(list(teacher.chunk(2)), list(student), teacher_temp=temperature),
        of_patches(teacher_patches, objective.heads[1](tokens[mask.flatten(1)]), mask, teacher_temp=temperature),
        sum(KoLeoLoss()(part) for part in pooled.chunk(2)),
    ]
    return losses, (of_classes.center, of_patches.center.center)


def test_losses_gradient_and_centers_are_those_of_lightly():
    """Two steps: the second has centers, and another temperature."""
    objective = made()
    centres = (torch.zeros(1, 1, 12), torch.zeros(1, 12))
    for step, temperature in enumerate([0.04, 0.04 + 0.03 / 8]):
        batch = batch_of(SIDES, seed=step)
        mask = objective.masks(batch, step)
        assert mask.sum() > 0 and len(mask.sum((1, 2)).unique()) > 1, "uneven masks"
        values = objective(batch, step)
        (classes, patches, spread), centres = by_hand(objective, batch, step, mask, centres, temperature)
        for name, expected in (("class_loss", classes), ("patch_loss", patches), ("spread_loss", spread)):
            assert float(values[name]) == pytest.approx(float(expected), rel=1e-6), name
        expected = classes + 0.7 * patches + 0.3 * spread
        assert float(values["loss"]) == pytest.approx(float(expected), rel=1e-6)
        assert_same_gradients(gradients(objective, values["loss"]), gradients(objective, expected))
        assert torch.allclose(objective.loss.center, centres[0], rtol=1e-6)
        assert torch.allclose(objective.patch_centre.value, centres[1], rtol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_no_masked_patch_and_only_masked_patches(masked, monkeypatch):
    objective, batch = made(), batch_of(SIDES)
    monkeypatch.setattr(objective, "masks", lambda batch, step: torch.full((12, 4, 4), masked))
    values = objective(batch, 0)
    found = gradients(objective, values["loss"])
    assert all(value is not None and value.isfinite().all() for value in found.values())
    assert values["loss"].isfinite() and bool(values["patch_loss"] > 0) == masked
    assert bool(found["mask_token"].any()) == masked
    centre = objective.patch_centre.value
    assert centre.isfinite().all() and bool(centre.any()) == masked


def test_each_image_counts_by_its_own_number_of_masked_patches():
    """One image with a masked patch, one with three, one without: (a + mean(b)) / 3."""
    mask = torch.zeros(3, 2, 2, dtype=torch.bool)
    mask[0, 0, 1] = True
    mask[1].view(-1)[1:] = True
    patches = MaskedPatches.of(mask, torch.device("cpu"))
    assert patches.positions.tolist() == [1, 5, 6, 7]
    teacher, student = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0)).unbind(0)
    each = -(teacher.softmax(-1) * (student / 0.1).log_softmax(-1)).sum(-1)
    found = patch_loss(teacher, student, patches.weights, images=3, temperature=0.1)
    assert float(found) == pytest.approx(float((each[0] + each[1:].mean()) / 3), rel=1e-6)


def test_masks_depend_on_the_image_and_the_epoch_only():
    objective, batch = made(), batch_of(SIDES)
    whole = objective.masks(batch, 2)
    part = {"views": [view[::2] for view in batch["views"]], "index": batch["index"][::2]}
    assert torch.equal(objective.masks(part, 2), torch.cat([half[::2] for half in whole.chunk(2)]))
    assert torch.equal(objective.masks(batch, 3), whole) and not torch.equal(objective.masks(batch, 4), whole)
    assert not torch.equal(*whole.chunk(2)), "the two views of an image have different masks"


def test_the_teacher_is_in_evaluation_mode_and_follows_after_the_step(tmp_path, make_batches):
    objective = dinov2.Objective(plain_vit(), OPTIONS, "multiclass")
    run = RunFolder(tmp_path, "pretrain", {}, {})
    loop = Loop(objective, make_batches(dinov2.views(OPTIONS)), PLAN, run, make_accelerator("fp32", "cpu"))
    with run.open():
        loop.restore()
        for step in range(2):
            before = [value.clone() for value in objective.teacher.parameters()]
            loop.train_next()
            assert objective.training and not any(part.training for part in objective.teacher.modules())
            momentum = objective.momentum_at(step)
            student = [*objective.backbone.parameters(), *objective.heads.parameters()]
            for old, new, value in zip(before, objective.teacher.parameters(), student, strict=True):
                assert torch.equal(new, old.mul(momentum).add(value, alpha=1 - momentum))


def test_prototypes_of_both_heads_are_frozen_in_the_first_epoch():
    objective = made()
    for step, frozen in ((3, True), (4, False)):
        found = gradients(objective, objective(batch_of(SIDES), step)["loss"])
        assert all(value is not None for value in found.values())
        objective.before_update(step)
        assert [head.prototypes.weight.grad is None for head in objective.heads] == [frozen] * 2
        assert objective.heads[1].layers[0].weight.grad is not None


def test_every_weight_has_a_gradient_under_bf16():
    objective = dinov2.Objective(plain_vit(), replace(OPTIONS, small_views=0), "multiclass").train()
    with torch.autocast("cpu", torch.bfloat16):
        values = objective(batch_of([16, 16], dtype=torch.float32), 0)
    found = gradients(objective, values["loss"])
    assert values["loss"].dtype == torch.float32
    assert all(value is not None and value.isfinite().all() for value in found.values())


def test_the_spread_is_computed_in_full_precision_under_autocast():
    objective, seen = dinov2.Objective(plain_vit(), OPTIONS, "multiclass").train(), []
    objective.heads[0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    with torch.autocast("cpu", torch.bfloat16):
        values = objective(batch_of(SIDES, dtype=torch.float32), 0)
    pooled = seen[0][:12].float()
    expected = sum(KoLeoLoss()(part) for part in pooled.chunk(2))
    assert float(values["spread_loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_pictures_show_the_masks():
    objective, batch = made(), batch_of(SIDES)
    mask = objective.masks(batch, 0)
    shown = objective.pictures(batch, 0)
    pixels = torch.kron(mask.int(), torch.ones(1, 4, 4, dtype=torch.int)).bool()
    for number, part in enumerate(pixels.chunk(2)):
        assert torch.equal((shown[f"view {number}"] == 0).all(1), part)
    assert torch.equal(shown["view 2"], batch["views"][2])


def test_views_are_the_papers_but_for_the_side_of_the_small_ones():
    views = dinov2.views(dinov2.Options())
    areas = [(one.augmentation.min_area, one.augmentation.max_area) for one in views]
    assert areas == [(0.32, 1.0)] * 2 + [(0.05, 0.32)] * 8 and [one.side(224) for one in views] == [224] * 2 + [112] * 8
    assert [one.augmentation.solarize for one in views] == [0.0, 0.2] + [0.0] * 8
    assert {one.augmentation.hue for one in views} == {0.1}


def test_what_it_cannot_train_is_refused():
    with raises(UsageError, "architecture-not-for-method"):
        dinov2.check(plain_net(), OPTIONS, 16, 8)
    with raises(UsageError, "batch-too-small"):
        dinov2.check(plain_vit(), OPTIONS, 16, 1)
    with raises(UsageError, "view-too-small"):
        dinov2.check(plain_vit(patch_size=8), replace(OPTIONS, small_side=0.4), 16, 8)
    with raises(UsageError, "view-too-small"):
        dinov2.check(plain_vit(patch_size=16), replace(OPTIONS, small_side=1.0), 16, 8)
    with raises(UsageError, "mask-shares-exchanged"):
        dinov2.check(plain_vit(), replace(OPTIONS, least_masked=0.6), 16, 8)
