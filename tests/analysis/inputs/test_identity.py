"""What decides the numbers of analyses of stored runs is in their identity."""

import json
import shutil

import pytest
from stored_samples import StoreMaker

from medzoo.bench.analyses.record import put_analysis


@pytest.fixture
def made(tmp_path):
    made = StoreMaker(tmp_path / "results", images=20)
    for name in ("net-a", "net-b"):
        made.put(name)
    return made


def stored(made, name, number=0):
    identity = {
        "analysis": name,
        "task": {"id": "t", "version": "1"},
        "subjects": [],
        "options": {"n": number},
        "inputs": {},
    }
    content = {"title": "", "question": "", "sentence": "", "rows": [], "environment": {}}
    put_analysis(made.store.root, {"identity": identity, **content}, {})


@pytest.mark.parametrize("uses", ["runs", "all_runs", "task_runs", "analyses"])
def test_another_run_changes_it(made, uses):
    before = made.inputs().identity((uses,))
    assert before == made.inputs().identity((uses,)) != {}
    made.put("net-a", seed=1)
    assert made.inputs().identity((uses,)) != before


@pytest.mark.parametrize(
    ("uses", "changes"), [("runs", False), ("all_runs", False), ("task_runs", True), ("analyses", True)]
)
def test_a_run_with_a_part_of_the_images_changes_what_uses_it(made, uses, changes):
    before = made.inputs().identity((uses,))
    made.put("net-a", fraction=0.1)
    assert (made.inputs().identity((uses,)) != before) == changes


def test_stored_similarities_change_it_and_other_analyses_do_not(made):
    before = made.inputs().identity(("analyses",))
    stored(made, "gain")
    assert made.inputs().identity(("analyses",)) == before
    stored(made, "representation")
    assert made.inputs().identity(("analyses",)) != before


def test_the_run_of_a_run_folder_is_in_the_identity_of_a_comparison_of_networks(made, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    path = made.put("net-a", seed=3)
    shutil.copy(path, folder / "result.json")
    run_id = json.loads(path.read_text())["run_id"]
    for labels, expected in ((("net-a", str(folder)), [None, run_id]), (("net-a", "net-b"), None)):
        inputs = made.inputs(*labels, size=32)
        inputs.networks = ()  # opened on first use otherwise
        assert inputs.identity(("networks",)).get("run_ids") == expected
