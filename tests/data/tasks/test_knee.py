"""Knee slices: labels by exam or by slice, the two layouts, names in both folders."""

import shutil

from data_samples import fake_task
from expect import raises

from medzoo.data.problems import collecting
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError


def labels(task):
    return {
        key: task.classes[label]
        for split in task.splits
        for key, label in zip(task.column(split, "id"), task.labels(split), strict=True)
    }


def as_study(source, target):
    """The layout of Juodelyte et al. out of that of the RadImageNet repository."""
    for kind in ("acl", "meniscus"):
        shutil.copytree(source / kind / "images", target / "knee" / "images" / kind)
        exams = sorted({path.name[:4] for path in (source / kind / "images").iterdir()})
        half = len(exams) // 2
        for part, some in (("train", exams[:half]), ("valid", exams[half:])):
            lines = [f"{exam},{int(exam) % 2}" for exam in some]
            (target / "knee" / f"{part}-{kind}.csv").write_text("\n".join(lines) + "\n")


def test_labels_follow_the_folder_and_the_exam(tmp_path):
    task = fake_task("knee", tmp_path)
    found = labels(task)
    assert len(found) == 48
    for key, label in found.items():
        kind, _, file = key.partition("/")
        assert label == (kind if int(file[:4]) % 2 else "normal")
    groups = {group for split in task.splits for group in task.groups(split)}
    assert "0003" in groups and len(groups) == 24


def test_both_layouts_say_the_same(tmp_path):
    task = fake_task("knee", tmp_path / "a")
    as_study(tmp_path / "a", tmp_path / "b")
    study = load_task("knee", root=tmp_path / "b")
    assert labels(study) == labels(task) and study.split_hash == task.split_hash


def test_a_slice_in_both_folders_is_two_images_of_one_exam(tmp_path):
    fake_task("knee", tmp_path)
    name = "0001_sagittal_11.000000.png"
    shutil.copy(tmp_path / "acl" / "images" / name, tmp_path / "meniscus" / "images" / name)
    with (tmp_path / "meniscus" / "dataframe" / "meniscus_train_fold1.csv").open("a") as file:
        file.write(f"images/{name},p\n")
    task = load_task("knee", root=tmp_path)
    assert labels(task)[f"acl/{name}"] == "acl" and labels(task)[f"meniscus/{name}"] == "meniscus"
    homes = {split for split in task.splits for key in task.column(split, "id") if key.endswith(name)}
    assert len(homes) == 1


def test_mrnets_validation_menisci_are_not_read_as_abnormal(tmp_path):
    fake_task("knee", tmp_path / "a")
    as_study(tmp_path / "a", tmp_path / "b")
    before = labels(load_task("knee", root=tmp_path / "b"))
    (tmp_path / "b" / "knee" / "valid-abnormal.csv").write_text("".join(f"{exam:04d},1\n" for exam in range(500, 512)))
    assert labels(load_task("knee", root=tmp_path / "b")) == before


def test_slices_without_a_label_and_labels_without_a_slice(tmp_path):
    fake_task("knee", tmp_path)
    image = tmp_path / "acl" / "images" / "0001_sagittal_11.000000.png"
    shutil.copy(image, image.with_name("0900_sagittal_11.000000.png"))
    shutil.copy(image, image.with_name("knee.png"))
    (tmp_path / "acl" / "images" / "0002_sagittal_11.000000.png").unlink()
    table = tmp_path / "acl" / "dataframe" / "test_fold1.csv"
    table.write_text(table.read_text().replace(",yes", ",perhaps"))
    other = tmp_path / "acl" / "dataframe" / "val_fold2.csv"
    other.write_text("filename,acl_label\nimages/0004_sagittal_11.000000.png,yes\n")
    with collecting() as found:
        load_task("knee", root=tmp_path)
    by_code = {error.code: str(error) for error in found}
    assert "acl/images/knee.png" in by_code["file-name-invalid"] and "'perhaps'" in by_code["label-invalid"]
    assert "acl/0003" in by_code["images-not-in-table"] and "acl/0900" in by_code["images-not-in-table"]
    assert "0002_sagittal_11.000000.png" in by_code["images-missing"] and "0004" in by_code["label-conflict"]


def test_a_table_that_labels_a_slice_or_an_exam_twice_is_refused(tmp_path):
    fake_task("knee", tmp_path / "a")
    as_study(tmp_path / "a", tmp_path / "b")
    for file, line, key in (
        ("a/acl/dataframe/train_fold1.csv", "images/0001_sagittal_11.000000.png,no", "0001_sagittal_11"),
        ("b/knee/train-acl.csv", "1,0", "0001"),
    ):
        with (tmp_path / file).open("a") as table:
            table.write(line + "\n")
        with raises(DataContractError, "label-conflict", match=key):
            load_task("knee", root=tmp_path / file[0])


def test_without_any_table_nothing_is_guessed(tmp_path):
    fake_task("knee", tmp_path)
    shutil.rmtree(tmp_path / "meniscus" / "dataframe")
    with raises(DataContractError, "tables-missing"):
        load_task("knee", root=tmp_path)
