"""Effective data size, from stored runs with parts of the training images."""

import numpy as np
import pytest
from expect import raises
from stored_samples import StoreMaker

from medzoo.analysis import data_size
from medzoo.analysis.gains.curves import data_points
from medzoo.errors import NotApplicableError


@pytest.fixture
def made(tmp_path):
    """net-a with n images is as good as net-b with 4 n."""
    made = StoreMaker(tmp_path / "results", images=300)
    for name, step in (("net-a", 0), ("net-b", -2)):
        for place, fraction in enumerate((0.0625, 0.125, 0.25, 0.5, 1.0)):
            for seed in range(3):
                made.put(
                    name, seed, 0.45 + 0.12 * (place + step), fraction=fraction, own=0.1, train=counts(1600 * fraction)
                )
    return made


def counts(images):
    return {"counts": {"train": int(images)}}


def analysed(made, options=None, **given):
    rows = data_size.run(made.inputs(**given), options or data_size.Options())
    assert data_size.sentence(rows)
    data_size.plot(rows)
    return rows


def test_the_better_checkpoint_needs_fewer_images(made):
    rows = analysed(made)
    scores = [row for row in rows if row["measure"] == "score"]
    assert [row["n_train"] for row in scores if row["checkpoint"] == "net-b"] == [100, 200, 400, 800, 1600]
    assert all(row["low"] < row["value"] < row["high"] for row in scores)
    ratio = {row["n_train"]: row for row in rows if row["measure"] == "ratio" and row["checkpoint"] == "net-b"}
    assert ratio[200]["value"] == pytest.approx(4, rel=0.35) and ratio[200]["low"] > 1.5
    assert ratio[1600]["value"] is None and "above the curve" in ratio[1600]["reason"]
    needed = next(
        row for row in rows if row["measure"] == "needed" and (row["n_train"], row["checkpoint"]) == (200, "net-b")
    )
    assert needed["value"] == pytest.approx(200 * ratio[200]["value"])
    back = {row["n_train"]: row for row in rows if row["measure"] == "ratio" and row["checkpoint"] == "net-a"}
    assert back[800]["value"] == pytest.approx(1 / 4, rel=0.35)
    assert "So net-a needs fewer images." in data_size.sentence(rows)
    assert "So net-a needs fewer images." in data_size.sentence(analysed(made, first="net-b", second="net-a"))


def test_a_score_that_is_never_reached_gives_a_bound(tmp_path):
    made = StoreMaker(tmp_path / "results", images=200)
    for name, quality in (("net-a", 1.5), ("net-b", 0.1)):
        for fraction in (0.5, 1.0):
            for seed in range(3):
                made.put(
                    name, seed, quality * (1 + 0.1 * fraction), fraction=fraction, own=0.1, train=counts(400 * fraction)
                )
    text = data_size.sentence(analysed(made))
    assert "net-b needs more than 400, which is 1.00 times as many" in text or "more than 400, which is 2.00" in text
    assert "So net-a needs fewer images" in text
    assert "fewer than 200" in data_size.sentence(analysed(made, first="net-b", second="net-a"))


def test_equal_checkpoints_conclude_nothing(tmp_path):
    made = StoreMaker(tmp_path / "results", images=120)
    for name in ("net-a", "net-b"):
        for place, fraction in enumerate((0.25, 0.5, 1.0)):
            for seed in range(3):
                made.put(name, seed, 0.4 + 0.1 * place, fraction=fraction, train=counts(400 * fraction))
    assert "cannot be concluded" in data_size.sentence(analysed(made))


def test_draws_are_units_and_parts_have_names(tmp_path):
    made = StoreMaker(tmp_path / "results", images=120)
    for name in ("net-a", "net-b"):
        made.put(name, train=counts(400), quality=0.9)
        for draw in range(3):
            for seed in range(2):
                made.put(name, seed, per_class=5, draw=draw, split=f"draw{draw}", quality=0.4, train=counts(10))
    runs = [run for run in made.inputs().task_runs if run.result["identity"]["checkpoint"]["id"] == "net-a"]
    few, every = data_points(runs, runs[0].predictions.samples, "auroc")[0]
    assert (len(few.point.cell.values), few.runs, len(every.point.cell.values)) == (3, 6, 1)
    rows = [row for row in analysed(made) if row["measure"] == "score" and row["checkpoint"] == "net-a"]
    assert [(row["part"], row["n_train"], row["runs"]) for row in rows] == [("5 per class", 10, 6), ("all", 400, 1)]


def test_runs_that_are_not_on_the_curve_are_named(made):
    made.put("net-a", 8, fraction=0.5, train=counts(800), keep=np.arange(100))
    made.put("net-a", 9, fraction=0.5)
    reasons = {row["reason"] for row in analysed(made) if row["measure"] == "left_out"}
    assert reasons == {
        "net-a: 1 runs with other test images",
        "net-a: 1 runs that do not say the number of their training images",
    }


def test_without_a_curve(made, tmp_path):
    made.put("net-c")
    with raises(NotApplicableError, "no-data-curve", match="net-c"):
        analysed(made, second="net-c")
    for fraction in (0.5, 1.0):
        made.put("net-d", fraction=fraction, protocol="long", train=counts(fraction))
    with raises(NotApplicableError, "no-data-curve"):
        analysed(made, second="net-d")
    for name in ("net-a", "net-b"):
        for fraction in (0.5, 1.0):
            made.put(name, fraction=fraction, protocol="long", train=counts(800 * fraction))
    with raises(NotApplicableError, "several-protocols", match="long@"):
        analysed(made)
    assert {row["n_train"] for row in analysed(made, runs_of="long")} == {400, 800}


@pytest.mark.parametrize(("better", "step", "few"), [(3.0, 0.1, "more than 400"), (1.5, 0.9, "training images")])
def test_where_lower_is_better_the_smaller_error_needs_fewer_images(tmp_path, better, step, few):
    """The MAE of net-a is smaller; in the first case net-b never reaches it, in the second with more images."""
    made = StoreMaker(tmp_path / "results", kind="regression", images=300)
    for name, quality in (("net-a", better), ("net-b", 1.0)):
        for place, fraction in enumerate((0.25, 0.5, 1.0)):
            for seed in range(3):
                made.put(
                    name, seed, quality * (1 + step * place), fraction=fraction, own=0.1, train=counts(400 * fraction)
                )
    rows = analysed(made)
    error = {(row["checkpoint"], row["n_train"]): row["value"] for row in rows if row["measure"] == "score"}
    assert error["net-a", 400] < error["net-a", 100] < error["net-b", 100]
    assert few in data_size.sentence(rows) and "So net-a needs fewer images." in data_size.sentence(rows)
    assert "So net-a needs fewer images." in data_size.sentence(analysed(made, first="net-b", second="net-a"))


def test_cells_without_an_interval_conclude_nothing(tmp_path):
    """With 8 patients the AUROC has no interval, and the number of images has none."""
    made = StoreMaker(tmp_path / "results", images=16)
    for name, quality in (("net-a", 1.0), ("net-b", 0.1)):
        for fraction in (0.5, 1.0):
            for seed in range(3):
                made.put(name, seed, 2 * quality + fraction, fraction=fraction, own=0.1, train=counts(400 * fraction))
    rows, few = analysed(made), "fewer than 10 positive or negative patients"
    assert all(row["low"] is None and few in row["reason"] for row in rows if row["measure"] == "score")
    needed = [row for row in rows if row["measure"] in ("needed", "ratio")]
    assert all(row["low"] is row["high"] is None and few in row["reason"] for row in needed)
    assert "So net-" not in data_size.sentence(rows) and "cannot be concluded" in data_size.sentence(rows)
