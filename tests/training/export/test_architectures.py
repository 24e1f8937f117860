"""Every architecture of the registry exports in both formats, or the error says why not."""

import json
import time

import pytest
import torch
from expect import raises
from zoo_samples import small_model

import medzoo
from medzoo.errors import UsageError
from medzoo.training.export.metadata import read_metadata
from medzoo.zoo.registry.registry import info, names
from medzoo.zoo.variants import VARIANTS


def every_architecture():
    """Each architecture with its keywords, size and channels once."""
    rows = {}
    for name in names():
        entry = info(name)
        key = json.dumps([entry.architecture, dict(entry.model.kwargs), entry.input.size, entry.input.channels])
        rows.setdefault(key, json.loads(key))
    return list(rows.values())


ARCHITECTURES = every_architecture()
FEW = [
    ("resnet18", {}, 64, 3), ("resnet18_cifar", {}, 32, 3), ("convnext_atto", {"depths": [1, 1, 1, 1]}, 64, 3),
    ("vit_tiny_patch16_224", {"depth": 2, "img_size": 64}, 64, 3),
    ("beit_base_patch16_224", {"depth": 1, "embed_dim": 48, "num_heads": 2, "img_size": 32}, 32, 3),
    ("swin_tiny_patch4_window7_224", {"depths": [1, 1, 1, 1], "img_size": 56}, 56, 3),
]  # fmt: skip
QUICK = [row for row in FEW if row[0] in ("resnet18_cifar", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224")]
PADDED = [("resnet50_same", {}, 64, 3), ("resnet50_samepool", {}, 64, 3)]
NOT_DYNAMIC = ("swin", "beit")  # windows and position biases of one size


def written(folder, architecture, keywords, size, channels):
    """A folder of weights in which every layer counts: timm draws some of them as zero, and statistics that overflow."""
    model = small_model(architecture, num_classes=0, in_chans=channels, **keywords)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    if norms:
        model.train()(torch.randn(4, channels, size, size))
    card = {"name": f"{architecture}-drawn", "license": "mit", "data": ["drawn"], "model": {"kwargs": keywords}}
    shape = {"size": size, "channels": channels, "mean": [0.5] * channels, "std": [0.5] * channels}
    return medzoo.save(model.eval(), folder, card={**card, "input": shape})


def export(folder, row, suffix, dynamic=False):
    architecture, keywords, size, channels = row
    source = folder / "source"
    if not source.exists():
        written(source, architecture, keywords, size, channels)
    start, format = time.monotonic(), {".onnx": "onnx", ".pt2": "torch_export"}[suffix]
    facts = read_metadata(medzoo.export(source, out=folder / f"net{suffix}", format=format, dynamic_size=dynamic))
    kind = f"{format}{', dynamic size' if dynamic else ''}"
    words = ",".join(f"{key}={value}" for key, value in keywords.items())
    print(
        f"| {architecture} {words} | {size} | {kind} | {time.monotonic() - start:.0f} | {facts['largest_difference']} |"
    )
    assert facts["architecture"] == architecture and json.loads(facts["sizes"])["dynamic"] == dynamic
    return facts


def check_dynamic(folder, row):
    if row[0].startswith(NOT_DYNAMIC):
        with raises(UsageError, "dynamic-size-unsupported", match=row[0].partition("_")[0]):
            export(folder, row, ".onnx", dynamic=True)
        print(f"| {row[0]} | {row[2]} | onnx, dynamic size | refused |  |")
    else:
        export(folder, row, ".onnx", dynamic=True)


def test_the_registry_has_the_variants():
    assert len(ARCHITECTURES) > 25 and {one.__name__ for one in VARIANTS} <= {row[0] for row in ARCHITECTURES}


@pytest.mark.parametrize("row", QUICK, ids=[row[0] for row in QUICK])
def test_one_of_each_kind(tmp_path, row):
    facts = export(tmp_path, row, ".onnx")
    assert facts["kind"] == "features" and float(facts["largest_difference"]) <= 2e-5
    if row[0] == "resnet18_cifar":
        check_dynamic(tmp_path, row)


@pytest.mark.long
@pytest.mark.parametrize("row", FEW + PADDED, ids=[row[0] for row in FEW + PADDED])
def test_one_of_each_family_with_a_dynamic_size_and_for_torch(tmp_path, row):
    export(tmp_path, row, ".pt2")
    check_dynamic(tmp_path, row)


@pytest.mark.long
@pytest.mark.parametrize("row", ARCHITECTURES, ids=[f"{row[0]}-{row[2]}-{row[3]}" for row in ARCHITECTURES])
def test_every_architecture_of_the_registry(tmp_path, row):
    export(tmp_path, row, ".onnx")
    export(tmp_path, row, ".pt2")
    check_dynamic(tmp_path, row)
