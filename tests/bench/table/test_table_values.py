"""What stands in a cell: the mean of runs that may be averaged, of the whole task, and nothing of a run that failed."""

import statistics
from dataclasses import replace

import numpy as np
import pytest

from medzoo.bench import metrics
from medzoo.bench.results.store import ResultStore
from medzoo.bench.table.build import _same_runs
from medzoo.bench.table.table import table


@pytest.fixture
def kept(tmp_path):
    return ResultStore(tmp_path / "results")


def only_cell(store, **options):
    made = table(store.root, **options)
    assert len(made.rows) == len(made.columns) == 1
    return made.grid[0][0]


def test_a_mean_is_no_median_and_the_deviation_is_that_of_a_sample(kept, make_run):
    """Of unequal values: 0.5, 0.6 and 1.0."""
    for seed, value in enumerate((0.5, 0.6, 1.0)):
        kept.put(*make_run(seed=seed, value=value))
    cell = only_cell(kept)
    assert cell.mean == pytest.approx(0.7) and cell.sd == pytest.approx(statistics.stdev([0.5, 0.6, 1.0]))
    assert cell.sd == pytest.approx(0.2645751) and cell.worded(3) == "0.700 ± 0.265 (3)"


@pytest.mark.parametrize(
    "change",
    [{"dataset__preprocess_hash": "other"}, {"checkpoint__init": "other"}, {"checkpoint__arch": "other"}],
    ids=lambda change: next(iter(change)),
)
def test_runs_that_start_or_look_otherwise_have_no_mean(kept, make_run, change):
    kept.put(*make_run(seed=0, value=0.5))
    kept.put(*make_run(seed=1, value=0.7, **change))
    cell = only_cell(kept)
    assert cell.mixed and cell.mean is None and cell.sd is None and cell.worded(3) == "mixed (2)‡"


def test_one_seed_twice_has_no_mean(make_run):
    """Two commits of one name, or the same run of two machines: they are no two draws."""
    runs = [make_run(seed=0, value=value, checkpoint__weights_sha256="ab" * 32, protocol__size=size)[0] for value, size in (
        (0.5, 28), (0.7, 32))]  # fmt: skip
    made = table(runs)
    (cell,) = [cell for cells in made.grid for cell in cells if len(cell.runs) == 2]
    assert cell.mixed and cell.mean is None


def test_three_columns_of_the_same_runs_have_one_footnote(make_run):
    made = table([make_run()[0]])
    columns = [replace(made.columns[0], title=title) for title in ("Dice", "HD95", "NSD")]
    (note,) = _same_runs(made.rows, columns, [[made.grid[0][0]] * 3])
    assert note.startswith("Dice, HD95, NSD:")


def test_folds_of_one_seed_are_different_runs(kept, make_run):
    for fold in range(3):
        kept.put(*make_run(seed=0, fold=fold, value=0.5 + fold / 10))
    cell = only_cell(kept)
    assert not cell.mixed and cell.mean == pytest.approx(0.6)


def test_the_metric_is_of_the_whole_task_and_not_of_a_label(make_run):
    """Of several classes, however the rows of a result are sorted."""
    rng = np.random.default_rng(0)
    scores = rng.random((40, 3))
    rows = metrics.compute("multiclass", ("a", "b", "c"), np.arange(40) % 3, scores / scores.sum(1, keepdims=True))
    whole = metrics.headline(rows, "auroc")["value"]
    result, _ = make_run()
    for order in (rows, rows[::-1]):
        made = table([{**result, "metrics": order}])
        cell = made.grid[0][0]
        assert cell.values == [whole] and cell.runs[0].n_labels == 3 and cell.runs[0].of_labels == 3


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_a_number_of_a_run_that_is_not_ok_is_never_shown(make_run, status):
    """Whoever wrote it there."""
    result, _ = make_run(value=0.99)
    made = table([{**result, "status": status}])
    cell = made.grid[0][0]
    assert cell.values == [] and cell.mean is None and "0.99" not in made.to_text()
    assert cell.worded(3) == f"{status} (0/1)†"


def test_rows_are_in_the_order_of_their_numbers(make_run):
    """Random starts first; resnet18 before resnet50, and 2 before 10."""
    names = ["resnet50-random", "resnet18-b10", "resnet18-b2", "resnet101-a", "resnet18-random"]
    made = table([make_run(checkpoint=name)[0] for name in names])
    assert [row.label for row in made.rows] == [
        "resnet18-random", "resnet50-random", "resnet18-b2", "resnet18-b10", "resnet101-a",
    ]  # fmt: skip


def test_lower_is_better_has_its_arrow(kept, make_run):
    kept.put(*make_run())
    headings = {name: table(kept.root, metric=name).columns[0].heading for name in ("auroc", "accuracy", "brier")}
    assert headings == {"auroc": "AUROC ↑", "accuracy": "accuracy ↑", "brier": "Brier score ↓"}
