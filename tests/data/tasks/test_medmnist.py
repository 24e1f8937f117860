import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from expect import raises

from medzoo import paths
from medzoo.data.readers import npz
from medzoo.data.readers.npz import NpzReader
from medzoo.data.task_registry import list_tasks, load_task, task_info
from medzoo.data.tasks import medmnist
from medzoo.errors import DataContractError, UsageError


def test_there_are_twelve_with_four_files_each():
    assert len(medmnist.TASKS) == 12 and set(medmnist.TASKS) <= set(list_tasks())
    assert all(
        len(set(facts.md5)) == 4 and all(len(md5) == 32 for md5 in facts.md5) for facts in medmnist._SETS.values()
    )
    assert task_info("chestmnist").kind == "multilabel" and task_info("dermamnist").license == "CC-BY-NC-4.0"
    assert task_info("retinamnist").kind == "multiclass" and task_info("breastmnist").kind == "binary"
    assert task_info("pathmnist").groups.startswith("none: MedMNIST")


def test_f32_a_wrong_md5_is_refused_with_both(tmp_path):
    medmnist.fake(tmp_path, 8, name="pneumoniamnist")
    with raises(DataContractError, "md5-mismatch") as caught:
        load_task("pneumoniamnist", root=tmp_path)
    assert "Delete it" in str(caught.value) and medmnist.URL in str(caught.value)


def test_a_missing_file_in_root_says_where_to_get_it(tmp_path):
    with raises(DataContractError, "data-file-missing"):
        load_task("pneumoniamnist,size=64", root=tmp_path)
    with raises(UsageError, "size-not-available"):
        load_task("pneumoniamnist,size=32", root=tmp_path)


def test_offline_names_url_and_root(monkeypatch):
    monkeypatch.setattr(medmnist, "URL", "http://127.0.0.1:9/")  # nobody listens there
    monkeypatch.setattr("medzoo.http_download.wait_after", lambda *_: 0.0)
    with raises(DataContractError, "download-failed", match=r"http://127\.0\.0\.1:9/retinamnist\.npz.*--root"):
        load_task("retinamnist")


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_a_variable_that_forbids_downloads_is_named(variable, tmp_path, monkeypatch):
    monkeypatch.setattr(medmnist, "download", lambda *_, **__: pytest.fail("a download started"))
    monkeypatch.setenv(variable, "1")
    with raises(DataContractError, "downloads-disabled", match=rf"{variable}.*retinamnist\.npz.*--root"):
        load_task("retinamnist")
    monkeypatch.setenv(variable, "0")
    with pytest.raises(pytest.fail.Exception, match="a download started"):
        load_task("retinamnist")
    # a file that is there is read
    medmnist.fake(tmp_path, 8, name="breastmnist")
    monkeypatch.setenv(variable, "1")
    assert medmnist.load("breastmnist", tmp_path, check_md5=False).kind == "binary"


def test_a_download_is_checked_before_it_is_kept(tmp_path, monkeypatch):
    medmnist.fake(tmp_path, 8, name="breastmnist")
    data = (tmp_path / "breastmnist.npz").read_bytes()
    monkeypatch.setattr(medmnist, "URL", f"{tmp_path.as_uri()}/")
    place = paths.home() / "data" / "medmnist"
    with raises(DataContractError, "md5-mismatch"):
        load_task("breastmnist")
    assert not place.exists() or list(place.iterdir()) == []
    facts = medmnist._SETS["breastmnist"]
    right = medmnist._md5(tmp_path / "breastmnist.npz")
    monkeypatch.setitem(medmnist._SETS, "breastmnist", facts._replace(md5=[right] * 4, counts=[8, 4, 4]))
    assert load_task("breastmnist").counts("train") == {"malignant": 4, "normal, benign": 4}
    assert (place / "breastmnist.npz").read_bytes() == data


def test_processes_that_start_together_download_once(tmp_path, monkeypatch):
    medmnist.fake(tmp_path, 8, name="breastmnist")
    source, place, calls = tmp_path / "breastmnist.npz", tmp_path / "home" / "breastmnist.npz", []

    def download(url, path, tries):
        calls.append(url)
        time.sleep(0.3)
        path.write_bytes(source.read_bytes())

    monkeypatch.setattr(medmnist, "download", download)
    md5 = medmnist._md5(source)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: medmnist._download("https://example.org/x", place, md5), range(2)))
    assert len(calls) == 1 and place.read_bytes() == source.read_bytes() and len(list(place.parent.iterdir())) == 1


def test_other_counts_than_the_official_are_refused(tmp_path, monkeypatch):
    medmnist.fake(tmp_path, 8, name="breastmnist")
    facts = medmnist._SETS["breastmnist"]
    right = medmnist._md5(tmp_path / "breastmnist.npz")
    monkeypatch.setitem(medmnist._SETS, "breastmnist", facts._replace(md5=[right] * 4))
    with raises(DataContractError, "image-count-wrong"):
        load_task("breastmnist", root=tmp_path)


def test_images_are_read_in_blocks_from_any_thread_or_process(tmp_path, monkeypatch):
    medmnist.fake(tmp_path, 50, name="bloodmnist")
    whole = np.load(tmp_path / "bloodmnist.npz")["train_images"]
    monkeypatch.setattr(npz, "BLOCK_BYTES", 7 * 28 * 28 * 3)
    reader = NpzReader(tmp_path, "bloodmnist.npz")
    for copy in (reader, pickle.loads(pickle.dumps(reader))):
        for row in [*range(50), 3, 49, 0]:
            assert (copy.read(f"bloodmnist.npz#train_images/{row}").array == whole[row]).all()


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + b"\0" * 18, b"no zip at all"])
def test_damaged_files(tmp_path, content):
    (tmp_path / "breastmnist.npz").write_bytes(content)
    with pytest.raises(DataContractError):
        medmnist.load("breastmnist", tmp_path, check_md5=False)


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "breastmnist.npz", train_images=np.array([{}], dtype=object), allow_pickle=True)
    with raises(DataContractError, "npz-array-unsupported", match="Python objects"):
        medmnist.load("breastmnist", tmp_path, check_md5=False)


@pytest.mark.real
def test_the_official_pneumoniamnist(real_data):
    task = load_task("pneumoniamnist", root=real_data / "medmnist")
    assert [task.tables[split].num_rows for split in ("train", "validation", "test")] == [4708, 524, 624]
    assert task.counts("train") == {"normal": 1214, "pneumonia": 3494}
    assert task.counts("test") == {"normal": 234, "pneumonia": 390}
    pixels, label = task.read("test", 623)
    with np.load(real_data / "medmnist" / "pneumoniamnist.npz") as arrays:
        assert (pixels.array == arrays["test_images"][623]).all() and label == arrays["test_labels"][623, 0]
    assert task.splits["test"][12]["image"] == "pneumoniamnist.npz#test_images/12"
