"""Files that lie about what they are, each test named after its fault; none may leave a folder behind."""

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from expect import raises
from safetensors.torch import save, save_file

import medzoo
from medzoo.errors import ConversionError

ENTRY = """
architecture = "test_resnet"
[input]
size = 64
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
[pretraining]
data = ["drawn"]
[upstream]
format = "{format}"
access = "manual"
instructions = "Ask."
[license]
id = "MIT"
redistributable = true
"""


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Convert a file as a small network's; it has to be refused with a sentence that fits, and leave nothing."""
    configs = tmp_path / "hub_configs"
    configs.mkdir()
    monkeypatch.setattr("medzoo.zoo.registry.registry.config_dir", lambda: configs)

    def check(file: Path, says: str, format: str = "timm") -> None:
        (configs / "test_resnet-drawn.toml").write_text(ENTRY.format(format=format))
        with raises(ConversionError, says) as caught:
            medzoo.convert(file, "test_resnet-drawn", out=tmp_path / "out" / "f")
        assert file.name in str(caught.value)
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())

    return check


@pytest.fixture
def state():
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=3).state_dict()


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("legacy", [True, False])
def test_f01_truncated(refused, state, tmp_path, keep, legacy):
    torch.save(state, tmp_path / "file.pth", _use_new_zipfile_serialization=not legacy)
    raw = (tmp_path / "file.pth").read_bytes()
    (tmp_path / "file.pth").write_bytes(raw[: int(len(raw) * keep)])
    refused(tmp_path / "file.pth", ("torch-file-unreadable", "zip-unreadable"))
    raw = save(state)
    (tmp_path / "file.safetensors").write_bytes(raw[: int(len(raw) * keep)])
    refused(tmp_path / "file.safetensors", "weights-truncated")


def test_f02_bytes_that_changed_inside_a_torch_archive(refused, state, tmp_path):
    """A zip has checksums; safetensors and the old layout have none, there the registry's sha256 has to do."""
    torch.save(state, tmp_path / "file.pth")
    raw = bytearray((tmp_path / "file.pth").read_bytes())
    raw[raw.find(state["fc.weight"].numpy().tobytes()) + 5] ^= 1
    (tmp_path / "file.pth").write_bytes(bytes(raw))
    refused(tmp_path / "file.pth", "zip-checksum-wrong")


def test_f03_headers_that_are_too_long(refused, tmp_path):
    for length, says in (
        (2**63, "file-type-unknown"),
        (101 * 2**20, "file-type-unknown"),
        (99 * 2**20, "header-too-large"),
    ):
        with (tmp_path / "file.safetensors").open("wb") as file:
            file.write(length.to_bytes(8, "little") + b"{}")
            file.truncate(100 * 2**20)
        refused(tmp_path / "file.safetensors", says)


def test_f04_a_key_that_stands_twice(refused, tmp_path):
    entry = b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    header = b"{" + entry + b"," + entry + b"}"
    (tmp_path / "file.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    refused(tmp_path / "file.safetensors", "header-damaged")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_f06_not_a_number(refused, state, tmp_path, number):
    state["fc.bias"][1] = number
    torch.save(state, tmp_path / "file.pth")
    refused(tmp_path / "file.pth", "weights-not-finite")


def test_f07_missing_unexpected_and_prefixed(refused, state, tmp_path):
    for edit, says in (
        (lambda s: {key: row for key, row in s.items() if key != "fc.bias"}, "weights-differ-from-architecture"),
        (lambda s: {**s, "head.weight": torch.zeros(2)}, "weights-differ-from-architecture"),
        (lambda s: {f"module.{key}": row for key, row in s.items()}, "weights-differ-from-architecture"),
        (lambda _: {}, "no-tensors"),
    ):
        torch.save(edit(state), tmp_path / "file.pth")
        refused(tmp_path / "file.pth", says)


def test_f07_a_head_of_fine_tuning_that_was_left_in(refused, tmp_path):
    """A format of a headless network does not take one with a classifier."""
    model = timm.create_model("resnet50", num_classes=5)
    torch.save(model.state_dict(), tmp_path / "file.pth")
    refused(tmp_path / "file.pth", "keys-without-rule", format="radnet-simclr-encoder")


def test_f08_other_shapes_and_a_grey_stem(refused, tmp_path):
    torch.save(timm.create_model("test_resnet", in_chans=1, num_classes=3).state_dict(), tmp_path / "file.pth")
    refused(tmp_path / "file.pth", "weights-differ-from-architecture")


def test_f09_statistics_that_are_missing(refused, state, tmp_path):
    torch.save({key: row for key, row in state.items() if "running_" not in key}, tmp_path / "file.pth")
    refused(tmp_path / "file.pth", "weights-differ-from-architecture")


class Runs:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle", "module"])
def test_f11_a_pickle_that_runs_a_command(refused, state, tmp_path, how):
    mark = tmp_path / "was-run"
    bad = Runs(f"touch {mark}")
    if how == "pickle":
        (tmp_path / "file.pth").write_bytes(pickle.dumps({"state_dict": {"w": np.zeros(2)}, "x": bad}))
    elif how == "module":
        module = torch.nn.Linear(2, 2)
        module.extra = bad
        torch.save(module, tmp_path / "file.pth")
    else:
        torch.save({**state, "args": bad}, tmp_path / "file.pth", _use_new_zipfile_serialization=how == "zip")
    refused(tmp_path / "file.pth", "file-needs-code")
    assert not mark.exists()


def test_f12_conversion_has_no_network_and_limits(tmp_path, apart):
    """The whole way as a user goes it: another process reads the file, and a command in it does not run."""
    mark = tmp_path / "was-run"
    torch.save({"args": Runs(f"touch {mark}")}, tmp_path / "file.pth")
    command = ["convert", str(tmp_path / "file.pth"), "resnet50-radimagenet", "--out", str(tmp_path / "f")]
    done = subprocess.run([sys.executable, "-m", "medzoo", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "needs code" in done.stderr and "Traceback" not in done.stderr
    assert not mark.exists() and not (tmp_path / "f").exists()


def test_f13_hdf5_that_links_elsewhere(refused, tmp_path):
    import h5py

    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["model_weights/conv1_conv/conv1_conv/kernel:0"] = h5py.ExternalLink("/etc/passwd", "/")
    refused(tmp_path / "file.h5", "hdf5-link", format="keras-resnet50")


def test_f14_bombs(refused, tmp_path):
    import h5py

    with zipfile.ZipFile(tmp_path / "file.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(60 * 2**20))
    refused(tmp_path / "file.pth", "file-unpacks-too-large")
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file.create_dataset("a", (2**28,), "f4", compression="gzip", chunks=(2**20,))
    refused(tmp_path / "file.h5", "file-unpacks-too-large")


def test_f15_an_archive_that_writes_elsewhere(refused, tmp_path):
    """Members are never unpacked by their names."""
    with zipfile.ZipFile(tmp_path / "file.zip", "w") as archive:
        archive.writestr("../../escaped.index", b"x")
        archive.writestr("../../escaped.data-00000-of-00001", b"x")
    refused(tmp_path / "file.zip", "bundle-damaged")
    assert not list(tmp_path.parent.glob("escaped*"))


def test_a_web_page_saved_as_weights(refused, tmp_path):
    (tmp_path / "file.pth").write_text("<!doctype html><title>Google Drive - Quota exceeded</title>")
    refused(tmp_path / "file.pth", "file-is-web-page")


def test_a_sibling_format_is_named(refused, tmp_path):
    keys = ("conv1.weight", "bn1.weight")
    value = {"state_dict": {f"module.base_encoder.{key}": torch.zeros(1) for key in keys}}
    torch.save(value, tmp_path / "file.pth")
    refused(tmp_path / "file.pth", "keys-without-rule", format="moco-v2")


def test_an_old_folder_stays_when_the_new_file_is_bad(tmp_path, monkeypatch, state):
    configs = tmp_path / "hub_configs"
    configs.mkdir()
    monkeypatch.setattr("medzoo.zoo.registry.registry.config_dir", lambda: configs)
    (configs / "test_resnet-drawn.toml").write_text(ENTRY.format(format="timm"))
    save_file(state, tmp_path / "good.safetensors")
    folder = medzoo.convert(tmp_path / "good.safetensors", "test_resnet-drawn", out=tmp_path / "f")
    before = (folder / "model.safetensors").read_bytes()
    torch.save({key: row for key, row in state.items() if "bn" not in key}, tmp_path / "bad.pth")
    with pytest.raises(ConversionError):
        medzoo.convert(tmp_path / "bad.pth", "test_resnet-drawn", out=tmp_path / "f")
    assert (folder / "model.safetensors").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
