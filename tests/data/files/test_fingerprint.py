import os
import shutil

import numpy as np
import pytest
from custom_samples import png
from data_samples import fake_task
from expect import raises

from medzoo.data.decode_cache.cache import decoded
from medzoo.data.files.fingerprint import fingerprint
from medzoo.data.task_registry import list_tasks, load_task


def rewrite(path, content, later=1):
    """Another content of the same size, as an editor leaves it: in place, at a later time."""
    before = path.stat()
    path.write_bytes(content)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + later * 10**9))


def images(root, count=5):
    root.mkdir()
    for k in range(count):
        (root / f"{k}.raw").write_bytes(bytes([k]) * 100)
    return [f"{k}.raw" for k in range(count)]


def test_an_image_of_the_same_size_and_another_time_is_other_data(tmp_path):
    names = images(tmp_path / "d")
    first = fingerprint(tmp_path / "d", [], names)
    assert fingerprint(tmp_path / "d", [], names) == first
    rewrite(tmp_path / "d" / "3.raw", b"x" * 100)
    with pytest.warns(UserWarning, match=r"3\.raw"):
        second = fingerprint(tmp_path / "d", [], names)
    assert second != first
    rewrite(tmp_path / "d" / "3.raw", b"y" * 100)
    with pytest.warns(UserWarning):
        assert fingerprint(tmp_path / "d", [], names) not in (first, second)


def test_a_file_of_another_size_and_then_of_another_time(tmp_path):
    names = images(tmp_path / "d")
    first = fingerprint(tmp_path / "d", [], names)
    (tmp_path / "d" / "1.raw").write_bytes(b"z" * 101)
    second = fingerprint(tmp_path / "d", [], names)
    rewrite(tmp_path / "d" / "1.raw", b"w" * 101)
    with pytest.warns(UserWarning):
        third = fingerprint(tmp_path / "d", [], names)
    assert len({first, second, third}) == 3


def test_place_and_times_of_a_whole_copy_do_not_matter(tmp_path):
    names = images(tmp_path / "d")
    first = fingerprint(tmp_path / "d", ["0.raw"], names)
    shutil.copytree(tmp_path / "d", tmp_path / "copy", copy_function=shutil.copy)  # other times
    assert fingerprint(tmp_path / "copy", ["0.raw"], names) == first


def test_a_home_that_cannot_be_written_takes_files_as_they_are(tmp_path, monkeypatch):
    from medzoo.data.files import fingerprint as module

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    names = images(tmp_path / "d")
    monkeypatch.setattr(module, "write_bytes", refuse)
    assert fingerprint(tmp_path / "d", [], names) == fingerprint(tmp_path / "d", [], names)


@pytest.mark.parametrize(
    "name", [n for n in list_tasks() if not n.startswith(("phantom", "folder", "parquet", "shards"))]
)
def test_every_file_that_a_key_leads_to_is_part_of_the_data(name, tmp_path):
    """Replace the file of the first image by one of the same size: the task, and its decoded rows, are others."""
    if name.startswith("imagenet,") or "mnist" in name:
        pytest.skip("images lie in one file, which is hashed")
    task = fake_task(name, tmp_path)
    root = getattr(task.reader, "root", None)
    key = str(task.column("train", "image")[0]).partition("#")[0].partition("|")[0]
    path = root / key if root is not None else None
    if path is None or not path.is_file():
        pytest.skip("no image is a file of its own")
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    rewrite(path, bytes(content))
    again = load_task(name, root=tmp_path)
    assert again.fingerprint != task.fingerprint


def test_rows_and_results_follow_the_files_of_a_parquet_of_paths(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = {
        "plain": pa.array([f"im/{k}.png" for k in range(12)]),
        "struct": pa.array([{"bytes": None, "path": f"im/{k}.png"} for k in range(12)]),
    }
    words = [["train", "train", "validation", "test"][k % 4] for k in range(12)]
    rest = {"label": [k // 4 % 2 for k in range(12)], "patient_id": [f"p{k}" for k in range(12)], "split": words}
    for kind, column in cells.items():
        root = tmp_path / kind
        for k in range(12):
            png(root / "im" / f"{k}.png", k)
        pq.write_table(pa.table({"image": column, **rest}), root / "t.parquet")
        first = load_task(f"parquet:{root}")
        old = np.asarray(decoded(first, "train", size=4).images)[:, 0, 0]
        for k in range(12):
            png(root / "im" / f"{k}.png", 100 + k)
        second = load_task(f"parquet:{root}")
        new = np.asarray(decoded(second, "train", size=4).images)[:, 0, 0]
        assert second.fingerprint != first.fingerprint and (new == old + 100).all()
        (root / "im" / "3.png").unlink()
        with raises(Exception, "image-files-missing", match=r"im/3\.png"):
            load_task(f"parquet:{root}")


def test_bytes_in_a_parquet_read_no_image_to_be_opened(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    fake_task("parquet:PATH", tmp_path)
    read = []
    real = pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda self, *a, **k: read.append(a) or real(self, *a, **k))
    load_task(f"parquet:{tmp_path}")
    assert read == []
