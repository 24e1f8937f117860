"""Suites: every row and column is filled, whatever a checkpoint or a task is called; a dry run lists what is missing."""

import shutil
from contextlib import suppress
from types import SimpleNamespace

import pytest
import timm
import torch

import medzoo
from medzoo import cli
from medzoo.bench import engines
from medzoo.bench.dry_run import missing_of
from medzoo.bench.engines import fill_table
from medzoo.bench.suite_options import places_of
from medzoo.bench.suites.read import load_suite
from medzoo.errors import ResultError, UsageError

TASK = '{ name = "phantom_oct,n=24,n_validation=12,n_test=20", title = "OCT", size = 32 }'


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Folders of a small network with other weights each; all of them call themselves test_resnet-net."""
    root = tmp_path_factory.mktemp("nets")
    for seed, place in enumerate(("hub/a/net", "hub/b/net", "own/net", "run/checkpoint")):
        torch.manual_seed(seed)
        model = timm.create_model("test_resnet", num_classes=0)
        card = {
            "name": "test_resnet-net",
            "license": "apache-2.0",
            "data": ["noise"],
            "input": {"size": 32, "crop_pct": 1.0},
        }
        medzoo.save(model, root / place, card=card)
    return root


@pytest.fixture
def suite(tmp_path):
    def made(checkpoints, tasks=TASK, mode="linear", seeds="[0]", more=""):
        rows = ", ".join(f'{{ name = "{name}", label = "{label}" }}' for label, name in checkpoints.items())
        path = tmp_path / "mine.toml"
        path.write_text(
            f'name = "mine"\nmode = "{mode}"\nseeds = {seeds}\ncheckpoints = [{rows}]\ntasks = [{tasks}]\n{more}'
        )
        return load_suite(path)

    return made


def words(table):
    return {
        row.label: [cell.worded(3).rstrip(" ~") for cell in cells]
        for row, cells in zip(table.rows, table.grid, strict=True)
    }


def test_a_row_is_filled_however_its_checkpoint_is_called(suite, nets, tmp_path, monkeypatch):
    monkeypatch.chdir(nets / "own")
    names = {
        "absolute": str(nets / "own" / "net"), "relative": "net", "dotted": "./net/", "local-dir": f"local-dir:{nets}/own/net",
        "run folder": str(nets / "run"), "a": "a/net", "b": "hf-hub:b/net", "drawn": "resnet10t-random",
    }  # fmt: skip
    filled = fill_table(suite(names), tmp_path / "out", device="cpu", hub=str(nets / "hub"))
    assert filled.failures == [] and len(filled.outcomes) == len(names)
    table = filled.table
    shown = words(table)
    assert list(shown) == list(names) and all(cells[0].endswith("(1)") for cells in shown.values())
    runs = {row.label: cells[0].runs[0].run_id for row, cells in zip(table.rows, table.grid, strict=True)}
    spelled = {runs[name] for name in ("absolute", "relative", "dotted", "local-dir")}
    assert len(spelled) == 1 and len(set(runs.values())) == 5
    assert any(
        all(name in note for name in ("absolute", "relative", "dotted", "local-dir")) for note in table.footnotes
    )
    # the same from the stored results alone, by names that are not those of the results
    again = medzoo.table(tmp_path / "out" / "results", checkpoints={v: k for k, v in names.items()}, hub=nets / "hub")
    assert {row.label: cells[0].runs[0].run_id for row, cells in zip(again.rows, again.grid, strict=True)} == runs


def test_a_name_whose_weights_have_no_result_is_told(suite, nets, tmp_path):
    fill_table(suite({"own": str(nets / "own" / "net")}), tmp_path / "out", device="cpu")
    own, other = (str(nets / place / "net") for place in ("own", "hub/b"))
    shown = words(medzoo.table(tmp_path / "out" / "results", checkpoints=[other, "c/net", own]))
    assert [shown[other], shown["c/net"]] == [["—"], ["—"]] and shown[own] != ["—"]
    table = medzoo.table(tmp_path / "out" / "results", checkpoints=[other, "c/net", own])
    notes = " ".join(table.footnotes)
    assert "no result has its weights" in notes and "1 results of other weights" in notes
    assert "c/net: no result has its name" in notes
    with pytest.raises(ResultError):
        medzoo.table(tmp_path / "out" / "results", checkpoints=[other])


def test_a_column_is_filled_however_its_task_is_called(suite, nets, tmp_path, monkeypatch):
    from medzoo.data.tasks.custom import fake

    for place in ("here/scans", "there/scans"):
        fake(tmp_path / place, 16, seed=len(place))
    monkeypatch.chdir(tmp_path)
    tasks = {
        "one": f"folder:{tmp_path}/here/scans", "same": "folder:./here/scans/", "other": "folder:there/scans",
        "OCT": "phantom_oct,n_test=20,n=24,n_validation=12", "tenth": "folder:here/scans",
    }  # fmt: skip
    rows = ", ".join(
        f'{{ name = "{name}", title = "{title}", size = 32{", fraction = 0.5" if title == "tenth" else ""} }}'
        for title, name in tasks.items()
    )
    table = fill_table(suite({"net": str(nets / "own" / "net")}, rows), tmp_path / "out", device="cpu").table
    assert [column.title for column in table.columns] == list(tasks)
    assert all(text.endswith("(1)") for text in words(table)["net"])
    runs = [cell.runs[0].run_id for cell in table.grid[0]]
    assert runs[0] == runs[1] and len(set(runs)) == 4
    assert any(note.startswith("one, same: ") for note in table.footnotes)
    assert [column.detail for column in table.columns][3:] == ["100 % of train", "50 % of train"]
    results = tmp_path / "out" / "results"
    chosen = medzoo.table(results, tasks=["phantom_oct,n_validation=12,n=24,n_test=20"])
    assert len(chosen.columns) == 1 and words(chosen) == {"test_resnet-net": [words(table)["net"][3]]}
    with pytest.raises(UsageError):
        medzoo.table(results, tasks=["folder:here/scans", "folder:there/scans"])


def test_a_dry_run_lists_what_is_missing_and_does_nothing(suite, nets, tmp_path, monkeypatch):
    chosen = suite({"own": str(nets / "own" / "net"), "a": "a/net"}, seeds="[0, 1]")
    places = places_of(chosen, tmp_path / "out", device="cpu", hub=str(nets / "hub"))
    assert str(missing_of(chosen, places)).splitlines()[-1] == "0 of 4 runs have a result, 4 are missing"
    assert not (tmp_path / "out").exists()
    fill_table(suite({"own": str(nets / "own" / "net")}), tmp_path / "out", device="cpu")
    for place in ("zoo.loading.assemble.assemble", "zoo.loading.assemble.draw", "data.decode_cache.cache.decoded"):
        monkeypatch.setattr(f"medzoo.{place}", lambda *_, **__: pytest.fail("worked"))
    missing = missing_of(chosen, places)
    assert [str(cell) for cell in missing.cells] == ["a on OCT, seed 0", "own on OCT, seed 1", "a on OCT, seed 1"]
    assert missing.finished == 1 and missing.unknown == {}


def test_a_dry_run_knows_pretrainings_and_what_is_not_here(suite, tmp_path):
    common = (
        'size = 32\nepochs = 1\nprecision = "fp32"\nbatch_size = 8\ntask = "phantom_oct,n=8,n_validation=4,n_test=4"\n'
    )
    step = (
        f'[[pretrain]]\nname = "resnet10t-mine"\nmethod = "supervised"\narchitecture = "resnet10t"\n{common}'
        f'[[pretrain]]\nname = "resnet10t-more"\nmethod = "supervised"\ncheckpoint = "resnet10t-mine"\n{common}'
    )
    names = {"mine": "resnet10t-mine", "more": "resnet10t-more", "absent": "lab/absent"}
    tasks = f'{TASK}, {{ name = "pneumoniamnist", size = 32 }}'
    chosen = suite(names, tasks, more=step)
    places = places_of(chosen, tmp_path / "out", device="cpu")
    before = missing_of(chosen, places)
    assert before.steps == ["resnet10t-mine", "resnet10t-more"] and len(before.cells) == 6
    assert not (tmp_path / "out").exists()
    filled = fill_table(suite(names, TASK, more=step), tmp_path / "out", device="cpu")
    assert len(filled.failures) == 1 and "absent" in filled.failures[0]
    assert [cells[0] for cells in words(filled.table).values()][2] == "—"
    after = missing_of(chosen, places)
    assert after.steps == [] and after.finished == 2
    assert [str(cell) for cell in after.cells] == [
        "absent on OCT, seed 0", *(f"{label} on pneumoniamnist, seed 0" for label in names),
    ]  # fmt: skip
    assert sum(after.unknown.values()) == 4
    shutil.rmtree(places.runs / "pretrain" / "resnet10t-mine" / "checkpoint")
    assert missing_of(chosen, places).steps == ["resnet10t-mine", "resnet10t-more"]


def test_a_failure_is_told_once_for_all_its_runs(suite, nets, tmp_path):
    names = {"own": str(nets / "own" / "net"), "absent": "lab/absent"}
    filled = fill_table(suite(names, seeds="[0, 1, 2, 3]"), tmp_path / "out", device="cpu")
    (line,) = filled.failures
    assert line.startswith("4 runs (absent on OCT, seed 0, ") and "and 1 more" in line
    assert len(filled.outcomes) == 4 and words(filled.table)["absent"] == ["—"]


def test_folds_are_runs_of_one_column(suite, nets, tmp_path):
    tasks = TASK.replace(" }", ", folds = [0, 1, 2, 3, 4] }")
    net = {"net": str(nets / "own" / "net")}
    table = fill_table(suite(net, tasks), tmp_path / "out", device="cpu").table
    (column,) = table.columns
    (cell,) = table.grid[0]
    assert column.folds == 5 and len(cell.runs) == 5 and cell.count == "5 folds"
    assert cell.mean == pytest.approx(sum(cell.values) / 5)


@pytest.mark.parametrize(
    ("mode", "old", "new"),
    [
        ("linear", "size = 32", "size = 32, epochs = 3"),
        ("linear", "size = 32", "size = 32, learning_rate = 0.1"),
        ("finetune", "size = 32", "size = 4"),
        ("finetune", "size = 32", "learning_rate = nan"),
        ("finetune", "size = 32", "batch_size = 1"),
        ("finetune", "size = 32", "folds = [0, 0]"),
        ("finetune", "size = 32", "folds = [0], fold = 1"),
    ],
)
def test_what_no_run_could_use_is_refused_before_any_training(suite, tmp_path, monkeypatch, mode, old, new):
    monkeypatch.setattr("medzoo.bench.campaign.pretrainings.pretrain", lambda *_: pytest.fail("trained"))
    with pytest.raises(UsageError):
        chosen = suite({"random": "resnet10t-random"}, TASK.replace(old, new), mode)
        fill_table(chosen, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_the_table_command_takes_any_name_of_a_checkpoint(suite, nets, tmp_path, monkeypatch, capsys):
    fill_table(
        suite({"own": str(nets / "own" / "net"), "a": str(nets / "hub" / "a" / "net")}), tmp_path / "out", device="cpu"
    )

    def run(*words):
        monkeypatch.setattr("sys.argv", ["medzoo", "table", str(tmp_path / "out" / "results"), *map(str, words)])
        with suppress(SystemExit):
            cli.main()
        said = capsys.readouterr()
        return said.out + said.err

    asked = ["--checkpoints", "a/net", "--checkpoint", f"local-dir:{nets}/own/net", "--hub", nets / "hub"]
    text = run(
        *asked, "--tasks", TASK.split('"')[1], "--metric", "accuracy", "--title", "Mine", "--out", tmp_path / "made"
    )
    rows = [line.split() for line in text.splitlines() if "(1)" in line and "±" not in line]
    assert [row[0] for row in rows[:2]] == ["a/net", f"local-dir:{nets}/own/net"] and "accuracy" in text
    assert (tmp_path / "made" / "table.html").is_file() and text.startswith("Mine")
    assert "error: " in run("--metric", "acuracy") and "error: " in run("--checkpoints", "b/net", "--hub", nets / "hub")


def test_draws_are_runs_of_one_column_with_the_same_images_for_every_checkpoint(suite, nets, tmp_path):
    """The mean is over the draws, each of which is a run: their predictions are not joined."""
    tasks = TASK.replace(" }", ", per_class = [1, 2], fractions = [0.5, 1.0], draws = 3 }")
    both = {"net": str(nets / "own" / "net"), "other": str(nets / "hub" / "a" / "net")}
    chosen = suite(both, tasks, seeds="[0, 1]")
    places = places_of(chosen, tmp_path / "out", device="cpu")
    assert str(missing_of(chosen, places)).splitlines()[-1] == "0 of 40 runs have a result, 40 are missing"
    with pytest.warns(UserWarning, match="Fewer than 10 draws for OCT, 1 per class, "):
        filled = fill_table(chosen, tmp_path / "out", device="cpu")
    assert filled.failures == [] and missing_of(chosen, places).finished == 40
    table = filled.table
    assert [column.title for column in table.columns] == [
        "OCT, 1 per class", "OCT, 2 per class", "OCT, 50 % of train", "OCT, 100 % of train",
    ]  # fmt: skip
    assert {column.detail for column in table.columns} == {""} and [c.drawn for c in table.columns] == [True] * 3 + [
        False
    ]
    for cell in (cells[number] for cells in table.grid for number in range(3)):
        assert cell.count == "3 draws x 2 seeds" and len(cell.runs) == 6 and not cell.mixed
        means = [sum(run.value for run in cell.runs if run.draw == draw) / 2 for draw in range(3)]
        assert cell.mean == pytest.approx(sum(means) / 3) and cell.sd == pytest.approx(
            torch.tensor(means).std().item(), abs=1e-6
        )
    # the two checkpoints have the same images in each draw, and the draws have others
    splits = {}
    for outcome in filled.outcomes:
        identity = outcome.result["identity"]
        part = identity.get("training_part")
        if part and "per_class" in part:
            counts = outcome.result["train"]["counts"]
            assert (
                counts["train"] == 4 * part["per_class"]
                and counts["test"] == 20
                and counts["train patients"] <= counts["train"]
            )
            key = part["per_class"], part["draw"]
            splits.setdefault(key, set()).add(identity["dataset"]["split_hash"])
    assert len(splits) == 6 and all(len(hashes) == 1 for hashes in splits.values())
    assert len({*splits[1, 0], *splits[1, 1], *splits[1, 2]}) > 1
    # the same from the stored results alone
    again = medzoo.table(tmp_path / "out" / "results")
    assert [column.part for column in again.columns] == [
        "1 per class",
        "2 per class",
        "50 % of train",
        "100 % of train",
    ]
    long = again.to_frame()
    assert set(long["draw"].dropna()) == {0, 1, 2} and set(long["per_class"].dropna()) == {1, 2}
    assert "(n draws)" in table.to_text() and "2 training images per class" in table.to_markdown()
    assert "OCT, 2 per class" in table.to_html()


def test_a_class_that_is_too_small_fails_only_its_column(suite, nets, tmp_path):
    tasks = TASK.replace(" }", ", per_class = [1, 500], draws = 10 }")
    with pytest.warns(UserWarning, match="The runs on OCT, 500 per class will fail"):
        filled = fill_table(suite({"net": str(nets / "own" / "net")}, tasks), tmp_path / "out", device="cpu")
    assert len(filled.failures) == 1 and "--per-class" in filled.failures[0] and len(filled.outcomes) == 10
    assert [cell.worded(3).rstrip(" ~")[-10:] for cell in filled.table.grid[0]] == ["(10 draws)", "—"]


def test_results_of_other_processes_are_read_without_a_network_if_the_gpu_is_broken(suite, nets, tmp_path, monkeypatch):
    """After an error of CUDA, this process cannot compute; other processes have stored the results."""
    one, hub = suite({"a": "a/net", "drawn": "resnet10t-random"}), str(nets / "hub")
    first = fill_table(one, tmp_path / "out", device="cpu", hub=hub)

    def filled_elsewhere(suite, places, cells, campaign, *, workers):
        return SimpleNamespace(outcomes={}, failed={}, elsewhere=cells, must_restart=True)

    monkeypatch.setattr(engines, "run_cell", None)  # would fail if it were called
    monkeypatch.setattr(engines, "fill_locally", filled_elsewhere)
    again = fill_table(one, tmp_path / "out", device="cpu", hub=hub)
    assert again.failures == [] and words(again.table) == words(first.table)
    shutil.rmtree(tmp_path / "out" / "results")
    lost = fill_table(one, tmp_path / "out", device="cpu", hub=hub)
    assert [line.partition(" (")[0] for line in lost.failures] == ["2 runs"] and "no result" in lost.failures[0]
