import io
import os
from pathlib import Path

import numpy as np
import pytest
from custom_samples import dicom, png, table, tree, words
from expect import raises
from PIL import Image

from medzoo.data.custom.find_images import find_images
from medzoo.data.task_registry import load_task
from medzoo.data.validation.check import check_task
from medzoo.errors import DataContractError, UsageError

CLASSES = ("benign", "malignant")


def split_tree(root, names, count=6):
    return tree(root, [f"{s}/{c}/{k}.png" for s in names for c in CLASSES for k in range(count)])


@pytest.mark.parametrize(
    "names",
    [("Training_set", "Test_set"), ("trainset", "testset"), ("train_images", "test_images"), ("TRAIN", "Test"),
     ("trainval", "test"), ("train2017", "val2017"), ("training", "dev", "testing"), ("train_data", "validation_data")],
)  # fmt: skip
def test_folders_of_splits_above_classes(tmp_path, names):
    task = load_task(split_tree(tmp_path, names), groups="none")
    assert task.classes == CLASSES
    held = {key.partition("/")[0]: split for key, split in words(task).items() if "train" not in key.lower()}
    assert all(name in held and held[name] in ("validation", "test") for name in names[1:])


@pytest.mark.parametrize(
    "names",
    [("test", "val"), ("development", "holdout"), ("eval", "test"), ("train", "eval"), ("train", "training"),
     ("dev", "test1", "test2"), ("train_val", "test"), ("fold1", "test")],
)  # fmt: skip
def test_folders_of_unclear_splits_are_never_classes(tmp_path, names):
    with pytest.raises(DataContractError):
        load_task(split_tree(tmp_path, names), groups="none")


def test_folds_as_folders(tmp_path):
    name = split_tree(tmp_path, [f"fold{n}" for n in range(4)])
    with raises(UsageError, "fold-not-given", match="--fold"):
        load_task(name, groups="none")
    task = load_task(name, groups="none", fold=3)
    assert {key.partition("/")[0] for key, split in words(task).items() if split == "test"} == {"fold3"}
    assert {key.partition("/")[0] for key, split in words(task).items() if split == "validation"} == {"fold0"}


def test_splits_inside_of_classes(tmp_path):
    name = tree(tmp_path, [f"{c}/{s}/{k}.png" for c in CLASSES for s in ("train", "val", "test") for k in range(4)])
    task = load_task(name, groups="none")
    assert task.classes == CLASSES
    assert all(
        {"val": "validation"}.get(key.split("/")[1], key.split("/")[1]) == split for key, split in words(task).items()
    )
    png(tmp_path / "benign" / "loose.png", 99)
    with raises(DataContractError, "split-folders-incomplete"):
        load_task(name, groups="none")


@pytest.mark.parametrize(
    "paths",
    [
        [f"data/{c}/{k}.png" for c in CLASSES for k in range(5)],
        [f"data/{s}/{c}/{k}.png" for s in ("train", "test") for c in CLASSES for k in range(5)],
        [f"train/images/{c}/{k}.png" for c in CLASSES for k in range(5)],
        [f"archive/benign/{k}.png" for k in range(5)],
    ],
)
def test_an_outer_folder_is_not_taken_for_the_one_class(tmp_path, paths):
    with raises(DataContractError, "single-outer-folder"):
        load_task(tree(tmp_path, paths), groups="none")


def test_a_class_named_like_a_split_is_told(tmp_path):
    with pytest.warns(UserWarning, match="valid"):
        task = load_task(
            tree(tmp_path, [f"{c}/{k}.png" for c in ("valid", "invalid") for k in range(20)]), groups="none"
        )
    assert task.classes == ("invalid", "valid")


@pytest.mark.parametrize("name", ["labels.tsv", "labels.TSV", "metadata.tsv", "LABELS.CSV", "anything.csv"])
def test_a_table_beside_images_is_read(tmp_path, name):
    separator = "\t" if name.lower().endswith("tsv") else ","
    rows = [(f"{'pq'[k // 10]}/{k}.png", "ab"[k % 2], f"p{k}") for k in range(20)]
    task = load_task(table(tmp_path, ["image", "label", "patient_id"], rows, name, separator))
    assert task.classes == ("a", "b")
    assert load_task(f"folder:{tmp_path / name}").fingerprint == task.fingerprint


@pytest.mark.parametrize("name", ["labels.xlsx", "labels.txt", "metadata.jsonl", "labels.parquet", "train.json"])
def test_tables_that_are_not_read_are_told(tmp_path, name):
    tree(tmp_path, [f"{c}/{k}.png" for c in CLASSES for k in range(20)])
    (tmp_path / name).write_text("1/2.png,x\n")
    with pytest.warns(UserWarning, match=name):
        load_task(f"folder:{tmp_path}", groups="none")
    assert any(name in note for note in check_task(f"folder:{tmp_path}", groups="none", progress=False).notes)


def test_tables_of_splits(tmp_path):
    for split, first in (("train", 0), ("val", 20), ("test", 30)):
        table(
            tmp_path,
            ["image", "label", "patient_id"],
            [(f"i{first + k}.png", "ab"[k % 2], f"p{first + k}") for k in range(10)],
            f"{split}.csv",
        )
    task = load_task(f"folder:{tmp_path}")
    assert {s: t.num_rows for s, t in task.tables.items()} == {"train": 10, "validation": 10, "test": 10}
    (tmp_path / "test.csv").write_text("image,patient_id\ni30.png,p30\n")
    with raises(DataContractError, "tables-differ"):
        load_task(f"folder:{tmp_path}")
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    with raises(DataContractError, "several-tables", match="tables"):
        load_task(f"folder:{tmp_path}")


def encoded(format, **options):
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), 7, np.uint8)).save(buffer, format, **options)
    return buffer.getvalue()


FILES = {
    "a.jfif": encoded("JPEG"), "b.jpe": encoded("JPEG"), "C.PNG": encoded("PNG"), "d": encoded("PNG"), "e.bin": encoded("TIFF"),
    "f.Jpg": encoded("JPEG"), "g.pgm": encoded("PPM"), "h.tmp": encoded("GIF"), "i.x": encoded("BMP"), "j.y": encoded("WEBP"),
}  # fmt: skip


@pytest.mark.parametrize("name", [*FILES, "IM0001", "slice.DIC", "1.2.840.1", "volume"])
def test_images_are_known_by_what_they_hold(tmp_path, name):
    root = tree(tmp_path, [f"{c}/{k}.png" for c in CLASSES for k in range(20)])[7:]
    path = Path(root, "benign", name)
    if name in FILES:
        path.write_bytes(FILES[name])
    elif name == "volume":
        np.save(path.with_suffix(".npy"), np.zeros((4, 4), np.uint8))
        path.with_suffix(".npy").rename(path)
    else:
        dicom(path)
    task = load_task(f"folder:{root}", groups="none")
    assert f"benign/{name}" in words(task)
    split = words(task)[f"benign/{name}"]
    assert task.read(split, task.column(split, "id").index(f"benign/{name}"))[0].array.size


def test_files_that_are_no_images_are_told_and_hidden_ones_are_not(tmp_path):
    root = tree(tmp_path, [f"{c}/{k}.png" for c in CLASSES for k in range(20)])[7:]
    for name, content in (("notes.txt", b"hello"), ("Thumbs.db", b"\xd0\xcf"), ("DICOMDIR", bytes(128) + b"DICM"),
                          (".hidden", b"x"),
                          ("x.zip", b"PK\3\4"), ("P1 is here", b"P1 is here")):  # fmt: skip
        Path(root, "benign", name).write_bytes(content)
    with pytest.warns(UserWarning, match="5 files") as told:
        load_task(f"folder:{root}", groups="none")
    text = str(told[0].message)
    assert "notes.txt" in text and "Thumbs.db" in text and "hidden" not in text
    found = find_images(Path(root))
    assert len(found.images) == 40 and len(found.others) == 5


def test_an_empty_image_does_not_vanish(tmp_path):
    root = tree(tmp_path, [f"{c}/{k}.png" for c in CLASSES for k in range(20)])[7:]
    Path(root, "benign", "0.png").write_bytes(b"")
    report = check_task(f"folder:{root}", groups="none", progress=False)
    assert any(row["image"] == "benign/0.png" for row in report.rows)


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    name = tree(tmp_path, [f"{c}/{k}.png" for c in CLASSES for k in range(20)])
    real = os.scandir

    def scandir(path):
        if isinstance(path, str | Path) and os.fspath(path).endswith("malignant"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        with raises(DataContractError, "folder-unreadable", match="malignant"):
            load_task(name, groups="none")


def test_names_that_are_no_text_are_refused_by_name(tmp_path):
    for c in ("a", "b"):
        for k in range(3):
            png(tmp_path / c / f"{k}.png")
    os.rename(tmp_path / "a" / "0.png", os.fsencode(tmp_path / "a") + b"/caf\xe9.png")
    with raises(DataContractError, "file-name-not-utf8", match=r"caf\\\\?udce9"):
        load_task(f"folder:{tmp_path}", groups="none")
    os.rename(tmp_path / "b", os.fsencode(tmp_path) + b"/\xe9")
    with pytest.raises(DataContractError):
        load_task(f"folder:{os.fsdecode(os.fsencode(tmp_path) + bytes([47, 0xE9]))}", groups="none")


def test_columns_by_any_name(tmp_path):
    rows = [(f"i{k}.png", "ab"[k % 2], f"p{k}") for k in range(40)]
    task = load_task(table(tmp_path / "a", ["IMAGE", "Label", "Patient ID"], rows))
    assert task.classes == ("a", "b") and task.info.groups == "Patient ID"
    name = table(tmp_path / "b", ["Where", "Dx", "Case"], rows)
    task = load_task(f"{name},image=where,label=DX,group=case")
    assert task.classes == ("a", "b") and task.name.endswith(",image=where,label=DX")
    assert load_task(f"{name},label=Dx,image=Where", groups="Case").split_hash == task.split_hash
    for choices in (",image=Wher", ",image=where,label=D", ",image=where,label=dx,group=Cas"):
        with raises(DataContractError, "named-column-missing"):
            load_task(name + choices)
    with raises(UsageError, "choice-unknown"):
        load_task(f"{name},lable=Dx")
    for choices in (",image=where,lable=Dx", ",image=where,labels=Dx;Where,lable=x"):
        with raises(UsageError, "choice-unknown", match="Unknown option 'lable' of folder:\\. Did you mean"):
            load_task(name + choices)
    with raises(DataContractError, "named-column-missing"):  # no option has a similar name
        load_task(f"{name},image=where,colour=Dx")
    comma = table(tmp_path / "comma", ['"Where,lable=x"', "Dx", "Case"], rows)
    assert load_task(f"{comma},image=Where,lable=x,label=Dx,group=Case").classes == ("a", "b")
    with raises(UsageError, "task-choice-malformed", match="once"):
        load_task(f"{name},label=Dx,label=Dx")
    with raises(UsageError, "choice-needs-table"):
        load_task(tree(tmp_path / "c", [f"{c}/{k}.png" for c in CLASSES for k in range(5)]) + ",label=x", groups="none")


@pytest.mark.parametrize("written", ["i3", "I3.PNG", "sub/i3.png", "i3.jpg"])
def test_a_wrong_image_name_leads_to_the_right_one(tmp_path, written):
    name = table(tmp_path, ["image", "label", "patient_id"], [(f"i{k}.png", "ab"[k % 2], f"p{k}") for k in range(10)])
    text = (tmp_path / "labels.csv").read_text()
    (tmp_path / "labels.csv").write_text(text.replace("i3.png", written))
    with raises(DataContractError, "image-files-missing", match=r"`i3\.png`"):
        load_task(name)


def test_masks_of_a_table(tmp_path):
    rows = [(f"i{k}.png", f"m{k}.png", f"p{k}") for k in range(20)]
    name = table(tmp_path, ["image", "mask", "patient_id"], rows)
    for k in range(20):
        png(tmp_path / f"m{k}.png", 255 * (k % 2))
    task = load_task(name)
    assert task.kind == "segmentation" and task.classes == ("foreground",) and task.metric == "dice"
    row = task.column("train", "id").index("i1.png")
    assert set(task.read_mask("train", row).ravel()) == {1}
    (tmp_path / "classes.json").write_text('["organ", "lesion"]')
    for k in range(20):
        png(tmp_path / f"m{k}.png", k % 3)
    task = load_task(name)
    values = {
        int(v) for s in task.tables for i in range(task.tables[s].num_rows) for v in np.unique(task.read_mask(s, i))
    }
    assert task.classes == ("organ", "lesion") and values == {0, 1, 2}
    before = task.fingerprint
    png(tmp_path / "m1.png", 2)
    assert load_task(name).fingerprint != before
    (tmp_path / "m1.png").unlink()
    with raises(DataContractError, "image-files-missing", match=r"m1\.png"):
        load_task(name)
