import h5py
import numpy as np
import pytest
from expect import raises

from medzoo.errors import ConversionError, MissingExtraError
from medzoo.zoo.convert.readers.detect import read_tensors
from medzoo.zoo.convert.readers.hdf5 import read_hdf5


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as opened:
        opened["model_weights/conv1/bn/conv1/bn/gamma:0"] = np.arange(4, dtype="f4")
        opened["a"] = np.arange(6, dtype=">f8").reshape(2, 3)
        opened["text"] = "not a number"
        opened.create_dataset("packed", data=np.ones((64, 64), "f4"), compression="gzip", shuffle=True)
        opened.attrs["model_config"] = "{}"
    return path


def test_numbers_by_path(file):
    found = read_tensors(file)
    assert set(found) == {"model_weights/conv1/bn/conv1/bn/gamma:0", "a", "packed"}
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("kind", ["external", "soft", "dataset", "virtual"])
def test_links_are_not_followed(file, tmp_path, kind):
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    with h5py.File(file, "a") as opened:
        if kind == "external":
            opened["elsewhere"] = h5py.ExternalLink(str(file), "/a")
        elif kind == "soft":
            opened["elsewhere"] = h5py.SoftLink("/a")
        elif kind == "dataset":
            opened.create_dataset("elsewhere", (4,), "f4", external=[(str(tmp_path / "secret.bin"), 0, 16)])
        else:
            layout = h5py.VirtualLayout((4,), "f4")
            layout[:] = h5py.VirtualSource(str(file), "model_weights/conv1/bn/conv1/bn/gamma:0", (4,))
            opened.create_virtual_dataset("elsewhere", layout)
    with raises(ConversionError, "hdf5-link"):
        read_hdf5(file)


def test_groups_that_hold_themselves(file):
    with h5py.File(file, "a") as opened:
        opened["model_weights/again"] = opened["model_weights"]
    with raises(ConversionError, "hdf5-nested-too-deep"):
        read_hdf5(file)


def test_bombs(file):
    with h5py.File(file, "a") as opened:
        opened.create_dataset("zeros", (2**28,), "f4", compression="gzip", chunks=(2**20,))
    with raises(ConversionError, "file-unpacks-too-large"):
        read_hdf5(file)


def test_filters_that_would_load_a_plugin(file, monkeypatch):
    monkeypatch.setattr("medzoo.zoo.convert.readers.hdf5.BUILT_IN_FILTERS", {2})
    with raises(ConversionError, "hdf5-plugin"):
        read_hdf5(file)


def test_damaged_files(file, tmp_path):
    raw = file.read_bytes()
    for name, content in (("cut.h5", raw[:-600]), ("start.h5", raw[:100])):
        (tmp_path / name).write_bytes(content)
        with raises(ConversionError, "hdf5-unreadable"):
            read_hdf5(tmp_path / name)


def test_without_h5py(file, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with raises(MissingExtraError, "missing-h5py"):
        read_hdf5(file)
