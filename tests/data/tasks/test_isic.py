"""ISIC 2018: classes by the name of their column, lesions stay together."""

import warnings

import pytest
from data_samples import fake_task
from expect import raises

from medzoo.data.problems import collecting
from medzoo.data.task_registry import load_task
from medzoo.data.tasks.isic import CLASSES, LESIONS, TRUTH
from medzoo.errors import DataContractError, SplitError


def by_id(task, column):
    return {
        key: value
        for split in task.splits
        for key, value in zip(task.column(split, "id"), task.column(split, column), strict=True)
    }


def test_classes_are_found_by_name(tmp_path):
    task = fake_task("isic", tmp_path)
    table = tmp_path / TRUTH / f"{TRUTH}.csv"
    lines = [line.split(",") for line in table.read_text().splitlines()]
    order = [0, *reversed(range(1, 8))]
    table.write_text("\n".join(",".join(line[i] for i in order) for line in lines) + "\n")
    assert by_id(load_task("isic", root=tmp_path), "label") == by_id(task, "label")
    assert len(set(by_id(task, "label").values())) == len(CLASSES)


def test_images_of_one_lesion_stay_together(tmp_path):
    task = fake_task("isic", tmp_path)
    lesions = by_id(task, "patient_id")
    assert len(lesions) > len(set(lesions.values())) and all(lesion.startswith("HAM_") for lesion in lesions.values())
    apart = load_task("isic,group=image", root=tmp_path)
    assert apart.name == "isic,group=image" and apart.info.groups.startswith("none")
    assert by_id(apart, "patient_id") == {key: key for key in lesions}


def test_without_the_file_of_lesions_that_is_said(tmp_path):
    fake_task("isic", tmp_path)
    (tmp_path / LESIONS).unlink()
    with pytest.warns(UserWarning, match=LESIONS):
        assert "without the file of lesions" in load_task("isic", root=tmp_path).info.groups
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_task("isic,group=image", root=tmp_path)  # the user chose it
    with raises(DataContractError, "data-layout-unknown", match=LESIONS):
        load_task("isic,group=lesion", root=tmp_path)


def test_lists_by_image_need_to_be_asked_for(tmp_path):
    task = fake_task("isic", tmp_path)
    lesions = by_id(task, "patient_id")
    pair = next(
        [key for key, other in lesions.items() if other == lesion] for lesion in lesions.values()
        if list(lesions.values()).count(lesion) == 2
    )  # fmt: skip
    rest = [key for key in lesions if key not in pair]
    lists = tmp_path / "lists"
    lists.mkdir()
    for split, part in (("train", [pair[0], *rest[20:]]), ("val", rest[:10]), ("test", [pair[1], *rest[10:20]])):
        (lists / f"{split}.txt").write_text("\n".join(part) + "\n")
    with raises(SplitError, "patients-in-several-splits", match="HAM_"):
        load_task("isic", root=tmp_path, split_file=lists)
    listed = load_task("isic,group=image", root=tmp_path, split_file=lists)
    assert pair[1] in listed.column("test", "id")


def test_rows_without_exactly_one_class_and_strays(tmp_path):
    fake_task("isic", tmp_path)
    table = tmp_path / TRUTH / f"{TRUTH}.csv"
    lines = table.read_text().splitlines()
    lines[1] = lines[1].replace("1.0", "0.0")
    lines[2] = lines[2].partition(",")[0] + ",1.0,1.0,0.0,0.0,0.0,0.0,0.0"
    lost = lines.pop(3).partition(",")[0]
    table.write_text("\n".join([*lines, "ISIC_0099999,1,0,0,0,0,0,0"]) + "\n")
    text = (tmp_path / LESIONS).read_text()
    again = text.splitlines()[-1].partition(",")[0]
    (tmp_path / LESIONS).write_text(text.replace("HAM_0000005", "", 1) + f"{again},HAM_0000000,histopathology\n")
    with collecting() as found:
        load_task("isic", root=tmp_path)
    by_code = {error.code: str(error) for error in found}
    assert "2 rows" in by_code["class-not-exactly-one"] and "ISIC_0099999" in by_code["images-missing"]
    assert lost in by_code["images-not-in-table"] and again in by_code["group-ambiguous"]
    assert "1 images" in by_code["group-missing"]
