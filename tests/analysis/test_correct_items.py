"""Who knew what, from stored runs."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from expect import raises
from stored_samples import StoreMaker

from medzoo.analysis import correct_items
from medzoo.bench.results.store import predictions_path
from medzoo.errors import NotApplicableError, UsageError


@pytest.fixture
def made(tmp_path):
    made = StoreMaker(tmp_path / "results")
    for seed in range(3):
        for name, quality in (("net-a", 1.2), ("net-b", 0.8), ("net-c", 0.5)):
            made.put(name, seed, quality)
    return made


def analysed(made, options=None, **given):
    rows = correct_items.run(made.inputs(**given), options or correct_items.Options())
    assert correct_items.sentence(rows)
    correct_items.plot(rows)
    return rows


def sets_of(rows):
    return {row["label"]: row for row in rows if row["measure"] == "set"}


def test_sets_add_up_and_agree_with_the_sums(made):
    rows = analysed(made)
    sets = sets_of(rows)
    assert next(iter(sets)) == "none" and list(sets)[-1] == "net-a + net-b + net-c" and len(sets) == 8
    assert sum(row["value"] for row in sets.values()) == pytest.approx(1)
    assert sum(row["expected"] for row in sets.values()) == pytest.approx(1)
    for row in rows:
        if row["measure"] == "known_by":
            assert row["value"] == pytest.approx(
                sum(one["value"] for one in sets.values() if one["size"] == row["size"])
            )
    only = next(row for row in rows if row["label"] == "net-a, not net-b")
    assert only["value"] == pytest.approx(sets["net-a"]["value"] + sets["net-a + net-c"]["value"])
    assert (sets["none"]["n_items"], sets["none"]["n_patients"], sets["none"]["runs"]) == (80, 40, 9)


def test_the_majority_decides_once_for_each_checkpoint(made):
    sets = sets_of(analysed(made, correct_items.Options(items_rule="majority")))
    assert all((row["value"] * 80) == pytest.approx(round(row["value"] * 80)) for row in sets.values())


def test_labels_are_items(tmp_path):
    made = StoreMaker(tmp_path / "results", "multilabel")
    for name in ("net-a", "net-b"):
        made.put(name)
    row = analysed(made)[0]
    assert 80 < row["n_items"] < 240 and row["n_images"] == 80


def test_folds(tmp_path):
    made = StoreMaker(tmp_path / "results")
    for fold in range(3):
        for name in ("net-a", "net-b"):
            made.put(name, fold=fold)
    row = sets_of(analysed(made))["none"]
    assert row["n_images"] == 240 and "folds" in row["reason"]


def test_the_compared_come_first_and_six_are_counted(made):
    for name in ("net-d", "net-e", "net-f", "net-g"):
        made.put(name)
    rows = analysed(made, first="net-g", second="net-b")
    assert rows[0]["checkpoints"] == 6 and [row["label"] for row in rows[1:3]] == ["net-g", "net-b"]
    assert any("beyond the first 6" in row["reason"] for row in rows if row["measure"] == "left_out")


def test_checkpoints_can_be_chosen(made):
    made.put("net-d", protocol="long")
    rows = analysed(made, correct_items.Options(items_of=["net-c", "net-a"]))
    assert list(sets_of(rows)) == ["none", "net-c", "net-a", "net-c + net-a"]
    reasons = [row["reason"] for row in rows if row["measure"] == "left_out"]
    assert any("another protocol or data only: net-d" in reason for reason in reasons)
    with raises(NotApplicableError, "no-runs-of-checkpoint", match="net-x"):
        analysed(made, correct_items.Options(items_of=["net-x", "net-a"]))
    with raises(NotApplicableError, "too-many-checkpoints"):
        analysed(made, correct_items.Options(items_of=["net-a", "net-b", "net-c"] * 3))
    with raises(UsageError, "option-not-a-choice"):
        analysed(made, correct_items.Options(items_rule="some"))


def test_one_checkpoint_is_too_few(tmp_path):
    made = StoreMaker(tmp_path / "results")
    made.put("net-a")
    with raises(NotApplicableError, "too-few-checkpoints"):
        analysed(made)


def test_nobody_alone_is_right(tmp_path):
    made = StoreMaker(tmp_path / "results")
    for name in ("net-a", "net-b"):
        made.put(name, scores=lambda labels: np.where(np.arange(len(labels)) % 5 == 0, 1 - labels, labels) * 0.8 + 0.1)
    text = correct_items.sentence(analysed(made))
    assert "No checkpoint is right where all others are wrong" in text and "more often than independent errors" in text


def test_items_that_none_or_one_gets_right_are_listed(tmp_path):
    made = StoreMaker(tmp_path / "results")
    wrong = {"net-a": (3, 4), "net-b": (3, 5)}
    for name, places in wrong.items():
        path = made.put(
            name, scores=lambda labels, places=places: np.abs(labels - 0.1 - 0.8 * np.isin(np.arange(80), places))
        )
    samples = pq.read_table(predictions_path(path))["sample"].to_pylist()
    rows = [row for row in analysed(made) if row["measure"] == "item"]
    found = {row["label"]: row["sample"] for row in rows}
    assert found == {"none": samples[3], "net-a": samples[5], "net-b": samples[4]} and {
        row["value"] for row in rows
    } == {1}
    assert not [row for row in analysed(made, correct_items.Options(items_listed=0)) if row["measure"] == "item"]
