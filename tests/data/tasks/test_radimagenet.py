"""RadImageNet: the authors' lists, and class folders without them."""

from data_samples import fake_task
from expect import raises

from medzoo.data.problems import collecting
from medzoo.data.task_registry import load_task
from medzoo.data.tasks.radimagenet import LISTS
from medzoo.errors import DataContractError


def test_lists_say_labels_and_splits(tmp_path):
    task = fake_task("radimagenet", tmp_path)
    assert len(task.classes) == 6 and "MR_knee_normal" in task.classes
    for split in task.splits:
        for key, label in zip(task.column(split, "id"), task.labels(split), strict=True):
            modality, anatomy, name, file = key.split("/")[1:]
            assert task.classes[label] == f"{modality}_{anatomy}_{name}" and file.startswith(split)


def test_the_root_may_be_the_folder_that_the_lists_begin_with(tmp_path):
    task = fake_task("radimagenet", tmp_path)
    for file in LISTS.values():
        (tmp_path / file).rename(tmp_path / "radiology_ai" / file)
    for root in (tmp_path, tmp_path / "radiology_ai"):
        again = load_task("radimagenet", root=root)
        assert again.split_hash == task.split_hash
        assert again.read("test", 0)[0].array.shape == task.read("test", 0)[0].array.shape


def test_without_lists_folders_are_classes_of_their_own(tmp_path):
    fake_task("radimagenet", tmp_path)
    for file in LISTS.values():
        (tmp_path / file).unlink()
    task = load_task("radimagenet", root=tmp_path)
    assert "MR/knee/normal" in task.classes and "CT/abd/normal" in task.classes and len(task.classes) == 6
    assert set(task.splits) == {"train", "validation", "test"}
    (tmp_path / "radiology_ai" / "stray.png").write_bytes(b"x")
    with raises(DataContractError, "folder-depth-wrong"):
        load_task("radimagenet", root=tmp_path)


def test_images_in_two_lists_unknown_labels_and_lost_images(tmp_path):
    fake_task("radimagenet", tmp_path)
    lines = {split: (tmp_path / file).read_text().splitlines() for split, file in LISTS.items()}
    (tmp_path / LISTS["test"]).write_text("\n".join([*lines["test"], lines["train"][1]]) + "\n")
    with raises(DataContractError, "image-id-repeated"):
        load_task("radimagenet", root=tmp_path)
    changed = [line.replace("_acl", "_torn") for line in lines["test"]]
    (tmp_path / LISTS["test"]).write_text("\n".join([*changed, "radiology_ai/CT/no.png,CT_abd_normal"]) + "\n")
    with collecting() as found:
        load_task("radimagenet", root=tmp_path)
    words = "\n".join(map(str, found))
    assert "3 labels" in words and "MR_knee_torn" in words and "CT/no.png" in words
    (tmp_path / LISTS["validation"]).unlink()
    with raises(DataContractError, "lists-missing"):
        load_task("radimagenet", root=tmp_path)
