"""Objectives, found by file name, keep the contract; their losses equal plain definitions."""

import re
from pathlib import Path

import pytest
import torch
from contract_samples import check_objective
from expect import raises

from medzoo.errors import UnknownNameError
from medzoo.training.objectives import list_methods, method, simclr
from medzoo.training.objectives.simclr import nt_xent
from medzoo.training.objectives.supervised import Objective, Options
from medzoo.training.options.fields import options_in_use


@pytest.mark.parametrize("name", list_methods())
def test_contract(name, tiny_net, make_batches):
    check_objective(method(name), tiny_net, make_batches)


def test_unknown_method_has_a_hint():
    with raises(UnknownNameError, "unknown-method"):
        method("simcrl")


def test_nt_xent_is_the_papers_sum():
    torch.manual_seed(0)
    first, second, temperature = torch.randn(5, 4), torch.randn(5, 4), 0.3
    both = torch.nn.functional.normalize(torch.cat([first, second]), dim=1)
    total = 0.0
    for i in range(10):
        j = (i + 5) % 10
        others = sum(torch.exp(both[i] @ both[k] / temperature) for k in range(10) if k != i)
        total -= torch.log(torch.exp(both[i] @ both[j] / temperature) / others)
    assert torch.allclose(nt_xent(first, second, temperature), total / 10, atol=1e-6)


def test_unknown_labels_do_not_count(tiny_net):
    objective = Objective(tiny_net(), Options(), "multilabel").eval()
    image = torch.randn(4, 3, 16, 16)
    label = torch.tensor([[0.0, 1, float("nan")], [1, 0, 1], [0, 0, float("nan")], [1, 1, 0]])
    loss = objective({"image": image, "label": label}, 0)["loss"]
    logits = objective.backbone(image)
    known = ~label.isnan()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[known], label[known])
    assert torch.allclose(loss, expected)
    everything_unknown = objective({"image": image, "label": torch.full((4, 3), float("nan"))}, 0)["loss"]
    assert everything_unknown == 0 and torch.isfinite(everything_unknown)


def test_simclr_divides_by_its_temperature_and_sees_both_views(tiny_net):
    """The loss of a batch against the plain definition, at another temperature than the usual one."""
    objective = simclr.Objective(tiny_net(8), simclr.Options(temperature=0.7, projection=4), "multiclass").eval()
    one, two = torch.randn(2, 6, 3, 16, 16, generator=torch.Generator().manual_seed(0)).unbind(0)
    projected = [objective.projector(objective.backbone(view)) for view in (one, two)]
    loss = objective({"views": [one, two]}, 0)["loss"]
    assert torch.allclose(loss, nt_xent(*projected, 0.7), atol=1e-5)
    assert not torch.allclose(loss, nt_xent(projected[0], projected[0], 0.7), atol=1e-3)


def test_in_training_both_views_share_their_batch_statistics(tiny_net):
    """One pass over all 2N images, so that no norm tells the views apart."""
    objective, seen = simclr.Objective(tiny_net(8), simclr.Options(), "multiclass").train(), []
    objective.backbone.norm.register_forward_hook(lambda module, given, made: seen.append(len(given[0])))
    objective({"views": [torch.randn(5, 3, 16, 16), torch.randn(5, 3, 16, 16)]}, 0)
    assert seen == [10]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_supervised_loss_by_hand(smoothing):
    """Cross-entropy against (1 - s) of the class and s spread over all; the accuracy beside it."""
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 3.0]])
    objective = Objective(torch.nn.Identity(), Options(label_smoothing=smoothing), "multiclass")
    values = objective({"image": logits, "label": torch.tensor([0, 1])}, 0)
    target = torch.nn.functional.one_hot(torch.tensor([0, 1]), 3) * (1 - smoothing) + smoothing / 3
    assert torch.allclose(values["loss"], -(target * logits.log_softmax(1)).sum(1).mean())
    assert values["accuracy"] == 0.5


LATER = {"byol", "mocov3", "barlowtwins", "vicreg", "dino", "dinov2", "lejepa", "swav", "sit"}


def test_runs_without_hue_and_solarization_are_those_from_before_these_options():
    for name in LATER:
        options = method(name).Options
        plain = options(**{key: 0.0 for key in ("hue", "solarize") if hasattr(options, key)})
        assert not {"hue", "solarize"} & set(options_in_use(plain))
        assert {view.augmentation.hue + view.augmentation.solarize for view in method(name).views(plain)} == {0.0}
        assert set(options_in_use(options())) - set(options_in_use(plain)) <= {"hue", "solarize"}
    assert {"hue", "solarize"} <= set(options_in_use(method("byol").Options()))
    assert {view.augmentation.solarize for view in method("sit").views(method("sit").Options())} == {0.0}


@pytest.mark.parametrize("name", [name for name in list_methods() if hasattr(method(name).Options(), "blur_sigma")])
def test_a_blur_has_at_most_two_pixels_at_224(name):
    """As published; 1/32 of the side, of runs from before the option, is 7 pixels there, and the identity of such runs."""
    views = method(name).views(method(name).Options())
    largest = {0.1 + 224 * one.augmentation.blur_sigma for one in views if one.augmentation.blur}
    assert len(largest) == 1 and largest.pop() == pytest.approx(2.0, abs=0.01)
    before = method(name).Options(blur_sigma=1 / 32)
    assert "blur_sigma" not in options_in_use(before) and "blur_sigma" in options_in_use(method(name).Options())
    assert {one.augmentation.blur_sigma for one in method(name).views(before)} == {1 / 32}


def test_every_method_that_blurs_has_the_option():
    blurring = {
        name
        for name in list_methods()
        if any(one.augmentation.blur for one in method(name).views(method(name).Options()))
    }
    assert blurring and all(hasattr(method(name).Options(), "blur_sigma") for name in blurring)


def test_views_of_the_methods():
    """What each method may do to an image, written down."""
    laws = [one.augmentation for one in simclr.views(simclr.Options())]
    assert len(laws) == 2 and laws[0] == laws[1]
    law = laws[0]
    assert (law.min_area, law.flip, law.tone, law.grey, law.blur) == (0.2, 0.5, 0.8, 0.2, 0.5)
    assert law.brightness == law.contrast == law.saturation == 0.4 and law.rotation == 0
    (one,) = method("supervised").views(Options(min_area=0.3, flip=0.25))
    law = one.augmentation
    assert (law.min_area, law.flip, law.brightness, law.blur, law.rotation) == (0.3, 0.25, 0, 0, 0)


def test_the_page_names_every_method():
    page = Path(__file__).resolve().parents[3] / "docs" / "how_to" / "pretraining.md"
    if not page.is_file():
        pytest.skip("a checkout is needed")
    rows = [line for line in page.read_text().splitlines() if line.startswith("| `")]
    named = {word for row in rows for word in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert set(list_methods()) <= named
