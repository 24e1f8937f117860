"""What decides the numbers of analyses of stored runs is in their identity."""

import json
import shutil

import pytest
from compared import compared
from stored_samples import StoreMaker

from medzoo.analysis import feature_space, representation, transferability
from medzoo.analysis.comparison.compare import compare_checkpoints
from medzoo.bench.analyses.record import put_analysis
from medzoo.data.task_registry import load_task


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


FEW_TESTED = "phantom_chest,n=60,n_validation=6,n_test=12,image_size=32"


def test_the_number_of_training_images_changes_what_uses_them():
    """Both have all 12 test images."""
    few, more, same = (compared(task=FEW_TESTED, images=images) for images in (40, 60, 60))
    assert few.identity(representation.USES) == more.identity(representation.USES)
    assert (
        few.identity(transferability.USES) != more.identity(transferability.USES) == same.identity(transferability.USES)
    )
    assert more.identity(transferability.USES)["training_images"]["count"] == 60


def test_the_images_of_the_second_task_change_the_feature_space(tmp_path):
    """The task has 12 test images, the second task 40."""
    second = "phantom_natural,n=12,n_validation=10,n_test=40,image_size=32"
    chosen = {"feature_space": feature_space.Options(domain_task=second, feature_draws=1)}

    def made(images):
        options = compared(
            task=FEW_TESTED, images=images, only=["feature_space"], results=str(tmp_path / "results")
        ).options
        (one,) = compare_checkpoints(options, chosen).made
        return one

    few, more = made(24), made(40)
    assert few.path != more.path and made(40) == more
    facts = more.content["identity"]["inputs"]["domain_images"]
    assert facts["count"] == 40 and facts["fingerprint"] == load_task(second).fingerprint
    assert few.content["identity"]["inputs"]["domain_images"]["count"] == 24
