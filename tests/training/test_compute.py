"""What a run computes with is settled once: a run that goes on keeps precision and threads, and its processes are its name."""

import json

import pytest
import torch
from expect import raises

from medzoo import cores, precision
from medzoo.bench.run import CellOptions, run_cell
from medzoo.cores import Threads
from medzoo.errors import ResumeError, RunFolderError
from medzoo.training import accelerator, compute, loop
from medzoo.training.accelerator import make_accelerator
from medzoo.training.optimization.plan import TrainingPlan
from medzoo.training.pretrain import PretrainOptions, pretrain
from medzoo.training.run_state.run_folder import Interrupted, RunFolder


@pytest.fixture
def machine(monkeypatch):
    """A machine whose CPU suits a precision and has some free cores."""

    def is_(suits="fp32", threads=1):
        monkeypatch.setattr(precision, "is_native", lambda kind: suits == "bf16")
        monkeypatch.setattr(cores, "choose_threads", lambda: Threads(threads, "test"))

    is_()
    return is_


@pytest.fixture
def stop_at(monkeypatch):
    """Runs stop after a step, as SIGTERM stops them; None lets them end."""
    init = RunFolder.__init__

    def set_(step):
        def stopping(self, *args, **kwargs):
            init(self, *args, **kwargs)
            self.stop_at_step = step

        monkeypatch.setattr(RunFolder, "__init__", stopping)

    return set_


@pytest.fixture
def cell(tiny_hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def options(**changes):
        usual = {
            "checkpoint": "lab/tiny", "hub": str(tiny_hub), "task": "phantom_oct,n=32,n_validation=12,n_test=12", "size": 32,
            "epochs": 2, "batch_size": 16, "device": "cpu", "keep_weights": False,
        }  # fmt: skip
        return CellOptions(**{**usual, **changes})

    return options


@pytest.fixture
def training(tiny_hub, tmp_path):
    def options(**changes):
        usual = {
            "method": "simclr", "checkpoint": "lab/tiny", "hub": str(tiny_hub), "size": 32, "epochs": 2, "batch_size": 16,
            "task": "phantom_oct,n=32,n_validation=12,n_test=12", "out": str(tmp_path / "run"), "device": "cpu",
        }  # fmt: skip
        return PretrainOptions(**{**usual, **changes})

    return options


def test_a_run_after_one_on_the_cpu_takes_the_accelerator(monkeypatch):
    """Accelerate keeps the first device of a process."""
    assert make_accelerator("fp32", "cpu").device.type == "cpu"
    with monkeypatch.context() as patch:
        patch.setenv("ACCELERATE_TORCH_DEVICE", "meta")  # as if it were the accelerator of this machine
        assert make_accelerator("fp32", "auto").device.type == "meta"
    assert make_accelerator("fp32", "cpu").device.type == "cpu"


def test_processes_wait_for_one_that_decodes(monkeypatch):
    """NCCL's own limit is ten minutes."""
    given = {}

    class Started(Exception):  # noqa: N818
        pass

    def start(**options):
        given.update(options)
        raise Started

    monkeypatch.setattr(accelerator, "Accelerator", start)
    with pytest.raises(Started):
        make_accelerator("fp32", "cpu")
    (handler,) = given["kwargs_handlers"]
    assert handler.timeout == accelerator.PATIENCE


@pytest.mark.parametrize(("wish", "suits"), [(None, "fp32"), ("auto", "bf16")])
def test_results_say_a_precision_and_never_auto(machine, cell, wish, suits):
    machine(suits)
    auto = run_cell(cell(precision=wish, epochs=1))
    assert auto.result["environment"]["precision"] == suits
    assert "auto" not in json.dumps(auto.result)
    stated = run_cell(cell(precision=suits, epochs=1))
    assert stated.cached and stated.path == auto.path  # it was resolved before the protocol was hashed


@pytest.mark.parametrize("suits", ["fp32", "bf16"])
def test_a_pretraining_says_a_precision_and_never_auto(machine, training, tmp_path, suits):
    machine(suits)
    folder = pretrain(training(epochs=1))
    identity = json.loads((folder / "status.json").read_text())["identity"]
    config = json.loads((folder / "checkpoint" / "config.json").read_text())
    assert identity["precision"] == suits and suits in json.dumps(config) and '"auto"' not in json.dumps(config)


@pytest.mark.parametrize(
    ("here", "there", "out"), [("bf16", "fp32", "run"), ("bf16", "fp32", None), ("fp32", "bf16", "run")]
)
def test_a_cell_goes_on_in_the_precision_that_it_began_with(machine, stop_at, cell, here, there, out):
    machine(here)
    straight = run_cell(cell(out=out and "straight", results="other"))
    stop_at(3)
    with pytest.raises(Interrupted):
        run_cell(cell(out=out))
    stop_at(None)
    machine(there)
    resumed = run_cell(cell(out=out))
    assert resumed.result["environment"]["precision"] == here and resumed.result["train"]["resumes"] == 1
    assert resumed.result["predictions"]["sha256"] == straight.result["predictions"]["sha256"]


def test_another_precision_that_is_asked_for_is_refused(machine, stop_at, cell):
    stop_at(3)
    with pytest.raises(Interrupted):
        run_cell(cell(out="run"))
    stop_at(None)
    with raises(RunFolderError, "folder-of-other-run", match="precision"):
        run_cell(cell(out="run", precision="bf16"))


def test_a_pretraining_goes_on_in_the_precision_that_it_began_with(machine, stop_at, training, tmp_path):
    machine("bf16")
    stop_at(2)
    with pytest.raises(Interrupted):
        pretrain(training())
    machine("fp32")
    stop_at(3)
    with pytest.raises(Interrupted):  # from a state of it, in another folder
        pretrain(training(out=str(tmp_path / "copy"), resume=str(tmp_path / "run")))
    stop_at(None)
    for out in ("copy", "run"):
        folder = pretrain(training(out=str(tmp_path / out)))
        assert json.loads((folder / "status.json").read_text())["identity"]["precision"] == "bf16"
    with raises(RunFolderError, "folder-of-other-run", match="precision"):
        pretrain(training(precision="fp32"))


def test_a_run_goes_on_with_the_threads_that_it_began_with(machine, stop_at, cell, monkeypatch, capsys):
    """Another number of threads sums in another order: the last bits of a resumed run would differ."""
    used = []
    fit = loop.Loop.fit
    monkeypatch.setattr(
        "medzoo.training.loop.Loop.fit", lambda self: (used.append(torch.get_num_threads()), fit(self))[1]
    )
    before = torch.get_num_threads()
    machine(threads=2)
    straight = run_cell(cell(out="straight", results="other"))
    stop_at(3)
    with pytest.raises(Interrupted):
        run_cell(cell(out="run"))
    stop_at(None)
    machine(threads=1)
    capsys.readouterr()
    resumed = run_cell(cell(out="run"))
    assert used == [2, 2, 2] and torch.get_num_threads() == before
    assert resumed.result["environment"]["threads"] == straight.result["environment"]["threads"] == 2
    assert resumed.result["predictions"]["sha256"] == straight.result["predictions"]["sha256"]
    assert "2 threads" in capsys.readouterr().err
    assert run_cell(cell(out="new", seed=1)).result["environment"]["threads"] == 1


def test_a_run_from_a_state_elsewhere_keeps_its_threads(machine, stop_at, training, tmp_path):
    machine(threads=2)
    stop_at(2)
    with pytest.raises(Interrupted):
        pretrain(training())
    machine(threads=1)
    stop_at(None)
    (state,) = (tmp_path / "run" / "resume").glob("step-*")
    folder = pretrain(training(out=str(tmp_path / "copy"), resume=str(state)))
    assert [row["threads"] for row in RunFolder(folder, "pretrain", {}, {}).rows() if "threads" in row] == [2]


def test_one_process_keeps_its_name_and_several_are_another_training(monkeypatch):
    assert compute.identity_of_processes() == {}
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert compute.identity_of_processes() == {"processes": 2}


@pytest.mark.parametrize(("began", "now"), [(1, 2), (2, 1), (2, 4)])
def test_a_run_does_not_go_on_with_other_processes(tmp_path, began, now):
    def identity(count):
        return {"seed": 0, **({"processes": count} if count > 1 else {})}

    with pytest.raises(KeyboardInterrupt), RunFolder(tmp_path / "run", "finetune", identity(began), {}).open():
        raise KeyboardInterrupt
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with (
        raises(RunFolderError, "number-of-processes-changed", match=f"--num_processes {began} "),
        RunFolder(tmp_path / "run", "finetune", identity(now), {}).open(),
    ):
        pass
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    said = compute.other_unfinished_run(tmp_path / "new", identity(now))
    assert f"--num_processes {began} " in said and "run" in said
    assert compute.other_unfinished_run(tmp_path / "new", {**identity(now), "seed": 1}) == ""


def test_a_state_of_other_processes_is_refused(tmp_path, tiny_net, make_batches):
    from medzoo.training.objectives import supervised

    plan = TrainingPlan(
        epochs=1, optimizer="adamw", learning_rate=1e-3, weight_decay=0.0, warmup_epochs=0.0, gradient_clip=0.0, seed=0
    )

    def go(folder, identity, **kwargs):
        run = RunFolder(folder, "finetune", identity, {}, **kwargs)
        run.stop_at_step = 2
        objective = supervised.Objective(tiny_net(), supervised.Options(), "multiclass")
        with run.open():
            loop.Loop(objective, make_batches(), plan, run, make_accelerator("fp32", "cpu")).fit()

    with pytest.raises(Interrupted):
        go(tmp_path / "one", {"seed": 0})
    with raises(ResumeError, "number-of-processes-changed", match="--num_processes 1 "):
        go(tmp_path / "two", {"seed": 0, "processes": 2}, resume=str(tmp_path / "one"))


def test_the_first_line_says_what_a_run_is(machine, cell, capsys):
    outcome = run_cell(cell(out="run"))
    first, *others = capsys.readouterr().err.splitlines()
    checkpoint = outcome.result["identity"]["checkpoint"]
    for part in (
        "run folder run", checkpoint["id"], checkpoint["weights_sha256"][:12], "device cpu", "precision fp32", "1 thread,",
        "1 process", "32 train", "12 validation", "12 test", "protocol medzoo finetune",
        outcome.result["identity"]["protocol"]["hash"][:8],
    ):  # fmt: skip
        assert part in first, part
    epochs = [line for line in others if line.startswith("epoch ")]
    assert len(epochs) == 2
    for number, line in enumerate(epochs, start=1):
        assert line.startswith(f"epoch {number} of 2: loss ") and "AUROC 0." in line
        assert ("ETA" in line) == (number == 1)


def test_a_run_that_goes_on_says_where(machine, stop_at, cell, capsys):
    stop_at(3)
    with pytest.raises(Interrupted):
        run_cell(cell(out="run"))
    stop_at(None)
    capsys.readouterr()
    run_cell(cell(out="run"))
    told = capsys.readouterr().err.splitlines()
    assert any("after 3 of 4 steps" in line for line in told) and sum(line.startswith("epoch ") for line in told) == 1


@pytest.mark.parametrize("method", ["simclr", "supervised"])
def test_a_pretraining_says_its_lines(machine, training, capsys, method):
    pretrain(training(method=method))
    first, *others = capsys.readouterr().err.splitlines()
    parts = ("run folder", "test_resnet-noise", "device cpu", "precision fp32", "32 train", f"method {method}")
    assert all(part in first for part in parts)
    assert sum(line.startswith("epoch ") for line in others) == 2
    assert any("accuracy" in line for line in others) == (method == "supervised")
    pretrain(training(method=method))
    assert capsys.readouterr().err == ""  # it was done


def test_a_probe_says_its_lines(machine, cell, capsys):
    run_cell(cell(out="run"), mode="linear")
    told = capsys.readouterr().err.splitlines()
    assert "protocol medzoo linear" in told[0] and "precision fp32" in told[0]
    assert sum(line.startswith("features") for line in told) == 3 and any("C = " in line for line in told)


def test_the_other_processes_of_a_launch_say_nothing(machine, cell, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    compute.announce(
        RunFolder("run", "finetune", {}, {}), compute.Compute("cpu", "fp32", 1, 2), checkpoint="x", counts={}, how="y"
    )
    assert capsys.readouterr().err == ""


def test_emulated_bf16_is_warned_of_once(machine, cell):
    with pytest.warns(UserWarning, match="7 to 30 times") as told:
        run_cell(cell(precision="bf16", epochs=1))
    assert sum("emulated" in str(row.message) for row in told) == 1


def test_the_precision_of_the_launcher_has_no_effect_and_that_is_said(machine, cell, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    with pytest.warns(UserWarning, match="--mixed_precision bf16"):
        outcome = run_cell(cell(epochs=1))
    assert outcome.result["environment"]["precision"] == "fp32"


@pytest.mark.parametrize(("mode", "named"), [("finetune", True), ("linear", False)])
def test_processes_are_in_the_name_of_what_they_change(machine, cell, monkeypatch, mode, named):
    """Every process of a probe computes all features: two give what one gives."""
    monkeypatch.setattr(compute, "identity_of_processes", lambda: {"processes": 2})
    outcome = run_cell(cell(epochs=1), mode=mode)
    assert outcome.result["identity"].get("processes") == (2 if named else None)


def test_kept_features_are_of_one_precision(machine, cell, monkeypatch):
    from medzoo.training import features

    made = []
    evaluate = features.evaluate_rows
    monkeypatch.setattr(features, "evaluate_rows", lambda *a, **k: (made.append(1), evaluate(*a, **k))[1])
    machine("bf16")
    whole = run_cell(cell(precision="fp32"), mode="linear")
    half = run_cell(cell(precision="bf16"), mode="linear")
    assert len(made) == 6 and whole.result["predictions"]["sha256"] != half.result["predictions"]["sha256"]
    run_cell(cell(precision="bf16", seed=1), mode="linear")
    assert len(made) == 6  # those of bf16 are kept too
