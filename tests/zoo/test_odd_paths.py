"""File names that are no UTF-8, as old shares have them: everything works there, and what is printed is UTF-8."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from zoo_samples import CARD, small_model

import medzoo
from medzoo import paths, store
from medzoo.commands.common import print_json
from medzoo.data.decode_cache.cache import decoded
from medzoo.errors import IntegrityError, MedzooError, UnknownNameError, printable
from medzoo.training.features import embed
from medzoo.zoo.cache import list_cached, prune, verify_cached
from medzoo.zoo.folder.card import card_of
from medzoo.zoo.folder.config import read_config
from medzoo.zoo.publish.push import plan_push

NAMES = (b"mod\xe8le", b"\xff\xfe", "日本".encode("shift_jis"), "modèle ✓".encode())


@pytest.fixture(params=NAMES, ids=["latin-1", "no letters", "shift-jis", "utf-8"])
def odd(request, pristine, tmp_path):
    """A folder of such a name, with the files of a checkpoint."""
    place = tmp_path / os.fsdecode(request.param)
    try:
        shutil.copytree(pristine, place)
    except OSError:
        pytest.skip("this disk takes no such names")
    return place


def test_every_way_to_load(odd):
    usual = medzoo.load(str(odd), num_classes="pretrained")
    for name in (odd, str(odd), f"local-dir:{odd}"):
        receipt = medzoo.load(name, verify="always").load_receipt
        assert receipt.sha256 == usual.load_receipt.sha256 and receipt.folder == str(odd)
        repr(receipt).encode()
        assert medzoo.check(name).passed and str(medzoo.check(name)).encode()
        assert medzoo.transform(name).size == 64 and medzoo.fetch(name) == odd
    maps = medzoo.load(odd, features_only=True, in_chans=1)  # through timm
    assert maps.load_receipt.fresh == () and medzoo.load(odd, drop_path_rate=0.1).load_receipt.fresh == ()
    assert "# test_resnet-drawn" in card_of(str(odd))


def test_receipts_hold_for_such_names(odd, private_home, monkeypatch):
    weights = odd / "model.safetensors"
    digest = store.verified_sha256(weights)
    store._receipts_in_memory.clear()
    monkeypatch.setattr(store, "sha256_file", lambda path: pytest.fail("hashed again"))
    assert store.verified_sha256(weights) == digest
    (note,) = (private_home / "receipts").iterdir()
    assert json.loads(note.read_bytes().decode())["path"] == str(weights.resolve())
    assert [item for item in prune(dry_run=True) if item.kind == "receipt"] == []
    shutil.rmtree(odd)
    assert [item.path for item in prune() if item.kind == "receipt"] == [note]


def test_a_receipt_is_of_its_path(odd, private_home):
    weights = (odd / "model.safetensors").resolve()
    store.remember_sha256(weights, "a" * 64)
    (note,) = (private_home / "receipts").iterdir()
    for change in ({"path": "elsewhere"}, {"sha256": None}, {"sha256": 5}, {"inode": 0}):
        store._receipts_in_memory.clear()
        store.remember_sha256(weights, "a" * 64)
        note.write_text(json.dumps({**json.loads(note.read_text()), **change}))
        store._receipts_in_memory.clear()
        assert store.verified_sha256(weights) == store.sha256_file(weights)


def test_home_hubs_and_copies(odd, tmp_path, monkeypatch):
    hub = odd.with_name(odd.name + " hub")
    assert medzoo.push(odd, "lab/net", hub=hub) == str(hub / "lab" / "net")
    monkeypatch.setenv("MEDZOO_HUB", str(hub))
    assert medzoo.load("lab/net").load_receipt.folder == str(hub / "lab" / "net")
    with pytest.raises(MedzooError) as caught:
        medzoo.load("lab/nut")
    assert "lab/net" in str(caught.value) and str(caught.value).encode()
    monkeypatch.delenv("MEDZOO_HUB")
    assert read_config(medzoo.fetch(odd, to=hub)).name == "test_resnet-drawn"
    (odd / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    plan_push(odd, "lab/net").describe()
    monkeypatch.setenv("MEDZOO_HOME", str(odd.with_name(odd.name + " home")))
    torch.save(small_model(num_classes=0).state_dict(), odd.with_suffix(".pth"))
    medzoo.add(
        odd.with_suffix(".pth"), "test_resnet-ours", license="mit", data="x", mean=[0.5] * 3, std=[0.5] * 3, size=64
    )
    model = medzoo.load("test_resnet-ours")
    assert [row.result for row in verify_cached(list_cached())] == ["PASS"]
    assert str(medzoo.info("test_resnet-ours")).encode() and card_of("test_resnet-ours").encode()
    task = medzoo.load_task("phantom_oct,n=6,n_validation=4,n_test=4")
    first = embed(model, decoded(task, "train", size=64))
    assert np.array_equal(embed(model, decoded(task, "train", size=64)).array, first.array)  # from the odd home


def test_errors_can_be_shown(odd):
    shutil.rmtree(odd)
    for call in (medzoo.load, medzoo.fetch, medzoo.check, medzoo.transform, lambda path: medzoo.push(path, "lab/net")):
        with pytest.raises(MedzooError) as caught:
            call(str(odd))
        str(caught.value).encode()
    with pytest.raises(UnknownNameError) as unknown:
        medzoo.load("resnet\udce850")
    str(unknown.value).encode()


def test_json_and_text_of_such_names(tmp_path):
    odd = "mod\udce8le"
    store.write_json(tmp_path / "a.json", {"path": odd, odd: 1, "plain": "modèle 😀"})
    text = (tmp_path / "a.json").read_bytes().decode()  # UTF-8
    assert json.loads(text) == {"path": odd, odd: 1, "plain": "modèle 😀"} and "modèle 😀" in text
    assert store.sha256_of(odd) != store.sha256_of("mod\udce9le") != store.sha256_of("mod\\udce9le")
    store.write_text(tmp_path / "b.txt", f"{odd}\n")
    assert (tmp_path / "b.txt").read_bytes() == b"mod\xe8le\n"
    with store.atomic_folder(tmp_path / "folder", manifest=True) as folder:
        (folder / odd).write_text("x")
    store.verify_manifest(tmp_path / "folder")
    (tmp_path / "folder" / odd).write_text("y")
    with pytest.raises(IntegrityError):
        store.verify_manifest(tmp_path / "folder")
    assert printable(odd) == "mod\\udce8le" and printable("modèle 😀") == "modèle 😀"
    assert paths.file_name(odd).isascii()


def test_printed_json_is_json(capsys):
    print_json({"path": "mod\udce8le", "undefined": float("nan"), "rows": [float("inf"), 1.5]})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"path": "mod\udce8le", "undefined": None, "rows": [None, 1.5]} and "NaN" not in shown


def test_half_a_pair_in_a_configuration_is_refused(folder):
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"drawn"', '"\\ud83d"'))
    with pytest.raises(IntegrityError):
        medzoo.load(str(folder))
    path.write_text(path.read_text().replace("\\ud83d", "\\ud83d\\ude00"))  # both halves are a letter
    assert medzoo.load(str(folder)).load_receipt.lineage[0]["data"] == "😀"


COMMANDS = """
import sys
from medzoo.recipe_args import run_main
from medzoo.cli import app
odd = sys.argv[1]
for words in (
    ["check", odd], ["info", odd], ["info", odd, "--json"], ["fetch", odd], ["push", odd, "lab/net", "--hub", odd + "hub"],
    ["check", odd + "none"],
):
    sys.argv[1:] = words
    try:
        run_main(app)
    except SystemExit as end:
        print("code", end.code)
"""


@pytest.mark.slow
def test_the_command_on_such_a_folder(pristine, tmp_path):
    """In a process of its own, whose terminal is strict UTF-8."""
    odd = tmp_path / os.fsdecode(b"mod\xe8le")
    try:
        shutil.copytree(pristine, odd)
    except OSError:
        pytest.skip("this disk takes no such names")
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run([sys.executable, "-c", COMMANDS, odd], capture_output=True, env=environment, check=False)
    shown = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0 and "Traceback" not in shown, shown[-3000:]
    codes = [line for line in shown.splitlines() if line.startswith("code")]
    assert codes == ["code 0"] * 5 + ["code 1"] and "mod\\udce8le" in shown, shown[-3000:]


def test_weights_of_timm_in_such_a_folder(odd):
    timm.models.save_for_hf(small_model(), odd.with_name(odd.name + " timm"), safe_serialization=True)
    model = medzoo.load(odd.with_name(odd.name + " timm"), num_classes="pretrained")
    assert torch.equal(model.fc.weight, small_model().fc.weight)
    with pytest.raises(MedzooError):
        medzoo.save(model, odd.with_name(odd.name + " again"), card={**CARD, "name": odd.name + "/"})
