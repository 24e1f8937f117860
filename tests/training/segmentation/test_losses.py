"""Losses of masks: against independent formulas, with pixels without annotation, and in parts."""

import pytest
import torch
import torch.nn.functional as F

from medzoo.training.segmentation.losses import NOT_ANNOTATED, SegmentationLoss, outputs_of

NAMES = ["dice_ce", "dice", "ce", "dice_focal", "focal"]


def drawn(classes, images=3, side=7, unknown=True):
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(images, outputs_of(classes), side, side, generator=generator)
    masks = torch.randint(0, classes + 1, (images, side, side), generator=generator, dtype=torch.uint8)
    if unknown:
        masks[0, :3] = NOT_ANNOTATED
    return logits, masks


def test_cross_entropy_is_torchs():
    logits, masks = drawn(1, unknown=False)
    assert torch.isclose(
        SegmentationLoss(1, "ce")(logits, masks), F.binary_cross_entropy_with_logits(logits[:, 0], masks.float())
    )
    logits, masks = drawn(3)
    assert torch.isclose(
        SegmentationLoss(3, "ce")(logits, masks), F.cross_entropy(logits, masks.long(), ignore_index=NOT_ANNOTATED)
    )


@pytest.mark.parametrize("over", ["image", "batch"])
def test_dice_is_that_of_segmentation_models_pytorch(over):
    smp = pytest.importorskip("segmentation_models_pytorch")
    logits, masks = drawn(1, unknown=False)
    peer = smp.losses.DiceLoss("binary", smooth=0.5)  # counts it twice on each side
    parts = [(logits, masks)] if over == "batch" else [(logits[k : k + 1], masks[k : k + 1]) for k in range(3)]
    expected = torch.stack([peer(one, other.float()[:, None]) for one, other in parts]).mean()
    assert torch.isclose(SegmentationLoss(1, "dice", over)(logits, masks), expected, atol=1e-6)


def test_focal_is_torchvisions():
    ops = pytest.importorskip("torchvision.ops")
    logits, masks = drawn(1, unknown=False)
    expected = ops.sigmoid_focal_loss(logits[:, 0], masks.float(), alpha=-1, gamma=2, reduction="mean")
    assert torch.isclose(SegmentationLoss(1, "focal")(logits, masks), expected)


def test_a_sum_is_the_sum():
    logits, masks = drawn(2)
    values = {name: SegmentationLoss(2, name)(logits, masks) for name in NAMES}
    assert torch.isclose(values["dice_ce"], values["dice"] + values["ce"])
    assert torch.isclose(values["dice_focal"], values["dice"] + values["focal"])


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_pixels_without_annotation_change_nothing(name, classes):
    logits, masks = drawn(classes)
    other = torch.where((masks == NOT_ANNOTATED)[:, None], logits + 3.0, logits)
    loss = SegmentationLoss(classes, name)
    assert torch.isclose(loss(logits, masks), loss(other, masks))


@pytest.mark.parametrize("name", NAMES)
def test_parts_of_a_batch_sum_to_its_loss(name):
    logits, masks = drawn(3, images=5)
    loss = SegmentationLoss(3, name)
    terms = loss.terms(masks)
    parts = [loss(logits[first : first + 2], masks[first : first + 2], terms) for first in (0, 2, 4)]
    assert loss.is_sum_over_images and torch.isclose(torch.stack(parts).sum(), loss(logits, masks))
    assert SegmentationLoss(3, name, "batch").is_sum_over_images == ("dice" not in name)


def test_limits():
    empty = torch.zeros(2, 8, 8, dtype=torch.uint8)
    far = torch.full((2, 1, 8, 8), 50.0)
    loss = SegmentationLoss(1)
    assert float(loss(-far, empty)) == pytest.approx(0, abs=1e-6)  # both empty
    assert float(loss(far, empty + 1)) == pytest.approx(0, abs=1e-6)
    nothing = torch.full_like(empty, NOT_ANNOTATED)
    assert float(SegmentationLoss(1, "ce")(far, nothing)) == 0


@pytest.mark.parametrize("weights", [(), (1.0, 2.0, 0.5)])
def test_no_step_copies_numbers_to_the_device(weights, monkeypatch):
    """Each copy of a number waits for the device; weights are copied once."""
    loss, (logits, masks) = SegmentationLoss(2, weights=weights), drawn(2)
    expected = loss(logits, masks)
    monkeypatch.setattr(torch, "tensor", lambda *given, **options: pytest.fail("a number is copied in every step"))
    assert torch.equal(loss(logits, masks), expected)
