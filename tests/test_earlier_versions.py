"""What earlier versions left on a user's disk is read, not made again: decoded images, receipts, results.

`fixtures/version_0_1_0` was written by that version: the key of each family's decoded images, a store, and a result.
"""

import importlib
import json
import runpy
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from data_samples import fake_task

import medzoo
from medzoo import moved, store
from medzoo.bench.results.store import ResultStore
from medzoo.data.decode_cache import cache

OLD = Path(__file__).parent / "fixtures" / "version_0_1_0"
KEYS = json.loads((OLD / "content_keys.json").read_text())
TASK = "phantom_oct,n=8,n_validation=4,n_test=8"


@pytest.fixture(autouse=True)
def decoders_of_then(monkeypatch):
    """Which decoders a machine has is part of a key too; here they are the same as then."""
    monkeypatch.setattr(cache, "golden_hash", lambda: "0" * 64)


@pytest.mark.parametrize("name", KEYS)
def test_decoded_images_keep_their_keys(name, tmp_path):
    task = fake_task(name, tmp_path)
    task.fingerprint = "1" * 64
    assert cache.content_key(task, 32) == KEYS[name]


def test_a_decoded_store_is_read(private_home, monkeypatch):
    shutil.copytree(OLD / "decoded", private_home / "decoded")

    def decode_rows(*_, **__):
        raise AssertionError("the images are decoded again")

    monkeypatch.setattr(cache, "decode_rows", decode_rows)
    task = medzoo.load_task(TASK)
    for split in task.splits:
        rows = cache.decoded(task, split, size=32)
        assert rows.images.shape == (len(task.splits[split]), 32, 32)
    first, _ = task.read("test", 0)
    assert abs(float(np.mean(rows.images[0])) / rows.scale - float(first.array.mean()) / first.range[1]) < 0.02


def test_a_receipt_is_believed(private_home, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    there = path.stat()
    note = {
        "inode": there.st_ino,
        "mtime_ns": there.st_mtime_ns,
        "path": str(path),
        "sha256": "2" * 64,  # not the true one: it is believed, and not computed
        "size": there.st_size,
    }
    folder = private_home / "receipts"
    store.verified_sha256(path)
    (written,) = folder.iterdir()
    written.write_text(json.dumps(note))
    monkeypatch.setattr(store, "_receipts_in_memory", {})
    assert store.verified_sha256(path) == "2" * 64


def test_results_are_read(tmp_path):
    shutil.copytree(OLD / "results", tmp_path / "results")
    ((path, row),) = ResultStore(tmp_path / "results").all()
    assert row["schema"] == "medzoo.result/1" and row["status"] == "ok"
    assert ResultStore(tmp_path / "results").path(row["identity"]) == path
    assert "0.628" in medzoo.table(tmp_path / "results").to_markdown()


@pytest.mark.parametrize("name", moved.MOVED)
def test_old_module_names_work_and_warn(name, monkeypatch):
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.warns(FutureWarning, match=moved.MOVED[name]):
        module = importlib.import_module(name)
    there = importlib.import_module(moved.MOVED[name])
    public = [one for one in vars(there) if not one.startswith("_")]
    assert all(getattr(module, one) is getattr(there, one) for one in public)


@pytest.mark.parametrize("line", [
    "import medzoo.claims", "from medzoo.claims import claim", "import_module('medzoo.claims')", "find_spec('medzoo.claims')",
])  # fmt: skip
def test_the_warning_points_at_the_line_that_imports(line, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "medzoo.claims", raising=False)
    file = tmp_path / "script.py"
    file.write_text(f"from importlib import import_module\nfrom importlib.util import find_spec\n\n{line}\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        runpy.run_path(str(file))
    assert [(one.filename, one.lineno) for one in caught if one.category is FutureWarning] == [(str(file), 4)]


def test_names_that_the_readme_showed(monkeypatch):
    for name in ("medzoo.data.dicom_seg", "medzoo.data.dicom_series"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.warns(FutureWarning):
        from medzoo.data.dicom_seg import read_seg
        from medzoo.data.dicom_series import slices_below
    assert read_seg is medzoo.read_dicom_seg and slices_below is medzoo.list_dicom_slices
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("medzoo.data.nothing")
