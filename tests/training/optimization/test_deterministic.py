"""A run on an accelerator uses deterministic algorithms; an operation without one is named, and the result says so."""

import os
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from expect import raises
from loop_samples import PLAN, STEPS, fit, same_weights
from torch._prims_common import alert_not_deterministic

from medzoo.bench.results.record import environment
from medzoo.bench.run import CellOptions
from medzoo.bench.run import run_cell as run
from medzoo.errors import RunFolderError, UsageError
from medzoo.training import compute
from medzoo.training.accelerator import make_accelerator
from medzoo.training.objectives import supervised
from medzoo.training.optimization import deterministic, micro_batches
from medzoo.training.optimization.deterministic import (
    WORKSPACE,
    deterministic_algorithms,
    is_deterministic,
    refused_operation,
)
from medzoo.training.optimization.micro_batches import MicroBatches
from medzoo.training.run_state.run_folder import RunFolder


@pytest.fixture(autouse=True)
def no_workspace(monkeypatch):
    monkeypatch.delenv(WORKSPACE, raising=False)


def settings():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.benchmark,
    )


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_a_block_sets_them_and_leaves_torch_as_it_was(kind):
    before = settings()
    with deterministic_algorithms(True, kind):
        assert is_deterministic() and settings() == (True, False, False, False)
        assert os.environ.get(WORKSPACE) == (":4096:8" if kind == "cuda" else None)
        deterministic.allow_all()
        assert not is_deterministic()
    assert settings() == before
    with deterministic_algorithms(False, kind):
        assert not is_deterministic() and settings()[-1], "cuDNN may choose the fastest algorithm"
        # a later run of the process may want them, and torch reads the variable once
        assert os.environ.get(WORKSPACE) == (":4096:8" if kind == "cuda" else None)
    assert settings() == before


def test_a_workspace_that_the_user_chose_stays(monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":16:8")
    with deterministic_algorithms(True, "cuda"):
        assert os.environ[WORKSPACE] == ":16:8"


@pytest.mark.parametrize("wanted", [True, False])
def test_a_cpu_keeps_what_the_caller_set(wanted):
    torch.use_deterministic_algorithms(True)
    try:
        with deterministic_algorithms(wanted, "cpu"):
            assert is_deterministic()
    finally:
        torch.use_deterministic_algorithms(False)
    assert WORKSPACE not in os.environ


def test_torch_s_messages_are_understood():
    with deterministic_algorithms(True, "cuda"), pytest.raises(RuntimeError) as caught:
        alert_not_deterministic("pool_backward_cuda")
    assert refused_operation(caught.value) == "pool_backward_cuda"
    cublas = (
        f"this operation is not deterministic because it uses CuBLAS ... set an environment variable {WORKSPACE}=:16:8"
    )
    assert WORKSPACE in refused_operation(RuntimeError(cublas))
    assert refused_operation(RuntimeError("CUDA error: device-side assert triggered")) == ""


class Refused(torch.autograd.Function):
    """An operation whose backward pass has no deterministic algorithm, as on a GPU."""

    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        alert_not_deterministic("pool_backward_cuda")
        return gradient.clone()


class Pooled(supervised.Objective):
    """Its forward pass moves running statistics before the backward pass is refused."""

    operation = staticmethod(Refused.apply)

    def forward(self, batch, step):
        values = super().forward(batch, step)
        return {**values, "loss": self.operation(values["loss"])}


def trained(folder, net, make_batches, operation, wanted):
    objective = Pooled(net(), supervised.Options(), "multiclass")
    objective.operation = operation
    with RunFolder(folder, "finetune", {}, {}).open() as run, deterministic_algorithms(wanted, "cuda"):
        fitted = fit(objective, make_batches(), replace(PLAN, patience=0), run, make_accelerator("fp32", "cpu"))
        return objective, fitted, is_deterministic()


@pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation")
def test_a_refused_operation_is_named_once_and_the_step_starts_again(tmp_path, tiny_net, make_batches, monkeypatch):
    said = []
    monkeypatch.setattr(micro_batches, "warn", said.append)
    usual, _, exact = trained(tmp_path / "usual", tiny_net, make_batches, torch.clone, True)
    assert exact and not said
    objective, fitted, exact = trained(tmp_path / "refused", tiny_net, make_batches, Refused.apply, True)
    assert fitted.steps == STEPS and not exact
    assert len(said) == 1 and "pool_backward_cuda" in said[0]
    # also the running statistics and their counter: the refused pass has left nothing
    assert same_weights(usual, objective) and int(objective.backbone.norm.num_batches_tracked) == STEPS


def test_several_processes_cannot_repeat_the_step(tiny_net, make_batches):
    """Some gradients are with the other processes already."""
    objective = Pooled(tiny_net(), supervised.Options(), "multiclass")
    accelerator = SimpleNamespace(num_processes=2, device=torch.device("cpu"), autocast=nullcontext)
    with deterministic_algorithms(True, "cuda"), raises(UsageError, "deterministic-not-possible"):
        MicroBatches(0, objective, accelerator).backward(objective, make_batches()[0], 0, seed=0)


def test_without_the_option_nothing_is_refused(tmp_path, tiny_net, make_batches, monkeypatch):
    monkeypatch.setattr(micro_batches, "warn", lambda text: pytest.fail(text))
    _, fitted, exact = trained(tmp_path / "run", tiny_net, make_batches, Refused.apply, False)
    assert fitted.steps == STEPS and not exact


@pytest.mark.parametrize(("wanted", "kind"), [(True, "cuda"), (False, "cuda"), (True, "cpu")])
def test_a_run_applies_the_option_and_its_result_records_it(tmp_path, wanted, kind, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H200")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    folder = RunFolder(tmp_path / "run", "finetune", {}, {})
    site = replace(compute.settle(folder, "fp32", "cpu", deterministic=wanted), device=kind)
    with folder.open(), site.applied(folder):
        assert is_deterministic() == (wanted and kind == "cuda")
        record = environment("fp32", kind=site.device)
    assert record["deterministic"] == (wanted or kind == "cpu")
    assert (record["device"]["name"] == "H200") == (kind == "cuda")
    assert not is_deterministic()


def test_a_run_stays_with_its_choice(tiny_hub, tmp_path, monkeypatch):
    """On a GPU the other choice would change the last bits of what is left to train."""
    monkeypatch.chdir(tmp_path)
    options = CellOptions(
        checkpoint="lab/tiny", hub=str(tiny_hub), task="phantom_oct,n=16,n_validation=8,n_test=8", size=32, epochs=1,
        batch_size=8, device="cpu", keep_weights=False, out="out", deterministic=False,
    )  # fmt: skip
    outcome = run(options)
    assert outcome.result["environment"]["deterministic"]  # a CPU always is
    assert "deterministic = false" in (tmp_path / "out" / "options.toml").read_text()
    (tmp_path / "results").rename("other")
    with pytest.raises(RunFolderError):
        run(replace(options, deterministic=True))
