"""iNaturalist 2021: species folders in the training sets and in val."""

import shutil

from data_samples import fake_task
from expect import raises

from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError


def test_classes_are_the_folders_of_both_parts(tmp_path):
    task = fake_task("inat2021", tmp_path)
    assert len(task.classes) == 8 and task.classes[3].startswith("00003_Animalia_")
    for split in task.splits:
        for key, label in zip(task.column(split, "id"), task.labels(split), strict=True):
            assert key.split("/")[1] == task.classes[label]
    assert all(key.startswith("val/") for key in task.column("test", "id"))
    mini = load_task("inat2021,set=train_mini", root=tmp_path)
    assert mini.name == "inat2021,set=train_mini" and mini.classes == task.classes
    assert len(mini.column("train", "id")) < len(task.column("train", "id"))
    assert mini.column("test", "id") == task.column("test", "id")


def test_species_of_one_part_only_are_named(tmp_path):
    fake_task("inat2021", tmp_path)
    species = sorted((tmp_path / "val").iterdir())[0]
    species.rename(species.with_name("99999_Fungi_x"))
    with raises(DataContractError, "class-folders-wrong"):
        load_task("inat2021", root=tmp_path)
    shutil.rmtree(tmp_path / "train_mini")
    with raises(DataContractError, "data-layout-unknown"):
        load_task("inat2021,set=train_mini", root=tmp_path)
