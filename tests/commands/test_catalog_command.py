"""`medzoo catalog`: the page, its check, and the same facts as JSON."""

import json
import os
from pathlib import Path

import pytest
import sharing_samples

from medzoo.bench.results.store import ResultStore
from medzoo.zoo.registry.registry import shipped

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "catalog.html"


def test_it_writes_the_page_into_the_working_directory(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("catalog")
    assert code == 0 and out.split() == ["catalog.html"] and list(tmp_path.iterdir()) == [tmp_path / "catalog.html"]
    assert (tmp_path / "catalog.html").read_bytes() == COMMITTED.read_bytes()


def test_check_compares_and_writes_nothing(run, tmp_path):
    code, out, _ = run("catalog", "--check", str(COMMITTED))
    assert code == 0 and "is what the facts give" in out
    old = tmp_path / "old.html"
    old.write_text(
        COMMITTED.read_text(encoding="utf-8").replace("resnet50-radimagenet", "resnet50-radimagnet", 1),
        encoding="utf-8",
    )
    before = old.read_bytes()
    code, out, _ = run("catalog", "--check", str(old))
    assert (
        code == 1
        and "resnet50-radimagnet" in out
        and f"medzoo catalog --out {old}" in out
        and old.read_bytes() == before
    )
    old.write_bytes(b"\xff\xfe")
    code, _, err = run("catalog", "--check", str(old))
    assert code == 2 and "UTF-8" in err


def test_json_has_all_entries_and_their_scores(run, tmp_path):
    store = ResultStore(tmp_path / "results")
    store.put(*sharing_samples.run(checkpoint="resnet18-random"))
    code, out, _ = run("catalog", str(store.root), "--json")
    facts = json.loads(out)
    assert code == 0 and [row["name"] for row in facts["checkpoints"]] == [entry.name for entry in shipped()]
    scored = [row["name"] for row in facts["checkpoints"] if row["columns"]]
    assert scored == ["resnet18-random"] and facts["runs"] == 1 and len(facts["tasks"]) > 50
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("nowhere",), 2, "not a folder"),
        (("EMPTY",), 1, "has no results"),
        (("--check", "nowhere.html"), 2, "not a file"),
        (("--out", "EMPTY"), 2, "path of a file"),
        (("--out", "FILE/x.html"), 2, "is a file"),
        (("--out", "a.html", "--json"), 2, "leave out --check and --json"),
        (("--check", "FILE", "--json"), 2, "not both"),
    ],
)
def test_wrong_places_are_refused_and_nothing_is_written(run, tmp_path, monkeypatch, words, code, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "FILE").write_text("x")
    found, out, err = run("catalog", *words)
    assert found == code and says in err + out and "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["EMPTY", "FILE"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(run, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    code, _, err = run("catalog", "--out", str(tmp_path / "locked" / "catalog.html"))
    assert code == 2 and "locked" in err
