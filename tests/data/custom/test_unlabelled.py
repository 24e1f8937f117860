import pytest
from custom_samples import dicom, table, tree, words
from expect import raises

from medzoo.data.decode_cache.cache import decoded
from medzoo.data.shards.write import write_shards
from medzoo.data.split_counts import data_counts
from medzoo.data.task_registry import load_task
from medzoo.data.validation.check import check_task
from medzoo.errors import DataContractError, UsageError


@pytest.mark.parametrize(
    "paths",
    [
        [f"{k}.png" for k in range(10)],
        [f"a/{k}/z.png" for k in range(9)] + ["r.png"],
        [f"{c}/{k}.png" for c in "ab" for k in range(5)],
        [f"outer/{c}/{k}.png" for c in ("test", "other") for k in range(5)],
    ],
)
def test_all_images_of_any_folders_are_for_training(tmp_path, paths):
    task = load_task(tree(tmp_path, paths), unlabelled=True)
    assert task.kind == "unlabelled" and set(words(task)) == set(paths) and set(task.tables) == {"train"}
    assert task.classes == () and not task.has_labels and data_counts(task) == {"train": 10}
    assert decoded(task, "train", size=4).images.shape == (10, 4, 4)
    with pytest.raises(UsageError):
        task.labels("train")


def test_stated_splits_are_kept_apart(tmp_path):
    task = load_task(
        tree(tmp_path / "a", [f"{s}/{k}.png" for s in ("train", "test") for k in range(6)]), unlabelled=True
    )
    assert {s: t.num_rows for s, t in task.tables.items()} == {"train": 6, "test": 6}
    rows = [(f"i{k}.png", "train" if k < 6 else "val") for k in range(10)]
    task = load_task(table(tmp_path / "b", ["image", "split"], rows), unlabelled=True)
    assert {s: t.num_rows for s, t in task.tables.items()} == {"train": 6, "validation": 4}


def test_tables_need_an_image_column_alone(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = table(tmp_path, ["image", "label"], [(f"i{k}.png", "" if k % 2 else "x") for k in range(10)])
    assert load_task(name, unlabelled=True).tables["train"].num_rows == 10
    pq.write_table(pa.table({"image": [f"i{k}.png" for k in range(10)]}), tmp_path / "t.parquet")
    task = load_task(f"parquet:{tmp_path / 't.parquet'}", unlabelled=True)
    assert task.tables["train"].num_rows == 10 and task.read("train", 3)[1] is None
    assert load_task(name, unlabelled=True, fraction=0.5).tables["train"].num_rows == 5


def test_dicom_without_endings_and_empty_folders(tmp_path):
    for k in range(4):
        dicom(tmp_path / "d" / f"IM{k}", value=k)
    (tmp_path / "d" / "notes.txt").write_text("hello")
    task = load_task(f"folder:{tmp_path / 'd'}", unlabelled=True)
    assert task.tables["train"].num_rows == 4 and any("notes.txt" in note for note in task.notes)
    (tmp_path / "e").mkdir()
    with pytest.raises(DataContractError):
        load_task(f"folder:{tmp_path / 'e'}", unlabelled=True)


def test_they_are_checked_and_written_as_shards(tmp_path):
    name = tree(tmp_path / "d", [f"{k}.png" for k in range(8)])
    report = check_task(name, unlabelled=True, progress=False)
    assert report.passed and report.images_read == 8
    index = write_shards(load_task(name, unlabelled=True), tmp_path / "shards", progress=False)
    assert index.images("train") == 8
    again = load_task(f"shards:{tmp_path / 'shards'}")
    assert again.kind == "unlabelled" and again.read("train", 7)[0].array.shape == (6, 5)


def test_labelled_use_says_what_is_missing(tmp_path):
    with raises(DataContractError, "class-folders-missing", match="pre-training"):
        load_task(tree(tmp_path, [f"{k}.png" for k in range(8)]), groups="none")
