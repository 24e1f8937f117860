"""What a finished run leaves is there when the same command ends again; another number is told; options.toml leads back."""

import json
import shutil
from dataclasses import replace

import pytest
from expect import raises

from medzoo.bench.cell_options import NOT_IN_A_PROBE, CellOptions
from medzoo.bench.results.store import ResultStore
from medzoo.bench.run import run_cell
from medzoo.errors import ResultError, RunFolderError, UsageError
from medzoo.recipe_args import parse
from medzoo.training.pretrain import pretrain
from medzoo.training.pretrain_options import NOT_FROM_CHECKPOINT, NOT_FROM_RANDOM, PretrainOptions


@pytest.fixture
def options(tiny_hub, tmp_path):
    def make(**changes) -> CellOptions:
        usual = {
            "checkpoint": "lab/tiny", "hub": str(tiny_hub), "task": "phantom_oct,n=32,n_validation=12,n_test=20", "size": 32,
            "epochs": 1, "batch_size": 16, "precision": "fp32", "out": str(tmp_path / "run"),
            "results": str(tmp_path / "results"), "device": "cpu",
        }  # fmt: skip
        return CellOptions(**{**usual, **changes})

    return make


@pytest.fixture
def never_trained(monkeypatch):
    def refuse():
        for place in ("training.finetune.FineTuner.fit", "training.probe.fit_probe", "training.loop.Loop.fit"):
            monkeypatch.setattr(f"medzoo.{place}", lambda *_, **__: pytest.fail("trained again"))

    return refuse


def test_what_was_deleted_is_made_again(options, tmp_path):
    first = run_cell(options())
    for gone in ("", "checkpoint", "checkpoint/model.safetensors", "result.json", "log.jsonl"):
        place = tmp_path / "run" / gone
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        again = run_cell(options())
        assert not again.cached and again.path == first.path
        assert (again.run / "checkpoint" / "model.safetensors").is_file() and (again.run / "curves.png").is_file()
        assert again.result["predictions"] == first.result["predictions"]
    assert len(ResultStore(options().results).all(replicates=True)) == 1


def test_another_place_is_filled_and_the_same_place_is_not_filled_twice(options, tmp_path, never_trained):
    run_cell(options())
    other = run_cell(options(out=str(tmp_path / "other")))
    assert not other.cached and (other.run / "checkpoint" / "model.safetensors").is_file()
    never_trained()
    for name in ("run", "other"):
        outcome = run_cell(options(out=str(tmp_path / name)))
        assert outcome.cached and outcome.run == tmp_path / name and str(tmp_path / name) in str(outcome)
    # no network was asked for, or only the number
    shutil.rmtree(tmp_path / "other" / "checkpoint")
    assert run_cell(options(out=str(tmp_path / "other"), keep_weights=False)).cached
    assert run_cell(options(out=str(tmp_path / "third")), stored_is_enough=True).cached
    (tmp_path / "run" / "curves.png").unlink()
    assert run_cell(options()).cached and (tmp_path / "run" / "curves.png").is_file()


def test_resume_never_takes_nothing_from_the_store(options, tmp_path):
    run_cell(options())
    with pytest.raises(RunFolderError):
        run_cell(options(resume="never"))
    assert not run_cell(options(resume="never", out=str(tmp_path / "new"))).cached


def test_a_probe_makes_its_folder_again(options, tmp_path):
    first = run_cell(options(epochs=None), mode="linear")
    shutil.rmtree(tmp_path / "run")
    again = run_cell(options(epochs=None), mode="linear")
    assert not again.cached and (again.run / "result.json").is_file() and again.headline == first.headline
    assert run_cell(options(epochs=None), mode="linear").cached
    with pytest.warns(UserWarning, match="epochs"):  # an option that does nothing makes no other run
        assert run_cell(options(epochs=7), mode="linear").cached


@pytest.mark.parametrize("mode", ["finetune", "linear"])
def test_another_number_than_the_stored_one_is_told(options, tmp_path, mode):
    chosen = options() if mode == "finetune" else options(epochs=None)
    first = run_cell(chosen, mode)
    stored = json.loads(first.path.read_text())
    row = next(row for row in stored["metrics"] if row["name"] == stored["metric"] and row["label"] is None)
    row["value"] = row["value"] / 2
    first.path.write_text(json.dumps(stored))
    with raises(ResultError, "result-differs-from-stored"):  # the folder holds another number
        run_cell(chosen, mode)
    with pytest.warns(UserWarning, match="not counted"), raises(ResultError, "result-differs-from-stored"):
        run_cell(replace(chosen, out=str(tmp_path / "again")), mode)
    assert json.loads((tmp_path / "again" / "result.json").read_text())["metrics"] == first.result["metrics"]
    assert json.loads(first.path.read_text())["metrics"] == stored["metrics"]
    assert len(ResultStore(chosen.results).all(replicates=True)) == 2


def test_a_protocol_is_kept_in_options_toml(options, tmp_path, never_trained):
    protocol = tmp_path / "mine.toml"
    protocol.write_text("[finetune]\nepochs = 2\nflip = 0.25\nlearning_rate = 1e-3\nbatch_size = 16\n")
    first = run_cell(options(protocol=str(protocol), epochs=1))
    never_trained()
    config = ["--config", str(tmp_path / "run" / "options.toml")]
    for change in (lambda: None, lambda: protocol.write_text("[finetune]\nflip = 0.0\n"), protocol.unlink):
        change()
        (again,) = parse([CellOptions], "", config, mode="finetune")
        assert run_cell(again).cached and run_cell(again).path == first.path
    (other,) = parse([CellOptions], "", [*config, "--protocol", "medzoo", "--seed", "3"], mode="finetune")
    assert other.resolved == {} and (other.epochs, other.seed) == (1, 3)
    (other,) = parse([CellOptions], "", [*config, "--epochs", "4"], mode="finetune")
    assert other.epochs == 4 and "epochs" not in other.resolved and other.resolved["flip"] == 0.25


def test_the_options_of_each_recipe_come_back(options, tiny_hub, tmp_path, never_trained):
    from medzoo.training.objectives.simclr import Options

    probe = run_cell(options(epochs=None, out=str(tmp_path / "probe")), mode="linear")
    shared = {
        "method": "simclr", "task": "phantom_oct,n=32,n_validation=12,n_test=20", "size": 32, "epochs": 1, "batch_size": 16,
        "precision": "fp32", "device": "cpu",
    }  # fmt: skip
    start = pretrain(
        PretrainOptions(**shared, architecture="resnet10t", out=str(tmp_path / "start")), Options(blur=0.0)
    )
    more = pretrain(PretrainOptions(**shared, checkpoint="lab/tiny", hub=str(tiny_hub), out=str(tmp_path / "more")))
    never_trained()
    config = ["--config", str(tmp_path / "probe" / "options.toml")]
    (again,) = parse([CellOptions], "", config, without=NOT_IN_A_PROBE, mode="linear")
    assert run_cell(again, "linear").path == probe.path and run_cell(again, "linear").cached
    for folder, without in ((start, NOT_FROM_RANDOM), (more, NOT_FROM_CHECKPOINT)):
        config = ["--config", str(folder / "options.toml")]
        again, own = parse([PretrainOptions, Options], "", config, without=without)
        assert pretrain(again, own) == folder and own.blur == (0.0 if folder == start else 0.5)
        with pytest.raises(RunFolderError):
            pretrain(replace(again, resume="never"), own)
    with pytest.raises(SystemExit):  # a run of another recipe
        parse([CellOptions], "", ["--config", str(tmp_path / "probe" / "options.toml")], mode="finetune")


def test_a_pretraining_without_its_checkpoint_is_made_again(tmp_path):
    options = PretrainOptions(
        method="supervised", architecture="resnet10t", task="phantom_oct,n=16,n_validation=4,n_test=4", size=32, epochs=1,
        batch_size=8, precision="fp32", device="cpu", out=str(tmp_path / "run"),
    )  # fmt: skip
    weights = pretrain(options) / "checkpoint" / "model.safetensors"
    before = weights.read_bytes()
    shutil.rmtree(weights.parent)
    assert pretrain(options) == tmp_path / "run" and weights.read_bytes() == before


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0])
def test_a_protocol_of_no_use_is_refused(options, tmp_path, number):
    protocol = tmp_path / "mine.toml"
    for key in ("learning_rate", "weight_decay", "warmup_epochs", "flip"):
        protocol.write_text(f"[finetune]\n{key} = {number}\n")
        with pytest.raises(UsageError):
            run_cell(options(protocol=str(protocol)))
    protocol.write_bytes(b"\xff\xfe[finetune]")
    with pytest.raises(UsageError):
        run_cell(options(protocol=str(protocol)))
    assert not (tmp_path / "run").exists()
