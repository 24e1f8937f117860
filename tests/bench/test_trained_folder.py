"""The folder that a run leaves: its thresholds, and the window of its own training."""

import json
from types import SimpleNamespace

import pytest

import medzoo
from medzoo.bench.metrics import Calibration
from medzoo.bench.run import CellOptions, run_cell
from medzoo.bench.trained_folder import _folder_calibration
from medzoo.training.pretrain_run.result import save_checkpoint

CT, OCT = "phantom_ct,n=8,n_validation=4,n_test=4", "phantom_oct,n=8,n_validation=4,n_test=4"
LABELS = ("edema", "mass", "nodule")


@pytest.mark.parametrize(
    ("kind", "classes", "chosen", "stored", "named"),
    [
        ("multilabel", LABELS, {"edema": 0.2, "mass": 0.3, "nodule": 0.7}, [0.2, 0.3, 0.7], []),
        ("multilabel", LABELS, {"nodule": 0.7, "edema": 0.2}, [0.2, 0.5, 0.7], ["mass"]),
        ("multilabel", LABELS, {}, [], LABELS),
        ("binary", ("no", "yes"), {"yes": 0.4}, [0.4], []),
        ("binary", ("no", "yes"), {}, [], ["yes"]),
        ("multiclass", LABELS, {"mass": 0.3}, [], []),
    ],
)
def test_a_label_without_a_threshold_gets_one_half(recwarn, kind, classes, chosen, stored, named):
    facts = _folder_calibration(SimpleNamespace(kind=kind, classes=classes), Calibration(1.5, chosen))
    assert facts["thresholds"] == stored and facts["temperature"] == 1.5
    warned = [str(warning.message) for warning in recwarn]
    assert len(warned) == bool(named) and all(name in warned[0] for name in named)


@pytest.fixture(scope="module")
def of_ct(tmp_path_factory, tiny_hub):
    """The run folder of a fine-tuning on CT."""
    return fine_tuned("lab/tiny", CT, tmp_path_factory.mktemp("ct"), hub=str(tiny_hub))


def fine_tuned(checkpoint, task, folder, **options):
    settings = {"size": 32, "epochs": 1, "batch_size": 4, "precision": "fp32", "device": "cpu"}
    return run_cell(
        CellOptions(
            checkpoint=str(checkpoint),
            task=task,
            out=str(folder / "run"),
            results=str(folder / "r"),
            **settings,
            **options,
        )
    ).run


def window_of(folder):
    config = json.loads((folder / "config.json").read_text())
    notes = config["pretrained_cfg"].get("notes", [])
    return config["medzoo"].get("evaluation", {}).get("window"), notes


def test_the_window_is_that_of_the_own_training(of_ct, tmp_path):
    assert window_of(of_ct / "checkpoint") == ("-160:240 HU", ["medzoo input window: -160:240 HU"])
    assert window_of(fine_tuned(of_ct, OCT, tmp_path) / "checkpoint") == (None, [])
    step = {"method": "simclr", "data": "films", "images": 4, "epochs": 1}
    further = save_checkpoint(
        medzoo.load(of_ct), tmp_path / "pretrained", name="tiny-simclr-films", license="mit", size=32, step=step,
        hyperparameters={},
    )  # fmt: skip
    assert window_of(further) == (None, [])
