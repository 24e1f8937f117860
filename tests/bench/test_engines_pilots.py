"""A suite through a scheduler gives the rows of a suite on this machine, and the head computes none of them."""

import warnings
from pathlib import Path

import pytest
from expect import raises

from medzoo.bench import engines
from medzoo.bench.campaign import head as head_module
from medzoo.bench.campaign.pilots import PilotJob
from medzoo.bench.engines import fill_table, pretrain_only
from medzoo.bench.suites.read import load_suite
from medzoo.errors import UsageError

SUITE = """
name = "mine"
mode = "linear"
seeds = [0, 1]
checkpoints = ["lab/tiny", "lab/absent"]
tasks = [{ name = "phantom_oct,n=24,n_validation=12,n_test=20", title = "OCT", size = 32 }]
"""


class AtOnce:
    """A scheduler whose pilots work while they are submitted, one after another."""

    name, uses_gpu = "at-once", True

    def __init__(self):
        self.submitted, self.closed = 0, False

    def submit(self, pilot, count):
        self.submitted += count
        for _ in range(count):
            pilot()
        return PilotJob("1", Path())

    def is_active(self, jobs):
        return False

    def finished(self, jobs):
        assert jobs == ["1"]

    def close(self):
        self.closed = True


@pytest.fixture
def suite(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(SUITE)
    return load_suite(file)


def rows(filled):
    found = ((outcome.result["run_id"], outcome.result["predictions"], outcome.headline) for outcome in filled.outcomes)
    return [(run, predictions["sha256"], value) for run, predictions, value in found]


@pytest.mark.filterwarnings("ignore:.*lab/absent")
def test_the_rows_are_those_of_this_machine(suite, tiny_hub, tmp_path, monkeypatch):
    given = {"device": "cpu", "hub": str(tiny_hub)}
    local = fill_table(suite, tmp_path / "local", **given)
    monkeypatch.setattr(engines, "run_cell", lambda *_, **__: pytest.fail("the head computes"))
    monkeypatch.setattr(engines, "device_kind", lambda device: "cpu")
    monkeypatch.setattr(head_module, "PAUSE", 0.01)
    scheduler = AtOnce()
    filled = fill_table(suite, tmp_path / "other", **given, workers=3, scheduler=scheduler)
    assert scheduler.submitted == 3 and scheduler.closed and len(rows(filled)) == 2
    assert rows(filled) == rows(local) and filled.table.to_text() == local.table.to_text()
    (failure,) = filled.failures
    assert failure.startswith("2 runs (lab/absent") and " (on " in failure
    # again: all results are in the store; only the failed runs are tried again
    again = fill_table(suite, tmp_path / "other", **given, workers=3, scheduler=AtOnce())
    assert [outcome.cached for outcome in again.outcomes] == [True, True] and rows(again) == rows(local)


@pytest.mark.filterwarnings("ignore:.*lab/absent")
@pytest.mark.parametrize("precision", [None, "fp32"])
def test_a_head_without_gpu_says_that_it_chose_the_precision_for_its_cpu(
    suite, tiny_hub, tmp_path, monkeypatch, precision
):
    monkeypatch.setattr(engines, "device_kind", lambda device: "cpu")
    monkeypatch.setattr(engines, "prepare", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    (tmp_path / "mine.toml").write_text(
        SUITE.replace('"linear"', '"finetune"') + (f'precision = "{precision}"\n' if precision else "")
    )
    chosen = load_suite(tmp_path / "mine.toml")
    with pytest.warns(UserWarning) as said, pytest.raises(KeyboardInterrupt):
        engines.progress.warn("start")
        fill_table(chosen, tmp_path / "out", device="cpu", hub=str(tiny_hub), scheduler=AtOnce())
    assert any("This machine has no GPU" in str(one.message) for one in said) == (precision is None)


STEP = """
[[pretrain]]
name = "resnet10t-mine"
method = "supervised"
architecture = "resnet10t"
task = "phantom_oct,n=8,n_validation=4,n_test=4"
size = 32
epochs = 1
batch_size = 8
"""


@pytest.mark.parametrize("before", [True, False])
def test_a_head_without_gpu_says_that_it_pretrains_unless_that_is_done(tmp_path, monkeypatch, before):
    monkeypatch.setattr(head_module, "PAUSE", 0.01)
    monkeypatch.setattr(engines, "device_kind", lambda device: "cpu")
    file = tmp_path / "mine.toml"
    file.write_text(SUITE.replace('"lab/tiny", "lab/absent"', '"resnet10t-mine"').replace("[0, 1]", "[0]") + STEP)
    suite, given = load_suite(file), {"device": "cpu"}
    if before:
        assert pretrain_only(suite, tmp_path / "out", **given) == ["mine/resnet10t-mine"]
        assert not list((tmp_path / "out").glob("results/*")), "it computes no run"
        assert (tmp_path / "out" / "hub" / "mine" / "resnet10t-mine").is_dir()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        filled = fill_table(suite, tmp_path / "out", **given, workers=1, scheduler=AtOnce())
    assert len(filled.outcomes) == 1 and not filled.failures
    assert any("--pretrain-only" in str(row.message) for row in told) != before


def test_a_suite_without_pretraining_has_nothing_to_do(suite, tmp_path):
    with raises(UsageError, "suite-without-pretraining"):
        pretrain_only(suite, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()
