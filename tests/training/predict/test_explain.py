"""Heat maps: written as PNG, at the place that decides, and refused where a network has none."""

import numpy as np
import pytest
import timm
import torch
from expect import raises
from PIL import Image
from predict_samples import by_hand, pngs, trained

import medzoo
from medzoo.errors import UsageError
from medzoo.training.predict.explain import attention_rollout, check_method, grad_cam
from medzoo.training.predict.overlay import overlay


@pytest.mark.parametrize(
    ("architecture", "method"), [("test_resnet", "gradcam"), ("test_convnext", "gradcam"), ("test_vit", "attention")]
)
def test_png_files_and_the_same_probabilities(tmp_path, architecture, method):
    folder, paths = trained(tmp_path / "net", architecture=architecture, size=96), pngs(tmp_path / "films", 3)
    out = tmp_path / "maps"
    frame = medzoo.predict(folder, paths, explain=method, explain_out=out, device="cpu")
    np.testing.assert_allclose(frame[[f"probability_{k}" for k in "abc"]], by_hand(folder, paths), atol=1e-5)
    assert frame.explanation.tolist() == [str(path) for path in sorted(out.iterdir())]
    for path, png, label in zip(paths, frame.explanation, frame.label, strict=True):
        assert Image.open(png).size == Image.open(path).size and png.endswith(f"-{label}.png")


def test_grad_cam_is_the_formula():
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=3).eval()
    torch.nn.init.normal_(model.get_classifier().weight)
    batch = torch.randn(2, 3, 96, 96)
    logits, heat = grad_cam(model, batch, lambda rows: [2, 0])
    assert heat.amax((1, 2)).min() > 0
    for row, chosen in enumerate([2, 0]):
        features = model.forward_features(batch[row : row + 1]).detach().requires_grad_(True)
        model.forward_head(features)[0, chosen].backward()
        expected = (features * features.grad.mean((2, 3), keepdim=True)).sum(1).relu()[0].detach()
        torch.testing.assert_close(heat[row], expected / expected.max(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logits, model(batch).detach())


def test_rollout_uses_the_attention_that_the_network_computes():
    torch.manual_seed(0)
    model = timm.create_model("test_vit", num_classes=3, img_size=64).eval()
    batch = torch.randn(2, 3, 64, 64)
    logits, heat = attention_rollout(model, batch)
    weights = []
    for block in model.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda _, inputs, output: weights.append(inputs[0].detach().mean(1)))
    torch.testing.assert_close(model(batch).detach(), logits, atol=1e-5, rtol=1e-4)
    total = torch.eye(weights[0].shape[-1])
    for row in weights:
        total = (row + torch.eye(row.shape[-1])) / 2 @ total
    expected = total[:, 0, 1:].reshape(heat.shape)
    expected = expected - expected.amin((1, 2), keepdim=True)
    torch.testing.assert_close(heat, expected / expected.amax((1, 2), keepdim=True), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("architecture", "method", "code"),
    [
        ("test_vit", "gradcam", "gradcam-unsupported"),
        ("test_resnet", "attention", "attention-unsupported"),
        ("swin_tiny_patch4_window7_224", "attention", "attention-unsupported"),
    ],
)
def test_a_network_without_such_a_map(architecture, method, code):
    model = timm.create_model(architecture, num_classes=2).eval()
    with raises(UsageError, code):
        check_method(model, method, model.pretrained_cfg["input_size"][-1], 3)


def test_swin_and_a_map_of_one_place():
    swin = timm.create_model("swin_tiny_patch4_window7_224", num_classes=2).eval()
    check_method(swin, "gradcam", 224, 3)
    _, heat = grad_cam(swin, torch.randn(1, 3, 224, 224), lambda rows: [0])
    assert heat.shape == (1, 7, 7)
    with raises(UsageError, "feature-map-too-small"):
        check_method(timm.create_model("resnet18", num_classes=2).eval(), "gradcam", 28, 3)


def test_a_named_class_and_wrong_places(tmp_path):
    folder, paths = trained(tmp_path / "net", size=96), pngs(tmp_path / "films", 2)
    frame = medzoo.predict(
        folder, paths, explain="gradcam", explain_out=tmp_path / "m", explain_class="b", device="cpu"
    )
    assert all(path.endswith("-b.png") for path in frame.explanation)
    with raises(UsageError, "class-unknown"):
        medzoo.predict(folder, paths, explain="gradcam", explain_out=tmp_path / "m", explain_class="z")
    with raises(UsageError, "explain-out-inside-images"):
        medzoo.predict(folder, tmp_path / "films", explain="gradcam", explain_out=tmp_path / "films" / "maps")


def test_heat_is_drawn_where_it_is():
    heat = np.zeros((4, 4))
    heat[0, 3] = 1
    drawn = overlay(np.full((40, 80, 3), 100, np.uint8), heat).astype(int)
    assert abs(drawn[35, 5] - 100).max() == 0 and drawn[2, 77, 0] > 150 and drawn[2, 77, 2] < 60
