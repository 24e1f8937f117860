import shutil

import numpy as np
import pytest
from expect import raises

from medzoo.data.task_registry import load_task
from medzoo.data.tasks import chestdr
from medzoo.data.tasks.chestdr import LISTS
from medzoo.errors import DataContractError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "root"
    chestdr.fake(place, 12)
    return place


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "root")
    return tmp_path / "root"


def test_the_authors_lists_and_arks_are_the_same_task(root, copy):
    for ark, authors in LISTS.values():
        lines = (copy / ark).read_text().splitlines()
        (copy / authors).write_text("".join(f"{line.replace(' ', '.png ')}\r\n" for line in lines))
        (copy / ark).unlink()
    one, other = load_task("chestdr", root=root), load_task("chestdr", root=copy)
    assert one.split_hash == other.split_hash
    for split in one.tables:
        assert one.column(split, "id") == other.column(split, "id")
        assert np.array_equal(one.labels(split), other.labels(split))
    assert any("." in key for key in one.column("train", "id"))


def test_few_shot_lists_as_a_split(root, tmp_path):
    lines = (root / LISTS["train"][0]).read_text().splitlines()
    (tmp_path / "chest_5-shot_train_exp1.txt").write_text(
        "".join(f"{line.replace(' ', '.png ')}\n" for line in lines[:60])
    )
    (tmp_path / "chest_5-shot_val_exp1.txt").write_text(
        "".join(f"{line.replace(' ', '.png ')}\n" for line in lines[60:])
    )
    task = load_task("chestdr", root=root, split_file=tmp_path)
    assert task.column("train", "id") == [line.split()[0] for line in lines[:60]]
    assert task.column("validation", "id") == [line.split()[0] for line in lines[60:]]


def test_few_shot_lists_that_share_images_are_refused_by_name(root, tmp_path):
    lines = [line.replace(" ", ".png ") for line in (root / LISTS["train"][0]).read_text().splitlines()]
    for word, chosen in (("train", lines[:60]), ("val", lines[59:])):
        (tmp_path / f"chest_5-shot_{word}_exp1.txt").write_text("\n".join(chosen) + "\n")
    with raises(DataContractError, "split-file-id-in-two-splits"):
        load_task("chestdr", root=root, split_file=tmp_path)


@pytest.mark.parametrize("line, cause", [
    ("5E26 0,1", "list-line-invalid"),
    ("5E26 " + ",".join(["2"] * 19), "list-line-invalid"),
    ("gone " + ",".join(["1"] * 19), "images-missing"),
])  # fmt: skip
def test_f34_broken_lists_say_why(copy, line, cause):
    with (copy / LISTS["train"][0]).open("a") as stream:
        stream.write(line + "\n")
    with raises(DataContractError, cause):
        load_task("chestdr", root=copy)


def test_an_image_in_both_lists_is_named(copy):
    line = (copy / LISTS["train"][0]).read_text().splitlines()[1]
    with (copy / LISTS["test"][0]).open("a") as stream:
        stream.write(line + "\n")
    with raises(DataContractError, "image-id-repeated"):
        load_task("chestdr", root=copy)
    shutil.rmtree(copy / "images")
    with raises(DataContractError, "images-not-found"):
        load_task("chestdr", root=copy)
