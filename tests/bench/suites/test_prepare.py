"""Before workers start: weights are verified, images are decoded, and what will fail is named."""

import shutil

import pytest

from medzoo.bench.suite import Suite
from medzoo.bench.suite_options import cell_options, places_of
from medzoo.bench.suites.opened_tasks import OpenedTasks
from medzoo.bench.suites.prepare import prepare
from medzoo.data.decode_cache.cache import row_keys, store_of
from medzoo.errors import MedzooError

TASK = {"name": "phantom_oct,n=12,n_validation=8,n_test=8", "title": "OCT"}


@pytest.fixture
def made(tmp_path, tiny_hub, monkeypatch):
    monkeypatch.setenv("MEDZOO_HOME", str(tmp_path / "home"))
    shutil.copytree(tiny_hub, tmp_path / "hub")

    def make(*names, **task):
        suite = Suite("s", "S", tuple((name, name) for name in names), ({**TASK, **task},), seeds=(0, 1))
        return suite, places_of(suite, tmp_path / "out", device="cpu", hub=str(tmp_path / "hub")), suite.cells()

    return make


def missing(given, side):
    suite, places, cells = given
    task = OpenedTasks()(cell_options(suite, cells[0], places))
    return sum(store_of(task, side).find(row_keys(task, split)).missing.size for split in task.splits)


@pytest.mark.parametrize(("task", "side"), [({"size": 40}, 40), ({}, 32)])  # without a size, the checkpoint's
def test_all_images_are_decoded_at_the_side_that_the_runs_read(made, task, side):
    given = made("lab/tiny", **task)
    assert missing(given, side) == 28
    assert prepare(*given) == [] and missing(given, side) == 0


def test_damaged_and_missing_weights_are_named_once(made, tmp_path):
    file = tmp_path / "hub" / "lab" / "tiny" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    damaged, absent = prepare(*made("lab/tiny", "lab/absent"))
    assert "lab/tiny on OCT will fail: IntegrityError" in damaged and "lab/absent on OCT will fail" in absent


def test_data_that_cannot_be_opened_are_named(made, tmp_path):
    (problem,) = prepare(*made("lab/tiny", name=f"folder:{tmp_path}/absent"))
    assert "absent" in problem


def test_a_task_is_opened_once_for_all_seeds(made, monkeypatch):
    suite, places, cells = made("lab/tiny")
    opened = OpenedTasks()
    tasks = [opened(cell_options(suite, cell, places)) for cell in cells]
    assert len(cells) == 2 and tasks[0] is tasks[1]


def test_an_error_of_opening_is_raised_again(made, tmp_path):
    suite, places, cells = made("lab/tiny", name=f"folder:{tmp_path}/absent")
    opened = OpenedTasks()
    with pytest.raises(MedzooError) as first:
        opened(cell_options(suite, cells[0], places))
    with pytest.raises(MedzooError) as second:
        opened(cell_options(suite, cells[1], places))
    assert second.value is first.value
