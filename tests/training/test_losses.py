"""Losses equal torch's and the formulas; parts of a batch add up; labels without annotation count nothing."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st

from medzoo.errors import UsageError
from medzoo.training.losses import TaskLoss, class_weights, mix

torch.manual_seed(0)
LOGITS, LABELS = torch.randn(8, 3, dtype=torch.float64), torch.arange(8) % 3
MANY = torch.tensor([[1.0, 0.0, float("nan")], [0.0, 1.0, 1.0]] * 4)


@pytest.mark.parametrize("weights", [(), (1.0, 2.0, 0.5)])
def test_softmax_is_that_of_torch(weights):
    given = torch.tensor(weights, dtype=torch.float64) if weights else None
    ours = TaskLoss("multiclass", label_smoothing=0.0, weights=weights)(LOGITS.float(), LABELS)
    expected = F.cross_entropy(LOGITS, LABELS, weight=given)
    assert float(ours) == pytest.approx(float(expected), rel=1e-6)
    ours = TaskLoss("binary", label_smoothing=0.1)(LOGITS[:, :2], LABELS % 2)
    assert float(ours) == pytest.approx(
        float(F.cross_entropy(LOGITS[:, :2], LABELS % 2, label_smoothing=0.1)), rel=1e-9
    )


def test_a_sigmoid_per_label_leaves_out_what_nobody_annotated():
    ours = TaskLoss("multilabel")(LOGITS, MANY)
    known = ~MANY.isnan()
    expected = F.binary_cross_entropy_with_logits(LOGITS[known], MANY[known].double())
    assert float(ours) == pytest.approx(float(expected), rel=1e-9)
    nothing = TaskLoss("multilabel")(LOGITS.requires_grad_(), torch.full((8, 3), float("nan")))
    nothing.backward()
    assert float(nothing.detach()) == 0 and not LOGITS.grad.any()


@pytest.mark.parametrize("of_positives", [False, True])
def test_weights_of_labels_are_those_of_torch(of_positives):
    """Of both answers, as `weight` of BCEWithLogitsLoss; or of the positive ones only, as `pos_weight`."""
    logits, known, weights = LOGITS.detach(), ~MANY.isnan(), torch.tensor([1.0, 5.0, 0.001], dtype=torch.float64)
    ours = TaskLoss("multilabel", weights=tuple(weights.tolist()), of_positives=of_positives)(logits, MANY)
    given = {"pos_weight": weights} if of_positives else {"weight": weights}
    each = F.binary_cross_entropy_with_logits(logits, MANY.nan_to_num().double(), reduction="none", **given)
    assert float(ours) == pytest.approx(float(each[known].mean()), rel=1e-6)


def test_sigmoid_outputs_for_classes():
    ours = TaskLoss("multiclass", "sigmoid")(LOGITS, LABELS)
    expected = F.binary_cross_entropy_with_logits(LOGITS, F.one_hot(LABELS, 3).double())
    assert float(ours.detach()) == pytest.approx(float(expected.detach()), rel=1e-9)


def test_regression_is_the_squared_error():
    ours = TaskLoss("regression")(LOGITS[:, :1].detach(), torch.arange(8.0))
    assert float(ours) == pytest.approx(float(((LOGITS[:, 0].detach() - torch.arange(8.0)) ** 2).mean()), rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        (TaskLoss("multiclass", weights=(1.0, 5.0, 0.2), label_smoothing=0.1), LABELS),
        (TaskLoss("multilabel", weights=(1.0, 5.0, 0.2)), MANY),
        (TaskLoss("multilabel", weights=(1.0, 5.0, 0.2), of_positives=False), MANY),
        (TaskLoss("multiclass", "sigmoid"), LABELS),
        (TaskLoss("regression"), torch.arange(8.0)),
    ],
)
@given(cut=st.integers(1, 7))
@settings(max_examples=7, deadline=None)
def test_the_parts_of_a_batch_add_up(loss, labels, cut):
    logits, terms = LOGITS.detach(), loss.terms(labels)
    parts = [loss(logits[part], labels[part], terms) for part in (slice(0, cut), slice(cut, 8))]
    assert float(sum(parts)) == pytest.approx(float(loss(logits, labels)), rel=1e-6)


def test_balanced_weights():
    assert class_weights("none", np.array([0, 1]), "binary", ["a", "b"]) == ()
    assert class_weights("balanced", np.array([0, 0, 0, 1]), "binary", ["a", "b"]) == pytest.approx((2 / 3, 2.0))
    labels = np.array([[1, 0], [0, 0], [0, np.nan], [0, 1]])
    assert class_weights("balanced", labels, "multilabel", ["a", "b"]) == pytest.approx((3.0, 2.0))
    assert class_weights((1.0, 9.0), labels, "multilabel", ["a", "b"]) == (1.0, 9.0)
    with raises(UsageError, "class-weights-count", match="2"):
        class_weights((1.0,), labels, "multilabel", ["a", "b"])
    with raises(UsageError, "task-without-classes"):
        class_weights("balanced", np.array([1.5]), "regression", [])


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_mixed_images_are_what_their_share_says(mixup, cutmix):
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 16, 16).contiguous()
    for seed in range(20):
        made, mixed = mix(images, mixup, cutmix, torch.Generator().manual_seed(seed))
        expected = mixed.share * torch.arange(4.0) + (1 - mixed.share) * mixed.partner.float()
        assert torch.allclose(made.mean((1, 2, 3)), expected, atol=1e-4)
    again, _ = mix(images, mixup, cutmix, torch.Generator().manual_seed(19))
    assert torch.equal(made, again)


def test_mixing_is_off_by_default():
    images = torch.rand(2, 1, 4, 4)
    assert mix(images, 0.0, 0.0, torch.Generator()) == (images, None)


def test_the_loss_of_mixed_images_is_mixed():
    _, mixed = mix(torch.rand(8, 1, 4, 4), 1.0, 0.0, torch.Generator().manual_seed(1))
    logits = LOGITS.detach()
    ours = TaskLoss("multiclass")(logits, LABELS, mixed=mixed)
    first, second = F.cross_entropy(logits, LABELS), F.cross_entropy(logits, LABELS[mixed.partner])
    assert float(ours) == pytest.approx(float(mixed.share * first + (1 - mixed.share) * second), rel=1e-9)


@pytest.mark.parametrize("weights", [(), (1.0, 2.0, 0.5)])
def test_no_step_copies_numbers_to_the_device(weights, monkeypatch):
    """Each copy of a number waits for the device; weights are copied once."""
    loss = TaskLoss("multiclass", weights=weights)
    expected = loss(LOGITS, LABELS)
    monkeypatch.setattr(torch, "tensor", lambda *given, **options: pytest.fail("a number is copied in every step"))
    assert torch.equal(loss(LOGITS, LABELS), expected)
