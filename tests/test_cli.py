"""The command line: exit codes, JSON for scripts, one clear line for a failure."""

import json
import shutil

import pytest

import medzoo


def test_list_names_everything_with_its_licence(run):
    code, out, _ = run("list")
    assert code == 0 and all(name in out for name in medzoo.list_models()) and "CC-BY-NC-4.0" in out


def test_list_filters(run):
    code, out, _ = run("list", "--data", "radimagenet", "--json")
    assert code == 0 and [row["name"] for row in json.loads(out)] == medzoo.list_models(data="radimagenet")
    code, _, err = run("list", "nothing-like-this")
    assert code == 2 and "No checkpoint" in err


@pytest.mark.parametrize("name", medzoo.list_models())
def test_info(run, name):
    code, out, _ = run("info", name)
    assert code == 0 and name in out
    code, out, _ = run("info", name, "--json")
    assert json.loads(out) == json.loads(json.dumps(medzoo.info(name).to_dict()))


@pytest.mark.parametrize(
    "arguments", [("info", "resnet50-radimagnet"), ("tasks", "info", "pneumoniamnst"), ("fetch", "resnet50-randm")]
)
def test_typos_get_a_hint_and_exit_2(run, arguments):
    code, _, err = run(*arguments)
    assert code == 2 and "Did you mean" in err and "Traceback" not in err


@pytest.mark.parametrize("arguments", [("no-such-command",), ("info",), ("list", "--no-such-option")])
def test_wrong_usage_exits_2(run, arguments):
    assert run(*arguments)[0] == 2


def test_tasks(run):
    from medzoo.data.task_registry import list_tasks

    code, out, _ = run("tasks", "list")
    assert code == 0 and all(name in out for name in list_tasks())
    code, out, _ = run("tasks", "info", "pneumoniamnist")
    assert code == 0 and "normal, pneumonia" in out and "patient" in out


def test_push_fetch_and_card_through_directories(run, tiny_hub, tmp_path):
    code, out, _ = run("push", str(tiny_hub / "lab" / "tiny"), "stick/tiny", "--hub", str(tmp_path / "stick"))
    assert code == 0 and str(tmp_path / "stick" / "stick" / "tiny") in out
    code, out, _ = run("fetch", "stick/tiny", "--hub", str(tmp_path / "stick"), "--to", str(tmp_path / "other"))
    assert code == 0
    one, two = (medzoo.load("stick/tiny", hub=tmp_path / name).load_receipt.sha256 for name in ("stick", "other"))
    assert one == two
    code, out, _ = run("card", str(tmp_path / "other" / "stick" / "tiny"))
    assert code == 0 and out.startswith("---\n") and "apache-2.0" in out


def test_a_failure_is_one_line_and_exit_1(run, tmp_path):
    code, _, err = run("fetch", "stick/nothing", "--hub", str(tmp_path))
    assert code == 1 and "medzoo fetch" in err and "Traceback" not in err


def test_table_of_an_empty_store(run, tmp_path):
    code, _, err = run("table", str(tmp_path / "nowhere"))
    assert code == 2 and "Traceback" not in err


def test_list_says_how_each_comes_here(run, private_home):
    rows = {line.split()[0]: line.split()[-2:] for line in run("list")[1].splitlines()[1:] if line.strip()}
    assert rows["resnet50-random"][-1] == "drawn" and rows["resnet50-mocov2-imagenet"][-1] == "download"
    assert rows["resnet50-radimagenet"] == ["by", "hand"] and rows["vit_small-mocov3-chestxray14"][-1] == "recipe"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("resnet50-random", "medzoo.load('resnet50-random')"),
        ("resnet50-mocov2-imagenet", "medzoo fetch resnet50-mocov2-imagenet --accept-license"),
        ("resnet50-radimagenet", "medzoo convert ResNet50.pt resnet50-radimagenet"),
        ("vit_small-mocov3-chestxray14", "accelerate launch recipes/pretrain.py"),
    ],
)
def test_info_ends_with_the_next_step(run, private_home, name, says):
    assert says in run("info", name)[1].split("\nnext")[1]
    assert says in run("info", name, "--all")[1].split("to use it: ")[1]


def test_check_passes_or_exits_1(run, tiny_hub, tmp_path):
    code, out, _ = run("check", str(tiny_hub / "lab" / "tiny"), "resnet18-random")
    assert code == 0 and out.count("PASS") > 6 and "FAIL" not in out
    broken = tmp_path / "broken"
    shutil.copytree(tiny_hub / "lab" / "tiny", broken)
    (broken / "model.safetensors").write_bytes(b"<html>")
    code, out, _ = run("check", str(broken), "--json")
    assert code == 1 and json.loads(out)[0]["passed"] is False
    assert run("check", "resnet50-nothing")[0] == 2


def test_add_and_convert(run, private_home, tmp_path, tiny_hub):
    weights = tiny_hub / "lab" / "tiny" / "model.safetensors"
    facts = json.loads((weights.parent / "config.json").read_text())
    name = f"{facts['architecture']}-ours"
    arguments = ("add", str(weights), name, "--license", "mit", "--data", "ours", "--size", "64")
    assert run(*arguments, "--mean", "0.5,0.5,0.5")[0] == 2  # no std
    assert run(*arguments, "--mean", "half", "--std", "1,1,1")[0] == 2
    assert run(*arguments, "--mean", "0.5,0.5,0.5", "--std", "1,1,1", "--model", "[1]")[0] == 2
    code, out, err = run(*arguments, "--mean", "0.5,0.5,0.5", "--std", "1,1,1")
    assert code == 0 and f"medzoo.load('{name}')" in out, err
    assert run("check", name)[0] == 0 and name in run("list", "*-ours")[1]
    code, out, _ = run("convert", str(weights), name)
    assert code == 0 and str(private_home) in out
