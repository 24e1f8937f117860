"""The doctor on the machine: each WARN and FAIL from a real fault."""

import os
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
from doctor_samples import CPU_LIMITS, nobody_there, play_torch, rows_of, whole  # noqa: F401 - fixtures

from medzoo import precision
from medzoo.cores import Threads
from medzoo.zoo.doctor import machine, packages

# --- packages ---


@pytest.fixture
def installed(monkeypatch):
    """Other versions than the installed ones; None is not installed."""

    def change(**versions):
        real = packages.version
        names = {name.replace("_", "-"): value for name, value in versions.items()}
        monkeypatch.setattr(packages, "version", lambda name: names[name] if name in names else real(name))

    return change


@pytest.mark.parametrize("old", ["2.9.1", "2.9.1+cu126", "2.10.0a0+git"])
def test_torch_with_the_hole(installed, old):
    installed(torch=old)
    rows = rows_of(packages.packages)
    assert rows["torch"].result == "FAIL" and "CVE-2026-24747" in rows["torch"].detail and old in rows["torch"].detail
    assert rows["torch"].fix == 'pip install --upgrade "torch>=2.10" "torchvision>=0.25"'
    assert rows["torchvision"].result == "FAIL"  # the pair has to be changed together
    assert rows["packages"].result == "PASS"


def test_torchvision_of_another_torch(installed):
    installed(torch="2.11.0")
    rows = rows_of(packages.packages)
    assert "torch" not in rows and "another torch" in rows["torchvision"].detail


@pytest.mark.parametrize(
    ("versions", "says", "command"),
    [
        ({"timm": None}, "timm is missing", '"timm>=1.0.22"'),
        ({"huggingface_hub": "0.36.0"}, "huggingface-hub 0.36.0 is not >=1.0", '"huggingface-hub>=1.0"'),
        ({"torch": None}, "torch is missing", '"torch>=2.10"'),
        ({"timm": "1.0.9", "rich": None}, "rich is missing, timm 1.0.9", '"rich>=13" "timm>=1.0.22"'),
    ],
)
def test_packages_below_their_floor(installed, versions, says, command):
    installed(**versions)
    row = rows_of(packages.packages)["packages"]
    assert row.result == "FAIL" and says in row.detail and row.fix == f"pip install --upgrade {command}"


@pytest.mark.parametrize(
    ("versions", "extra", "says"),
    [({"h5py": None}, "convert", "h5py is missing"), ({"transformers": "4.57.1"}, "recipes", "transformers 4.57.1")],
)
def test_extras_that_are_missing(installed, versions, extra, says):
    installed(**versions)
    rows = rows_of(packages.extras)
    row = rows.pop(f"[{extra}]")
    assert row.result == "WARN" and says in row.detail and packages.EXTRAS[extra] in row.detail
    assert row.fix == f'pip install "medzoo[{extra}]"'
    assert rows and all(other.result == "PASS" for other in rows.values()) and "[dev]" not in rows


def test_one_tracker_is_enough(installed):
    installed(tensorboard=None, trackio="0.43.0", wandb=None)
    row = rows_of(packages.extras)["[trackers]"]
    assert row.result == "PASS" and "trackio" in row.detail and "wandb" not in row.detail
    installed(tensorboard=None, trackio=None, wandb=None)
    assert rows_of(packages.extras)["[trackers]"].result == "WARN"


def test_every_extra_says_what_it_is_for():
    assert set(metadata.metadata("medzoo").get_all("Provides-Extra")) - {"dev"} <= set(packages.EXTRAS)


def test_a_source_tree_that_was_not_installed(installed):
    installed(medzoo=None, torch="2.9.0")
    assert rows_of(packages.python)["python"].fix == "pip install -e ."
    assert rows_of(packages.packages)["torch"].result == "FAIL"
    assert rows_of(packages.extras) == {}


# --- device ---


@pytest.mark.parametrize(
    ("facts", "result", "says"),
    [
        ({}, "PASS", ("No GPU (torch is a CPU build)", "fp32")),
        ({"mps": True}, "PASS", ("Apple GPU (MPS)", "fp32")),
        ({"cuda": "13.0", "cards": 2, "bf16": True}, "PASS", ("Card X, 80 GB, 3.0 GB of it free, and 1 more", "bf16")),
        ({"cuda": "13.0", "cards": 1}, "PASS", ("Card X", "fp32")),
        ({"cuda": "13.0"}, "WARN", ("CUDA 13.0 finds no GPU",)),
        (
            {"cuda": "13.0", "cards": 1, "computes": "raise RuntimeError('no kernel image is available.\\nsee docs')"},
            "WARN",
            ("Card X cannot compute: no kernel image is available.", "--device cpu"),
        ),
    ],
)
def test_what_computes(torch_is, facts, result, says):
    torch_is(**facts)
    row = rows_of(machine.device)["device"]
    assert row.result == result and all(
        part in row.detail for part in (*says, f"{len(os.sched_getaffinity(0))} CPU cores")
    )


@pytest.mark.parametrize(
    ("facts", "cpu", "says"),
    [
        ({}, False, ("auto is fp32", "this CPU", "7 to 30 times")),
        ({}, True, ("auto is bf16", "this CPU")),
        ({"mps": True}, True, ("auto is fp32", "MPS")),
        ({"cuda": "13.0", "cards": 1, "bf16": True}, False, ("auto is bf16", "this GPU")),
        ({"cuda": "13.0", "cards": 1}, True, ("auto is fp32", "emulated on this GPU")),
        ({"cuda": "13.0"}, True, ("auto is bf16", "this CPU")),  # a build for cards, and none here
    ],
)
def test_which_precision_suits(torch_is, monkeypatch, facts, cpu, says):
    torch_is(**facts, cpu=cpu)
    row = rows_of(machine.device)["precision"]
    assert row.result == "PASS" and all(part in row.detail for part in says)


@pytest.mark.parametrize("setting", ["ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"])
def test_a_setting_that_limits_the_cpu_is_named(torch_is, monkeypatch, setting):
    torch_is(cpu=True)
    monkeypatch.setenv(setting, "avx2")
    row = rows_of(machine.device)["precision"]
    assert "auto is fp32" in row.detail and f"{setting}=avx2" in row.detail


def test_threads_that_a_run_would_use(torch_is, monkeypatch):
    monkeypatch.setattr(machine.cores, "choose_threads", lambda: Threads(3, "4 cores, 1.0 of them in use by others"))
    row = rows_of(machine.device)["threads"]
    assert row.result == "PASS" and row.detail.startswith("3 for a run") and "1.0 of them in use" in row.detail


@pytest.mark.parametrize(
    ("programs", "hidden", "says", "fix"),
    [
        ((), None, "no driver is installed", "lspci | grep -i nvidia"),
        (("nvidia-smi",), None, "its driver lists none", "nvidia-smi"),
        (("nvidia-smi",), "", "CUDA_VISIBLE_DEVICES is ''", "unset CUDA_VISIBLE_DEVICES"),
        (("nvidia-smi", "srun"), "", "login node", "srun --gres=gpu:1 medzoo doctor"),
    ],
)
def test_where_to_look_for_the_gpu(torch_is, monkeypatch, tmp_path, programs, hidden, says, fix):
    torch_is(cuda="13.0")
    (tmp_path / "bin").mkdir()
    for name in programs:
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    row = rows_of(machine.device)["device"]
    assert row.result == "WARN" and says in row.detail and row.fix == fix


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise ImportError('libcudart.so.13: cannot open shared object file')", "libcudart.so.13: cannot open"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGILL)", "killed by SIGILL"),
        ("raise SystemExit(3)", "exit code 3"),
        ("import time\ntime.sleep(30)", "took more than 1 s"),
    ],
)
def test_a_torch_that_breaks_is_a_row(torch_is, monkeypatch, code, says):
    torch_is(code)
    monkeypatch.setattr(machine, "TORCH_SECONDS", 1.0 if "sleep" in code else 60.0)
    row = rows_of(machine.device)["device"]
    assert row.result == "FAIL" and says in row.detail and "Traceback" not in row.detail and row.fix


def test_no_torch(installed):
    installed(torch=None)
    assert rows_of(machine.device)["device"].fix.startswith("pip install")


def test_chatter_of_torch_does_not_matter(torch_is):
    torch_is()
    path = Path(sys.path[0]) / "torch.py"
    path.write_text("print('hello from a plugin')\n" + path.read_text())
    assert rows_of(machine.device)["device"].result == "PASS"


def test_the_real_torch_in_its_own_process(monkeypatch, no_network):
    monkeypatch.setattr(sys, "path", sys.path[1:])  # without the fake one
    for name, value in CPU_LIMITS.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    start = time.perf_counter()
    rows = rows_of(machine.device)
    row = rows["device"]
    assert f"auto is {precision.suited()}" in rows["precision"].detail  # as a run says, whatever this machine is
    assert row.result in ("PASS", "WARN") and "CPU cores" in row.detail
    assert time.perf_counter() - start < 60


# --- home ---


def test_a_home_below_a_file(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("MEDZOO_HOME", str(tmp_path / "file" / "home"))
    rows = whole(offline=True)
    assert rows["home"].result == "FAIL" and "Not a directory" in rows["home"].detail
    assert rows["home"].fix.startswith("export MEDZOO_HOME=") and "disk" not in rows
    assert [row.check for row in rows.values() if row.result == "FAIL"] == ["home"]


def test_a_home_that_is_not_there_yet_is_tried_and_not_left(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDZOO_HOME", str(tmp_path / "one" / "two"))
    row = rows_of(machine.home)["home"]
    assert row.result == "PASS" and "can be created" in row.detail and not (tmp_path / "one").exists()


def test_a_shared_home_that_only_its_keeper_writes(monkeypatch, private_home):
    def refused(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryDirectory", refused)
    assert rows_of(machine.home)["home"].result == "FAIL"
    (private_home / "checkpoints" / "x").mkdir(parents=True)
    (private_home / "checkpoints" / "x" / "config.json").write_text("{}")
    row = rows_of(machine.home)["home"]
    assert row.result == "WARN" and "Read-only" in row.detail


@pytest.mark.parametrize(("free", "result"), [(199e6, "FAIL"), (201e6, "WARN"), (4.9e9, "WARN"), (5.1e9, "PASS")])
def test_free_disk(monkeypatch, free, result):
    usage = shutil.disk_usage("/")._replace(free=int(free))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    row = rows_of(machine.home)["disk"]
    assert row.result == result and (row.fix == "medzoo cache prune") == (result != "PASS")


def test_a_disk_without_hard_links(monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    rows = rows_of(machine.home)
    assert rows["hard links"].result == "WARN" and rows["home"].result == "PASS"


def test_a_disk_that_renames_nothing(monkeypatch):
    def refused(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "replace", refused)
    assert "not supported" in rows_of(machine.home)["home"].detail


@pytest.mark.parametrize(
    ("umask", "mode", "open_to_all"), [(0o022, "0644", False), (0o077, "0600", False), (0, "0666", True)]
)
def test_modes_follow_the_umask(umask, mode, open_to_all):
    before = os.umask(umask)
    try:
        rows = rows_of(machine.home)
    finally:
        os.umask(before)
    assert mode in rows["home"].detail and ("umask" in rows) == open_to_all
