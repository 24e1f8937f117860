"""A bar of bytes or the name of a stage on a terminal after a second, nothing elsewhere, and the same hash always."""

import hashlib
import io
import shutil
import sys
import time

import pytest
import timm
import torch
from zoo_samples import OWN_ENTRY

import medzoo
from medzoo import progress, store
from medzoo.progress import hash_file, hash_files
from medzoo.zoo.cache import verify_cached
from medzoo.zoo.convert import stages as stages_module
from medzoo.zoo.convert.stages import Stages


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """stderr is a terminal, and work is long at once."""
    monkeypatch.setattr(progress, "SHOW_AFTER", 1e-9)
    monkeypatch.setattr(stages_module, "SHOW_AFTER", 1e-9)
    monkeypatch.setattr(progress, "LARGE", 0)
    monkeypatch.setattr(stages_module, "REFRESH", 0.01)

    def attach() -> Terminal:  # in the test itself: pytest sets stderr anew when it calls the test
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        return screen

    return attach


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(range(256)) * 20_000)
    return path


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 3 * 2**20 + 7])
def test_the_hash_is_hashlibs(tmp_path, size, algorithm):
    path = tmp_path / "x"
    path.write_bytes((b"0123456789abcdef!" * (size // 17 + 1))[:size])
    assert hash_file(path, algorithm) == hashlib.new(algorithm, path.read_bytes()).hexdigest()
    assert hash_files([path, path], algorithm) == hashlib.new(algorithm, path.read_bytes() * 2).hexdigest()


def test_a_terminal_shows_bytes_rate_and_time_left(terminal, file, monkeypatch):
    monkeypatch.setattr(progress, "CHUNK", 2**18)
    plain = progress.tqdm
    monkeypatch.setattr(progress, "tqdm", lambda **options: plain(**options, mininterval=0, miniters=1))
    screen = terminal()
    store.sha256_file(file)
    shown = screen.getvalue()
    assert (
        f"hash {file.parent.name}/model.safetensors" in shown and "5.12M" in shown and "B/s" in shown and "<" in shown
    )
    assert shown.endswith("\r")  # the bar is gone at the end


@pytest.mark.parametrize("why", ["no terminal", "another process", "a small file", "a short time"])
def test_nothing_is_shown(terminal, file, monkeypatch, why):
    screen = terminal()
    if why == "no terminal":
        monkeypatch.setattr(sys, "stderr", io.StringIO())
    elif why == "another process":
        monkeypatch.setenv("RANK", "1")
    else:
        name, value = ("LARGE", 10**9) if why == "a small file" else ("SHOW_AFTER", 1000.0)
        monkeypatch.setattr(progress, name, value)
        monkeypatch.setattr(stages_module, "SHOW_AFTER", 1000.0)
    hash_file(file)
    assert screen.getvalue() == sys.stderr.getvalue() == ""
    if why != "a small file":
        with Stages("convert x", ["read"]) as stages:
            stages.begin("read")
            time.sleep(0.03)
        assert screen.getvalue() == sys.stderr.getvalue() == ""


def test_a_stage_is_named_while_it_runs(terminal):
    screen = terminal()
    with Stages("convert x.pt", ["read", "write"]) as stages:
        for stage in ("read", "write"):
            stages.begin(stage)
            deadline = time.monotonic() + 60
            while f", {stage} [" not in screen.getvalue() and time.monotonic() < deadline:
                time.sleep(0.01)
    shown = screen.getvalue()
    assert "convert x.pt: 1 of 2, read [00:00]" in shown and "2 of 2, write" in shown
    assert shown.endswith("\r") and not shown.rpartition("\r")[0].rpartition("\r")[2].strip()  # an empty line


def test_stages_end_with_an_error(terminal):
    terminal()
    with pytest.raises(ValueError, match="broken"), Stages("convert x.pt", ["read"]) as stages:
        stages.begin("read")
        raise ValueError("broken")
    assert not stages._clock.is_alive()


def test_a_conversion_goes_through_all_stages(private_home, tmp_path, monkeypatch):
    from medzoo.zoo.convert import convert

    (private_home / "hub_configs").mkdir(parents=True)
    (private_home / "hub_configs" / "test_resnet-ours.toml").write_text(OWN_ENTRY)
    torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), tmp_path / "w.pth")
    begun = []
    monkeypatch.setattr(convert.Stages, "begin", lambda self, stage: begun.append(stage))
    medzoo.convert(tmp_path / "w.pth", "test_resnet-ours")
    assert begun == list(convert.STAGES)


def test_load_check_fetch_and_the_cache_hash_with_a_bar(tiny_hub, private_home, monkeypatch):
    hashed = []
    monkeypatch.setattr(store, "hash_file", lambda path: hashed.append(path.name) or hash_file(path))
    folder = private_home / "checkpoints" / "tiny"
    shutil.copytree(tiny_hub / "lab" / "tiny", folder)
    for call in (
        lambda: medzoo.load(folder),
        lambda: medzoo.check(folder),
        lambda: medzoo.fetch("lab/tiny", hub=tiny_hub, to=private_home / "stick"),
        lambda: [verdict.result for verdict in verify_cached()],
    ):
        hashed.clear()
        call()
        assert "model.safetensors" in hashed
