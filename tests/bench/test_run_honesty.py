"""What makes a number honest: nothing is chosen on the test split, all that may change it has a key, and any user gets it again."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import medzoo
from medzoo.bench.metrics import compute, headline
from medzoo.bench.results import store as results
from medzoo.bench.run import CellOptions, run_cell
from medzoo.data.task_registry import open_family

TASK = "phantom_oct,n=36,n_validation=24,n_test=20,image_size=32"


@pytest.fixture
def cell(tiny_hub, tmp_path):
    """Run a cell in folders of its own."""
    made = []

    def run(mode="finetune", **changes):
        made.append(str(len(made)))
        usual = {
            "checkpoint": "lab/tiny", "hub": str(tiny_hub), "task": TASK, "size": 32, "epochs": 2, "batch_size": 12,
            "precision": "fp32", "out": str(tmp_path / "runs" / made[-1]), "results": str(tmp_path / "results" / made[-1]),
            "device": "cpu",
        }  # fmt: skip
        return run_cell(CellOptions(**{**usual, **changes}), mode=mode)

    return run


def predicted(outcome):
    frame = pd.read_parquet(results.predictions_path(outcome.path))
    return frame[[name for name in frame.columns if name.startswith("probability")]].to_numpy()


def through_the_transform(model, task, split):
    """Probabilities as a user gets them: one image at a time, by the transform."""
    view = medzoo.transform(model)
    with torch.inference_mode():
        rows = [model(view(task.read(split, row)[0])[None]) for row in range(task.tables[split].num_rows)]
    return torch.cat(rows)


def test_the_stored_predictions_are_those_of_the_stored_network_on_the_transform(cell):
    """Of images of the network's size to rounding: what is scored is neither mirrored nor cropped nor of other weights."""
    outcome = cell()
    task, model = medzoo.load_task(TASK), medzoo.load(str(outcome.run), num_classes="pretrained")
    logits = through_the_transform(model, task, "test")
    assert np.abs(predicted(outcome) - logits.double().softmax(1).numpy()).max() < 1e-5
    again = through_the_transform(model, task, "validation").double().softmax(1).numpy()
    validation = headline(compute(task.kind, task.classes, task.labels("validation"), again), task.metric)["value"]
    assert outcome.result["selection"]["value"] == pytest.approx(validation, abs=1e-5)


def test_a_probe_scores_features_of_the_transform(cell, tiny_hub):
    """Against scikit-learn on features that the transform gives, at the penalty that was chosen."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    outcome = cell("linear")
    task, model = medzoo.load_task(TASK), medzoo.load("lab/tiny", hub=tiny_hub)
    train, test = (through_the_transform(model, task, split).numpy() for split in ("train", "test"))
    scaler = StandardScaler().fit(train)
    regression = LogisticRegression(C=outcome.result["selection"]["regularisation"], max_iter=2000)
    expected = regression.fit(scaler.transform(train), task.labels("train")).predict_proba(scaler.transform(test))
    assert np.abs(predicted(outcome) - expected).max() < 1e-3


def test_features_of_half_precision_are_not_taken_for_others(cell, monkeypatch):
    """A probe in fp32 after one in bf16 of the same weights and images computes its features itself."""
    from medzoo.training import features

    calls, original = [], features.evaluate_rows
    monkeypatch.setattr(features, "evaluate_rows", lambda *a, **k: (calls.append(1), original(*a, **k))[1])
    for count, precision in ((3, "bf16"), (6, "fp32"), (6, "fp32")):
        cell("linear", precision=precision)
        assert len(calls) == count


@pytest.mark.parametrize("mode", ["finetune", "linear"])
def test_the_test_split_chooses_nothing(cell, mode):
    """With other test images the same epoch or penalty is chosen, by the same validation score."""
    one, other = cell(mode), cell(mode, task=TASK.replace("n_test=20", "n_test=32"))
    assert one.result["selection"] == other.result["selection"] and one.headline != other.headline
    assert one.result["predictions"]["rows"] == 20 and other.result["predictions"]["rows"] == 32


def test_the_training_split_alone_is_learnt_from(cell):
    """With other validation images, and the last epoch kept, the network is the same."""
    options = {"protocol": "medzoo", "keep_weights": True}
    one, other = (
        cell(**options, epochs=1),
        cell(**options, epochs=1, task=TASK.replace("n_validation=24", "n_validation=8")),
    )
    assert np.array_equal(predicted(one), predicted(other))


@pytest.fixture(scope="module")
def uncertain(tmp_path_factory):
    root = tmp_path_factory.mktemp("chexpert")
    open_family("chexpert").fake(root, 48)
    return root


def test_each_label_policy_is_a_run_of_its_own(cell, uncertain):
    """Uncertain labels read as 0, as 1 or left out train on other labels: other identities, of one split."""
    runs = [
        cell("linear", task="chexpert", root=str(uncertain), label_policy=policy, size=32)
        for policy in ("zero", "one", None)
    ]
    identities = [run.result["identity"] for run in runs]
    assert len({run.result["run_id"] for run in runs}) == 3
    assert [identity["dataset"]["label_policy"] for identity in identities] == ["zero", "one", "mask"]
    assert len({identity["dataset"]["split_hash"] for identity in identities}) == 1


def test_the_identity_says_all_that_may_change_the_number(cell):
    """One run, its identity by hand, against what the task and the checkpoint say of themselves."""
    outcome = cell("linear", seed=3, fraction=0.5, fold=2)
    task = medzoo.load_task(TASK, fraction=0.5, fold=2)
    identity = json.loads(outcome.path.read_text())["identity"]
    assert identity["task"] == {"id": task.name, "version": task.version}
    dataset = identity["dataset"]
    assert (dataset["fingerprint"], dataset["split_hash"]) == (task.fingerprint, task.split_hash)
    assert identity["protocol"]["label_fraction"] == 0.5 and identity["protocol"]["size"] == 32
    assert identity["protocol"]["mode"] == "linear" and identity["seed"] == 3 and identity["fold"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1}, {"fold": 0}, {"fraction": 0.5}, {"size": 40}, {"learning_rate": 0.01}, {"batch_size": 6},
        {"task": TASK.replace("n=36", "n=39")}, {"task": TASK + ",data_seed=1"}, {"mode": "linear"},
    ],
    ids=str,
)  # fmt: skip
def test_a_changed_option_is_another_run(identities, change):
    assert identities(**change) != identities()


@pytest.mark.parametrize("change", [{"num_workers": 2}, {"out": "elsewhere"}, {"keep_weights": False}], ids=str)
def test_what_changes_no_number_is_the_same_run(identities, change):
    assert identities(**change) == identities()


@pytest.fixture
def identities(cell, monkeypatch):
    """The run id that options lead to; nothing is trained."""

    class StopHereError(Exception):
        pass

    def stop(self, identity):
        raise StopHereError(results.run_id(identity))

    monkeypatch.setattr(results.ResultStore, "get", stop)

    def of(**options):
        with pytest.raises(StopHereError) as found:
            cell(**options)
        return str(found.value)

    return of


def test_another_input_convention_is_another_run(identities, tiny_hub, tmp_path):
    """The same weights behind another mean answer otherwise."""
    import shutil

    shutil.copytree(tiny_hub, tmp_path / "hub")
    path = tmp_path / "hub" / "lab" / "tiny" / "config.json"
    rows = json.loads(path.read_text())
    rows["pretrained_cfg"]["mean"] = [0.1, 0.2, 0.3]
    path.write_text(json.dumps(rows))
    assert identities(hub=str(tmp_path / "hub")) != identities()


def test_pixels_of_another_decoder_are_another_run(identities, monkeypatch):
    """A reader that was mended gives other rows from the same files."""
    before = identities()
    monkeypatch.setattr("medzoo.data.decode_cache.cache.DECODER_VERSION", 0)
    assert identities() != before
