"""medzoo results list, check, import, export, push and pull: what they print, and their exit codes."""

import json
import shutil
import stat
import sys

import pytest
import sharing_samples as samples

from medzoo.bench.results.store import ResultStore
from medzoo.cli import main

REPO = "lab/results"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    samples.read_here(monkeypatch)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a store in `results`."""
    monkeypatch.chdir(tmp_path)
    samples.fill(tmp_path / "results")
    return tmp_path


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments, token=None):
        monkeypatch.setattr(sys, "argv", ["medzoo", "results", *arguments])
        with monkeypatch.context() as patch:
            if token:
                patch.setenv("HF_TOKEN", token)
            try:
                main()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


def test_list_filters_and_prints_json(here, run):
    code, out, _ = run("list")
    assert code == 0 and out.splitlines()[-1] == "8 runs in results"
    assert "diverged" in out and "(reported)" in out and "auroc 0." in out
    assert len({line.index("resnet18-random") for line in out.splitlines()[:-1]}) == 1  # aligned
    code, out, _ = run("list", "results", "--task", "phantom_*", "--status", "ok", "--protocol", "medzoo", "--json")
    rows = json.loads(out)
    assert code == 0 and {row["task"] for row in rows} == {"phantom_chest", "phantom_oct"} and len(rows) == 4
    assert set(rows[0]) >= {"run_id", "value", "seed", "file", "reported"}
    assert run("list", "--checkpoint", "none-*")[1] == "0 runs in results\n"
    code, _, err = run("list", "nowhere")
    assert code == 2 and "not a folder" in err


def test_check_judges_a_store_a_folder_and_one_run(here, run):
    assert run("check", "results") == (0, "no problems found\n", "")
    result, table = samples.run(seed=9)
    result["metrics"][0]["value"] = 0.987
    ResultStore(here / "results").put(result, table)
    ResultStore(here / "results").put(*samples.run(seed=10, status="failed", reason="disk full"))
    code, out, _ = run("check", "results")
    assert code == 1 and "auroc is 0.987" in out and "not uploaded:" in out and "disk full" in out
    code, out, _ = run("check", "results", "--json")
    (row,) = json.loads(out)
    assert code == 1 and row["check"] == "metrics" and row["file"].startswith("runs/phantom_chest@1/")
    (here / "contribution").mkdir()
    assert run("check", "contribution")[0] == 1
    for wrong in ((), ("results", "--repo", REPO, "--pr", "1"), ("--repo", REPO), ("--pr", "1"), ("nowhere",)):
        assert run("check", *wrong)[0] == 2, wrong


def test_export_and_import(here, run):
    code, out, _ = run("export", "results", "--out", "flat.parquet")
    assert code == 0 and out == "flat.parquet: 8 runs, 393 rows\n"
    assert run("export", "--out", "flat.csv")[0] == 0 and (here / "flat.csv").read_text().count("\n") == 394
    assert run("import", "flat.parquet", "--to", "again")[1] == "8 runs added, 0 known in again\n"
    taken = "0 runs added, 2 known, 6 completed with their predictions in again\n"
    assert run("import", "results", "--to", "again")[1] == taken
    assert run("import", "results", "--to", "again")[1] == "0 runs added, 8 known in again\n"
    assert run("export", "again", "--out", "same.parquet")[0] == 0
    assert run("export", "results", "--out", "flat.xlsx")[0] == 2
    assert run("export", "nowhere")[0] == 1
    code, _, err = run("import", "nowhere")
    assert code == 2 and "neither a folder nor a Parquet file" in err
    next((here / "results").glob("*@*/*/*/*.parquet")).unlink()
    code, out, _ = run("import", "results", "--to", "part")
    assert code == 1 and "rejected:" in out and "7 runs added" in out


def test_push_draws_a_salt_once_and_pull_brings_the_runs(hub_server, here, run):
    code, out, _ = run("push", "results", REPO, "--dry-run")
    assert code == 0 and out.count("to upload: runs/") == 8 and "nothing was written" in out
    assert not (here / "results.salt").exists() and hub_server.log == []
    code, out, _ = run("push", "results", REPO, "--public", "--license", "cc-by-4.0")
    assert code == 0 and "created a secret salt" in out and out.count("uploaded: runs/") == 8
    assert stat.S_IMODE((here / "results.salt").stat().st_mode) == 0o600
    secret = (here / "results.salt").read_text().strip()
    assert secret not in out
    code, out, _ = run("push", "results", REPO)
    assert code == 0 and "0 runs added, 8 known" in out and "nothing was written" in out and "secret salt" not in out
    code, out, _ = run("pull", REPO, "--to", "pulled")
    assert (code, out) == (0, "8 runs added, 0 known in pulled\n")
    assert len(ResultStore(here / "pulled").all()) == 8
    assert not any(secret in path.read_text("latin-1") for path in (here / "pulled").rglob("*") if path.is_file())
    code, _, err = run("pull", "lab/nothing")
    assert code == 1 and "lab/nothing" in err and "Traceback" not in err


def test_a_salt_of_ones_own(hub_server, here, run):
    (here / "salt").write_text("short")
    code, _, err = run("push", "results", REPO, "--salt-file", "salt")
    assert code == 2 and "at least 16" in err
    (here / "salt").write_text("a secret of the person who pushes\n")
    assert run("push", "results", REPO, "--salt-file", "salt")[0] == 0
    assert not (here / "results.salt").exists()
    assert "0 runs added, 8 known" in run("push", "results", REPO, "--salt-file", "salt")[1]
    code, out, _ = run("push", "results", REPO)
    assert code == 0 and out.count("another salt") == 6
    assert run("push", "nowhere", REPO)[0] == 2 and not (here / "nowhere.salt").exists()


def test_a_stranger_proposes_and_those_who_keep_it_check(hub_server, here, run):
    run("push", "results", REPO, "--public")
    shutil.rmtree(here / "results")
    for seed in (5, 6):
        result, table = samples.run(seed=seed)
        if seed == 6:
            result["selection"]["test_evaluations"] = 3
        ResultStore(here / f"theirs{seed}").put(result, table)
    code, _, err = run("push", "theirs5", REPO, token=hub_server.stranger)
    assert code == 1 and "--pr" in err
    for number, seed in ((1, 5), (2, 6)):
        code, out, _ = run("push", f"theirs{seed}", REPO, "--pr", token=hub_server.stranger)
        assert code == 0 and f"/discussions/{number}" in out
    assert run("check", "--repo", REPO, "--pr", "1") == (0, "no problems found\n", "")
    code, out, _ = run("check", "--repo", REPO, "--pr", "2")
    assert code == 1 and "evaluated 3 times" in out and "[selection]" in out


@pytest.mark.parametrize("command", ["list", "check", "import", "export", "push", "pull"])
def test_help_teaches(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0 and f"medzoo results {command}" in out
