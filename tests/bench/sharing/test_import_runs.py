"""Imported runs: a replicate never becomes the run that counts, and predictions that come later join their run."""

import shutil

import pyarrow.parquet as pq
import pytest
import sharing_samples as samples
from sharing_samples import SALT

from medzoo.bench.results.store import ResultStore, predictions_path
from medzoo.bench.sharing import push_pull
from medzoo.bench.sharing.flat_table import export
from medzoo.bench.sharing.import_runs import import_results
from medzoo.bench.sharing.layout import predictions_file, replicate_of, run_file
from medzoo.bench.sharing.prepare_upload import prepare_upload


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    samples.read_here(monkeypatch)


@pytest.fixture
def twice(tmp_path):
    """A store with a run and its replicate."""
    store = ResultStore(tmp_path / "results")
    path = store.put(*samples.run(draw=1))
    with pytest.warns(UserWarning, match="not counted"):
        store.put(*samples.run(draw=2))
    return store, path


def as_repository(store, tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    prepare_upload(store.root, folder, SALT)
    return folder


@pytest.mark.parametrize("damage", ["missing", "changed"])
@pytest.mark.parametrize("kind", ["store", "repository"])
@pytest.mark.parametrize("failed", [False, True])
def test_a_replicate_whose_run_is_damaged_does_not_take_its_place(twice, tmp_path, damage, kind, failed):
    store, path = twice
    if kind == "store":
        source, parquet = store.root, predictions_path(path)
    else:
        source = as_repository(store, tmp_path)
        parquet = source / predictions_file(run_file(store.all()[0][1]["identity"]))
    if damage == "missing":
        parquet.unlink()
    else:
        parquet.write_bytes(parquet.read_bytes() + b"0")
    target = ResultStore(tmp_path / "target")
    if failed:  # a failed run makes way for the run that counts, and not for a replicate
        target.put(*samples.run(status="failed", reason="the disk was full"))
    taken = import_results(source, target)
    assert len(taken.left_out) == 2 and not taken.added and not taken.replicates
    assert [row["status"] for _, row in target.all(replicates=True)] == ["failed"] * failed
    assert "replicate" in taken.left_out[1] and replicate_of(taken.left_out[1].partition(":")[0]) == 2


def test_a_replicate_comes_along_with_its_run(twice, tmp_path):
    store, _ = twice
    for source in (store.root, as_repository(store, tmp_path)):
        target = ResultStore(tmp_path / f"from {source.name}")
        taken = import_results(source, target)
        assert (len(taken.added), taken.replicates, taken.left_out) == (1, 1, [])
        assert import_results(source, target).known == 2


def test_a_replicate_in_a_flat_table_without_its_run_is_left_out(twice, tmp_path):
    store, _ = twice
    found = [(run_file(row["identity"], replicate_of(path.name)), row) for path, row in store.all(replicates=True)]
    export(found[1:], tmp_path / "flat.parquet")
    taken = import_results(tmp_path / "flat.parquet", tmp_path / "target")
    assert len(taken.left_out) == 1 and not ResultStore(tmp_path / "target").all(replicates=True)


def from_flat_table(store, tmp_path):
    """A store with the same runs, without predictions."""
    found = [(run_file(row["identity"], replicate_of(path.name)), row) for path, row in store.all(replicates=True)]
    export(found, tmp_path / "flat.parquet")
    target = ResultStore(tmp_path / "target")
    import_results(tmp_path / "flat.parquet", target)
    return target


@pytest.mark.parametrize("kind", ["store", "repository"])
def test_predictions_join_a_run_that_came_from_a_flat_table(twice, tmp_path, kind):
    """Also those of a replicate; the numbers and the identity stay as they are."""
    store, _ = twice
    target = from_flat_table(store, tmp_path)
    before = target.all(replicates=True)
    assert [row["predictions"] for _, row in before] == [{"sha256": None, "rows": 0}] * 2
    source = store.root if kind == "store" else as_repository(store, tmp_path)
    taken = import_results(source, target)
    assert (taken.completed, taken.known, taken.added, taken.replicates, taken.left_out) == (2, 0, [], 0, [])
    assert "2 completed with their predictions" in str(taken)
    after = target.all(replicates=True)
    assert [path for path, _ in after] == [path for path, _ in before]
    for (path, row), (_, old) in zip(after, before, strict=True):
        assert {**row, "predictions": old["predictions"]} == old
        assert pq.read_table(predictions_path(path)).num_rows == row["predictions"]["rows"] == samples.CASES
    again = import_results(source, target)
    assert (again.completed, again.known) == (0, 2)
    assert len(prepare_upload(target.root, tmp_path, SALT)[0]) == 2


def test_other_numbers_do_not_bring_their_predictions(twice, tmp_path):
    store, path = twice
    target = from_flat_table(store, tmp_path)
    other = ResultStore(tmp_path / "other")
    other.put(*samples.run(draw=3))
    taken = import_results(other.root, target)
    assert (taken.completed, taken.replicates) == (0, 1)
    counted = target.path(store.all()[0][1]["identity"])
    assert not predictions_path(counted).exists() and predictions_path(path).is_file()


def test_restricted_labels_stay_after_predictions_have_joined(tmp_path):
    """The run came from a table of an earlier medzoo, which did not record that the labels stay."""
    store = ResultStore(tmp_path / "results")
    result, table = samples.run()
    store.put(result, table)
    target = from_flat_table(store, tmp_path)
    shutil.rmtree(store.root)
    store.put({**result, "labels_stay": True}, table)
    assert import_results(store.root, target).completed == 1
    assert target.all()[0][1]["labels_stay"] is True


def test_pull_fetches_the_predictions_of_a_run_that_has_none(hub_server, twice, tmp_path):
    store, _ = twice
    push_pull.push_results(store, "lab/results", salt=SALT)
    target = from_flat_table(store, tmp_path)
    taken = push_pull.pull_results("lab/results", target.root)
    assert (taken.completed, taken.known, taken.left_out) == (2, 0, [])
    assert push_pull.pull_results("lab/results", target.root).known == 2
