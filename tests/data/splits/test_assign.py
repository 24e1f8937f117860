import json

import numpy as np
import pytest
from data_samples import INFO, make, rows
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st

from medzoo.data.splits.assign import arrange
from medzoo.data.splits.reduce_training import take_fraction
from medzoo.errors import DataContractError, UsageError
from medzoo.store import sha256_of


def many(count=200, kind="all", classes=2, per_patient=3, seed=0):
    rng = np.random.default_rng(seed)
    ids = [f"i{n}" for n in range(count)]
    patients = [f"p{n // per_patient}" for n in range(count)]
    return make(**{kind: rows(ids, [int(v) for v in rng.permutation(np.arange(count) % classes)], patients)})


def patients(task, split):
    return set(task.groups(split))


def test_data_without_splits_get_three_by_group():
    task = arrange(many())
    sizes = {split: len(patients(task, split)) / 67 for split in task.tables}
    assert list(sizes) == ["train", "validation", "test"]
    assert sizes["train"] == pytest.approx(0.7, abs=0.04) and sizes["test"] == pytest.approx(0.2, abs=0.04)
    assert arrange(many()).split_hash == task.split_hash != arrange(many(), seed=1).split_hash


def test_a_missing_validation_split_is_cut_from_train():
    task = many(kind="train")
    cut = arrange(task)
    assert patients(cut, "train") | patients(cut, "validation") == patients(task, "train")
    assert len(patients(cut, "validation")) == pytest.approx(6.7, abs=1)
    assert "test" not in cut.tables


def test_folds_are_five_and_cover_everything_once():
    tested = [patients(arrange(many(), fold=fold), "test") for fold in range(5)]
    assert set.union(*tested) == patients(many(), "all") and sum(map(len, tested)) == 67
    assert max(map(len, tested)) - min(map(len, tested)) <= 1
    assert patients(arrange(many(), fold=1), "validation") == tested[2]
    with raises(UsageError, "fold-out-of-range"):
        arrange(many(), fold=5)
    with raises(UsageError, "fold-with-split-file"):
        arrange(many(), fold=0, split_file="x.json")


@pytest.mark.parametrize("count", [2, 3, 10])
def test_another_number_of_folds(count):
    folds = [arrange(many(), fold=fold, fold_count=count) for fold in range(count)]
    tested = [patients(task, "test") for task in folds]
    assert set.union(*tested) == patients(many(), "all") and sum(map(len, tested)) == 67
    assert max(map(len, tested)) - min(map(len, tested)) <= 1
    for number, task in enumerate(folds):
        parts = [patients(task, split) for split in ("train", "validation", "test")]
        assert set.union(*parts) == patients(many(), "all") and sum(map(len, parts)) == 67 and all(parts)
        if count > 2:
            assert parts[1] == tested[(number + 1) % count]
    hashes = {task.split_hash for task in (*folds, *(arrange(many(), fold=fold) for fold in range(5)))}
    assert len(hashes) == count + 5
    assert arrange(many(), fold=1, fold_count=5).split_hash == arrange(many(), fold=1).split_hash
    with raises(UsageError, "fold-out-of-range"):
        arrange(many(), fold=count, fold_count=count)


def test_numbers_of_folds_that_cannot_be_made():
    with raises(UsageError, "fold-count-too-small"):
        arrange(many(), fold=0, fold_count=1)
    with raises(UsageError, "fold-not-given"):
        arrange(many(), fold_count=3)
    with raises(UsageError, "fold-count-of-data"):
        arrange(many(), fold=0, fold_count=3, split_file="x.json")
    with raises(DataContractError, "fewer-groups-than-folds"):
        arrange(many(), fold=0, fold_count=68)


@settings(max_examples=40, deadline=None)
@given(st.integers(30, 150), st.integers(1, 4), st.integers(0, 9), st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)))
def test_fractions_are_nested_by_group_and_keep_every_class(count, per_patient, seed, fractions):
    task = arrange(many(count, per_patient=per_patient, seed=seed))
    small, large = (take_fraction(task, fraction, seed=seed) for fraction in sorted(fractions))
    assert patients(small, "train") <= patients(large, "train") <= patients(task, "train")
    assert min(small.counts("train").values()) >= 1
    kept = [
        key
        for key, group in zip(task.column("train", "id"), task.groups("train"), strict=True)
        if group in patients(small, "train")
    ]
    assert small.column("train", "id") == kept  # whole groups, in the old order
    assert small.column("test", "id") == task.column("test", "id")


def test_fractions_are_stratified():
    task = many(400, "train", classes=2, per_patient=1)
    assert set(take_fraction(task, 0.1).counts("train").values()) == {20}


def test_fractions_of_multilabel_keep_rare_findings():
    multi = INFO.__class__(**{**INFO.__dict__, "kind": "multilabel"})
    labels = np.zeros((100, 2), np.float32)
    labels[:, 0], labels[37, 1] = np.arange(100) % 2, 1
    task = make(multi, train=rows([f"i{n}" for n in range(100)], labels))
    assert take_fraction(task, 0.01).counts("train")["yes"] == 1


@pytest.mark.parametrize(("fraction", "kept"), [(0.1, 2), (0.09, 1), (0.5, 8), (0.99, 15), (0.001, 1), (1.0, 15)])
def test_a_share_is_rounded_to_whole_groups(fraction, kept):
    """Of 15 patients a class; a half is rounded up, and no class loses its last one."""
    task = many(30, "train", per_patient=1)
    assert set(take_fraction(task, fraction).counts("train").values()) == {kept}


@pytest.mark.parametrize("seed", range(4))
def test_a_class_that_is_no_patients_main_one_is_kept(seed):
    """One patient of forty has an image of the second class among two of the first."""
    labels = [0] * 120
    labels[37] = 1
    task = make(train=rows([f"i{n}" for n in range(120)], labels, [f"p{n // 3}" for n in range(120)]))
    part = take_fraction(task, 0.02, seed=seed)
    assert "p12" in patients(part, "train") and part.counts("train")["yes"] == 1
    assert len(patients(part, "train")) <= 2


@pytest.mark.parametrize("seed", range(4))
def test_a_label_that_comes_with_a_rarer_one_is_kept(seed):
    """Every patient with the first label has the second too, so that the second alone decides the stratum."""
    multi = INFO.__class__(**{**INFO.__dict__, "kind": "multilabel"})
    labels = np.zeros((90, 2), np.float32)
    labels[:30, 1], labels[29, 0], labels[60:, 0] = 1, 1, 1
    labels[60:, 0] = 0
    task = make(multi, train=rows([f"i{n}" for n in range(90)], labels))
    counts = take_fraction(task, 0.01, seed=seed).counts("train")
    assert min(counts.values()) >= 1


@pytest.mark.parametrize("seed", range(3))
def test_a_rare_label_is_spread_over_the_splits_by_its_share(seed):
    """Twenty of two hundred have the rare label, always beside the common one: 14, 2 and 4 of them."""
    multi = INFO.__class__(**{**INFO.__dict__, "kind": "multilabel"})
    labels = np.zeros((200, 2), np.float32)
    labels[:160, 0], labels[:20, 1] = 1, 1
    task = arrange(make(multi, all=rows([f"i{n}" for n in range(200)], labels)), seed=seed)
    assert [task.counts(split)["yes"] for split in ("train", "validation", "test")] == [14, 2, 4]
    assert [task.counts(split)["no"] for split in ("train", "validation", "test")] == [112, 16, 32]


def test_groups_are_ranked_by_a_hash_and_not_by_their_names():
    """Sorted names would give a fraction the first patients of a hospital's list."""
    task = many(200, "train", per_patient=1)
    chosen = sorted(int(name[1:]) for name in patients(take_fraction(task, 0.2), "train"))
    assert chosen[-1] > 150 and chosen[0] < 50 and len(chosen) == 40
    other = patients(take_fraction(task, 0.2, seed=1), "train")
    assert len(other & {f"p{number}" for number in chosen}) < 25


def test_a_split_file_replaces_the_splits(tmp_path):
    task = many(6, per_patient=2)
    words = dict(zip(task.column("all", "id"), ["train", "train", "val", "val", "test", "test"], strict=True))
    (tmp_path / "s.json").write_text(json.dumps(words))
    by_split = {"train": ["i0", "i1"], "validation": ["i2", "i3"], "test": ["i4", "i5"]}
    (tmp_path / "t.json").write_text(json.dumps(by_split))
    (tmp_path / "u.csv").write_text("\ufeffid,split\r\n" + "".join(f"{key},{word}\r\n" for key, word in words.items()))
    for name in ("s.json", "t.json", "u.csv"):
        chosen = arrange(task, split_file=tmp_path / name)
        assert {split: table.num_rows for split, table in chosen.tables.items()} == {
            "train": 2,
            "validation": 2,
            "test": 2,
        }


@pytest.mark.parametrize(
    "content, cause",
    [
        ('{"i0": "train"}', "split-file-id-missing"),
        ('{"zz": "train"}', "split-file-id-unknown"),
        ('{"i0": "tarin"}', "split-file-split-unknown"),
        ('{"train": ["i0"], "test": ["i0"]}', "split-file-id-in-two-splits"),
        ("[1, 2]", "split-file-invalid"),
        ("{", "split-file-invalid"),
    ],
)
def test_broken_split_files_say_why(tmp_path, content, cause):
    (tmp_path / "s.json").write_text(content)
    with raises(DataContractError, cause):
        arrange(many(6), split_file=tmp_path / "s.json")


def test_a_missing_split_file_and_a_csv_without_columns(tmp_path):
    with raises(DataContractError, "split-file-unreadable"):
        arrange(many(6), split_file=tmp_path / "none.csv")
    (tmp_path / "s.csv").write_text("name,part\na,train\n")
    with raises(DataContractError, "split-file-invalid"):
        arrange(many(6), split_file=tmp_path / "s.csv")


def test_a_split_file_that_leaks_a_patient_is_refused(tmp_path):
    (tmp_path / "s.json").write_text(
        json.dumps({"train": ["i0", "i2", "i3"], "validation": ["i1"], "test": ["i4", "i5"]})
    )
    with raises(DataContractError, "patients-in-several-splits"):
        arrange(many(6, per_patient=2), split_file=tmp_path / "s.json")


def test_too_few_groups_to_split():
    with raises(DataContractError, "groups-too-few"):
        arrange(make(train=rows(["a", "b"], [0, 1], ["p", "p"])))


def split_by(tmp_path, name, **rows_of):
    """A task of eight patients with two images each, divided by a file; `rows_of` are the splits of single images."""
    task = make(
        all=rows([f"i{n}" for n in range(16)], [n // 2 % 2 for n in range(16)], [f"p{n // 2}" for n in range(16)])
    )
    given = [f"i{n},{('train', 'train', 'val', 'test')[n // 4]}" for n in range(16)]
    lines = [f"{key},{rows_of.get(key, split)}" for key, split in (line.split(",") for line in given)]
    (tmp_path / f"{name}.csv").write_text("\n".join(["id,split", *lines]) + "\n")
    return arrange(task, split_file=tmp_path / f"{name}.csv")


def test_single_images_that_a_split_file_leaves_out_are_in_the_identity(tmp_path):
    given = {"all": {}, "no i1": {"i1": "excluded"}, "no i0": {"i0": "excluded"}, "no i9": {"i9": "excluded"}}
    hashes = [split_by(tmp_path, name, **rows_of).split_hash for name, rows_of in given.items()]
    assert len(set(hashes)) == 4
    part = split_by(tmp_path, "no i1", i1="excluded")
    assert part.dropped == ("i1",) and part.with_tables(part.tables).split_hash == hashes[1]
    assert take_fraction(part, 0.5).dropped == ("i1",)


def test_the_identity_is_the_old_one_where_no_patient_is_divided(tmp_path):
    """Written down: stored results name these splits by their hashes. A patient who is left out is no part of any split."""
    whole, without = split_by(tmp_path, "all"), split_by(tmp_path, "no p0", i0="excluded", i1="excluded")
    for task in (whole, without):
        pairs = {(sha256_of(group)[:16], split) for split in task.tables for group in task.groups(split)}
        assert task.dropped == () and task.split_hash == sha256_of(sorted(pairs))
    assert (
        whole.split_hash == "ac15222369cf7de5c0f26708d5fe23e4d28c3bbd82779710bd898cfd1dccdf74"
        and without.split_hash == "57eee7bf9717d2ad6c0e52817cf5d2f2051302783cd1152da15682c93afcc717"
    )


@pytest.mark.parametrize("groups, unit", [("patient_id", "patient"), ("none: the data do not say it", "image")])
def test_a_made_split_says_what_it_keeps_together(groups, unit):
    info = INFO.__class__(**{**INFO.__dict__, "groups": groups})
    columns = rows([f"i{n}" for n in range(40)], [n % 2 for n in range(40)])
    opened = [
        arrange(make(info, all=columns)),
        arrange(make(info, train=columns)),
        arrange(make(info, all=columns), fold=0),
    ]
    notes = [next(note for note in task.notes if "made here" in note) for task in opened]
    assert all(f"by {unit}" in note for note in notes) and (
        unit == "patient" or not any("patient (" in n for n in notes)
    )
    assert opened[0].split_hash == arrange(make(all=columns)).split_hash  # the words change, the split does not
