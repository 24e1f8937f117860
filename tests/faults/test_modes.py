"""Everything that medzoo writes, under every umask, in a home that cannot be written, and on paths that nobody likes."""

import json
import os
import shutil
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from small_disk import CARD, model
from typer.testing import CliRunner

import medzoo
from medzoo import cli, paths
from medzoo.bench.results.store import ResultStore, make_result
from medzoo.data.decode_cache.cache import decoded
from medzoo.data.task_registry import load_task
from medzoo.training.run_state import saved_state
from medzoo.training.run_state.run_folder import RunFolder
from medzoo.zoo.add import add
from medzoo.zoo.registry.license_acceptance import require_acceptance
from medzoo.zoo.registry.licenses import License

IDENTITY = {
    "task": {"id": "phantom_oct", "version": "1"},
    "dataset": {"fingerprint": "f", "split_hash": "s", "preprocess_hash": "p", "label_policy": None},
    "checkpoint": {"id": "hf-hub:lab/nét", "weights_sha256": "0" * 64, "arch": "resnet18", "init": "stored"},
    "protocol": {"id": "medzoo", "hash": "1" * 64, "label_fraction": 1.0, "mode": "finetune", "size": 28},
    "seed": 0, "fold": None,
}  # fmt: skip
ENVIRONMENT = {
    "medzoo": "0", "python": "3", "torch": "2", "timm": "1", "cuda": None, "platform": "Linux",
    "device": {"name": "x86_64", "count": 1}, "precision": "fp32", "deterministic": True,
}  # fmt: skip


def write_everything(root: Path, files: list[Path]) -> None:
    """Checkpoints in every way they come, results, a run with a state, decoded images, and what is noted in the home."""
    folder = medzoo.save(model(0), root / "net", card=CARD | {"name": "test_resnet-other"})
    medzoo.push(folder, "lab/net", hub=root / "hub")
    medzoo.fetch("lab/net", hub=root / "hub", to=root / "stick")
    medzoo.convert(files[0], "test_resnet-drawn")
    medzoo.fetch("test_resnet-drawn", to=root / "stick")
    own = {"license": "cc-by-nc-4.0", "data": "ours", "mean": [0.5] * 3, "std": [0.5] * 3, "size": 64}
    add(files[1], "test_resnet-ours", **own)
    require_acceptance("x", License("cc-by-nc-4.0", redistributable=True), accepted=True)
    decoded(load_task("phantom_oct,n=8,n_validation=4,n_test=4"), "train", size=16)
    row = make_result(
        IDENTITY, status="failed", metric="auroc", selection={}, metrics=[], predictions=None,
        train={"counts": {}, "reason": "none"}, environment=ENVIRONMENT,
    )  # fmt: skip
    ResultStore(root / "results").put(row)
    run = RunFolder(root / "run", "finetune", {"seed": 0}, {"seed": 0})
    with suppress(KeyboardInterrupt), run.open():
        run.log({"step": 1})
        layer = torch.nn.Linear(2, 2)
        optimizer = torch.optim.SGD(layer.parameters(), 0.1)
        saved_state.save_state(run.states, 1, model=layer, optimizer=optimizer, best={}, facts={})
        raise KeyboardInterrupt  # or the state would be cleared away


def all_below(*roots: Path) -> list[Path]:
    return [path for root in roots for path in (root, *root.rglob("*"))]


@pytest.fixture
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077], indirect=True, ids=oct)
def test_f30_modes_follow_the_umask(umask, tmp_path, drawn, private_home, hub_server):
    (tmp_path / "all").mkdir(mode=0o777 & ~umask)
    os.chmod(private_home, 0o777 & ~umask)
    write_everything(tmp_path / "all", drawn)
    medzoo.push(tmp_path / "all" / "net", "lab/net", private=False)
    medzoo.load("lab/net")  # a download: snapshots, locks, notes
    found = all_below(tmp_path / "all", private_home)
    names = {part for path in found for part in path.parts}
    assert {"checkpoints", "snapshots", "receipts", "accepted", "decoded", "hub_configs", "results", "resume"} <= names
    wrong = {
        str(path): oct(stat.S_IMODE(path.stat().st_mode))
        for path in found
        if stat.S_IMODE(path.stat().st_mode) != (0o777 if path.is_dir() else 0o666) & ~umask
    }
    assert wrong == {} and len(found) > 50


@pytest.fixture
def sealed(tmp_path):
    """Let nobody write to a folder any more, root included; give it back in the end."""
    mounted: list[Path] = []

    def seal(folder: Path) -> None:
        if os.geteuid() != 0:
            for path in all_below(folder):
                path.chmod(path.stat().st_mode & ~0o222)
        elif subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode:
            pytest.skip("root writes anywhere, and may not mount here")
        else:
            mounted.append(folder)
            subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        with pytest.raises(OSError):
            (folder / "x").write_text("x")

    yield seal
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)
    for path in all_below(tmp_path):
        if path.is_dir() and os.access(path, os.R_OK):
            path.chmod(0o755)


def test_f29_f30_a_home_that_cannot_be_written_but_is_full(sealed, tmp_path, drawn, hub_server, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("MEDZOO_HOME", str(home))
    medzoo.push(medzoo.save(model(0), tmp_path / "net", card=CARD | {"name": "x-y"}), "lab/net", private=False)
    medzoo.convert(drawn[0], "test_resnet-drawn")
    medzoo.load("lab/net")
    medzoo.load("lab/net", revision="main")
    task = load_task("phantom_oct,n=8,n_validation=4,n_test=4")
    decoded(task, "train", size=16)
    sealed(home)
    names = sorted(str(path) for path in all_below(home))
    for offline in (False, True):
        if offline:
            monkeypatch.setenv("HF_HUB_OFFLINE", "1")
            hub_server.log.clear()
        for name, revision in (("test_resnet-drawn", None), ("lab/net", None), ("lab/net", "main")):
            assert medzoo.load(name, revision=revision, verify="always") is not None
        assert medzoo.check("lab/net").passed and medzoo.check("test_resnet-drawn").passed
        assert decoded(task, "train", size=16).images.shape == (8, 16, 16)
        shown = CliRunner().invoke(cli.app, ["cache", "list"])
        assert shown.exit_code == 0 and "test_resnet-drawn" in shown.output and "lab/net@" in shown.output
    assert hub_server.log == [] and sorted(str(path) for path in all_below(home)) == names


def test_f29_f30_what_a_sealed_home_lacks_is_told(sealed, tmp_path, drawn, hub_server, fails, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("MEDZOO_HOME", str(home))
    folder = medzoo.save(model(0), tmp_path / "net", card=CARD | {"name": "x-y"})
    medzoo.push(folder, "lab/net", private=False)
    shutil.rmtree(home)
    home.mkdir()
    sealed(home)
    for words in (["fetch", "lab/net"], ["convert", drawn[0], "test_resnet-drawn"]):
        assert str(home) in fails(*words)
    assert medzoo.load(str(folder)) is not None  # what lies elsewhere needs no home
    assert medzoo.check(str(folder)).passed and list(home.iterdir()) == []


PLACES = ["médzoo test", "it's 100% #1 [a] {b} $HOME & more; ~", "雪" * 85]


@pytest.mark.parametrize("name", PLACES, ids=range(len(PLACES)))
def test_f47_spaces_other_alphabets_and_long_names(name, tmp_path, drawn, hub_server, monkeypatch):
    root = tmp_path / name
    try:
        root.mkdir()
        (root / ("é" * 127)).mkdir()
    except OSError as error:
        pytest.skip(f"this file system has no such names: {error}")
    monkeypatch.setenv("MEDZOO_HOME", str(root / "the home"))
    files = [Path(shutil.copy(file, root / f"mes poids {number}.pth")) for number, file in enumerate(drawn)]
    write_everything(root, files)
    folder = medzoo.save(
        model(1), root / ("é" * 127), card=CARD | {"name": "x-y"}
    )  # over an empty folder, then an older one
    medzoo.save(model(0), folder, card=CARD | {"name": "x-y"})
    medzoo.push(folder, "lab/net", private=False)
    loaded = medzoo.load("lab/net")
    assert torch.equal(loaded.conv1[0].weight, model(0).conv1[0].weight)
    for known in (str(folder), "test_resnet-drawn", "test_resnet-ours", "lab/net"):
        assert medzoo.check(known).passed and medzoo.load(known, local_files_only=True) is not None
    assert medzoo.load("test_resnet-drawn", hub=root / "stick") is not None
    assert len(ResultStore(root / "results").all()) == 1
    assert saved_state.load_state(root / "run" / "resume")[0].step == 1
    shown = CliRunner().invoke(cli.app, ["cache", "list", "--json"])
    rows = json.loads(shown.output)
    assert {row["name"] for row in rows} >= {"test_resnet-drawn", "test_resnet-ours"} and all(
        row["whole"] for row in rows
    )
    assert all(Path(row["path"]).is_relative_to(paths.home()) for row in rows)
    assert [path for path in all_below(root) if path.name.startswith(".tmp-")] == []


@pytest.mark.slow
def test_f47_a_process_of_its_own_on_such_a_path(tmp_path, drawn, apart):
    """The command in another process, which starts a third one for the foreign file, all below spaces and accents."""
    root = tmp_path / "médzoo test"
    root.mkdir()
    shutil.copy(drawn[0], root / "mes poids.pth")
    words = ["add", "mes poids.pth", "test_resnet-ours", "--license", "mit", "--data", "ours", "--size", "64"]
    words += ["--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5"]
    environment = os.environ | {"MEDZOO_HOME": str(root / "the home"), "LC_ALL": "C.UTF-8", "TMPDIR": str(root)}
    done = subprocess.run(
        [sys.executable, "-m", "medzoo", *words], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (root / "the home" / "checkpoints" / "test_resnet-ours" / "model.safetensors").is_file()
