"""Slices of packed volumes: each file is unpacked once, and gives what reading it anew gives."""

import gzip
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from expect import raises
from PIL import Image

from medzoo.data.images import volume_cache
from medzoo.data.images.nifti import header as nifti_header
from medzoo.data.images.read import read_image
from medzoo.data.readers.image_file import FileReader
from medzoo.data.readers.nifti_slices import SliceReader
from medzoo.errors import ImageError

VOLUME = np.random.default_rng(0).integers(-1000, 1000, (6, 5, 4)).astype(np.int16)
WINDOW = (-900, 900)


@pytest.fixture
def opened(monkeypatch):
    """The files that were unpacked, in order."""
    found = []

    def counted(file, where, limit):
        found.append(Path(where).name)
        return nifti_header.unpacked(file, where, limit)

    volume_cache._files.clear()
    monkeypatch.setattr(volume_cache, "unpacked", counted)
    return found


def save(path, volume=VOLUME):
    data = nibabel.Nifti1Image(volume, np.diag([1, 2, 3, 1])).to_bytes()
    path.write_bytes(gzip.compress(data, 1))


def test_slices_are_the_same_and_their_file_is_unpacked_once(tmp_path, opened):
    save(tmp_path / "a.nii.gz")
    reader = FileReader(tmp_path, WINDOW)
    for number in (3, 0, 2, 1):
        kept, plain = reader.read(f"a.nii.gz#{number}"), read_image(tmp_path / f"a.nii.gz#{number}", window=WINDOW)
        assert (kept.array == plain.array).all() and (kept.range, kept.spacing_mm) == (plain.range, plain.spacing_mm)
        assert kept.notes == plain.notes
        assert SliceReader(tmp_path, WINDOW, "HU").read(f"a.nii.gz#{number}").unit == "HU"
    assert opened == ["a.nii.gz"]
    with raises(ImageError, "frame-out-of-range"):
        reader.read("a.nii.gz#4")


def test_a_changed_file_is_read_again(tmp_path, opened):
    save(tmp_path / "a.nii.gz")
    reader = FileReader(tmp_path, WINDOW)
    reader.read("a.nii.gz#0")
    save(tmp_path / "b.nii.gz", np.zeros_like(VOLUME))
    os.replace(tmp_path / "b.nii.gz", tmp_path / "a.nii.gz")
    assert not reader.read("a.nii.gz#0").array.any() and len(opened) == 2


def test_memory_has_an_end(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(volume_cache, "CACHE_BYTES", 1300)  # two files of 592 bytes
    for name in "abc":
        save(tmp_path / f"{name}.nii.gz")
    for name in ("a", "b", "a", "c", "a", "b"):
        volume_cache.read_cached(tmp_path / f"{name}.nii.gz#1", window=WINDOW)
        assert sum(map(len, volume_cache._files.values())) <= 1300
    assert opened == ["a.nii.gz", "b.nii.gz", "c.nii.gz", "b.nii.gz"]
    monkeypatch.setattr(volume_cache, "LARGEST", 100)
    volume_cache._files.clear()
    volume = read_image(tmp_path / "a.nii.gz", window=WINDOW, frame="all").array
    assert (volume_cache.read_cached(tmp_path / "a.nii.gz#1", window=WINDOW).array == volume[1]).all()
    assert not volume_cache._files


def test_f31_f32_damage_behind_the_slice_is_found(tmp_path, opened):
    save(tmp_path / "a.nii.gz")
    whole = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[:-30])
    (tmp_path / "flipped.nii.gz").write_bytes(whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:])
    for name in ("cut", "flipped"):
        with raises(ImageError, "nifti-cut-off"):
            FileReader(tmp_path, WINDOW).read(f"{name}.nii.gz#0")


def test_other_files_are_read_as_ever(tmp_path, opened):
    (tmp_path / "words.nii.gz").write_bytes(gzip.compress(b"words"))
    with raises(ImageError, "image-format-unknown"):
        volume_cache.read_cached(tmp_path / "words.nii.gz#0")
    with raises(ImageError, "image-cannot-open"):
        volume_cache.read_cached(tmp_path / "none.nii.gz#0")
    Image.new("L", (3, 2), 7).save(tmp_path / "a.png")
    assert volume_cache.read_cached(tmp_path / "a.png").array.shape == (2, 3) and opened == []
