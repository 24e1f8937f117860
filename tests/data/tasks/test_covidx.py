import shutil

import pytest
from expect import raises

from medzoo.data.task_registry import load_task
from medzoo.data.tasks import covidx
from medzoo.data.tasks.covidx import CLASSES, _lines
from medzoo.errors import DataContractError, SplitError, UsageError


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    found = {}
    for name in CLASSES:
        found[name] = tmp_path_factory.mktemp(name)
        covidx.fake(found[name], 12, name=name)
    return found


@pytest.fixture
def copy(roots, tmp_path):
    shutil.copytree(roots["covidx"], tmp_path / "root")
    return tmp_path / "root"


def test_lines_are_read_from_their_end(tmp_path):
    (tmp_path / "l.txt").write_text(
        "\ufeff3 SARS-Fig8a-day0.jpeg pneumonia cohen\r\nCOVID 70 COVID(70).png COVID-19 sirm\r\n\r\n47c7 47c7.png normal\r\n",
        encoding="utf-8",
    )
    assert _lines(tmp_path / "l.txt", CLASSES["covidx"]) == [
        ("3", "SARS-Fig8a-day0.jpeg", "pneumonia", "cohen"),
        ("COVID 70", "COVID(70).png", "COVID-19", "sirm"),
        ("47c7", "47c7.png", "normal", None),
    ]


def test_three_classes_and_two(roots):
    three, two = load_task("covidx", root=roots["covidx"]), load_task("covidx_binary", root=roots["covidx_binary"])
    assert (
        (three.kind, two.kind) == ("multiclass", "binary")
        and three.classes[2] == "COVID-19"
        and two.classes[1] == "positive"
    )
    assert three.metric == two.metric == "accuracy"
    assert any(" " in patient for patient in three.groups("train"))
    with raises(DataContractError, "lists-missing"):
        load_task("covidx", root=roots["covidx_binary"])


def test_the_test_list_is_the_test_split_and_validation_is_cut_from_training(roots):
    task = load_task("covidx", root=roots["covidx"])
    assert task.tables["test"].num_rows == 18
    assert all(key.startswith("train/") for key in task.column("validation", "image"))
    assert set(task.column("train", "source")) == {"sirm", None}


def test_versions_are_not_chosen_between(copy):
    for split in ("train", "test"):
        shutil.copy(copy / f"{split}_COVIDx9A.txt", copy / f"{split}.txt")
    with raises(DataContractError, "version-ambiguous"):
        load_task("covidx", root=copy)
    one, other = load_task("covidx,version=9A", root=copy), load_task("covidx,version=kaggle", root=copy)
    assert one.split_hash == other.split_hash and one.name == "covidx,version=9A"
    with raises(UsageError, "version-of-other-task"):
        load_task("covidx,version=9B", root=copy)
    with raises(DataContractError, "lists-missing", match=r"train_COVIDx8A\.txt"):
        load_task("covidx,version=8A", root=copy)


def test_a_cleaned_list_as_a_split(roots, tmp_path):
    root = roots["covidx"]
    lines = (root / "train_COVIDx9A.txt").read_text().splitlines()
    lines = [line for line in lines if " " not in line.partition(" COVID")[0].strip() or not line.startswith("COVID ")]
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "train_COVIDx9A_clean.txt").write_text("\n".join(lines[:-4]) + "\n")
    (lists / "val_COVIDx9A.txt").write_text("\n".join(lines[-2:]) + "\n")
    tests = [line for line in (root / "test_COVIDx9A.txt").read_text().splitlines() if not line.startswith("COVID ")]
    (lists / "test_COVIDx9A.txt").write_text("\n".join(tests) + "\n")
    task = load_task("covidx", root=root, split_file=lists)
    assert task.column("train", "id") == [line.split()[1] for line in lines[:-4]]
    assert set(task.column("test", "id")) == {line.split()[1] for line in tests}


@pytest.mark.parametrize("line, cause", [
    ("A1 only.png", "list-line-invalid"),
    ("A1 file.png influenza sirm", "list-line-invalid"),
    ("A1 gone.png normal sirm", "data-files-missing"),
])  # fmt: skip
def test_f34_broken_lists_say_why(copy, line, cause):
    with (copy / "train_COVIDx9A.txt").open("a") as stream:
        stream.write(line + "\n")
    with raises(DataContractError, cause):
        load_task("covidx", root=copy)


def test_f34_a_file_listed_twice_and_a_patient_in_both_lists(copy):
    text = (copy / "train_COVIDx9A.txt").read_text()
    (copy / "train_COVIDx9A.txt").write_text(text + text.splitlines()[1] + "\n")
    with raises(DataContractError, "image-id-repeated"):
        load_task("covidx", root=copy)
    (copy / "train_COVIDx9A.txt").write_text(text)
    tested = next(line for line in (copy / "test_COVIDx9A.txt").read_text().splitlines() if line.startswith("A"))
    learned = next(line for line in text.splitlines() if line.startswith("A"))
    patient = tested.split()[0]
    (copy / "train_COVIDx9A.txt").write_text(text.replace(learned, f"{patient} {learned.partition(' ')[2]}"))
    with raises(SplitError, "patients-in-several-splits"):
        load_task("covidx", root=copy)
    assert load_task("covidx", root=copy, fold=0)  # a fold replaces the lists


@pytest.fixture
def kaggle(roots, tmp_path):
    """The copy of Kaggle with a list for validation, as published since 2023."""
    root = tmp_path / "kaggle"
    shutil.copytree(roots["covidx_binary"], root)
    for split in ("train", "test"):
        (root / f"{split}_COVIDx9B.txt").rename(root / f"{split}.txt")
    return root


def test_a_list_for_validation_is_the_validation_split(kaggle):
    before = load_task("covidx_binary", root=kaggle)
    lines = (kaggle / "train.txt").read_text().splitlines()
    patients = {line.split(" A")[0].split()[0] for line in lines[-8:]}
    held = [line for line in lines if line.split()[0] in patients]
    (kaggle / "val").mkdir()
    for line in held:
        shutil.move(kaggle / "train" / line.split()[-3], kaggle / "val") if line.endswith("sirm") else shutil.move(
            kaggle / "train" / line.split()[-2], kaggle / "val"
        )
    (kaggle / "train.txt").write_text("\n".join(line for line in lines if line not in held) + "\n")
    (kaggle / "val.txt").write_text("\n".join(held) + "\n")
    task = load_task("covidx_binary", root=kaggle)
    assert {key.partition("/")[0] for key in task.column("validation", "image")} == {"val"}
    assert task.tables["validation"].num_rows == len(held) and task.tables["test"].num_rows == 18
    assert task.tables["train"].num_rows == len(lines) - len(held)
    assert task.fingerprint != before.fingerprint and load_task("covidx_binary", root=kaggle, fold=0).tables
    (kaggle / "val.txt").write_text("gone gone.png positive sirm\n")
    with raises(DataContractError, "data-files-missing", match=r"val/gone\.png"):
        load_task("covidx_binary", root=kaggle)


def test_lists_of_a_version_do_not_use_the_list_of_kaggle(copy):
    before = load_task("covidx", root=copy)
    (copy / "val.txt").write_text("gone gone.png normal sirm\n")
    after = load_task("covidx", root=copy)
    assert (after.fingerprint, after.split_hash) == (before.fingerprint, before.split_hash)
