"""`tests/typed_contracts.py`, which mypy reads, lists every task family, objective and analysis."""

import tomllib
from pathlib import Path

import pytest
import typed_contracts

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("listed", "folder"),
    [
        (typed_contracts.FAMILIES, "medzoo/data/tasks"),
        (typed_contracts.OBJECTIVES, "medzoo/training/objectives"),
        (typed_contracts.ANALYSES, "medzoo/analysis"),
    ],
    ids=["FAMILIES", "OBJECTIVES", "ANALYSES"],
)
def test_every_file_is_compared_with_its_protocol(listed, folder):
    found = {path.stem for path in (ROOT / folder).glob("[!_]*.py")} | {"_template"}
    names = [module.__name__.rpartition(".")[2] for module in listed]
    assert sorted(names) == sorted(found), f"tests/typed_contracts.py: add {sorted(found - set(names))}"


def test_every_objective_is_compared_as_what_is_trained():
    assert [module.Objective for module in typed_contracts.OBJECTIVES] == typed_contracts.TRAINABLE


def test_mypy_reads_the_list():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert {"medzoo", "tests/typed_contracts.py"} <= set(settings["files"])
