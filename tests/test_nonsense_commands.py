"""Every parameter of every `medzoo` command, fed with nonsense: one clear sentence, never a traceback. Help pages teach."""

import re
import sys

import pytest
from typer.main import get_command

from medzoo.cli import app, main

TASK = "phantom_oct,n=8,n_validation=4,n_test=4"


def walk(command, path=()):
    """Every command that does something, with the words that lead to it."""
    children = getattr(command, "commands", None)
    if not children:
        yield path, command
    for name, child in (children or {}).items():
        yield from walk(child, (*path, name))


ROOT = get_command(app)
COMMANDS = dict(walk(ROOT))
CASES = [(path, one.name) for path, command in COMMANDS.items() for one in command.params if one.name != "help"]
WORDS = ["", "x" * 3000, "\udcff", "FILE/x", "-1", "~nobody9/x"]
# what a required parameter is given while another one is tried
USUAL = {
    "name": "resnet10t-random", "names": "resnet10t-random", "file": "FILE", "repo_id": "lab/x", "repo": "lab/x", "task": TASK,
    "folder": "EMPTY", "store": "EMPTY", "source": "EMPTY", "results": "EMPTY", "out": "new", "license": "mit", "data": "ours",
    "mean": "0.5", "std": "0.5", "images": "EMPTY",
}  # fmt: skip


class Reached(Exception):  # noqa: N818 - it ends a test, and is no error
    """The parameters were taken, and work would begin."""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    def stop(*arguments, **options):
        raise Reached

    for place in ("bench.engines.fill", "zoo.doctor.doctor.diagnose"):
        monkeypatch.setattr(f"medzoo.{place}", stop)
    monkeypatch.setattr("medzoo.cli.app", ROOT)  # built once, and not for each of a thousand calls
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "FILE").write_text("a file")
    (tmp_path / "EMPTY").mkdir()

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["medzoo", *words])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        except Reached:
            pass
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def words_for(path, command, name, value):
    """A command line with one parameter given a value, and what else is required."""
    options, arguments = [], []
    for one in command.params:
        if one.name != name and not one.required:
            continue
        given = value if one.name == name else USUAL[one.name]
        if path[0] == "tasks" and one.name == "name" and name != "name":
            given = TASK
        if one.param_type_name == "argument":
            arguments.append(given)
        else:
            options.append(f"{one.opts[0]}={given}")
    return [*path, *options, "--", *arguments]


@pytest.mark.parametrize(("path", "name"), CASES, ids=[" ".join([*path, name]) for path, name in CASES])
def test_nonsense_is_one_clear_sentence(run, path, name):
    flag = any(getattr(one, "is_flag", False) for one in COMMANDS[path].params if one.name == name)
    for value in ["x"] if flag else WORDS:
        code, out, said = run(*words_for(path, COMMANDS[path], name, value))
        assert "Traceback" not in said and code in (0, 1, 2), (value[:20], said[-500:])
        assert code == 0 or said.strip() or out.strip(), f"{value!r:.20} failed without a word"
        if code and not out:
            lines = [line for line in re.sub("x{9,}", "", said).splitlines() if line.strip("│ ")]
            assert len(lines) <= 8, (value[:20], said[:800])


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_help_page_teaches(run, path):
    code, page, _ = run(*path, "--help")
    text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", page).replace("`", "").split())
    assert code == 0 and "Example" in text and f"medzoo {' '.join(path)}" in text.partition("Example")[2]
    for one in COMMANDS[path].params:
        if one.name == "help":
            continue
        assert (one.help or "") != "" and " ".join(one.help.replace("`", "").split())[:20] in text, one.name
        assert not any("_" in option for option in one.opts if option.startswith("--"))
    assert len([one for one in COMMANDS[path].params if "--no-" in str(one.secondary_opts)]) <= 1
