"""A small suite, and its rows from this machine."""

import pytest
from cluster_suite import FAILING, RUNS, ClusterSuite


@pytest.fixture(scope="session")
def files(tmp_path_factory, tiny_hub):
    return ClusterSuite(tmp_path_factory.mktemp("cluster"), tiny_hub)


@pytest.fixture
def cluster_suite(files, monkeypatch):
    """The suite; this process has its environment."""
    for name, value in files.environment.items():
        monkeypatch.setenv(name, value)
    yield files
    for process in files.started:
        process.kill()


@pytest.fixture
def local_rows(cluster_suite):
    """The rows of the same suite on this machine, computed once."""
    if not (cluster_suite.folder / "local").exists():
        filled = cluster_suite.fill("local")
        assert len(filled.outcomes) == RUNS - FAILING and len(filled.failures) == 1
    return cluster_suite.rows("local")
