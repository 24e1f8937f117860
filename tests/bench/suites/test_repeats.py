"""--folds and --draws: the runs of one command, their folders, their mean; and runs that continue after a stop."""

import runpy
import statistics
import sys

import pytest
from expect import raises

from medzoo.bench.cell_options import CellOptions
from medzoo.bench.results.folds import fold_facts
from medzoo.bench.suites.repeats import RepeatOptions, repeated, summary
from medzoo.errors import UsageError
from medzoo.paths import data_dir
from medzoo.recipe_args import parse
from medzoo.training.options.shared import open_task

TASK = "phantom_oct,n=40,n_validation=20,n_test=20"


def options(**changes):
    return CellOptions(**{"checkpoint": "resnet10t-random", "task": TASK, "size": 32, "device": "cpu"} | changes)


def test_a_plain_command_is_one_run():
    plain = options()
    (run,) = repeated(plain, RepeatOptions())
    assert run is plain


@pytest.mark.parametrize(
    ("text", "folds"), [("all", [0, 1, 2, 3, 4]), ("5", [0, 1, 2, 3, 4]), ("0,2,4", [0, 2, 4]), ("3, 1", [3, 1])]
)
def test_folds_are_runs_with_folders_of_their_own(text, folds, tmp_path):
    runs = repeated(options(out=str(tmp_path / "cv"), seed=3), RepeatOptions(folds=text))
    assert [run.fold for run in runs] == folds and {run.seed for run in runs} == {3}
    assert [run.out for run in runs] == [str(tmp_path / "cv" / f"fold-{fold}") for fold in folds]
    assert {run.out for run in repeated(options(), RepeatOptions(folds=text))} == {None}


def test_the_values_of_an_earlier_run_are_kept():
    given = options()
    given.resolved = {"learning_rate": 0.5}
    assert {run.resolved["learning_rate"] for run in repeated(given, RepeatOptions(folds="all"))} == {0.5}


@pytest.mark.parametrize("text", ["2", "7"])
def test_a_number_is_how_many_folds_are_made(text):
    runs = repeated(options(), RepeatOptions(folds=text))
    assert [run.fold for run in runs] == list(range(int(text))) and {run.fold_count for run in runs} == {int(text)}
    facts = [fold_facts(open_task(run), run)["folds"] for run in (*runs, options(fold=0))]
    assert {fact["count"] for fact in facts[:-1]} == {int(text)} and len({fact["sha256"] for fact in facts[:-1]}) == 1
    assert facts[0]["sha256"] != facts[-1]["sha256"]  # they have no mean with the folds of another number
    (one,) = repeated(options(fold=1), RepeatOptions(folds=text))
    assert (one.fold, one.fold_count) == (1, int(text))


def test_one_of_five_folds():
    (run,) = repeated(options(fold=2), RepeatOptions(folds="5"))
    assert run.fold == 2


def test_fold_all_is_a_command_too():
    for words in (["--fold", "all"], ["--fold=all"], ["--folds", "all"]):
        given, repeats = parse([CellOptions, RepeatOptions], "", ["--task", "x", *words, "--seed", "2"])
        assert (given.fold, given.seed, repeats.folds) == (None, 2, "all")


@pytest.mark.parametrize(
    ("changes", "repeats", "code"),
    [
        ({}, {"folds": "0,9"}, "fold-out-of-range"),
        ({}, {"folds": "1"}, "fold-out-of-range"),
        ({}, {"folds": "first"}, "folds-not-numbers"),
        ({}, {"folds": "0,0"}, "folds-not-numbers"),
        ({"fold": 1}, {"folds": "all"}, "one-and-several"),
        ({"per_class": 2, "draw": 1}, {"draws": 2}, "one-and-several"),
        ({"replay": True}, {"folds": "all"}, "one-and-several"),
        ({}, {"draws": 2}, "draw-without-part"),
        ({"per_class": 2}, {"draws": 1}, "option-out-of-range"),
        ({"per_class": 2}, {"draws": 2, "folds": "all"}, "folds-with-draws"),
    ],
)
def test_what_cannot_be_repeated_is_refused_before_any_training(changes, repeats, code):
    with raises(UsageError, code):
        repeated(options(**changes), RepeatOptions(**repeats))


def test_the_folds_of_a_column_are_counted(tmp_path):
    from medzoo.data.tasks.custom import fake

    fake(tmp_path / "scans", 24)
    images = sorted(path for path in (tmp_path / "scans").rglob("*") if path.suffix in (".png", ".jpg", ".dcm"))
    names = [str(path.relative_to(tmp_path)) for path in images]
    lines = [f"{name},{'ab'[n % 2]},p{n},fold{n % 3}" for n, name in enumerate(names)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,patient,fold", *lines]))
    runs = repeated(options(task=f"folder:{tmp_path}/list.csv"), RepeatOptions(folds="all"))
    assert [run.fold for run in runs] == [0, 1, 2]


def test_the_recipe_runs_each_draw_once_and_prints_their_mean(tmp_path, monkeypatch, capsys):
    """The second call reads three results, and runs the fourth draw only."""

    def call(draws):
        words = [
            "--checkpoint",
            "resnet10t-random",
            "--task",
            TASK,
            "--size",
            "32",
            "--device",
            "cpu",
            "--per-class",
            "2",
        ]
        words += ["--draws", str(draws), "--out", str(tmp_path / "run"), "--results", str(tmp_path / "results")]
        monkeypatch.setattr(sys, "argv", ["probe.py", *words])
        runpy.run_path(str(data_dir("recipes") / "probe.py"), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    first = call(3)
    values = [float(line.split()[1]) for line in first if "run folder" in line]
    assert len(values) == 3 and not any("already in the store" in line for line in first)
    assert f"{statistics.fmean(values):.2f}" in first[-1] and "over 3 draws" in first[-1]
    again = call(4)
    assert sum("already in the store" in line for line in again) == 3 and "over 4 draws" in again[-1]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [f"draw-{number}" for number in range(4)]


def test_the_summary_counts_runs_without_a_value():
    class Made:
        def __init__(self, value):
            self.headline = value
            self.result = {"metric": "auroc", "identity": {"fold": 0, "seed": 0}}

    assert summary([Made(0.5), Made(0.7)]).startswith("auroc 0.600 ± 0.141: ")
    assert "over 2 of 3 folds" in summary([Made(0.5), Made(0.7), Made(None)])
    assert summary([Made(None), Made(0.7)]).startswith("auroc: 1 of 2 folds")
