"""The hash of a data set's files: every byte and every name is in it, and the place where they lie is not."""

import shutil

import pytest

from medzoo.data.files.fingerprint import fingerprint


@pytest.fixture(params=[3, 80], ids=["few", "many"])
def files(request, tmp_path):
    """A folder with files of one size, and their names; of many there is one receipt for all."""
    root = tmp_path / "data"
    names = [f"p{number % 7}/{number:03d}.bin" for number in range(request.param)]
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes([number]) * 50)
    return root, names


def test_the_same_files_elsewhere_are_the_same_data(files, tmp_path):
    root, names = files
    before = fingerprint(root, names)
    shutil.copytree(root, tmp_path / "copy")
    assert fingerprint(tmp_path / "copy", names) == fingerprint(root, reversed(names)) == before
    (root / "unrelated.txt").write_text("x")
    assert fingerprint(root, names) == before


@pytest.mark.parametrize("change", ["content", "swapped", "renamed", "one less"])
def test_what_changes_the_data_changes_the_hash(files, change):
    """Also two files that changed their places, as when labels were sorted another way."""
    root, names = files
    before = fingerprint(root, names)
    first, second = (root / name for name in names[:2])
    if change == "content":
        first.write_bytes(b"\xff" * 50)
    elif change == "swapped":
        one, other = first.read_bytes(), second.read_bytes()
        first.write_bytes(other)
        second.write_bytes(one)
    elif change == "renamed":
        first.rename(first.with_name("other.bin"))
        names = [f"{names[0].partition('/')[0]}/other.bin", *names[1:]]
    else:
        names = names[1:]
    assert fingerprint(root, names) != before


def test_images_of_a_large_set_go_in_by_name_and_size(tmp_path):
    (tmp_path / "labels.csv").write_text("a")
    for name in ("x.png", "y.png"):
        (tmp_path / name).write_bytes(b"0123")
    before = fingerprint(tmp_path, ["labels.csv"], ["x.png", "y.png"])
    assert before != fingerprint(tmp_path, ["labels.csv"]) and before != fingerprint(
        tmp_path, ["labels.csv"], ["x.png"]
    )
    (tmp_path / "y.png").write_bytes(b"01234")
    assert fingerprint(tmp_path, ["labels.csv"], ["x.png", "y.png"]) != before
