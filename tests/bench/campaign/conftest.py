"""A suite whose runs are computed by a stand-in, so that only the division of work is tested."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from medzoo.bench.campaign import worker as module
from medzoo.bench.campaign.record import Campaign
from medzoo.bench.campaign.worker import SuiteWorker
from medzoo.bench.suite import Suite
from medzoo.bench.suite_options import places_of


@dataclass
class Computed:
    """The runs that were computed, in their order."""

    names: list[str]


@pytest.fixture
def suite():
    return Suite(
        "camp",
        "Camp",
        (("resnet10t-random", "random"),),
        ({"name": "phantom_oct", "title": "oct"},),
        seeds=(0, 1, 2, 3),
    )


@pytest.fixture
def campaign(tmp_path):
    return Campaign(tmp_path / "out" / "campaign")


@pytest.fixture
def make_worker(suite, campaign, tmp_path, monkeypatch):
    """Make a worker; `behave(seed)` is called for each run and may raise."""
    computed = Computed([])

    def make(plan=None, behave=lambda seed: None):
        def run_cell(options, mode, *, stored_is_enough):
            computed.names.append(options.seed)
            behave(options.seed)
            result = {"status": "ok", "metric": "auroc"}
            return SimpleNamespace(result=result, worded="0.5000", cached=False, raise_if_diverged=lambda: None)

        monkeypatch.setattr(module, "run_cell", run_cell)
        cells = suite.cells()
        chosen = plan or campaign.start(suite.name, cells)
        return SuiteWorker(suite, places_of(suite, tmp_path / "out"), cells, campaign, chosen)

    make.computed = computed
    return make
