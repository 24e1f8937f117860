"""A stored result is on the disk before it has its name, and is never written over, by whatever way its place is asked for."""

import os

import pytest
from durable import Trail, survives

from medzoo.bench.results import store as results
from medzoo.bench.results.store import ResultStore
from medzoo.bench.sharing.pseudonymize import MARK, is_salted, salted
from medzoo.errors import ResultError


@pytest.fixture
def kept(tmp_path):
    return ResultStore(tmp_path / "results")


@pytest.mark.parametrize("links", [True, False])
def test_a_result_survives_a_loss_of_power(kept, make_run, monkeypatch, links):
    """Predictions first, then the result; also on a file system without links."""
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    trail = Trail(monkeypatch)
    path = kept.put(*make_run())
    survives(trail, path)
    survives(trail, results.predictions_path(path))
    assert trail.named(results.predictions_path(path)) < trail.named(path)


def test_a_writer_that_comes_too_late_changes_nothing(kept, make_run, monkeypatch):
    """Another process, without our claim, writes the same place between our look and our link."""
    result, table = make_run()
    path, link = kept.path(result["identity"]), os.link

    def overtaken(source, target):
        path.write_text("theirs")
        return link(source, target)

    monkeypatch.setattr(os, "link", overtaken)
    with pytest.raises(ResultError):
        kept.put(result, table)
    assert path.read_text() == "theirs" and not list(path.parent.glob(".tmp-*"))


@pytest.mark.parametrize(("first", "second"), [("ok", "ok"), ("ok", "diverged"), ("ok", "failed"), ("diverged", "ok")])
def test_a_second_run_never_takes_the_place_of_a_first(kept, make_run, first, second):
    path = kept.put(*make_run(status=first, value=0.7))
    before = path.read_bytes()
    with pytest.warns(UserWarning):
        assert kept.put(*make_run(status=second, value=0.8, draw=1)) == path
    assert path.read_bytes() == before
    assert len(kept.all()) == 1 and len(kept.all(replicates=True)) == 2


IDENTITY = {
    "task__id": "other", "task__version": "2", "dataset__fingerprint": "f", "dataset__split_hash": "s",
    "dataset__preprocess_hash": "p", "dataset__label_policy": "zero", "checkpoint__id": "other", "checkpoint__arch": "a",
    "checkpoint__weights_sha256": "ab" * 32, "checkpoint__init": "random", "protocol__id": "other", "protocol__hash": "h",
    "protocol__label_fraction": 0.5, "protocol__mode": "linear", "protocol__size": 64, "seed": 5, "fold": 2,
}  # fmt: skip


@pytest.mark.parametrize("field", IDENTITY)
def test_every_part_of_an_identity_is_part_of_the_key(identity, field):
    assert results.run_id(identity(**{field: IDENTITY[field]})) != results.run_id(identity())


@pytest.mark.parametrize("field", ["checkpoint__repo", "checkpoint__revision", "dataset__source_revision"])
def test_where_weights_and_data_lay_is_not(identity, field):
    assert results.run_id(identity(**{field: "elsewhere"})) == results.run_id(identity())


def test_salted_predictions_bring_nothing_along(make_run):
    """Neither the order of the split nor what other tools wrote into the table, such as paths and index columns."""
    _, table = make_run()
    marked = table.replace_schema_metadata({b"pandas": b'{"index": "/home/ann/scans"}', b"author": b"Ann"})
    made = salted(marked, "a secret of sixteen")
    assert dict(made.schema.metadata) == dict([MARK]) and is_salted(made)
    assert made["sample"].to_pylist() == sorted(made["sample"].to_pylist())
    assert not {*table["sample"].to_pylist(), *table["patient"].to_pylist()} & {
        *made["sample"].to_pylist(), *made["patient"].to_pylist(),
    }  # fmt: skip
    other = salted(table, "another secret of mine")
    assert not set(other["patient"].to_pylist()) & set(made["patient"].to_pylist())
    assert len(set(made["patient"].to_pylist())) == len(set(table["patient"].to_pylist()))  # who is who stays
