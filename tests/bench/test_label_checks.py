"""A metric that cannot be computed is told before anything is trained; it is undefined, and nothing diverged."""

import json
import warnings

import numpy as np
import pytest
from expect import raises
from PIL import Image

import medzoo
from medzoo.bench import metrics
from medzoo.bench.label_checks import check_labels, undefined_on
from medzoo.bench.run import CellOptions, run_cell
from medzoo.errors import DivergedError, ResultError
from medzoo.training.run_state.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    """A folder of images: split → labels of its rows, each row a patient of its own; a tuple is a row of several labels."""

    def make(name="data", classes=("finding", "mass", "fluid"), **splits):
        root = tmp_path / name
        root.mkdir()
        several = isinstance(next(iter(splits.values()))[0], tuple)
        lines = ["image,patient_id,split," + (",".join(classes) if several else "label")]
        for split, labels in splits.items():
            for number, label in enumerate(labels):
                file = f"{split}{number}.png"
                Image.fromarray(np.full((8, 8), 10 * number % 250, np.uint8)).save(root / file)
                cells = ",".join("" if cell is None else str(cell) for cell in label) if several else label
                lines.append(f"{file},{split}-{number},{split},{cells}")
        (root / "labels.csv").write_text("\n".join(lines) + "\n")
        return f"folder:{root}"

    return make


@pytest.fixture
def options(tiny_hub, tmp_path):
    def make(task, **changes):
        usual = {
            "checkpoint": "lab/tiny", "hub": str(tiny_hub), "task": task, "size": 32, "epochs": 1, "batch_size": 8,
            "out": str(tmp_path / "run"), "results": str(tmp_path / "results"), "device": "cpu", "keep_weights": False,
        }  # fmt: skip
        return CellOptions(**{**usual, **changes})

    return make


BOTH, ONES, NONES = ["a", "b"] * 4, ["b"] * 4, ["a"] * 4
THREE = ["a", "b", "c"] * 2
MANY = [(1, 0, 1), (0, 1, 0)] * 4


@pytest.mark.parametrize("labels", [ONES, NONES])
def test_a_validation_split_of_one_class_cannot_select(folder, labels):
    task = medzoo.load_task(folder(train=BOTH, validation=labels, test=BOTH))
    with raises(ResultError, "metric-undefined-on-validation") as refused:
        check_labels(task, selects=True)
    assert "a: " in str(refused.value) and "--split-file" in str(refused.value)
    (told,) = check_labels(task, selects=False)
    assert "undefined on the validation split" in told


@pytest.mark.parametrize(
    ("splits", "parts"),
    [
        ({"train": BOTH, "validation": BOTH, "test": BOTH}, []),
        ({"train": BOTH, "validation": BOTH, "test": ONES}, ["undefined on the test split", "no negative case"]),
        ({"train": BOTH, "validation": BOTH, "test": NONES}, ["undefined on the test split", "no positive case"]),
        (
            {"train": THREE, "validation": THREE, "test": ["a", "b"] * 2},
            ["1 of 3 labels on the test", "c: no positive"],
        ),
        ({"train": THREE, "validation": ["b", "c"] * 2, "test": THREE}, ["1 of 3 labels on the validation", "a: no"]),
        ({"train": THREE, "validation": THREE, "test": ONES}, ["undefined on the test split"]),
        ({"train": MANY, "validation": MANY, "test": MANY}, []),
        (
            {"train": MANY, "validation": MANY, "test": [(1, 0, None), (0, 0, None)] * 2},
            ["2 of 3 labels on the test", "mass: no positive case", "fluid: no case was annotated"],
        ),
        ({"train": [(1, 0, 1), (1, 1, 0)] * 3, "validation": MANY, "test": MANY}, ["cannot be learnt", "finding"]),
    ],
)
def test_what_a_metric_will_not_say_is_told(folder, splits, parts):
    told = check_labels(medzoo.load_task(folder(**splits)), selects=True)
    assert len(told) == bool(parts) and all(part in told[0] for part in parts)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_what_is_undefined_depends_on_the_labels_alone(folder, kind):
    """The foresight is the very computation that follows, whatever the network says."""
    rng = np.random.default_rng(0)
    splits = {
        "binary": {"train": BOTH, "validation": BOTH, "test": ONES},
        "multiclass": {"train": THREE, "validation": THREE, "test": ["a", "c"] * 2},
        "multilabel": {"train": MANY, "validation": MANY, "test": [(1, 0, None), (1, 0, None)] * 2},
    }[kind]
    task = medzoo.load_task(folder(**splits))
    assert task.kind == kind
    for split in splits:
        raw = rng.uniform(size=(len(task.labels(split)), len(task.classes)))
        predicted = raw if kind == "multilabel" else raw / raw.sum(1, keepdims=True)
        rows = metrics.compute(kind, task.classes, task.labels(split), predicted)
        assert undefined_on(task, split) == metrics.headline(rows, task.metric)["undefined"]


@pytest.mark.parametrize("mode", ["finetune", "linear"])
def test_nothing_is_loaded_decoded_or_trained_for_a_split_that_cannot_select(
    folder, options, tmp_path, monkeypatch, mode
):
    monkeypatch.setattr("medzoo.training.inputs.input_transform.load_at_size", lambda *a, **k: pytest.fail("loaded"))
    monkeypatch.setattr("medzoo.data.decode_cache.cache.decoded", lambda *a, **k: pytest.fail("decoded"))
    with raises(ResultError, "metric-undefined-on-validation"):
        run_cell(options(folder(train=BOTH, validation=NONES, test=BOTH)), mode=mode)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("mode", ["finetune", "linear"])
@pytest.mark.parametrize("splits", [{"train": BOTH * 3}, {"train": BOTH * 3, "validation": BOTH}])
def test_a_task_without_a_test_split_is_refused_before_it_is_trained(folder, options, monkeypatch, mode, splits):
    monkeypatch.setattr(
        "medzoo.training.inputs.input_transform.load_at_size",
        lambda *args, **kwargs: pytest.fail("a network is loaded"),
    )
    with raises(ResultError, "split-missing"):
        run_cell(options(folder(**splits)), mode)


@pytest.mark.parametrize("mode", ["finetune", "linear"])
def test_a_test_split_of_one_class_is_undefined_and_told_before(folder, options, monkeypatch, mode, tmp_path):
    opened = []
    entered = RunFolder.open
    monkeypatch.setattr(RunFolder, "open", lambda self: (opened.append(len(told)), entered(self))[1])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        outcome = run_cell(options(folder(train=BOTH, validation=BOTH, test=ONES)), mode=mode)
    assert any("undefined on the test split" in str(row.message) for row in told[: opened[0]])
    assert outcome.result["status"] == "ok" and outcome.headline is None
    assert "undefined: no negative case" in str(outcome) and "diverged" not in str(outcome)
    outcome.raise_if_diverged()
    assert (tmp_path / "run" / "result.json").is_file()
    again = run_cell(
        options(outcome.result["identity"]["task"]["id"].replace("folder:", f"folder:{tmp_path}/")), mode=mode
    )
    assert again.cached and "undefined" in str(again)


def test_the_last_epoch_needs_no_validation_that_selects(folder, options, tmp_path):
    from medzoo.paths import data_dir

    text = (data_dir("recipes") / "protocols" / "medzoo.toml").read_text()
    assert 'selection = "best"' in text
    (tmp_path / "last.toml").write_text(text.replace('selection = "best"', 'selection = "last"'))
    task = folder(train=BOTH, validation=NONES, test=BOTH)
    with pytest.warns(UserWarning, match="undefined on the validation split"):
        outcome = run_cell(options(task, protocol=str(tmp_path / "last.toml")))
    assert outcome.result["status"] == "ok" and outcome.headline is not None
    assert outcome.result["selection"]["value"] is None
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert not any("score" in row for row in rows)


@pytest.mark.parametrize("where", ["validation", "test"])
def test_predictions_that_are_not_numbers_are_a_run_that_diverged(folder, options, monkeypatch, where):
    from medzoo.training.finetune import FineTuner

    outputs, calls = FineTuner.outputs, []

    def broken(self, logits):
        calls.append(1)
        made = outputs(self, logits)
        return made * np.nan if len(calls) == (1 if where == "validation" else 3) else made

    monkeypatch.setattr(FineTuner, "outputs", broken)
    outcome = run_cell(options(folder(train=BOTH, validation=BOTH, test=BOTH)))
    assert outcome.result["status"] == "diverged" and "diverged" in str(outcome) and "undefined" not in str(outcome)
    with raises(DivergedError, "run-diverged", match=where):
        outcome.raise_if_diverged()


def test_a_store_lists_an_undefined_run_as_undefined(folder, options, capsys, tmp_path):
    from medzoo.commands.results import list_

    run_cell(options(folder(train=BOTH, validation=BOTH, test=ONES)))
    capsys.readouterr()
    list_(tmp_path / "results")
    out = capsys.readouterr().out
    assert "undefined" in out and "diverged" not in out
