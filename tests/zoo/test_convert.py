import argparse
import importlib.util
import sys

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from zoo_samples import small_model

import medzoo
from medzoo.errors import ConversionError, UnknownNameError, UsageError
from medzoo.zoo.convert.read import read_tensors
from medzoo.zoo.convert.rules import FORMATS, Drop, translate

UPSTREAM = 'access = "manual"\ninstructions = "Ask."'


@pytest.fixture(scope="module")
def upstream(real_data):
    """The builder of upstream-like files with golden features, beside the real images."""
    path = real_data.parent / "upstream" / "build.py"
    if not path.is_file():
        pytest.skip(f"no upstream-like files: {path} is absent")
    spec = importlib.util.spec_from_file_location("upstream_build", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["upstream_build"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("identifier", "name", "legacy"),
    [
        ("moco-v2", "resnet50-mocov2-imagenet", True), ("moco-v2", "resnet50-mocov2-imagenet", False),
        ("radimagenet-torch-resnet50", "resnet50-radimagenet", None),
    ],
)  # fmt: skip
def test_converted_files_compute_what_upstream_computes(upstream, tmp_path, identifier, name, legacy):
    file = upstream.build(identifier, tmp_path / "file.pth", legacy)
    folder = medzoo.convert(file, name, out=tmp_path / "folder")
    file.unlink()
    batch = torch.from_numpy(upstream.input_tensor(identifier))
    if FORMATS[medzoo.info(name).upstream.format].bgr:
        batch = batch.flip(1)  # upstream's network took BGR; ours takes RGB
    want = upstream.expected(identifier)
    for model in (medzoo.load(str(folder)), timm.create_model(f"local-dir:{folder}", pretrained=True).eval()):
        with torch.inference_mode():
            have = model(batch).numpy()
        assert np.abs(have - want).max() <= 1e-5 * max(1, np.abs(want).max())
    assert "sha256" in (folder / "README.md").read_text()


@pytest.mark.real
@pytest.mark.slow
def test_another_formats_file_is_refused(upstream, tmp_path):
    file = upstream.build("radimagenet-torch-resnet50", tmp_path / "file.pth")
    with pytest.raises(ConversionError, match=r"318 keys fit no rule: backbone\."):
        medzoo.convert(file, "resnet50-mocov2-imagenet", out=tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def saved(tmp_path, value, **options):
    torch.save(value, tmp_path / "file.pth", **options)
    return tmp_path / "file.pth"


@pytest.mark.parametrize("legacy", [True, False])
def test_a_small_file_of_timms_format(entry, tmp_path, legacy):
    name, model = entry(UPSTREAM), small_model(num_classes=4)
    file = saved(tmp_path, model.state_dict(), _use_new_zipfile_serialization=not legacy)
    loaded = medzoo.load(str(medzoo.convert(file, name, out=tmp_path / "f")), num_classes="pretrained")
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in loaded.state_dict().items())
    save_file(model.state_dict(), tmp_path / "x.safetensors")
    medzoo.convert(tmp_path / "x.safetensors", name, out=tmp_path / "f")  # replaces its own kind


def test_counters_that_an_old_file_lacks(entry, tmp_path):
    name = entry(UPSTREAM)
    state = {key: value for key, value in small_model().state_dict().items() if not key.endswith("num_batches_tracked")}
    loaded = medzoo.load(str(medzoo.convert(saved(tmp_path, state), name, out=tmp_path / "f")))
    assert int(dict(loaded.named_buffers())["bn1.num_batches_tracked"]) == 0


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda s: s.pop("bn1.weight"), "1 missing: bn1.weight"),
        (lambda s: s.update(queue=torch.zeros(2)), "1 unexpected: queue"),
        (lambda s: s.update({"bn1.weight": torch.zeros(5)}), "of another shape: bn1.weight"),
        (lambda s: s["bn1.weight"].fill_(float("inf")), "NaN or infinite.*bn1.weight"),
    ],
)
def test_a_file_that_does_not_fit(entry, tmp_path, edit, says):
    name, state = entry(UPSTREAM), small_model().state_dict()
    edit(state)
    with pytest.raises(ConversionError, match=says):
        medzoo.convert(saved(tmp_path, state), name, out=tmp_path / "f")
    assert not (tmp_path / "f").exists()


class Evil:
    def __reduce__(self):
        import os

        return os.system, ("touch /tmp/medzoo-was-here",)


def test_no_code_is_run(entry, tmp_path):
    name = entry(UPSTREAM)
    for value in ({"model": small_model().state_dict(), "args": Evil()}, {"args": argparse.Namespace(x=1)}):
        for legacy in (True, False):
            with pytest.raises(ConversionError, match=r"runs none|no readable"):
                medzoo.convert(
                    saved(tmp_path, value, _use_new_zipfile_serialization=not legacy), name, out=tmp_path / "f"
                )
    with pytest.raises(ConversionError, match=r"argparse\.Namespace"):
        read_tensors(saved(tmp_path, {"args": argparse.Namespace(x=1)}))
    from pathlib import Path

    assert not Path("/tmp/medzoo-was-here").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"), (b"<!DOCTYPE html><html>Google Drive - Virus scan warning</html>", "web page"),
        (b"  <html>", "web page"), (b"\x89HDF\r\n\x1a\n", "HDF5"), (b"PK\x03\x04 not really", "no readable"),
        (b"\x80\x02garbage", "no readable"), (b"hello", "no readable"),
        (b"\x10\0\0\0\0\0\0\0{\"a\":1}      ", "no whole safetensors"),
    ],
)  # fmt: skip
def test_files_that_are_something_else(entry, tmp_path, content, says):
    name = entry(UPSTREAM)
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(ConversionError, match=says):
        medzoo.convert(tmp_path / "file.pth", name, out=tmp_path / "f")


def test_a_truncated_download(entry, tmp_path):
    name, file = entry(UPSTREAM), saved(tmp_path, small_model().state_dict())
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(ConversionError, match="no readable"):
        medzoo.convert(file, name, out=tmp_path / "f")


def test_a_bomb(entry, tmp_path):
    import zipfile

    name, file = entry(UPSTREAM), tmp_path / "file.pth"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(60 * 2**20))
    with pytest.raises(ConversionError, match="would unpack to"):
        medzoo.convert(file, name, out=tmp_path / "f")


def test_names_that_have_nothing_to_convert(tmp_path):
    with pytest.raises(UsageError, match="no upstream file"):
        medzoo.convert(tmp_path / "x", "resnet50-random", out=tmp_path / "f")
    with pytest.raises(UnknownNameError):
        medzoo.convert(tmp_path / "x", "resnet50-nothing", out=tmp_path / "f")
    with pytest.raises(ConversionError, match="no file"):
        medzoo.convert(tmp_path / "x", "resnet50-imagenet", out=tmp_path / "f")


def test_rules_look_at_whole_tokens():
    moco, radimagenet = FORMATS["moco-v2"], FORMATS["radimagenet-torch-resnet50"]
    assert isinstance(translate("state_dict.module.encoder_q.fc.0.weight", moco), Drop)
    assert isinstance(translate("state_dict.module.encoder_k.conv1.weight", moco), Drop)
    assert translate("state_dict.module.encoder_q2.conv1.weight", moco) is None
    assert translate("backbone.10.weight", radimagenet) is None
    assert translate("backbone.1.running_mean", radimagenet) == "bn1.running_mean"


def test_bgr_is_folded_into_the_stem(configs, tmp_path):
    """The converted network on RGB gives what the original gives on BGR."""
    (configs / "resnet50-x.toml").write_text(
        'architecture = "resnet50"\n[input]\nsize = 32\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n'
        '[pretraining]\ndata = ["x"]\n[upstream]\nformat = "radimagenet-torch-resnet50"\naccess = "manual"\n'
        'instructions = "Ask."\n[license]\nid = "unknown"\nredistributable = false\n'
    )
    model = timm.create_model("resnet50", num_classes=0).eval()
    back = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    state = {f"module.backbone.{back[k.split('.')[0]]}.{k.split('.', 1)[1]}": v for k, v in model.state_dict().items()}
    loaded = medzoo.load(str(medzoo.convert(saved(tmp_path, state), "resnet50-x", out=tmp_path / "f")))
    batch = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(loaded(batch.flip(1)), model(batch), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(loaded(batch), model(batch), rtol=1e-2)
