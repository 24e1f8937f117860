"""`medzoo tasks ...` and `medzoo shards`: exit codes, JSON for scripts, and pages for people."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from medzoo.data.task_registry import list_tasks


@pytest.fixture
def scans(tmp_path):
    """Class folders with 12 images, of which two are equal."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "scans"
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        for word in ("benign", "malignant"):
            (folder / split / word).mkdir(parents=True)
            for number in range(count):
                image = Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8))
                image.save(folder / split / word / f"{number}.png")
    return folder


def test_list_is_grouped_by_where_images_come_from(run):
    code, out, _ = run("tasks", "list")
    assert code == 0 and all(name in out for name in list_tasks())
    places = [
        out.index(f"\n{word}: " if place else f"{word}: ")
        for place, word in enumerate(("drawn", "download", "your copy", "your own"))
    ]
    assert places == sorted(places) and "medzoo tasks info NAME" in out


@pytest.mark.parametrize(
    ("filters", "some", "none"),
    [
        (("--modality", "x-ray"), "chestxray14", "phantom_ct"),
        (("--about", "ultrasound"), "breastmnist", "chestxray14"),
        (("--about", "pneumothorax", "--kind", "multilabel"), "chestxray14", "pneumoniamnist"),
        (("--source", "drawn"), "phantom_ct", "pneumoniamnist"),
        (("phantom_*",), "phantom_oct", "octmnist"),
    ],
)
def test_list_filters(run, filters, some, none):
    code, out, _ = run("tasks", "list", *filters, "--json")
    names = [row["name"] for row in json.loads(out)]
    assert code == 0 and some in names and none not in names
    assert run("tasks", "list", *filters)[1].count(some) >= 1


def test_list_without_a_match_says_so(run):
    code, _, err = run("tasks", "list", "--about", "unicorns")
    assert code == 2 and "No task matches" in err


@pytest.mark.parametrize("name", list_tasks())
def test_info_says_how_to_get_it_and_what_to_do_next(run, name):
    code, out, _ = run("tasks", "info", name)
    assert code == 0 and out.startswith(f"{name}: ") and "How to get it" in out
    assert f"medzoo tasks check {name}" in out and "recipes/finetune.py" in out
    assert json.loads(run("tasks", "info", name, "--json")[1])["name"] == name


def test_check_exits_1_on_problems(run, scans):
    code, out, _ = run("tasks", "check", f"folder:{scans}", "--groups", "none")
    assert code == 0 and "no problems" in out and "benign" in out
    (scans / "train" / "benign" / "1.png").write_bytes(b"<html>")
    code, out, _ = run("tasks", "check", f"folder:{scans}", "--groups", "none", "--json")
    assert code == 1 and json.loads(out)["rows"][0]["id"] == "train/benign/1.png" and json.loads(out)["passed"] is False
    assert run("tasks", "check", f"folder:{scans}", "--groups", "none", "--no-images")[0] == 0
    assert run("tasks", "check", "chestxray41")[0] == 2
    assert run("tasks", "check", f"folder:{scans / 'nowhere'}")[0] == 1


def test_duplicates_report_and_fail_where_asked(run, scans, tmp_path):
    (scans / "test" / "benign" / "0.png").write_bytes((scans / "train" / "benign" / "2.png").read_bytes())
    asked = ("tasks", "duplicates", f"folder:{scans}", "--groups", "none")
    code, out, _ = run(*asked, "--out", tmp_path / "found.csv", "--save-index", tmp_path / "index.parquet")
    assert code == 0 and "train + test: equal files" in out
    assert [row["split"] for row in csv.DictReader((tmp_path / "found.csv").open())] == ["train", "test"]
    code, out, _ = run(*asked, "--across-splits-only", "--fail", "--json")
    assert code == 1 and json.loads(out)["shared_groups"] == 1
    Image.fromarray(np.asarray(Image.open(scans / "train" / "benign" / "0.png"))[:, ::-1]).save(
        scans / "val" / "benign" / "0.png"
    )
    code, out, _ = run(*asked, "--equal", "--across-splits-only", "--json")
    assert code == 0 and json.loads(out)["near_groups"] == 0
    code, out, _ = run(*asked, "--across-splits-only", "--json")
    assert json.loads(out)["between"] == {"equal: train and test": 1, "near: train and validation": 1}
    code, out, _ = run(
        "tasks",
        "duplicates",
        "phantom_oct,n=4,n_validation=4,n_test=4",
        "--against",
        tmp_path / "index.parquet",
        "--fail",
    )
    assert code == 0 and "against folder:scans" in out
    code, out, _ = run(*asked, "--against", f"folder:{scans}", "--fail")
    assert code == 1 and "folder:scans (other)" in out


@pytest.mark.parametrize(
    ("against", "code", "words"),
    [
        ("nowhere.parquet", 2, "--save-index FILE` creates one"),
        ("chestxray41", 2, "Unknown task"),
        ("folder:nowhere", 1, "does not exist"),
    ],
)
def test_what_cannot_be_compared_is_told_before_any_hashing(run, scans, monkeypatch, against, code, words):
    monkeypatch.setattr("medzoo.data.duplicates.index.hash_task", lambda *_: pytest.fail("hashed"))
    got, _, err = run("tasks", "duplicates", f"folder:{scans}", "--groups", "none", "--against", against)
    assert got == code and words in err


def test_places_that_cannot_be_written_are_told_at_once(run, scans, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr("medzoo.data.duplicates.index.hash_task", lambda *_: pytest.fail("hashed"))
    for option in ("--out", "--save-index"):
        code, _, err = run("tasks", "duplicates", "phantom_ct", option, tmp_path / "file" / "x")
        assert code == 1 and str(tmp_path / "file") in err
    code, _, err = run("shards", "phantom_ct", "--out", tmp_path / "file")
    assert code == 1 and str(tmp_path / "file") in err and (tmp_path / "file").read_text() == "mine"
    code, _, err = run("shards", "phantom_ct", "--out", tmp_path / "s", "--size", "0")
    assert code == 2 and "size is 0" in err and not (tmp_path / "s").exists()


@pytest.mark.parametrize("command", [("tasks", "check"), ("tasks", "duplicates"), ("shards",)])
def test_help_shows_a_command_to_copy(run, command):
    code, out, _ = run(*command, "--help")
    assert code == 0 and "Example" in out and f"medzoo {' '.join(command)}" in " ".join(out.split())


def test_shards_and_what_reads_them(run, scans, tmp_path):
    code, out, _ = run(
        "shards", f"folder:{scans}", "--groups", "none", "--out", tmp_path / "s", "--images-per-shard", "2"
    )
    assert code == 0 and "3 files" in out and f"medzoo tasks check shards:{tmp_path / 's'}" in out
    code, out, _ = run("tasks", "check", f"shards:{tmp_path / 's'}")
    assert code == 0 and "12 images decoded" in out
    code, out, _ = run("shards", "phantom_oct,n=8,n_validation=4,n_test=4", "--out", tmp_path / "s")
    assert code == 1
    code, out, _ = run(
        "shards", "phantom_ct,n=8,n_validation=4,n_test=4", "--out", tmp_path / "t", "--size", "16", "--split", "train",
        "--format", "webdataset",
    )  # fmt: skip
    assert code == 0 and [path.name for path in (tmp_path / "t").glob("*.tar")] == ["train-00000-of-00001.tar"]
    assert run("shards", "phantom_ct", "--out", tmp_path / "u", "--split", "dev")[0] == 2
    assert run("shards", "phantom_ct", "--out", tmp_path / "u", "--format", "zip")[0] == 2


def test_nothing_is_drawn_where_there_is_no_terminal(run, scans):
    assert run("tasks", "check", f"folder:{scans}", "--groups", "none")[2] == ""
    assert run("tasks", "duplicates", f"folder:{scans}", "--groups", "none")[2] == ""
