"""What lies in the home: listed, verified and pruned; and a mirror of it for a machine without network."""

import json
import os
import shutil
import time

import pytest
from expect import raises
from typer.testing import CliRunner
from zoo_samples import small_model

import medzoo
from medzoo import store
from medzoo.cli import app
from medzoo.errors import UsageError
from medzoo.zoo.cache import list_cached, prune, verify_cached
from medzoo.zoo.download.mirror import mirror
from medzoo.zoo.registry.locations import cached_folder

DAYS = 2 * 24 * 3600


def age(path):
    past = time.time() - DAYS
    for below in (path, *(path.rglob("*") if path.is_dir() else ())):
        os.utime(below, (past, past))


@pytest.fixture
def full(pristine, private_home):
    """A home with a checkpoint, a repository, and what kills left behind, new and two days old."""
    shutil.copytree(pristine, cached_folder("test_resnet-drawn"))
    shutil.copytree(pristine, private_home / "snapshots" / "lab--net" / ("a" * 40))
    (private_home / "snapshots" / "lab--net" / "first.json").write_text("{}")
    for when in ("old", "new"):
        part = private_home / "snapshots" / "lab--net" / f".{when[0] * 40}.part"
        part.mkdir()
        (part / "model.safetensors.part").write_bytes(b"x" * 10)
        upstream = private_home / "upstream" / when / "file.pth.part"
        upstream.parent.mkdir(parents=True)
        upstream.write_bytes(b"x" * 20)
        orphan = private_home / "checkpoints" / f"{store.TEMPORARY}{when}"
        orphan.mkdir()
        if when == "old":
            for path in (part, upstream, orphan):
                age(path)
    (private_home / "checkpoints" / ".x.lock").write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    age(private_home / "checkpoints" / ".x.lock")
    receipt = private_home / "receipts" / "x.json"
    receipt.parent.mkdir(exist_ok=True)
    receipt.write_text(json.dumps({"path": "/nowhere/model.safetensors"}))
    return private_home


def test_everything_is_listed(full):
    names = {item.name: item for item in list_cached()}
    assert names["test_resnet-drawn"].whole and names[f"lab/net@{'a' * 40}"].whole
    assert not names["old@file.pth.part"].whole and names["old@file.pth.part"].size == 20
    assert names["test_resnet-drawn"].size > 1_000_000


def test_verify_tells_whole_from_damaged(full):
    path = cached_folder("test_resnet-drawn") / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    verdicts = {row.item.name: row for row in verify_cached()}
    assert verdicts["test_resnet-drawn"].result == "FAIL" and "sha256" in verdicts["test_resnet-drawn"].detail
    assert verdicts[f"lab/net@{'a' * 40}"].result == "PASS"


def test_prune_takes_what_is_left_over_and_nothing_else(full):
    would = {item.name for item in prune(dry_run=True)}
    gone = {item.name for item in prune()}
    assert would == gone and len(gone) == 5, gone
    left = {item.name for item in list_cached()}
    assert {"test_resnet-drawn", f"lab/net@{'a' * 40}", "new@file.pth.part"} <= left
    assert not (full / "checkpoints" / ".x.lock").exists() and not (full / "receipts" / "x.json").exists()
    assert prune() == []


def test_prune_takes_what_is_named(full):
    with raises(UsageError, "not-in-cache"):
        prune(["resnet50-nothing"])
    prune(["test_resnet-drawn", "lab/net"])
    assert (
        not cached_folder("test_resnet-drawn").exists() and not (full / "snapshots" / "lab--net" / ("a" * 40)).exists()
    )
    assert (full / "upstream" / "new" / "file.pth.part").exists()


def test_prune_forgets_which_commit_of_a_repository_came_first(full):
    note = full / "snapshots" / "lab--net" / "first.json"
    note.write_text("{}")
    prune(["lab/net"], dry_run=True)
    prune([f"lab/net@{'a' * 40}"])
    assert note.exists()
    (note.parent / ("b" * 40)).mkdir()
    (note.parent / ("b" * 40) / "config.json").write_text("{}")
    prune(["lab/net"])
    assert not note.parent.exists()


def test_the_commands(full):
    run = CliRunner().invoke
    shown = run(app, ["cache", "list"])
    assert shown.exit_code == 0 and "test_resnet-drawn" in shown.output and "(unfinished)" in shown.output
    assert len(json.loads(run(app, ["cache", "list", "--json"]).output)) == len(list_cached())
    assert run(app, ["cache", "verify", "test_resnet-drawn"]).exit_code == 0
    typo = run(app, ["cache", "verify", "test_resnet-drawn", "test_resnet-drown"])
    assert typo.exit_code != 0 and "FAIL" not in typo.output and "PASS" not in typo.output
    (cached_folder("test_resnet-drawn") / "model.safetensors").write_bytes(b"<html>")
    broken = run(app, ["cache", "verify", "--json"])
    assert broken.exit_code == 1 and "FAIL" in broken.output
    before = {item.name for item in list_cached()}
    assert "would be freed" in run(app, ["cache", "prune", "--dry-run"]).output
    assert {item.name for item in list_cached()} == before
    assert run(app, ["cache", "prune"]).exit_code == 0
    empty = run(app, ["cache", "list"], env={"MEDZOO_HOME": str(full / "none")})
    assert empty.exit_code == 0 and "0.0 MB in" in empty.output


@pytest.fixture
def registry_of_three(configs, entry, pristine, private_home):
    """A name that is here, one that only a person can get, one that is drawn, one that nobody serves."""
    here = entry('access = "direct"\nurl = "https://example.org/x"')
    text = (configs / f"{here}.toml").read_text()
    (configs / "test_resnet-byhand.toml").write_text(
        text.replace('access = "direct"', 'access = "manual"\nfile = "a.pt"\ninstructions = "Write to them."')
    )
    (configs / "test_resnet-away.toml").write_text(text.replace("https://example.org/x", "http://127.0.0.1:9/x"))
    drawn = text[: text.index("[pretraining]")] + text[text.index("[license]") :]
    (configs / "test_resnet-random.toml").write_text(drawn)
    medzoo.save(small_model(num_classes=0), cached_folder(here), card=medzoo.info(here))
    return here


def test_a_mirror_holds_all_that_can_be_had(registry_of_three, tmp_path, monkeypatch):
    monkeypatch.setattr("medzoo.http_download.TRIES", 1)
    rows = {row.name: row for row in mirror(tmp_path / "stick")}
    assert {name: row.result for name, row in rows.items()} == {
        "test_resnet-away": "failed", "test_resnet-byhand": "left out", "test_resnet-drawn": "copied",
        "test_resnet-random": "left out",
    }  # fmt: skip
    assert "Write to them." in rows["test_resnet-byhand"].detail
    shutil.rmtree(cached_folder(registry_of_three))
    model = medzoo.load(registry_of_three, hub=tmp_path / "stick")
    assert model.load_receipt.folder == str(tmp_path / "stick" / "medzoo" / registry_of_three)
    again = {row.name: row.result for row in mirror(tmp_path / "stick")}
    assert again["test_resnet-drawn"] == "there already"


def test_fetch_all(registry_of_three, tmp_path, monkeypatch):
    monkeypatch.setattr("medzoo.http_download.TRIES", 1)
    run = CliRunner().invoke
    done = run(app, ["fetch", "--all", "--to", str(tmp_path / "stick")])
    assert done.exit_code == 1 and "1 copied" in done.output and "1 failed" in done.output
    assert f"export MEDZOO_HUB={tmp_path / 'stick'}" in done.output
    for wrong in (["fetch", "--all"], ["fetch"], ["fetch", "--all", "x", "--to", str(tmp_path)]):
        assert isinstance(run(app, wrong).exception, UsageError)


def test_f32_decoded_images_are_listed_verified_and_pruned(private_home):
    from medzoo.data.decode_cache.cache import decoded
    from medzoo.data.task_registry import load_task

    decoded(load_task("phantom_oct,n=8,n_validation=4,n_test=4"), "train", size=16)
    (item,) = list_cached()
    assert item.kind == "decoded images" and item.name.startswith("phantom_oct-16px-") and item.whole
    (verdict,) = verify_cached()
    assert verdict.result == "PASS" and "1 parts" in verdict.detail
    (part,) = item.path.iterdir()
    kept = part.stat()
    content = bytearray(part.read_bytes())
    content[5000] ^= 1
    part.write_bytes(content)
    os.utime(part, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # rot, which leaves no other trace
    (verdict,) = verify_cached()
    assert verdict.result == "FAIL" and part.name in verdict.detail
    earlier = private_home / "decoded" / "phantom_oct-train-16-0123456789abcdef.safetensors"
    earlier.write_bytes(b"x")
    age(earlier)
    left = item.path / f"{store.TEMPORARY}1-part"
    left.write_bytes(b"x")
    age(left)
    assert [verdict.result for verdict in verify_cached()] == ["FAIL", "SKIP"]
    prune()
    assert not earlier.exists() and not left.exists() and part.exists()
    prune([item.name])
    assert list_cached() == []
