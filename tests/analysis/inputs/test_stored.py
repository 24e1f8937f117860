"""Which stored runs belong to what the user names: of one protocol, on the same data, and nothing is silently skipped."""

import shutil

import pytest
from expect import raises
from stored_samples import StoreMaker

from medzoo.analysis.inputs import stored
from medzoo.bench.results.store import predictions_path
from medzoo.errors import NotApplicableError


@pytest.fixture
def made(tmp_path):
    return StoreMaker(tmp_path / "results", images=24)


def seeds(runs):
    return sorted(run.result["identity"]["seed"] for run in runs.runs)


def test_a_checkpoint_means_all_its_seeds(made):
    for seed in range(3):
        made.put("net-a", seed)
        made.put("net-b", seed)
    made.put("net-c", 0)
    first, second = made.inputs().runs
    assert (first.name, seeds(first), first.protocol, first.left_out) == ("net-a", [0, 1, 2], "medzoo", ())
    assert (second.name, seeds(second)) == ("net-b", [0, 1, 2])


def test_the_common_protocol_is_taken_and_the_other_runs_are_named(made):
    made.put("net-a", 0)
    made.put("net-a", 1, protocol="long")
    made.put("net-b", 0)
    first, _ = made.inputs().runs
    assert seeds(first) == [0] and first.left_out == ("1 runs of another protocol",)


@pytest.mark.parametrize("chosen", ["long", None])
def test_of_two_common_protocols_the_user_chooses(made, chosen):
    for name in ("net-a", "net-b"):
        made.put(name, 0)
        made.put(name, 1, protocol="long")
    if chosen is None:
        with raises(NotApplicableError, "several-protocols", match="long, medzoo.*--runs-of"):
            made.inputs().runs  # noqa: B018
    else:
        assert [seeds(one) for one in made.inputs(runs_of=chosen).runs] == [[1], [1]]


def test_two_protocols_of_one_name_are_chosen_by_their_hash(made):
    for name in ("net-a", "net-b"):
        made.put(name, 0)
        path = made.put(name, 1, options="epochs=9")
    with raises(NotApplicableError, "several-protocols", match="medzoo@"):
        made.inputs(runs_of="medzoo").runs  # noqa: B018
    result = next(result for file, result in made.store.all() if file == path)
    name = f"medzoo@{result['identity']['protocol']['hash'][:8]}"
    assert [seeds(one) for one in made.inputs(runs_of=name).runs] == [[1], [1]]


def test_without_a_common_protocol_both_lists_are_shown(made):
    made.put("net-a", protocol="short")
    made.put("net-b", protocol="long")
    with raises(NotApplicableError, "no-common-protocol", match="net-a: short; net-b: long"):
        made.inputs().runs  # noqa: B018


@pytest.mark.parametrize("change", [{"split": "other"}, {"data": "other"}])
def test_runs_on_different_data_are_not_compared(made, change):
    made.put("net-a")
    made.put("net-b", **change)
    with raises(NotApplicableError, "runs-of-different-data"):
        made.inputs().runs  # noqa: B018


def test_runs_on_two_splits_of_the_data_are_not_mixed(made):
    for name in ("net-a", "net-b"):
        made.put(name, 0)
        made.put(name, 1, split="other")
    with raises(NotApplicableError, "several-splits"):
        made.inputs().runs  # noqa: B018


def test_the_folds_of_one_division_are_one_setting(made):
    for fold in range(3):
        made.put("net-a", fold=fold)
        made.put("net-b", fold=fold)
    assert [len(one.runs) for one in made.inputs().runs] == [3, 3]
    assert [[run.fold for run in one.runs] for one in made.inputs(fold=1).runs] == [[1], [1]]


def test_runs_that_cannot_be_compared_are_counted(made):
    made.put("net-a", 0)
    made.put("net-a", 1, fraction=0.1)
    made.put("net-a", 2, per_class=5)
    made.put("net-a", 3, status="diverged")
    made.put("net-b", 0)
    first, _ = made.inputs().runs
    assert seeds(first) == [0]
    assert set(first.left_out) == {
        "2 runs with a part of the training images",
        "1 runs with the status diverged",
    }


def test_runs_that_cannot_be_compared_do_not_decide_the_protocol(made):
    for name in ("net-a", "net-b"):
        made.put(name, 0)
        made.put(name, 1, protocol="few", fraction=0.1)
    assert [one.protocol for one in made.inputs().runs] == ["medzoo", "medzoo"]


def test_a_checkpoint_without_usable_runs_is_named_with_the_reason(made):
    made.put("net-a", 0)
    made.put("net-b", 0, fraction=0.1)
    with raises(NotApplicableError, "no-runs-of-checkpoint", match="net-b.*1 runs with a part"):
        made.inputs().runs  # noqa: B018
    with raises(NotApplicableError, "no-runs-of-checkpoint", match="nowhere"):
        made.inputs("net-a", "nowhere").runs  # noqa: B018


def test_a_store_without_the_task(made):
    made.put("net-a")
    with raises(NotApplicableError, "no-runs-of-task", match="phantom_ct"):
        made.inputs(task="phantom_ct").runs  # noqa: B018
    with raises(NotApplicableError, "no-runs-of-task", match="fold 3"):
        made.inputs(fold=3).runs  # noqa: B018


def run_folder(tmp_path, path, name="out"):
    """A run folder of a stored run."""
    folder = tmp_path / name
    (folder / "checkpoint").mkdir(parents=True)
    shutil.copy(path, folder / "result.json")
    return folder


@pytest.mark.parametrize("inside", ["", "checkpoint", "checkpoint/"])
def test_a_run_folder_means_its_run_alone(made, tmp_path, inside):
    made.put("net-a", 0)
    folder = run_folder(tmp_path, made.put("net-a", 1))
    made.put("net-b", 0)
    first, second = made.inputs(str(folder / inside) if inside else f"{folder}/", "net-b").runs
    assert (seeds(first), first.name, first.short) == ([1], "net-a", "out")
    assert seeds(second) == [0]


def test_a_run_folder_decides_the_protocol(made, tmp_path):
    folder = run_folder(tmp_path, made.put("net-a", 0, protocol="long"))
    made.put("net-b", 0)
    made.put("net-b", 1, protocol="long")
    assert seeds(made.inputs(str(folder), "net-b").runs[1]) == [1]


def test_a_run_folder_of_another_store_task_or_part(made, tmp_path):
    made.put("net-b", 0)
    other = StoreMaker(tmp_path / "elsewhere", images=24)
    folder = run_folder(tmp_path, other.put("net-a"))
    with raises(NotApplicableError, "run-not-in-store", match="--results"):
        made.inputs(str(folder), "net-b").runs  # noqa: B018
    folder = run_folder(tmp_path, made.put("net-a", task="phantom_ct"), "second")
    with raises(NotApplicableError, "run-of-other-task", match="phantom_ct"):
        made.inputs(str(folder), "net-b").runs  # noqa: B018
    folder = run_folder(tmp_path, made.put("net-a", fraction=0.5), "third")
    with raises(NotApplicableError, "run-not-usable"):
        made.inputs(str(folder), "net-b").runs  # noqa: B018


def test_a_checkpoint_is_not_compared_with_its_run(made, tmp_path):
    made.put("net-a", 0)
    folder = run_folder(tmp_path, made.put("net-a", 1))
    with raises(NotApplicableError, "runs-in-common"):
        made.inputs(str(folder), "net-a").runs  # noqa: B018


def test_predictions_are_read_on_first_use_and_once(made, monkeypatch):
    for name in ("net-a", "net-b"):
        made.put(name)
    read = []
    monkeypatch.setattr(stored, "read_run", lambda path, _: read.append(path) or object())
    run = made.inputs().runs[0].runs[0]
    assert not read
    assert run.predictions is run.predictions and read == [run.path]


def test_a_run_without_predictions_is_an_error_that_names_the_file(made):
    made.put("net-b")
    path = made.put("net-a")
    predictions_path(path).unlink()
    with raises(NotApplicableError, "run-without-predictions", match=path.stem):
        made.inputs().runs[0].runs[0].predictions  # noqa: B018


def test_all_checkpoints_of_the_task(made):
    for name in ("net-a", "net-b", "net-c"):
        made.put(name, 0)
    made.put("net-d", protocol="long")
    with raises(NotApplicableError, "no-runs-of-checkpoint"):
        made.inputs("net-x", "net-b").all_runs  # noqa: B018
    assert [one.name for one in made.inputs().all_runs] == ["net-a", "net-b", "net-c"]
    assert [one.name for one in made.inputs("net-x", "net-y", runs_of="long").all_runs] == ["net-d"]
