"""The command line: exit codes, JSON for scripts, one clear line for a failure."""

import json
import sys

import pytest

import medzoo
from medzoo.cli import main


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["medzoo", *arguments])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


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
    from medzoo.data.task import list_tasks

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
