"""Faults of checkpoint folders, by the numbers of the fault list: load refuses each with a sentence, or it is harmless."""

import json
import os
import shutil
import struct
from pathlib import Path

import pytest
import torch
from expect import raises
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import medzoo
from medzoo import store
from medzoo.errors import IntegrityError, MedzooError, UnknownNameError, UsageError, WeightsMismatchError
from medzoo.zoo.check.check import check
from medzoo.zoo.registry.hub_names import check_revision
from medzoo.zoo.registry.locations import CONFIG, WEIGHTS, cached_folder


@pytest.fixture
def folder(tiny_hub, tmp_path) -> Path:
    shutil.copytree(tiny_hub / "lab" / "tiny", tmp_path / "net")
    return tmp_path / "net"


def configure(folder: Path, change) -> None:
    rows = json.loads((folder / CONFIG).read_text())
    change(rows)
    (folder / CONFIG).write_text(json.dumps(rows))


def honest(folder: Path) -> None:
    """Let config.json state the sha256 of what lies there now, as a careful but mistaken person would."""
    configure(folder, lambda rows: rows["medzoo"].update(sha256=store.sha256_file(folder / WEIGHTS)))


def rewrite(folder: Path, change) -> None:
    state = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
    changed = change(state)
    save_file(state if changed is None else changed, folder / WEIGHTS, metadata={"format": "pt"})
    honest(folder)


def refused(folder: Path, error: type[MedzooError], says: str) -> None:
    """Every way of loading refuses, the message names the folder's file, and `check` fails too."""
    for wishes in ({}, {"num_classes": 5}, {"features_only": True}, {"in_chans": 1}, {"verify": "always"}):
        with raises(error, says):
            medzoo.load(str(folder), **wishes)
    assert not check(folder).passed


@pytest.mark.parametrize("keep", [0, 7, 8, 100, -1])
def test_f01_truncated(folder, keep):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:keep])
    refused(folder, IntegrityError, "weights-truncated")


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_f02_one_flipped_bit(folder, place):
    medzoo.load(str(folder))  # a receipt is no licence to change the file
    data = bytearray((folder / WEIGHTS).read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    data[start + int((len(data) - start) * place)] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    refused(folder, IntegrityError, "weights-hash-wrong")


@pytest.mark.parametrize(
    ("length", "header"), [(2**63, b"{}"), (None, b"{}" + b" " * (99 * 2**20)), (101 * 2**20, b"{}")]
)
def test_f03_headers_that_are_too_long(folder, length, header):
    start = struct.pack("<Q", len(header) if length is None else length)
    (folder / WEIGHTS).write_bytes(start + header)
    honest(folder)
    refused(folder, IntegrityError, ("header-too-large", "weights-truncated"))


def test_f04_a_key_that_stands_twice(folder):
    raw = (folder / WEIGHTS).read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = raw[8 : 8 + length].rstrip()
    name, row = next((k, v) for k, v in json.loads(header).items() if k != "__metadata__")
    twice = header[:-1] + f",{json.dumps(name)}:{json.dumps(row)}}}".encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(twice)) + twice + raw[8 + length :])
    honest(folder)
    refused(folder, IntegrityError, "header-damaged")


@given(junk=st.binary(max_size=300))
def test_f05_any_header(junk, tmp_path_factory):
    path = tmp_path_factory.mktemp("junk") / "x.safetensors"
    path.write_bytes(junk)
    from medzoo.zoo.models.weights import read_weights

    with pytest.raises(IntegrityError):
        read_weights(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_f06_not_a_number_is_found_by_check_and_never_written(folder, number):
    model = medzoo.load(str(folder))
    with torch.no_grad():
        next(model.parameters()).view(-1)[3] = number
    with raises(IntegrityError, "weights-not-finite"):
        medzoo.save(model, folder.parent / "new", card={"name": "x-y", "license": "mit", "data": ["z"]})
    assert not (folder.parent / "new").exists()
    rewrite(folder, lambda state: next(t for t in state.values() if t.ndim == 4).view(-1)[3:4].fill_(number) and None)
    report = check(folder)
    assert [row.check for row in report.rows if row.result == "FAIL"] == ["finite", "golden"]


CHANGES = {
    "missing": lambda state: {k: v for k, v in state.items() if k != min(state)},
    "unexpected": lambda state: state | {"extra.weight": torch.zeros(2)},
    "prefixed": lambda state: {f"module.{k}": v for k, v in state.items()},
    "no statistics": lambda state: {k: v for k, v in state.items() if "running" not in k},
    "another shape": lambda state: state | {"conv1.0.weight": state["conv1.0.weight"][1:].contiguous()},
    "a head left in": lambda state: state | {"fc.weight": torch.zeros(9, 512), "fc.bias": torch.zeros(9)},
    "grey stem": lambda state: {k: v[:, :1].contiguous() if k.startswith("conv1.0") else v for k, v in state.items()},
}


@pytest.mark.parametrize("case", CHANGES)
def test_f07_to_f09_other_names_shapes_and_missing_statistics(folder, case):
    rewrite(folder, CHANGES[case])
    refused(folder, WeightsMismatchError, "weights-differ-from-architecture")


def test_f10_right_names_but_another_function(folder):
    def turn(state):
        state["conv1.0.weight"] = state["conv1.0.weight"].flip(1)

    rewrite(folder, turn)  # BGR; a mean, an eps or a padding would be the same kind of fault
    report = check(folder)
    assert [row.check for row in report.rows if row.result == "FAIL"] == ["golden"]


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.update(auto_map={"AutoModel": "evil.Model"}),
        lambda rows: rows.update(architecture="os.system"),
        lambda rows: rows["medzoo"].update(run="import os"),
        lambda rows: rows.update(model_args={"checkpoint_path": "/etc/passwd"}),
        lambda rows: rows["pretrained_cfg"].update(file="/etc/passwd"),
        lambda rows: rows["pretrained_cfg"].update(url="http://127.0.0.1/x.pth"),
        lambda rows: rows["pretrained_cfg"].update(custom_load=True),
    ],
)
def test_f16_a_configuration_that_names_code_files_or_addresses(folder, change):
    configure(folder, change)
    rows = json.loads((folder / CONFIG).read_text())
    if "auto_map" in rows:  # a key of other libraries, which medzoo does not read
        assert not hasattr(medzoo.load(str(folder)), "auto_map")
        return
    refused(
        folder,
        IntegrityError,
        ("architecture-invalid", "model-args-reserved", "unknown-key", "weights-source-in-config"),
    )


@given(text=st.text(max_size=60))
def test_f17_a_revision_cannot_leave_its_folder(text):
    try:
        check_revision(text)
    except UsageError:
        return
    root = Path("/cache/models")
    assert os.path.normpath(root / text).startswith(f"{root}/") and "\0" not in text


@given(text=st.text(max_size=250))
def test_f18_odd_names(text):
    if any(sign in text for sign in "/~.") or text.startswith("local-dir:") or Path(text[:50]).is_dir():
        return  # a path or a repository, tested elsewhere
    with pytest.raises(UnknownNameError):
        medzoo.load(text, local_files_only=True)


def test_f18_near_names_are_told_and_never_taken(no_network):
    with raises(UnknownNameError, "unknown-checkpoint"):
        medzoo.load("resnet50-imagenett")


def test_f19_a_link_in_a_hub_that_leads_out(folder, tmp_path):
    hub = tmp_path / "hub"
    (hub / "lab").mkdir(parents=True)
    (hub / "lab" / "net").symlink_to(folder)
    with raises(IntegrityError, "outside-directory-hub"):
        medzoo.load("lab/net", hub=hub)


def test_f19_a_broken_link_is_no_folder(folder, private_home):
    place = cached_folder("resnet18-imagenet")
    place.parent.mkdir(parents=True)
    place.symlink_to(folder.parent / "gone")
    with pytest.raises(MedzooError):
        medzoo.load("resnet18-imagenet", local_files_only=True)


def test_f20_a_file_that_is_swapped_between_hash_and_read(folder, monkeypatch):
    other = folder.parent / "other.safetensors"
    state = {name: tensor * 2 for name, tensor in load_file(folder / WEIGHTS).items()}
    save_file(state, other, metadata={"format": "pt"})
    hashing = store.verified_sha256

    def swap(path: Path, *, always: bool = False) -> str:
        digest = hashing(path, always=always)
        os.replace(other, path)  # right after it was found good
        return digest

    monkeypatch.setattr(store, "verified_sha256", swap)
    with raises(IntegrityError, "weights-changed-while-read"):
        medzoo.load(str(folder))
