"""Data frames and data files of a table: a line for each run, cell or checkpoint, with all digits."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medzoo.bench.results.store import ResultStore
from medzoo.bench.table.formats.frames import CELLS, RUNS, parquet
from medzoo.bench.table.table import table

VALUES = {("net-a", "ct"): [0.7, 0.72, 0.71], ("net-b", "ct"): [0.81, 0.83, 0.85], ("net-a", "xray"): [0.6]}


@pytest.fixture
def made(tmp_path, make_run):
    store = ResultStore(tmp_path / "out" / "results")
    for (checkpoint, task), values in VALUES.items():
        for seed, value in enumerate(values):
            store.put(*make_run(checkpoint=checkpoint, task=task, seed=seed, value=value))
    return table(store.root)


def test_a_line_for_each_run(made):
    frame = made.to_frame()
    assert list(frame) == list(RUNS) and len(frame) == 7
    assert set(frame.status) == {"ok"} and all(Path(path).is_file() for path in frame.path)
    for pair, values in VALUES.items():
        mine = frame[(frame.checkpoint == pair[0]) & (frame.task == pair[1])]
        assert list(mine.value) == values and list(mine.seed) == list(range(len(values)))
        assert all(len(weights) == 64 for weights in mine.weights_sha256) and set(mine.label) == {pair[0]}


def test_a_line_for_each_cell(made):
    frame = made.to_frame("cells")
    assert list(frame) == list(CELLS) and len(frame) == 3
    cell = frame[(frame.checkpoint == "net-b")].iloc[0]
    assert cell["mean"] == pytest.approx(0.83) and cell["sd"] == pytest.approx(0.02)
    assert cell["runs"] == cell["values"] == 3 and cell.higher_is_better and not cell.reported
    read = pd.read_csv(io.StringIO(made.to_csv()))
    assert list(read) == list(CELLS)
    for name in ("mean", "sd", "values", "higher_is_better", "label"):
        assert list(read[name].dropna()) == list(frame[name].dropna()), name


def test_a_line_for_each_checkpoint(made):
    wide = made.to_frame("wide")
    assert wide.shape == (2, 10)
    assert wide.loc["net-b"].xs("mean", level="statistic").iloc[0] == pytest.approx(0.83)
    assert np.isnan(wide.loc["net-b"].xs("mean", level="statistic").iloc[1])


def test_the_parquet_file_has_the_same_types_for_every_table(made, make_run, tmp_path):
    other = table([make_run(status="diverged")[0]])
    first, second = (pd.read_parquet(io.BytesIO(parquet(one, tmp_path))) for one in (made, other))
    assert list(first.value) == list(made.to_frame().value) and second.value.isna().all()
    both = pd.concat([first, second])
    for name in ("value", "seed", "fold", "draw", "size", "n"):
        assert both[name].dtype == first[name].dtype == second[name].dtype, name
    assert all((tmp_path / path).is_file() for path in first.path) and str(tmp_path) not in "".join(first.path)


def test_a_spreadsheet_shows_names_as_text(make_run):
    """Only in CSV: the frame keeps the name, and numbers stay numbers."""
    name = '=HYPERLINK("http://x.example","open")'
    made = table([make_run(checkpoint=name, value=-0.5)[0], make_run(checkpoint="net-b", value=0.7)[0]])
    assert name in set(made.to_frame("cells").checkpoint)
    read = pd.read_csv(io.StringIO(made.to_csv()))
    assert set(read.checkpoint) == {f"'{name}", "net-b"} and sorted(read["mean"]) == [-0.5, 0.7]
