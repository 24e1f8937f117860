"""The fold lists of Juodelyte et al. work for each of their sets: {train,val,test}_fold{1..5}.csv in their very form."""

import shutil

import pytest
from data_samples import fake_task

from medzoo.data.task_registry import load_task

# data/<task>/train_fold1.csv of https://github.com/DovileDo/revisiting-transfer: header, and a row of (number, path, class, pid)
FORMS = {
    "chest_pneumonia": (",path,class,pid", "{number},../../../data/chest_xray/{path},{label},{pid}"),
    "thyroid": (",pid,path,class", "{number},{pid},../../../data/thyroid/{path},{label}"),
    "breast": (",path,class", "{number},../../../data/breast/{path},{label}"),
    "mammograms": (",pid,path,class", "{number},{pid},../../../data/mammograms/images/{path}.png,{label}"),
    "isic": (",path,class", "{number},../../../data/ISIC2018/ISIC2018_Task3_Training_Input/{path}.jpg,{label}"),
    "pcam,files=png": (",path,class", "{number},../../../data/PCam/png_images/{path},{label}"),
    "kimia": (",path,class", "{number},../../../data/kimia_path_960/{path},{label}"),
    "knee": (
        ",0,1_x,2,3,4,5,6,7,pid,1_y,class,path",
        "{number},..,..,..,data,knee,images,{folder},{file},{pid},1,{label},../../../data/knee/images/{path}",
    ),
}


def write(folder, name, task, fold, splits=("train", "val", "test")):
    header, form = FORMS[name]
    words = {"train": "train", "val": "validation", "test": "test"}
    for part in splits:
        split, lines = words[part], [header]
        for number, (key, label, pid) in enumerate(
            zip(task.column(split, "id"), task.labels(split), task.groups(split), strict=True)
        ):
            folder_, _, file = key.rpartition("/")
            label = task.classes[label]
            lines.append(form.format(number=number, path=key, label=label, pid=pid, folder=folder_, file=file))
        (folder / f"{part}_fold{fold}.csv").write_text("\n".join(lines) + "\n")


def pictures(root):
    """PNG files as the study converts PCam."""
    import numpy as np
    from PIL import Image

    folder = root / "PCam" / "png_images"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(60):
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(
            folder / f"{number}_label={number % 2}.png"
        )
    return load_task("pcam", root=root)


@pytest.mark.parametrize("name", FORMS)
def test_the_folds_of_the_study(name, tmp_path):
    root, lists = tmp_path / "data", tmp_path / "lists"
    lists.mkdir()
    task = pictures(root) if name.startswith("pcam") else fake_task(name, root)
    assert task.name == name
    for fold in range(5):
        write(lists, name, load_task(name, root=root, fold=fold), fold + 1)
    for fold in (0, 4):
        own, listed = load_task(name, root=root, fold=fold), load_task(name, root=root, split_file=lists, fold=fold)
        for split in own.splits:
            assert set(listed.column(split, "id")) == set(own.column(split, "id")), split
            assert listed.groups(split) and listed.classes == own.classes
    assert sum(len(load_task(name, root=root, split_file=lists, fold=k).column("test", "id")) for k in range(5)) == sum(
        table.num_rows for table in task.tables.values()
    )


def test_lists_without_a_test_part_and_samples(tmp_path):
    """Kimia and pcam-middle have no readable test lists; pcam-small names some of the files."""
    root, lists = tmp_path / "data", tmp_path / "lists"
    lists.mkdir()
    task = pictures(root)
    write(lists, "pcam,files=png", load_task("pcam", root=root, fold=0), 1, splits=("train", "val"))
    listed = load_task("pcam", root=root, split_file=lists, fold=0)
    assert set(listed.splits) == {"train", "validation"}
    rows = sum(table.num_rows for table in task.tables.values())
    assert sum(table.num_rows for table in listed.tables.values()) < rows  # the rest is left out


def test_rows_that_repeat_an_image_are_one(tmp_path):
    """The study's lists of mammograms have one row a finding."""
    root, lists = tmp_path / "data", tmp_path / "lists"
    lists.mkdir()
    fake_task("mammograms", root)
    fold = load_task("mammograms", root=root, fold=0)
    write(lists, "mammograms", fold, 1)
    path = lists / "train_fold1.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n")
    listed = load_task("mammograms", root=root, split_file=lists, fold=0)
    assert sorted(listed.column("train", "id")) == sorted(fold.column("train", "id"))
    shutil.rmtree(root / "images")
