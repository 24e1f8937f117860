"""One cell: a result with predictions, the test split opened once, exact resume, divergence kept as a result."""

import json
import re

import numpy as np
import pytest
import torch
from expect import raises
from PIL import Image

import medzoo
from medzoo.bench.results import store as results
from medzoo.bench.run import CellOptions, CellRun, run_cell
from medzoo.data.split_counts import data_counts
from medzoo.errors import DivergedError, IntegrityError, ResumeError, RunFolderError, UsageError
from medzoo.training.finetune import FineTuneObjective
from medzoo.training.loop import Loop
from medzoo.training.run_state.run_folder import Interrupted, RunFolder


@pytest.fixture
def options(tiny_hub, tmp_path):
    def make(**changes) -> CellOptions:
        usual = {
            "checkpoint": "lab/tiny", "hub": str(tiny_hub), "task": "phantom_oct,n=60,n_validation=24,n_test=40", "size": 32,
            "epochs": 2, "batch_size": 16, "precision": "fp32", "out": str(tmp_path / "run"),
            "results": str(tmp_path / "results"), "device": "cpu",
        }  # fmt: skip
        return CellOptions(**{**usual, **changes})

    return make


def test_finetune_leaves_everything(options, tmp_path, painted):
    outcome = run_cell(options())
    assert 0 <= outcome.headline <= 1 and not outcome.cached
    stored = json.loads(outcome.path.read_text())
    results.validate(stored)
    assert stored["status"] == "ok" and stored["selection"]["split"] == "validation"
    assert stored["selection"]["test_evaluations"] == 1 and stored["selection"]["n_candidates"] == 2
    assert (
        stored["identity"]["checkpoint"]["weights_sha256"]
        == medzoo.load("lab/tiny", hub=options().hub).load_receipt.sha256
    )
    assert str(tmp_path) not in outcome.path.read_text()
    assert {path.name for path in outcome.run.iterdir() if not path.name.startswith(".")} == {
        "options.toml", "status.json", "log.jsonl", "curves.png", "test.png", "checkpoint", "result.json",
    }  # fmt: skip
    for name in ("curves.png", "test.png"):
        with Image.open(outcome.run / name) as picture:
            assert picture.width > 800
    model = medzoo.load(str(outcome.run), num_classes="pretrained")
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 4)


def test_a_finished_run_is_given_a_licence_and_keeps_its_class_names(options, tmp_path):
    outcome = run_cell(options(epochs=1))
    for folder in (outcome.run, outcome.run / "checkpoint"):
        medzoo.push(folder, "lab/tuned", license="cc-by-4.0", hub=tmp_path / "hub")
        receipt = medzoo.load("lab/tuned", hub=tmp_path / "hub", num_classes="pretrained").load_receipt
        assert receipt.lineage[-1]["license"] == "cc-by-4.0"
        assert receipt.labels == tuple(medzoo.load_task(options().task).classes)


def test_predictions_give_the_number_again(options):
    pandas = pytest.importorskip("pandas")
    outcome = run_cell(options())
    frame = pandas.read_parquet(results.predictions_path(outcome.path))
    task = medzoo.load_task(options().task)
    columns = [name for name in frame.columns if name.startswith("prob")]
    assert len(frame) == 40 and len(columns) == 4
    from medzoo.bench.metrics import compute, headline

    rows = compute(task.kind, task.classes, task.labels("test"), frame[columns].to_numpy(), None)
    assert headline(rows, "auroc")["value"] == pytest.approx(outcome.headline, abs=1e-6)


def test_the_same_run_is_not_run_twice(options, monkeypatch):
    first = run_cell(options())
    monkeypatch.setattr("medzoo.training.finetune.FineTuner.fit", lambda *a, **k: pytest.fail("ran again"))
    again = run_cell(options())
    assert again.cached and again.headline == first.headline


@pytest.mark.parametrize("change", [{"seed": 1, "epochs": 1}, {"size": 40}, {"fraction": 0.5}])
def test_what_may_change_the_number_is_another_run(options, tmp_path, change):
    first = run_cell(options())
    other = run_cell(options(**change, out=str(tmp_path / "other")))
    assert other.path != first.path
    for outcome, choices in ((first, {}), (other, {"fraction": change.get("fraction", 1.0)})):
        assert outcome.result["train"]["counts"] == data_counts(medzoo.load_task(options().task, **choices))
    name, value = next(iter(change.items()))
    with raises(RunFolderError, "folder-of-other-run", match=rf"{name}: .*{value}"):
        run_cell(options(**change, results=str(tmp_path / "elsewhere")))


def test_seeds_repeat_and_workers_change_nothing(options, tmp_path):
    one = run_cell(options())
    two = run_cell(options(out=str(tmp_path / "b"), results=str(tmp_path / "b results"), num_workers=2))
    assert one.result["predictions"]["sha256"] == two.result["predictions"]["sha256"]
    assert one.result["run_id"] == two.result["run_id"]


def test_random_checkpoints_draw_from_the_seed(options, tmp_path):
    usual = {"checkpoint": "resnet10t-random", "epochs": 1, "keep_weights": False}
    runs = [
        run_cell(options(**usual, seed=seed, out=str(tmp_path / f"{k}"), results=str(tmp_path / f"r{k}")))
        for k, seed in enumerate([0, 0, 1])
    ]
    digests = [run.result["predictions"]["sha256"] for run in runs]
    assert digests[0] == digests[1] != digests[2]
    assert runs[0].result["identity"]["checkpoint"]["weights_sha256"] is None
    assert not (runs[0].run / "checkpoint").exists()


@pytest.mark.parametrize("stop", [2, 6])
def test_stopped_and_resumed_gives_the_same_predictions(options, tmp_path, monkeypatch, stop):
    straight = run_cell(options(out=str(tmp_path / "straight"), results=str(tmp_path / "other")))
    init = RunFolder.__init__
    with monkeypatch.context() as patch:
        patch.setattr(
            RunFolder, "__init__", lambda self, *a, **k: (init(self, *a, **k), setattr(self, "stop_at_step", stop))[0]
        )
        with pytest.raises(Interrupted):
            run_cell(options())
    assert not list((tmp_path / "results").rglob("*.json"))  # neither a result nor a claim is left
    resumed = run_cell(options())
    assert resumed.result["predictions"]["sha256"] == straight.result["predictions"]["sha256"]
    assert resumed.result["train"]["resumes"] == 1


def test_f35_a_diverged_run_is_a_result_without_a_value(options, monkeypatch):
    plain = FineTuneObjective.forward
    monkeypatch.setattr(
        FineTuneObjective, "forward", lambda self, batch, step: {"loss": plain(self, batch, step)["loss"] * np.nan}
    )
    outcome = run_cell(options())
    assert outcome.result["status"] == "diverged" and outcome.headline is None and "diverged" in str(outcome)
    with raises(DivergedError, "run-diverged", match="step 1"):
        outcome.raise_if_diverged()
    assert run_cell(options()).cached
    assert json.loads((outcome.run / "status.json").read_text())["state"] == "diverged"
    assert len(json.loads((outcome.run / "diverged.json").read_text())["ids"]) > 1


def test_a_replay_computes_like_the_run(options, monkeypatch):
    """The number of threads changes the last bits, so a replay uses that of the run; without a diverged run nothing is written."""
    cell = CellRun(options(replay=True), "finetune")
    cell.load()
    with raises(ResumeError, "replay-without-divergence"):
        cell.replay()
    assert not cell.run.path.exists()
    plain, seen = Loop._train, []

    def train(loop, batch, epoch):
        seen.append(torch.get_num_threads())
        return plain(loop, batch, epoch)

    monkeypatch.setattr(Loop, "_train", train)
    monkeypatch.setattr(FineTuneObjective, "forward", lambda *_: {"loss": torch.tensor(np.nan, requires_grad=True)})
    with cell.running():
        cell.train()
    log = cell.run.path / "log.jsonl"
    log.write_text(re.sub(r'"threads": \d+', '"threads": 3', log.read_text()))
    assert "Step 1 diverged again" in cell.replay() and seen[-1] == 3 != seen[0]


def test_the_test_split_is_predicted_once_after_the_selection(options, monkeypatch):
    from medzoo.training.finetune import FineTuner

    order = []
    logits, fit = FineTuner._logits, FineTuner.fit
    monkeypatch.setattr(
        FineTuner,
        "_logits",
        lambda self, data, view, *more: (order.append(len(data.ids)), logits(self, data, view, *more))[1],
    )
    monkeypatch.setattr(FineTuner, "fit", lambda self, *a, **k: (fit(self, *a, **k), order.append("selected"))[0])
    run_cell(options())
    assert order == [
        24,
        24,
        "selected",
        24,
        40,
    ]  # validation after each epoch and for the thresholds, then the test split


def test_a_probe_reuses_its_features(options, tmp_path, monkeypatch):
    first = run_cell(options(epochs=None), mode="linear")
    assert first.result["selection"]["regularisation"] > 0 and first.result["identity"]["protocol"]["mode"] == "linear"
    monkeypatch.setattr("medzoo.training.features.evaluate_rows", lambda *a, **k: pytest.fail("embedded again"))
    again = run_cell(options(epochs=None, seed=1, out=str(tmp_path / "b")), mode="linear")
    assert again.result["predictions"]["sha256"] == first.result["predictions"]["sha256"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"checkpoint": ""}, "checkpoint-missing"),
        ({"task": ""}, "task-missing"),
        ({"protocol": "nope"}, "unknown-protocol"),
        ({"fraction": 2.0}, "option-out-of-range"),
    ],
)
def test_wrong_usage_touches_nothing(options, tmp_path, change, message):
    with raises(UsageError, message):
        run_cell(options(**change))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage, cause", [("flipped", "weights-hash-wrong"), ("cut", "weights-truncated")])
def test_damaged_weights_stop_the_run_before_it_starts(options, tiny_hub, tmp_path, damage, cause):
    import shutil

    shutil.copytree(tiny_hub, tmp_path / "hub")
    file = tmp_path / "hub" / "lab" / "tiny" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    with raises(IntegrityError, cause, match=r"model\.safetensors"):
        run_cell(options(hub=str(tmp_path / "hub")))
    assert not (tmp_path / "run").exists()


def test_f31_an_unreadable_image_is_named_and_nothing_is_begun(options, tmp_path):

    from medzoo.errors import ImageError

    for number in range(12):
        folder = tmp_path / "images" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number * 20, np.uint8)).save(folder / f"{number}.png")
    broken = tmp_path / "images" / "class0" / "4.png"
    broken.write_bytes(broken.read_bytes()[:40])
    with raises(ImageError, "image-cut-off", match=r"4\.png"):
        run_cell(options(task=f"folder:{tmp_path / 'images'}", groups="none"))
    assert not (tmp_path / "run").exists()


def test_a_result_of_a_hub_checkpoint_names_its_commit_and_others_can_judge_it(
    hub_server, private_home, options, tiny_hub, monkeypatch
):
    from medzoo.bench.review.review import review_store

    medzoo.push(tiny_hub / "lab" / "tiny", "lab/net", private=False)
    outcome = run_cell(options(checkpoint="lab/net", hub=None, epochs=1))
    checkpoint = outcome.result["identity"]["checkpoint"]
    assert checkpoint["repo"] == "lab/net" and len(checkpoint["revision"]) == 40
    findings, stays = review_store(options().results)
    assert [row for row in findings if row.check in ("checkpoint", "sources", "metrics")] == [] and stays == []
    from_folder = run_cell(options(epochs=1))
    assert from_folder.cached and from_folder.path == outcome.path
