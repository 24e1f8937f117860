"""ImageNet: both layouts, parts by class and by share, labels by synset."""

import shutil

from data_samples import fake_task
from expect import raises

from medzoo.data.problems import collecting
from medzoo.data.splits.subsample import cut_training
from medzoo.data.task_registry import load_task, task_info
from medzoo.data.tasks.imagenet import MAPPING, SOLUTION
from medzoo.errors import DataContractError, UsageError

DATA = "ILSVRC/Data/CLS-LOC"


def by_id(task, *splits):
    return {
        key: task.classes[label]
        for split in splits or task.splits
        for key, label in zip(task.column(split, "id"), task.labels(split), strict=True)
    }


def test_the_official_validation_images_test_and_validation_is_cut_from_train(tmp_path):
    task = fake_task("imagenet", tmp_path)
    assert {key.split("/")[0] for key in task.column("test", "id")} == {"val"}
    assert {key.split("/")[0] for split in ("train", "validation") for key in task.column(split, "id")} == {"train"}
    assert set(task.counts("validation").values()) == {1} and set(task.counts("train").values()) == {11}
    for key, name in by_id(task, "train", "validation").items():
        assert name.startswith(key.split("/")[1])
    assert task.classes[3] == "n01443803 thing 3" and not task_info("imagenet").classes


def test_labels_are_by_synset_not_by_place(tmp_path):
    task = fake_task("imagenet", tmp_path)
    lines = (tmp_path / MAPPING).read_text().splitlines()
    (tmp_path / MAPPING).write_text("\n".join(reversed(lines)) + "\n")
    turned = load_task("imagenet", root=tmp_path)
    assert turned.classes == tuple(reversed(task.classes)) and by_id(turned) == by_id(task)


def test_class_folders_without_tables(tmp_path):
    task = fake_task("imagenet", tmp_path / "a")
    shutil.copytree(tmp_path / "a" / DATA / "train", tmp_path / "b" / "train")
    for key, name in by_id(task, "test").items():
        place = tmp_path / "b" / "val" / name.split()[0]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "a" / DATA / key, place)
    plain = load_task("imagenet", root=tmp_path / "b")
    assert plain.classes == tuple(name.split()[0] for name in task.classes)
    assert {k.rpartition("/")[2]: v for k, v in by_id(plain, "test").items()} == {
        k.rpartition("/")[2]: v.split()[0] for k, v in by_id(task, "test").items()
    }
    assert sorted(plain.column("validation", "id")) == sorted(task.column("validation", "id"))


def test_every_tenth_class_and_every_hundredth(tmp_path):
    whole = fake_task("imagenet", tmp_path)
    task = load_task("imagenet,classes=100", root=tmp_path)
    assert task.name == "imagenet,classes=100" and task.classes == whole.classes[::10] and len(task.classes) == 2
    assert by_id(task) == {key: name for key, name in by_id(whole).items() if name in task.classes}
    assert load_task("imagenet,classes=10", root=tmp_path, fold=None).classes == whole.classes[::100]
    (tmp_path / MAPPING).unlink()
    with raises(DataContractError, "class-count-wrong"):
        load_task("imagenet,classes=100", root=tmp_path)
    with raises(UsageError, "task-choice-value-unknown"):
        load_task("imagenet,classes=20", root=tmp_path)


def test_a_share_of_the_images_is_fixed_nested_and_has_the_same_validation(tmp_path):
    whole = fake_task("imagenet", tmp_path, n=40)
    small, tiny = (load_task(f"imagenet,percent={share}", root=tmp_path) for share in (10, 1))
    assert small.name == "imagenet,percent=10"
    assert set(tiny.column("train", "id")) < set(small.column("train", "id")) < set(whole.column("train", "id"))
    assert set(small.counts("train").values()) == {4} and set(tiny.counts("train").values()) == {1}
    for split in ("validation", "test"):
        assert whole.column(split, "id") == small.column(split, "id") == tiny.column(split, "id")
    assert load_task("imagenet,percent=10", root=tmp_path, seed=7).column("train", "id") == small.column("train", "id")
    assert len({whole.split_hash, small.split_hash, tiny.split_hash}) == 3


def test_cutting_keeps_an_image_of_every_class():
    words = cut_training([f"i{n}" for n in range(6)], [0, 0, 1, 2, 2, 2], 1)
    assert [words[:2].count("train"), words[2:3].count("train"), words[3:].count("train")] == [1, 1, 1]
    assert words[2] == "train" and words.count("validation") == 2


def test_validation_images_and_their_labels_have_to_meet(tmp_path):
    fake_task("imagenet", tmp_path)
    table = tmp_path / SOLUTION
    lines = table.read_text().splitlines()
    lines[1] = lines[1].partition(",")[0] + ",n99999999 1 1 2 2 "
    lost = lines.pop(2).partition(",")[0]
    again = lines[-1].partition(",")[0]
    lines += [f"{again},n01440764 1 1 2 2 ", "ILSVRC2012_val_00099999,n01440764 1 1 2 2 "]
    table.write_text("\n".join(lines) + "\n")
    shutil.rmtree(tmp_path / DATA / "train" / "n01441777")
    (tmp_path / DATA / "train" / "n12345678").mkdir()
    with collecting() as found:
        load_task("imagenet", root=tmp_path)
    by_code = {error.code: str(error) for error in found}
    assert "n99999999" in by_code["class-unknown"] and lost in by_code["images-not-in-table"]
    assert "ILSVRC2012_val_00099999" in by_code["images-missing"] and again in by_code["label-conflict"]
    assert "n01441777" in by_code["class-folders-missing"]
    assert MAPPING in by_code["class-folder-unknown"] and "n12345678" in by_code["class-folder-unknown"]


def test_without_labels_of_the_validation_images_there_is_no_test(tmp_path):
    fake_task("imagenet", tmp_path)
    (tmp_path / SOLUTION).unlink()
    with raises(DataContractError, "data-layout-unknown"):
        load_task("imagenet", root=tmp_path)
