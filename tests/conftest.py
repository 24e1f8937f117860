"""Shared fixtures: a private home for every test, no network, and the real images where they exist."""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image
from warm import WarmPython

pytest_plugins = ["hub_fixture"]
# shared machines are noisy: how long an example takes says nothing
settings.register_profile("medzoo", deadline=None)
settings.load_profile("medzoo")
REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the tests of a GPU where torch finds none."""
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("torch finds no GPU")


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Each test has its own caches and receipts, gone when it ends, and no hub setting of the developer leaks in."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MEDZOO_HOME", str(home))
    for name in ("MEDZOO_HUB", "MEDZOO_ACCEPT_LICENSE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    yield home
    shutil.rmtree(home, ignore_errors=True)  # checkpoints, decoded images: thousands of tests fill a disk


@pytest.fixture(autouse=True)
def quick_reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Foreign files are read in the tests' own process, which saves the start of one; `apart` gives the real way back."""
    if "apart" not in request.fixturenames:
        from medzoo.zoo.convert import sandbox, worker

        monkeypatch.setattr(sandbox, "read_in_sandbox", worker.answer)


@pytest.fixture(autouse=True)
def quick_flushes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush checks its descriptor and does not wait for the disk: no test of this process cuts the power.

    Tests of durability record the calls; children, and tests on a small disk, flush as users do.
    """
    if "disk" not in request.fixturenames:
        monkeypatch.setattr(
            os, "fsync", lambda file: os.fstat(file if isinstance(file, int) else file.fileno()) and None
        )


@pytest.fixture(autouse=True)
def quick_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of runs are made, and not painted: that took longer than the run. `painted` gives the real way back."""
    if "painted" not in request.fixturenames:
        from matplotlib.figure import Figure

        paint = Figure.savefig

        def note(figure: Figure, target: object, **options: object) -> None:
            if isinstance(target, Path):
                Image.new("L", (1, 1)).save(target, format="png")
            else:
                paint(figure, target, **options)

        monkeypatch.setattr(Figure, "savefig", note)


@pytest.fixture
def painted() -> None:
    """The pictures of runs are painted, as users' are."""


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmPython]:
    """Starts child processes that have imported torch and medzoo already."""
    python = WarmPython()
    yield python
    python.close()


@pytest.fixture
def apart() -> None:
    """Foreign files are read in a process of their own, as users' are."""


@pytest.fixture(scope="session")
def commands() -> Callable[..., object]:
    """The commands of `medzoo`, built once: typer builds them anew for each call, which takes longer than most commands."""
    from typer.main import get_command

    from medzoo.cli import app

    return get_command(app)


@pytest.fixture
def run(
    commands: Callable[..., object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Call `medzoo` with arguments, in this process; gives exit code, stdout and stderr."""
    from medzoo.cli import main

    monkeypatch.setattr("medzoo.cli.app", commands)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["medzoo", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections leave this machine only in a test that forgot its loopback server: make that a failure."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> object:
        host = address[0] if isinstance(address, tuple) else "local"
        if host not in ("local", "127.0.0.1", "::1", "localhost"):
            raise OSError(f"a test tried to reach {address!r}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images: MEDZOO_TEST_DATA, by default beside the checkout; skips where absent."""
    folder = Path(os.environ.get("MEDZOO_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder} (set MEDZOO_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def tiny_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory hub with `lab/tiny`: timm's test_resnet at 32 px, weights drawn once."""
    import timm
    import torch

    import medzoo

    hub = tmp_path_factory.mktemp("hub")
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=0)
    card = {
        "name": "test_resnet-noise",
        "license": "apache-2.0",
        "data": ["noise"],
        "input": {"size": 32, "crop_pct": 1.0},
    }
    medzoo.save(model, hub / "lab" / "tiny", card=card)
    return hub
