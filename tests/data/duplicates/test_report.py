import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from data_samples import INFO, make
from expect import raises
from picture_samples import picture
from shard_samples import BytesReader, jpeg, png

from medzoo.data.duplicates import search as duplicate_search
from medzoo.data.duplicates.index import hash_task, load_index, save_index
from medzoo.data.duplicates.search import find_duplicates
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError

BENCHMARK = Path(__file__).resolve().parents[3] / "benchmarks" / "duplicates.py"


def task_of(images, name="t", labels=None, patients=None):
    """split/id → encoded image; labels and patients by id."""
    splits = {}
    for place in images:
        split, _, key = place.partition("/")
        splits.setdefault(split, []).append(key)
    columns = {
        split: {
            "id": keys, "image": keys, "label": [(labels or {}).get(key, number % 2) for number, key in enumerate(keys)],
            "patient_id": [(patients or {}).get(key, key) for key in keys],
        }
        for split, keys in splits.items()
    }  # fmt: skip
    task = make(INFO.__class__(**{**INFO.__dict__, "name": name}), **columns)
    task.reader = BytesReader({place.partition("/")[2]: image for place, image in images.items()})
    return task


def found(task, against=None, **options):
    index = hash_task(task, progress=False)
    other = None if against is None else hash_task(against, progress=False)
    return find_duplicates(index, other, progress=False, **options)


def ids(group):
    return {member.id for member in group.members}


A, B, C, D = (picture(seed=seed) for seed in range(4))


def test_three_levels():
    one, two = png(B), png(B) + b"more"  # another file with the same pixels
    report = found(
        task_of(
            {
                "train/a1": png(A), "train/a2": png(A), "train/b1": one, "test/b2": two, "train/c1": png(C),
                "test/c2": jpeg(C[::2, ::-2], 80), "test/d": png(D),
            }
        )
    )  # fmt: skip
    kinds = {group.kind: ids(group) for group in report.groups}
    assert kinds == {"bytes": {"a1", "a2"}, "pixels": {"b1", "b2"}, "near": {"c1", "c2"}}
    near = next(group for group in report.groups if group.kind == "near")
    assert 0 < near.distance <= 32 and near.confirmed and near.places == ("train", "test")
    assert report.summary()["between"] == {"equal: train and test": 1, "near: train and test": 1}
    assert {group.kind for group in found(task_of({"train/a": png(A), "train/b": jpeg(A)}), near=False).groups} == set()


def test_only_across_splits():
    images = {"train/a1": png(A), "train/a2": png(A), "train/b1": png(B), "test/b2": png(B), "train/d": png(D)}
    report = found(task_of(images), across_only=True)
    assert [ids(group) for group in report.groups] == [{"b1", "b2"}]


def test_labels_and_patients_that_disagree_are_marked():
    images = {"train/a1": png(A), "train/a2": png(A), "train/b1": png(B), "test/b2": jpeg(B), "train/d": png(D)}
    task = task_of(images, labels={"a1": 0, "a2": 1, "b1": 1, "b2": 1, "d": 0}, patients={"a1": "p", "a2": "p"})
    report = found(task)
    conflicts = {frozenset(ids(group)): len(group.labels) > 1 for group in report.groups}
    assert conflicts == {frozenset({"a1", "a2"}): True, frozenset({"b1", "b2"}): False}
    facts = report.summary()
    assert (facts["label_conflicts"], facts["patients_joined"]) == (1, 1)
    text = str(report)
    assert "different labels" in text and "train a1 (label no, patient p)" in text


def test_equal_images_stand_for_each_other_in_near_groups():
    images = {"train/a1": png(A), "train/a2": png(A), "test/a3": jpeg(A), "train/d": png(D), "test/b": png(B)}
    groups = found(task_of(images)).groups
    assert [(group.kind, ids(group)) for group in groups] == [("bytes", {"a1", "a2"}), ("near", {"a1", "a2", "a3"})]


def test_against_other_data_finds_what_is_in_both():
    mine = task_of({"train/a": png(A), "train/b": png(B), "train/b2": png(B), "test/c": png(C)})
    other = task_of({"train/x": png(A), "train/y": jpeg(255 - B), "train/z": png(D), "train/z2": png(D)}, "other")
    report = found(mine, other)
    assert {frozenset(ids(group)) for group in report.groups} == {frozenset("ax"), frozenset({"b", "b2", "y"})}
    assert all(group.places[-1] == "other/train" for group in report.groups) and report.against == "other"
    same = found(mine, mine)
    assert same.against == "t (other)" and len(same.shared) == len(same.groups) > 0


def test_an_index_holds_no_image_label_or_patient_and_finds_the_same(tmp_path):
    other = task_of(
        {"train/x": png(A), "train/y": jpeg(B[::2, ::2]), "train/z": png(D)},
        "pretraining",
        patients={"x": "secret-patient"},
    )
    save_index(hash_task(other, progress=False), tmp_path / "index.parquet")
    content = (tmp_path / "index.parquet").read_bytes()
    assert b"secret-patient" not in content and len(content) < 6000
    index = load_index(tmp_path / "index.parquet")
    assert index.labels == index.patients == [] and index.thumbs is None
    mine = task_of({"train/a": png(A), "train/b": png(B), "test/c": png(C), "test/b2": png(picture(seed=9))})
    report = find_duplicates(hash_task(mine, progress=False), index, progress=False)
    groups = {frozenset(ids(group)): (group.kind, group.confirmed) for group in report.groups}
    assert groups == {frozenset("ax"): ("bytes", True), frozenset("by"): ("near", False)}
    assert "only hashes compared" in str(report)


def test_files_that_are_no_index(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "x.parquet"
    for content in (b"", b"PAR1"):
        path.write_bytes(content)
        with raises(DataContractError, "hash-index-unreadable"):
            load_index(path)
    pq.write_table(pa.table({"id": ["a"]}), path)
    with raises(DataContractError, "hash-index-version", match="--save-index"):
        load_index(path)


def test_unreadable_images_are_told_and_left_out():
    report = found(task_of({"train/a": png(A), "train/b": b"<html>", "train/c": png(A)}))
    assert report.images == 2 and len(report.unreadable) == 1 and "HTML" in report.unreadable[0]
    assert "not read          1 images" in str(report)


def test_reports_for_people_and_programs(tmp_path):
    report = found(task_of({"train/a": png(A), "test/b": png(A), "train/c": png(B), "train/d": jpeg(B)}))
    assert json.loads(json.dumps(report.to_dict()))["shared_groups"] == 1
    report.write_csv(tmp_path / "found.csv")
    rows = list(csv.DictReader((tmp_path / "found.csv").open()))
    assert [(row["group"], row["kind"], row["id"]) for row in rows] == [
        ("0", "bytes", "a"), ("0", "bytes", "b"), ("1", "near", "c"), ("1", "near", "d"),
    ]  # fmt: skip
    assert "and 1 more groups" in report.to_text(limit=1)


def test_nothing_and_one_image():
    assert found(task_of({"train/a": png(A), "train/b": png(B)})).groups == []
    assert found(task_of({"train/a": b"<html>", "train/b": b""})).groups == []


def test_many_near_copies_take_no_more_memory_than_images(monkeypatch):
    """Every pair of 40 is near: 780 pairs, of which no more than twice the images are kept."""
    rng = np.random.default_rng(0)
    noisy = [png(np.clip(A + rng.integers(0, 3, A.shape), 0, 255).astype(np.uint8)) for _ in range(40)]
    images = {f"{('train', 'test')[n % 2]}/a{n}": image for n, image in enumerate(noisy)}
    usual = found(task_of(images))
    monkeypatch.setattr(duplicate_search, "_EDGES", 10)
    monkeypatch.setattr("medzoo.data.duplicates.hamming.TILE", 16)
    kept, real = [], duplicate_search._Near.add
    monkeypatch.setattr(
        duplicate_search._Near, "add", lambda self, *rows: (real(self, *rows), kept.append(self._size))[0]
    )
    assert [ids(group) for group in usual.groups] == [{f"a{n}" for n in range(40)}]
    assert found(task_of(images)).groups == usual.groups and max(kept) <= 80 < sum(kept)


@pytest.fixture(scope="module")
def benchmark():
    if not BENCHMARK.is_file():
        pytest.skip("a checkout is needed")
    spec = importlib.util.spec_from_file_location("duplicates_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.real
@pytest.mark.parametrize("title", ["films, 256 px (ChestX-ray14)", "ultrasound, 224 px (BUSI)"])
def test_recall_on_real_images_is_at_least_what_is_published(real_data, benchmark, title):
    name, groups = benchmark.SETS[title]
    shares, _ = benchmark.recall(benchmark.images_of(name, groups, real_data, 40))
    found = {name: share for name, share in shares.items() if not name.startswith(("10 %", "turned"))}
    assert min(found.values()) >= 0.85 and np.mean(list(found.values())) >= 0.97


@pytest.mark.real
def test_the_doubles_of_the_official_pneumoniamnist(real_data):
    index = hash_task(load_task("pneumoniamnist", root=real_data / "medmnist"), progress=False)
    report = find_duplicates(index, progress=False)
    facts = report.summary()
    assert (facts["equal_groups"], facts["equal_images"] - facts["equal_groups"]) == (27, 29)
    assert facts["between"] == {"equal: train and validation": 8} and facts["label_conflicts"] == 0
    assert {group.kind for group in report.groups} == {"pixels"}  # rows of one file, whose bytes say nothing


@pytest.mark.real
def test_busi_holds_copies_across_lesions_and_labels(real_data):
    """Found by this search and confirmed by eye: the clusters that the split was made by are too narrow."""
    report = found(load_task(f"parquet:{real_data / 'busi_224'}"))
    pairs = {frozenset(ids(group)) for group in report.shared}
    assert frozenset({"train.parquet#200", "test.parquet#41"}) in pairs  # benign in train, malignant in test
    assert frozenset({"train.parquet#13", "test.parquet#86"}) in pairs
    assert report.summary()["label_conflicts"] >= 6


@pytest.mark.real
def test_different_patients_are_no_copies(real_data):
    assert found(load_task(f"parquet:{real_data / 'nih_cxr14_621_256'}")).groups == []
