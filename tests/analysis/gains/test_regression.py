"""The regression of Juodelyte et al. 2023, and an interval that knows that points of one task are alike."""

import csv
from math import atanh, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medzoo.analysis.gains.regression import correlation, relative_gain
from medzoo.bench.published.read import load_published

FILE = Path(__file__).resolve().parents[2] / "fixtures" / "juodelyte2023_cca.csv"
# What the 35 points of the published files give: conv1, and the ends of the four stages.
PUBLISHED = {"ImageNet": (-0.16, -0.03, -0.07, -0.10, -0.13), "RadImageNet": (-0.15, -0.45, -0.43, -0.56, -0.47)}
LAYERS = ("conv1", "block1", "block2", "block3", "block4")


def published_points(checkpoint, layer):
    """Similarity, gain and task of the runs of one checkpoint; the scores are those that medzoo ships."""
    runs = {(cell.row, cell.column): cell.runs for cell in load_published("juodelyte2023").table("finetune").cells}
    for row in csv.DictReader(FILE.open()):
        if row["row"] == checkpoint:
            fold = int(row["fold"])
            gain = relative_gain(runs[checkpoint, row["column"]][fold], runs["random", row["column"]][fold])
            yield float(row[layer]), gain, row["column"]


@pytest.mark.parametrize("checkpoint", PUBLISHED)
def test_the_published_correlations(checkpoint):
    for layer, expected in zip(LAYERS, PUBLISHED[checkpoint], strict=True):
        line = correlation(*zip(*published_points(checkpoint, layer), strict=True))
        assert line.r == pytest.approx(expected, abs=0.006) and (line.points, line.tasks) == (35, 7)
        # over tasks, none of the ten can be concluded
        assert line.r_low < 0 < line.r_high and line.slope_low < 0 < line.slope_high


def test_fishers_interval_over_points_would_exclude_zero():
    """The same published points, as if the five folds of a task were independent."""
    line = correlation(*zip(*published_points("RadImageNet", "block3"), strict=True))
    assert atanh(line.r) + 1.96 / sqrt(35 - 3) < 0


@pytest.mark.parametrize(("tasks", "folds"), [(7, 5), (12, 3)])
def test_the_intervals_cover_the_truth(tasks, folds):
    rng, truth, hits = np.random.default_rng(0), -0.45, []
    names = np.repeat(np.arange(tasks), folds)

    def draw():
        return np.sqrt(0.7) * np.repeat(rng.normal(size=tasks), folds) + np.sqrt(0.3) * rng.normal(size=tasks * folds)

    of_points = []
    for _ in range(500):
        x, noise = draw(), draw()
        line = correlation(x, truth * x + np.sqrt(1 - truth**2) * noise, names)
        hits.append((line.r_low <= truth <= line.r_high, line.slope_low <= truth <= line.slope_high))
        of_points.append(abs(atanh(line.r) - atanh(truth)) <= 1.96 / sqrt(len(names) - 3))
    assert np.mean(hits, axis=0).min() >= 0.91 and np.mean(of_points) < 0.85


def test_few_tasks_have_no_interval():
    line = correlation([1, 2, 3, 4], [1, 3, 2, 4], ["a", "a", "b", "c"])
    assert line.r == pytest.approx(0.8) and line.r_low is None and "4 tasks" in line.reason


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-1, 1), st.sampled_from("abcdef")), max_size=12))
def test_wild_points_give_finite_numbers_or_a_reason(points):
    x, y, tasks = ([one[place] for one in points] for place in range(3))
    line = correlation(x, y, tasks)
    for value in (line.r, line.r_low, line.r_high, line.slope, line.slope_low, line.slope_high):
        assert value is None or np.isfinite(value)
    assert line.r_low is not None or line.reason


@pytest.mark.parametrize(
    ("score", "random", "higher_is_better", "gain"),
    [(0.9, 0.6, True, 0.5), (2.0, 4.0, False, 0.5), (6.0, 4.0, False, -0.5), (0.1, -0.2, True, 1.5)],
)
def test_an_improvement_is_a_positive_gain(score, random, higher_is_better, gain):
    """Also of an error, and of a score that random weights leave below 0 (kappa, R²)."""
    assert relative_gain(score, random, higher_is_better=higher_is_better) == pytest.approx(gain)
