"""Plugins of Accelerate that split a network are refused before a run begins; the usual launches are not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from expect import raises

from medzoo.bench.cell_options import CellOptions
from medzoo.errors import UsageError
from medzoo.training.accelerator import make_accelerator
from medzoo.training.launcher import PLUGINS, check_launcher
from medzoo.training.pretrain import PretrainOptions, pretrain

CONFIG = """
compute_environment: LOCAL_MACHINE
distributed_type: {kind}
mixed_precision: 'no'
num_machines: 1
num_processes: 2
use_cpu: {cpu}
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: NO_WRAP
"""


def options(out, **changes):
    usual = {
        "method": "simclr",
        "architecture": "test_resnet",
        "task": "phantom_oct",
        "size": 64,
        "device": "cpu",
        "out": str(out),
    }
    return PretrainOptions(**{**usual, **changes})


@pytest.mark.parametrize("variable", PLUGINS)
@pytest.mark.parametrize("value", ["true", "True", "1"])
def test_a_plugin_that_splits_the_network_is_refused(tmp_path, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with raises(UsageError, "sharded-training-not-supported", match=PLUGINS[variable]):
        pretrain(options(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    with raises(UsageError, "sharded-training-not-supported"):
        CellOptions(checkpoint="resnet18-random", task="phantom_oct").check()
    with raises(UsageError, "sharded-training-not-supported"):
        make_accelerator("fp32", "cpu")


@pytest.mark.parametrize("value", ["false", "0", ""])
def test_plugins_that_are_off_change_nothing(tmp_path, monkeypatch, value):
    for variable in PLUGINS:
        monkeypatch.setenv(variable, value)
    check_launcher()
    options(tmp_path / "run").check()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["FSDP", "MULTI_CPU"])
def test_the_file_of_accelerate_config(tmp_path, kind):
    """A real launch of two processes."""
    root = Path(__file__).parents[2]
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(kind=kind, cpu=str(kind != "FSDP").lower()))
    environment = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    launch = "from accelerate.commands.launch import main; main()"  # as `accelerate launch`
    run = [
        *("--method", "simclr", "--architecture", "test_resnet", "--task", "phantom_oct,n=12,n_validation=4,n_test=4"),
        *("--size", "64", "--batch-size", "4", "--epochs", "1", "--device", "cpu", "--out", str(tmp_path / "run")),
    ]
    made = subprocess.run(
        [sys.executable, "-c", launch, "--config_file", str(config), str(root / "recipes/pretrain.py"), *run],
        env={**environment, "ACCELERATE_USE_CPU": "1", "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    refused = "The launcher asks for FSDP" in made.stderr
    assert (refused, made.returncode == 0) == ((True, False) if kind == "FSDP" else (False, True)), made.stderr[-3000:]
    assert (tmp_path / "run").exists() != refused
