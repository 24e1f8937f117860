"""What leaves this machine: runs with their predictions, and labels only where the terms of the data allow it."""

import pyarrow.parquet as pq
import pytest
import sharing_samples as samples
from sharing_samples import SALT

from medzoo.bench.cell_options import CellOptions
from medzoo.bench.results.store import ResultStore
from medzoo.bench.run import run_cell
from medzoo.bench.sharing.prepare_upload import prepare_upload
from medzoo.bench.sharing.pseudonymize import has_labels
from medzoo.data.shards.write import write_shards
from medzoo.data.tasks import phantom


@pytest.fixture
def upload(tmp_path):
    """Prepare the runs of tmp_path/results; returns the outgoing runs and the reasons of the others."""

    def prepare():
        (tmp_path / "upload").mkdir()
        return prepare_upload(tmp_path / "results", tmp_path / "upload", SALT)

    return prepare


def leave(one):
    return has_labels(pq.read_table(one.predictions))


@pytest.mark.parametrize("stay", [True, False])
def test_labels_of_shards_follow_the_terms_of_their_task(upload, tiny_hub, tmp_path, stay):
    """The name shards:FOLDER does not say which task it was; the result does."""
    drawn = phantom.load("phantom_oct", n=24, n_validation=12, n_test=12, image_size=24)
    drawn.info = drawn.info.__class__(**{**vars(drawn.info), "labels_stay": stay})
    write_shards(drawn, tmp_path / "restricted", progress=False)
    outcome = run_cell(
        CellOptions(
            checkpoint="lab/tiny", hub=str(tiny_hub), task=f"shards:{tmp_path / 'restricted'}", size=32, precision="fp32",
            out=str(tmp_path / "run"), results=str(tmp_path / "results"), device="cpu",
        ),
        "knn",
    )  # fmt: skip
    assert outcome.result["labels_stay"] is stay
    [one], _ = upload()
    assert leave(one) is not stay and one.result["run_id"] == outcome.result["run_id"]


@pytest.mark.parametrize(
    ("task", "recorded", "stay"),
    [
        ("shards:restricted", None, True),  # stored by an earlier medzoo, which did not record it
        ("shards:restricted", True, True),
        ("shards:open", False, False),
        ("folder:mine", None, False),
        ("folder:mine", True, True),
        ("phantom_chest", None, False),
        ("phantom_chest", True, True),
        ("chexpert", None, True),
        ("chexpert", False, True),  # the terms of the registered task hold as well
        ("chexpert,choice=unknown", None, True),
    ],
)
def test_labels_stay_if_the_result_or_the_registered_task_says_so(upload, make_run, tmp_path, task, recorded, stay):
    result, table = make_run(task=task)
    if recorded is not None:
        result["labels_stay"] = recorded
    ResultStore(tmp_path / "results").put(result, table)
    [one], notes = upload()
    assert not notes and leave(one) is not stay


def test_a_run_without_predictions_is_not_uploaded_but_named(upload, tmp_path):
    """It came from a flat table. Numbers of a publication never have predictions."""
    store = ResultStore(tmp_path / "results")
    store.put(*samples.run())
    lacking = store.put(*samples.run(seed=1, predictions=False))
    store.put(*samples.reported(seed=2))
    store.put(*samples.run(seed=3, status="diverged", reason="the loss became NaN"))
    ready, notes = upload()
    assert sorted(one.result["identity"]["seed"] for one in ready) == [0, 2, 3]
    assert len(notes) == 1 and notes[0].startswith(f"{lacking}: the run has no predictions")
