import json

import numpy as np
import pytest
from expect import raises
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from medzoo.data.decode_cache.cache import decoded
from medzoo.data.files import fingerprint as fingerprints
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError, ImageError, MedzooError, SplitError, UsageError


def png(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 5), value, np.uint8)).save(path)


def class_folders(root, splits=("train", "val", "test"), count=4):
    for split in splits:
        for label in ("benign", "malignant"):
            for number in range(count):
                png(root / split / label / f"{number}.png", number)
    return root


def csv_folder(root, text, images="abcdef"):
    for name in images:
        png(root / f"{name}.png")
    (root / "labels.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return f"folder:{root}"


GOOD = "image,label,patient_id,split\n" + "".join(
    f"{name}.png,{label},p{name},{split}\n"
    for name, label, split in zip("abcdef", "nynyny", ["train"] * 2 + ["val"] * 2 + ["test"] * 2, strict=True)
)


def test_class_folders_with_splits(tmp_path):
    task = load_task(f"folder:{class_folders(tmp_path)}", groups="none")
    assert (
        task.classes == ("benign", "malignant")
        and task.kind == "binary"
        and task.info.groups.startswith("none: stated")
    )
    assert task.counts("validation") == {"benign": 4, "malignant": 4}
    assert task.splits["test"][0]["id"] == "test/benign/0.png" and task.read("test", 2)[0].array.shape == (6, 5)
    assert task.name == f"folder:{tmp_path.name}"


def test_class_folders_without_splits_get_them(tmp_path):
    class_folders(tmp_path, [""], 20)
    task = load_task("folder:.", root=tmp_path, groups="none")
    assert {split: table.num_rows for split, table in task.tables.items()} == {"train": 28, "validation": 4, "test": 8}


def test_copies_in_hidden_folders_are_no_images_and_linked_folders_are_read(tmp_path):
    root = class_folders(tmp_path / "data", [""], 20)
    png(root / "benign" / ".ipynb_checkpoints" / "0-checkpoint.png", 0)
    png(tmp_path / "disk" / "more.png", 99)
    (root / "benign" / "linked").symlink_to(tmp_path / "disk", target_is_directory=True)
    task = load_task(f"folder:{root}", groups="none")
    ids = {key for split in task.tables for key in task.column(split, "id")}
    assert len(ids) == 41 and "benign/linked/more.png" in ids


def test_no_word_about_patients_is_an_error_that_explains_itself(tmp_path):
    with raises(DataContractError, "patient-groups-missing"):
        load_task(f"folder:{class_folders(tmp_path)}")


@pytest.mark.parametrize("prefix, cause", [("folder", "folder-missing"), ("parquet", "parquet-file-missing")])
def test_a_missing_folder_is_named(tmp_path, prefix, cause):
    with raises(DataContractError, cause, match="nowhere"):
        load_task(f"{prefix}:{tmp_path / 'nowhere'}", groups="none")
    with pytest.raises(DataContractError):
        load_task(f"{prefix}:{tmp_path}", groups="none")
    with raises(UsageError, "path-missing"):
        load_task(f"{prefix}:")


def test_folders_that_do_not_fit(tmp_path):
    class_folders(tmp_path / "a")
    png(tmp_path / "a" / "test" / "odd" / "0.png")
    with raises(DataContractError, "images-outside-classes"):
        load_task(f"folder:{tmp_path / 'a'}", groups="none")
    class_folders(tmp_path / "b")
    png(tmp_path / "b" / "extra" / "0.png")
    with raises(DataContractError, "split-folders-mixed"):
        load_task(f"folder:{tmp_path / 'b'}", groups="none")
    png(class_folders(tmp_path / "c") / "train" / "loose.png")
    with raises(DataContractError, "images-outside-class-folders"):
        load_task(f"folder:{tmp_path / 'c'}", groups="none")


def test_a_csv(tmp_path):
    task = load_task(csv_folder(tmp_path, GOOD))
    assert task.classes == ("n", "y") and task.info.groups == "patient_id"
    assert task.groups("test") == ["pe", "pf"] and task.labels("train").tolist() == [0, 1]


@pytest.mark.parametrize(
    "change",
    [lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n"), lambda t: t.replace(",", ";"), lambda t: t + "\n"],
)
def test_spellings_of_a_csv(tmp_path, change):
    task = load_task(csv_folder(tmp_path, change(GOOD)))
    assert task.counts("train") == {"n": 1, "y": 1}


@pytest.mark.parametrize(
    "change, error, cause",
    [
        (lambda t: t.replace("b.png", "zz.png"), DataContractError, "image-files-missing"),
        (lambda t: t.replace("b.png", "a.png"), DataContractError, "image-id-repeated"),
        (lambda t: t.replace("pe", "pa"), SplitError, "patients-in-several-splits"),
        (lambda t: t.replace("pe", ""), DataContractError, "patient-id-empty"),
        (lambda t: t.replace("pe", "NaN"), DataContractError, "patient-id-empty"),
        (lambda t: t.replace(",y,pb", ",,pb"), DataContractError, "label-empty"),
        (lambda t: t.replace("pb,train", "pb,tarin"), DataContractError, "split-value-unknown"),
        (lambda t: t.replace("patient_id,split", "patient_id,patient_id"), DataContractError, "column-repeated"),
        (lambda t: t + "a.png,n\n", DataContractError, "row-length-wrong"),
        (lambda t: t.replace("image", "picture"), DataContractError, "image-column-missing"),
        (lambda t: t.replace("label", "diagnosis"), DataContractError, "label-column-missing"),
        (lambda t: t.split("\n")[0], DataContractError, "table-without-rows"),
        (lambda t: "", DataContractError, "table-empty"),
        (lambda t: '"' + t, DataContractError, "csv-unreadable"),
        (lambda t: t.encode() + b"\xff", DataContractError, "table-not-utf8"),
    ],
)
def test_f34_broken_csvs_name_every_offender(tmp_path, change, error, cause):
    with raises(error, cause):
        load_task(csv_folder(tmp_path, change(GOOD)))


def test_a_csv_of_windows(tmp_path):
    png(tmp_path / "sub" / "c.png")
    task = load_task(csv_folder(tmp_path, GOOD.replace("c.png", "sub\\c.png")))
    assert task.column("validation", "image")[0] == "sub/c.png" and task.column("validation", "id")[0] == "sub\\c.png"
    assert task.read("validation", 0)[0].array.shape == (6, 5)


@pytest.mark.parametrize(
    "written, hint",
    [("C.jpg", "lies `c.png`"), ("c", "lies `c.png`"), ("c.jpg", "lies `c.png`"), (r"D:\x\c.png", "as they lie below"),
     ("/x/c.png", "as they lie below"), ("z.png", r"z\.png\.$"), ("no/c.png", "There is `c.png`"), ("", r": \.$")],
)  # fmt: skip
def test_an_image_that_is_missing_is_told_with_what_it_may_be(tmp_path, written, hint):
    with raises(DataContractError, "image-files-missing"):
        load_task(csv_folder(tmp_path, GOOD.replace("c.png", written)))


def test_labels_outside_named_classes(tmp_path):
    name = csv_folder(tmp_path, GOOD)
    (tmp_path / "classes.json").write_text('["n", "x"]')
    with raises(DataContractError, "label-outside-classes"):
        load_task(name)
    (tmp_path / "classes.json").write_text('{"n": 1}')
    with raises(DataContractError, "classes-json-not-a-list"):
        load_task(name)


def test_a_leak_is_mended_by_folds_or_a_split_file(tmp_path):
    name = csv_folder(tmp_path, GOOD.replace("pe", "pa"))
    words = dict(zip([f"{n}.png" for n in "abcdef"], ["train", "train", "val", "val", "train", "test"], strict=True))
    (tmp_path / "splits.json").write_text(json.dumps(words))
    task = load_task(name, split_file=tmp_path / "splits.json")
    assert task.groups("train") == ["pa", "pb", "pa"]


def test_multilabel_columns_and_the_policy(tmp_path):
    lines = ["a.png,1,1,0,F", "b.png,2,0,1,M", "c.png,3,-1,,F", "d.png,4,1,1,M", "e.png,5,0,0,F", "f.png,6,1,1,F"]
    name = csv_folder(tmp_path, "\n".join(["image,patient,oedema,mass,sex", *lines]))
    words = ["train"] * 4 + ["val", "test"]
    (tmp_path / "s.csv").write_text(
        "id,split\n" + "".join(f"{n}.png,{w}\n" for n, w in zip("abcdef", words, strict=True))
    )
    load = lambda policy: load_task(name, split_file=tmp_path / "s.csv", label_policy=policy)  # noqa: E731
    task = load(None)
    assert (
        task.kind == "multilabel" and task.classes == ("oedema", "mass") and task.column("train", "sex") == list("FMFM")
    )
    assert np.isnan(task.labels("train")[2]).all()
    assert load("zero").labels("train")[2, 0] == 0 and load("one").labels("train")[2, 0] == 1
    with raises(UsageError, "label-policy-unknown"):
        load("maybe")


def test_numbers_with_fractions_are_regression(tmp_path):
    task = load_task(csv_folder(tmp_path, GOOD.replace(",n,", ",1.5,").replace(",y,", ",-2,")))
    assert task.kind == "regression" and task.metric == "mae" and task.labels("train").tolist() == [1.5, -2]


def test_f31_an_unreadable_image_names_its_file(tmp_path):
    task = load_task(csv_folder(tmp_path, GOOD))
    (tmp_path / "c.png").write_bytes(b"<html>")
    with raises(ImageError, "image-is-html"):
        decoded(task, "validation", size=8)


cells = st.text(alphabet=st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["a.png", "b.png", "1", "0", "-1", "nan", "train", "test", '"', "\0"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["image", "label", "patient_id", "split", "id", "mass", ""]) | cells, max_size=6),
    st.lists(st.lists(cells, max_size=6), max_size=6),
    st.sampled_from([",", ";", "\t", "\n"]),
)
def test_any_csv_gives_a_task_or_a_medzoo_error(tmp_path, header, table, separator):
    text = "\n".join(separator.join(line) for line in [header, *table])
    try:
        assert load_task(csv_folder(tmp_path, text, "ab")).tables
    except MedzooError as error:
        assert str(error)


def test_many_files_are_hashed_once(tmp_path, monkeypatch):
    class_folders(tmp_path, count=20)
    hashed = []
    real = fingerprints.sha256_file
    monkeypatch.setattr(fingerprints, "sha256_file", lambda path: hashed.append(path) or real(path))
    first = load_task(f"folder:{tmp_path}", groups="none").fingerprint
    assert len(hashed) == 120
    assert load_task(f"folder:{tmp_path}", groups="none").fingerprint == first and len(hashed) == 120
    png(tmp_path / "train" / "benign" / "3.png", 99)
    assert load_task(f"folder:{tmp_path}", groups="none").fingerprint != first and len(hashed) == 121


def test_a_fingerprint_does_not_depend_on_the_place(tmp_path):
    one, two = class_folders(tmp_path / "one"), class_folders(tmp_path / "two")
    assert (
        load_task(f"folder:{one}", groups="none").fingerprint == load_task(f"folder:{two}", groups="none").fingerprint
    )
