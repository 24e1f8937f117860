"""MAE, SimMIM, GMML and SiT: losses by hand, what is hidden stays hidden, and networks that they cannot train."""

import numpy as np
import pytest
import torch
from expect import raises
from tiny import TinyNet, tiny_swin, tiny_vit

from medzoo.errors import UsageError
from medzoo.training.objectives import gmml, mae, simmim, sit
from medzoo.training.pretraining.info_nce import info_nce

SMALL = {
    mae: {"decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2},
    simmim: {"block": 4},
    gmml: {"hidden": 8},
    sit: {"hidden": 8, "decoder_hidden": 8, "projection": 6},
}


def made(module, net=None, **changes):
    torch.manual_seed(0)
    net = tiny_vit(drop_path_rate=0.0) if net is None else net
    objective = module.Objective(net, module.Options(**{**SMALL[module], **changes}), "unlabelled").double()
    objective.start(steps=8, epoch_steps=4, seed=0)
    return objective


def batch_of(count=5, views=1, side=16):
    draw = torch.Generator().manual_seed(2)
    images = [torch.randn(count, 3, side, side, generator=draw, dtype=torch.float64) for _ in range(views)]
    return {"index": np.arange(count), **({"image": images[0]} if views == 1 else {"views": images})}


def gradient(loss, objective):
    values = [value for value in objective.parameters() if value.requires_grad]
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, values, retain_graph=True)])


@pytest.mark.parametrize("normalise", [True, False])
def test_mae_is_the_mean_error_of_masked_patches(normalise):
    objective, batch = made(mae, normalise_patches=normalise), batch_of()
    loss = objective(batch, 1)["loss"]
    masks = objective._masks(batch, 1)
    assert (masks.sum(1) == 12).all()
    predicted = objective.decoder(objective.encoded(batch["image"], masks), masks)
    total, count = 0.0, 0
    for image in range(5):
        for patch in range(16):
            if masks[image, patch]:
                row, column = divmod(patch, 4)
                pixels = batch["image"][image, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].flatten()
                if normalise:
                    pixels = (pixels - pixels.mean()) / (pixels.var() + 1e-6).sqrt()
                total, count = total + (predicted[image, patch] - pixels).square().mean(), count + 1
    assert torch.allclose(loss, total / count, atol=1e-9)
    assert torch.allclose(gradient(loss, objective), gradient(total / count, objective), atol=1e-9)


def test_mae_never_sees_masked_pixels_and_sees_the_others():
    objective, batch = made(mae), batch_of()
    masks = objective._masks(batch, 0)
    before = objective.encoded(batch["image"], masks)
    assert before.shape == (5, 1 + 4, 16)
    hidden = masks.view(5, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    changed = torch.where(hidden, torch.full_like(batch["image"], 7.0), batch["image"])
    assert torch.equal(objective.encoded(changed, masks), before)
    changed = torch.where(hidden, batch["image"], torch.full_like(batch["image"], 7.0))
    assert not torch.allclose(objective.encoded(changed, masks), before)


def test_mae_puts_visible_patches_back_in_their_place():
    """A decoder without blocks: the output of a visible patch depends on that patch only, and has its position."""
    objective, batch = made(mae), batch_of(2)
    decoder = objective.decoder
    decoder.blocks, decoder.norm, decoder.head = (torch.nn.Identity() for _ in range(3))
    masks = objective._masks(batch, 0)
    tokens = objective.encoded(batch["image"], masks)
    given = decoder(tokens, masks)
    for image in range(2):
        visible = iter(decoder.embed(tokens)[image, 1:])
        for patch in range(16):
            own = decoder.mask_token if masks[image, patch] else next(visible)
            assert torch.allclose(given[image, patch], own + decoder.positions[patch])


@pytest.mark.parametrize("net", [tiny_vit, tiny_swin], ids=["vit", "swin"])
def test_simmim_is_the_mean_error_of_masked_pixels(net):
    objective, batch = made(simmim, net().eval()), batch_of()
    loss = objective(batch, 0)["loss"]
    masks = objective._masks(batch, 0)
    assert (masks.flatten(1).sum(1) == objective.count).all()
    predicted = objective._predicted(batch["image"], masks)
    side = 16 // masks.shape[1]
    errors = [
        (predicted[image, channel, row, column] - batch["image"][image, channel, row, column]).abs()
        for image in range(5) for channel in range(3) for row in range(16) for column in range(16)
        if masks[image, row // side, column // side]
    ]  # fmt: skip
    expected = torch.stack(errors).mean()
    assert torch.allclose(loss, expected, atol=1e-9)
    assert torch.allclose(gradient(loss, objective), gradient(expected, objective), atol=1e-9)


@pytest.mark.parametrize("net", [tiny_vit, tiny_swin], ids=["vit", "swin"])
def test_simmim_never_sees_masked_pixels(net):
    objective, batch = made(simmim, net().eval()), batch_of()
    masks = objective._masks(batch, 0)
    side = 16 // masks.shape[1]
    hidden = masks[:, None].repeat_interleave(side, 2).repeat_interleave(side, 3)
    before = objective._predicted(batch["image"], masks)
    changed = torch.where(hidden, torch.full_like(batch["image"], 7.0), batch["image"])
    assert torch.equal(objective._predicted(changed, masks), before)
    changed = torch.where(hidden, batch["image"], torch.full_like(batch["image"], 7.0))
    assert not torch.allclose(objective._predicted(changed, masks), before)


def corrupted_error(objective, images, batch, step, view):
    corrupted, where = objective.restore.corrupted(objective, batch, images, step, view)
    assert 0 < where.float().mean() < 0.75
    assert torch.equal(corrupted[~where.expand_as(corrupted)], images[~where.expand_as(images)])
    assert not torch.isclose(corrupted, images)[where.expand_as(images)].any()
    tokens = objective.backbone.forward_features(corrupted)[:, 1:]
    predicted = objective.restore(tokens)
    each = [(predicted[n] - images[n]).abs()[where[n].expand(3, -1, -1)].mean() for n in range(len(images))]
    return torch.stack(each).mean()


def test_gmml_is_the_error_inside_the_noise():
    objective, batch = made(gmml).eval(), batch_of()
    loss, expected = objective(batch, 2)["loss"], corrupted_error(objective, batch["image"], batch, 2, 0)
    assert torch.allclose(loss, expected, atol=1e-9)
    assert torch.allclose(gradient(loss, objective), gradient(expected, objective), atol=1e-9)


def test_sit_adds_the_contrast_with_the_teachers_clean_view():
    objective, batch = made(sit, temperature=0.3, reconstruction_weight=2.5).eval(), batch_of(views=2)
    values = objective(batch, 1)
    errors = [corrupted_error(objective, images, batch, 1, view) for view, images in enumerate(batch["views"])]
    queries = [
        objective.projector(objective.backbone(objective.restore.corrupted(objective, batch, images, 1, view)[0]))
        for view, images in enumerate(batch["views"])
    ]
    with torch.no_grad():
        keys = [objective.teacher.net(images) for images in batch["views"]]
    contrast = info_nce(queries[0], keys[1], 0.3) + info_nce(queries[1], keys[0], 0.3)
    expected = contrast + 2.5 * (errors[0] + errors[1]) / 2
    assert torch.allclose(values["loss"], expected, atol=1e-9)
    assert torch.allclose(gradient(values["loss"], objective), gradient(expected, objective), atol=1e-8)


def test_sits_teacher_follows_by_its_formula():
    objective = made(sit, momentum=0.9)
    before = [value.clone() for value in objective.teacher.net.parameters()]
    with torch.no_grad():
        for value in objective.backbone.parameters():
            value.add_(1.0)
    objective.after_update(0)
    student = [*objective.backbone.parameters(), *objective.projector.parameters()]
    for old, new, own in zip(before, objective.teacher.net.parameters(), student, strict=True):
        assert torch.equal(new, old.mul(0.9).add_(own.detach(), alpha=1 - 0.9))
    objective.after_update(7)  # the last step: the momentum is 1
    assert torch.equal(
        next(objective.teacher.net.parameters()), before[0].mul(0.9).add_(student[0].detach(), alpha=1 - 0.9)
    )


@pytest.mark.parametrize("module", [mae, gmml, sit])
def test_other_networks_are_refused(module):
    for net in (TinyNet(8), tiny_swin()):
        with raises(UsageError, "architecture-not-for-method"):
            module.check(net, module.Options(), 16, 8)


@pytest.mark.parametrize("module", [mae, simmim, gmml, sit])
def test_networks_whose_features_it_would_not_train_are_refused(module):
    """A CNN before the patches mixes masked ones with the others; attention pooling has no part in a loss on patches."""
    import timm

    hybrid = timm.create_model("vit_tiny_r_s16_p8_224", num_classes=0, img_size=64)
    with raises(UsageError, "architecture-not-for-method"):
        module.check(hybrid, module.Options(), 64, 8)
    with raises(UsageError, "architecture-not-for-method"):
        module.check(tiny_vit(global_pool="map"), module.Options(), 16, 8)
    with raises(UsageError, "size-not-in-patches"):
        module.check(tiny_vit(), module.Options(), 18, 8)


@pytest.mark.parametrize(
    ("module", "changes", "code"),
    [
        (simmim, {}, "architecture-not-for-method"), (mae, {"mask_share": 0.01}, "mask-share-impossible"),
        (mae, {"decoder_width": 20, "decoder_heads": 3}, "decoder-width"), (simmim, {"mask_share": 0.01}, "mask-share-impossible"),
        (gmml, {"least_share": 0.8}, "mask-share-impossible"), (sit, {"least_share": 0.8}, "mask-share-impossible"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_met(module, changes, code):
    net = TinyNet(8) if code == "architecture-not-for-method" else tiny_vit()
    with raises(UsageError, code):
        module.check(net, module.Options(**changes), 16, 8)


def test_sit_needs_another_image():
    with raises(UsageError, "batch-too-small"):
        sit.check(tiny_vit(), sit.Options(), 16, 1)


@pytest.mark.parametrize("module", [mae, simmim, gmml, sit])
def test_pictures_show_what_is_hidden_and_what_is_made_of_it(module):
    objective, batch = made(module).eval(), batch_of(views=2 if module is sit else 1)
    with torch.no_grad():
        image, hidden, again = objective.pictures(batch, 0).values()
    assert (
        image.shape == hidden.shape == again.shape and not torch.equal(image, hidden) and not torch.equal(hidden, again)
    )
