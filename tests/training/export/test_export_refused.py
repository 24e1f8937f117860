"""What an export refuses before a network is loaded, and that no file is left."""

import pytest
import torch
from expect import raises
from predict_samples import trained
from zoo_samples import small_model

import medzoo
from medzoo.errors import MissingExtraError, UnknownNameError, UsageError
from medzoo.training.export import options

BAD = {
    "random": ({"name": "resnet18_cifar-random"}, UsageError, "export-random-weights"),
    "format": ({"format": "onxx"}, UnknownNameError, "unknown-export-format"),
    "format of another type": ({"format": 3}, UnknownNameError, "unknown-export-format"),
    "precision": ({"precision": "int8"}, UsageError, "export-precision-unknown"),
    "size zero": ({"size": 0}, UsageError, "size-invalid"),
    "size too large": ({"size": 100_000}, UsageError, "size-invalid"),
    "size true": ({"size": True}, UsageError, "size-invalid"),
    "fresh head": ({"num_classes": 5}, UsageError, "export-classes-invalid"),
    "opset": ({"opset": 9}, UsageError, "opset-invalid"),
    "opset of torch": ({"opset": 18, "format": "torch_export"}, UsageError, "opset-needs-onnx"),
    "suffix": ({"out": "net.pt2"}, UsageError, "export-suffix-wrong"),
    "no suffix": ({"out": "net"}, UsageError, "export-suffix-wrong"),
    "folder": ({"out": "."}, UsageError, "output-not-a-file"),
    "not a path": ({"out": None}, UsageError, "output-not-a-file"),
    "no folder": ({"out": "nowhere/net.onnx"}, UsageError, "output-folder-missing"),
    "below a file": ({"out": "FILE/net.onnx"}, UsageError, "output-folder-missing"),
    "unknown name": ({"name": "no-such-net"}, (UnknownNameError, UsageError), ("unknown-checkpoint", "name-not-found")),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_before_a_network_is_loaded(case, source, tmp_path, monkeypatch):
    given, kind, code = BAD[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("a file")
    monkeypatch.setattr("medzoo.training.export.network.load", None)
    arguments = {"out": "net.onnx", **given}
    with raises(kind, code):
        medzoo.export(arguments.pop("name", source), **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


def test_a_folder_without_write_access(source, tmp_path, monkeypatch):
    def refuse(**keywords):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with raises(UsageError, "output-folder-not-writable", match="Permission denied"):
        medzoo.export(source, out=tmp_path / "net.onnx")


def test_a_full_disk_leaves_no_file(source, tmp_path, monkeypatch):
    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.export, "save", full)
    with raises(medzoo.errors.DiskFullError, "disk-full"):
        medzoo.export(source, out=tmp_path / "net.pt2", format="torch_export")
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named_before_a_network_is_loaded(source, tmp_path, monkeypatch):
    monkeypatch.setattr("medzoo.training.export.network.load", None)
    monkeypatch.setattr(options, "find_spec", lambda name: None if name == "onnxscript" else True)
    with raises(MissingExtraError, "missing-onnxscript", match=r"medzoo\[export\]"):
        medzoo.export(source, out=tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("architecture", "size", "given", "code", "named"),
    [
        ("test_vit", 64, {"size": 70}, "export-size-unsupported", "64 or 80"),
        ("test_resnet", 64, {"size": 8}, "export-size-unsupported", "32 x 32"),
        ("swin", 64, {"dynamic_size": True}, "dynamic-size-unsupported", "swin.*56 x 56"),
    ],
)
def test_sizes_that_a_network_cannot_take(tmp_path, architecture, size, given, code, named):
    if architecture == "swin":
        model = small_model("swin_tiny_patch4_window7_224", num_classes=0, depths=(1, 1, 1, 1), img_size=56)
        card = {"name": "swin-drawn", "license": "mit", "data": ["x"], "input": {"size": 56}}
        folder = medzoo.save(
            model, tmp_path / "net", card={**card, "model": {"kwargs": {"depths": [1] * 4, "img_size": 56}}}
        )
    else:
        folder = trained(tmp_path / "net", "binary", architecture, size=size)
    with raises(UsageError, code, match=named):
        medzoo.export(folder, out=tmp_path / "net.onnx", **given)
