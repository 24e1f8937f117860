"""Finding, converting and describing checkpoints on the command line."""

import json
import os
import subprocess
import sys

import pytest
import timm
import torch
from zoo_samples import OWN_ENTRY

import medzoo


@pytest.fixture
def own(private_home, tmp_path):
    """An entry of one's own, and its file."""
    (private_home / "hub_configs").mkdir(parents=True)
    (private_home / "hub_configs" / "test_resnet-ours.toml").write_text(OWN_ENTRY)
    torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.mark.parametrize("typed", ["radimagenet", "RadImageNet", "*RADIMAGENET*", "[rR]es*radimagenet*"])
def test_list_takes_a_part_of_a_name_in_any_case(run, typed):
    code, out, _ = run("list", typed, "--json")
    names = [row["name"] for row in json.loads(out)]
    assert code == 0 and names == medzoo.list_models(typed) and "resnet50-radimagenet" in names
    assert all("radimagenet" in name for name in names)
    assert medzoo.list_models("net50-R") == medzoo.list_models("*net50-r*") != medzoo.list_models("net50-r*") == []


def test_version(run):
    assert run("--version") == (0, f"medzoo {medzoo.__version__}\n", "")


@pytest.mark.slow
def test_a_relative_home_in_a_process_of_its_own(own, tmp_path):
    """As a user types it, and nothing of it set up by tests."""
    (tmp_path / "home" / "hub_configs").mkdir(parents=True)
    (tmp_path / "home" / "hub_configs" / "test_resnet-ours.toml").write_text(OWN_ENTRY)
    done = subprocess.run(
        [sys.executable, "-m", "medzoo", "convert", "w.pth", "test_resnet-ours"],
        cwd=tmp_path, env={**os.environ, "MEDZOO_HOME": "home"}, capture_output=True, text=True,
    )  # fmt: skip
    wanted = tmp_path / "home" / "checkpoints" / "test_resnet-ours"
    assert (done.returncode, done.stdout.strip()) == (0, str(wanted)), done.stderr
    assert done.stderr == ""  # no bar and no spinner where that is no terminal


def test_convert_on_a_terminal_says_what_it_replaced(own, run, monkeypatch, tmp_path):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    code, out, err = run("convert", own, "test_resnet-ours", "--out", tmp_path / "f")
    assert code == 0 and out.strip() == str(tmp_path / "f") and "replaced" not in err
    code, out, err = run("convert", own, "test_resnet-ours", "--out", tmp_path / "f")
    assert code == 0 and out.strip() == str(tmp_path / "f") and "was replaced" in err


def test_info_and_card_of_a_directory_hub(run, tiny_hub, tmp_path, monkeypatch):
    code, out, _ = run("info", "lab/tiny", "--hub", tiny_hub)
    assert code == 0 and "test_resnet-noise" in out and "sha256" in out
    assert str(tiny_hub / "lab" / "tiny") in run("info", "lab/tiny", "--hub", tiny_hub, "--all")[1]
    assert json.loads(run("info", "lab/tiny", "--hub", tiny_hub, "--json")[1])["input"]["size"] == 32
    assert "apache-2.0" in run("card", "lab/tiny", "--hub", tiny_hub)[1]
    monkeypatch.setenv("MEDZOO_HUB", str(tiny_hub))
    facts = out.split("\nnext")[0]  # the next command names the folder as the user did
    assert run("info", "lab/tiny")[1].split("\nnext")[0] == facts
    assert run("info", tiny_hub / "lab" / "tiny")[1].split("\nnext")[0] == facts
    code, _, err = run("info", "lab/tony")
    assert code == 1 and "Did you mean lab/tiny" in err
    code, _, err = run("card", "lab/../../etc")
    assert code == 2 and "Traceback" not in err


def test_info_of_a_name_that_lies_in_the_hub(run, own, tmp_path, private_home):
    assert run("convert", own, "test_resnet-ours", "--out", tmp_path / "hub" / "medzoo" / "test_resnet-ours")[0] == 0
    assert "convert FILE" in run("info", "test_resnet-ours")[1]
    code, out, _ = run("info", "test_resnet-ours", "--hub", tmp_path / "hub")
    assert code == 0 and f"medzoo.load('test_resnet-ours', hub='{tmp_path / 'hub'}')" in out
    assert "path/to/this/folder" in run("card", "test_resnet-ours", "--hub", tmp_path / "hub")[1]


def test_fetch_of_several_brings_the_others_too(run, tiny_hub, tmp_path):
    code, out, err = run("fetch", "lab/nothing", "lab/tiny", "--hub", tiny_hub, "--to", tmp_path / "stick")
    assert code == 1 and "stick/lab/tiny" in out and (tmp_path / "stick" / "lab" / "tiny" / "config.json").is_file()
    assert "lab/nothing" in err and "1 of 2 failed" in err


def test_a_weights_file_where_a_checkpoint_is_wanted(run):
    for command in ("check", "fetch", "info"):
        code, _, err = run(command, "ResNet50.pt")
        assert code == 2 and "medzoo convert ResNet50.pt resnet50-radimagenet" in err
    code, _, err = run("info", "ResNet50-ImageNet")
    assert code == 2 and "Did you mean resnet50-imagenet" in err


def test_add_takes_the_whole_input_and_labels(run, tmp_path, private_home):
    torch.save(timm.create_model("test_resnet", num_classes=2).state_dict(), tmp_path / "w.pth")
    (tmp_path / "labels.txt").write_text("no finding\n\npneumonia\n")
    facts = ("--license", "mit", "--data", "ours", "--size", "64", "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5")
    more = ("--interpolation", "bicubic", "--crop-pct", "0.9", "--clip", "-1024,3072", "--rule", "per_image_minmax")
    code, out, err = run(
        "add", tmp_path / "w.pth", "test_resnet-one", *facts, *more, "--labels", tmp_path / "labels.txt"
    )
    assert code == 0 and "left out" in out, err
    entry = medzoo.info("test_resnet-one")
    assert (entry.input.interpolation, entry.input.crop_pct, entry.input.clip) == ("bicubic", 0.9, (-1024.0, 3072.0))
    assert entry.model.labels == ("no finding", "pneumonia")
    code, _, err = run("add", tmp_path / "w.pth", "test_resnet-two", *facts, "--label", "a", "--label", "b")
    assert code == 0 and medzoo.info("test_resnet-two").model.labels == ("a", "b"), err
    wrong = [("--label", "a", "--labels", tmp_path / "labels.txt"), ("--labels", tmp_path / "none.txt"),
             ("--clip", "low,high")]  # fmt: skip
    for options in wrong:
        code, _, err = run("add", tmp_path / "w.pth", "test_resnet-three", *facts, *options)
        assert code == 2 and err.startswith("error: ") and options[0] in err and "Traceback" not in err
    code, _, err = run("add", tmp_path / "w.pth", "test_resnet-three", *facts, "--crop-pct", "7")
    assert code == 1 and "crop_pct is 7.0" in err and "tmp-add" not in err
