"""Recipes, found by file name: help that teaches, closed options, config files, exit codes, one shape."""

import runpy
import sys

import pytest

from medzoo.paths import data_dir

RECIPES = sorted(path for path in data_dir("recipes").glob("*.py"))
TRAINING = [path for path in RECIPES if path.stem in ("pretrain", "continue_pretrain", "finetune", "probe")]


def run(path, *arguments, monkeypatch, capsys):
    """A recipe's exit code and what it printed."""
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    try:
        runpy.run_path(str(path), run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code or 0
    out = capsys.readouterr()
    return code, out.out + out.err


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_help_teaches(path, monkeypatch, capsys):
    code, text = run(path, "--help", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0 and f"recipes/{path.name}" in text and "--config FILE.toml" in text


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize("arguments", [["--no-such-option", "1"], ["--devic", "cpu"], ["--config", "nowhere.toml"]])
def test_wrong_usage_exits_2(path, arguments, monkeypatch, capsys):
    code, text = run(path, *arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2 and "error" in text


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_missing_options_are_named(path, monkeypatch, capsys):
    code, text = run(path, monkeypatch=monkeypatch, capsys=capsys)
    assert (code == 2 and "--" in text and "missing" in text) or "method" in text


@pytest.mark.parametrize("method", ["simclr", "supervised"])
def test_a_method_adds_its_options(method, monkeypatch, capsys):
    path = data_dir("recipes") / "pretrain.py"
    _, text = run(path, "--method", method, "--help", monkeypatch=monkeypatch, capsys=capsys)
    assert ("--temperature" in text) == (method == "simclr") and "--min-area" in text


def test_config_is_checked_and_the_command_line_wins(tmp_path, monkeypatch, capsys):
    path = data_dir("recipes") / "finetune.py"
    config = tmp_path / "c.toml"
    config.write_text('checkpoint = "resnet18-random"\ntask = "phantom_oct"\nfraction = 7.0\n')
    code, text = run(path, "--config", str(config), monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2 and "--fraction is 7.0" in text
    code, text = run(path, "--config", str(config), "--fraction", "8", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2 and "--fraction is 8.0" in text
    config.write_text('epohcs = 3\ntask = "phantom_oct"\n')
    code, text = run(path, "--config", str(config), monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2 and "epohcs" in text


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--checkpoint", "resnet18-randm", "--task", "phantom_oct"], "resnet18-random"),
        (["--checkpoint", "resnet18-random", "--task", "phantom_ocd"], "phantom_oct"),
        (["--checkpoint", "resnet18-random", "--task", "phantom_oct", "--protocol", "medzo"], "medzoo"),
    ],
)
def test_typos_are_met_with_the_nearest_name(arguments, hint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, text = run(data_dir("recipes") / "finetune.py", *arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2 and f"Did you mean {hint}" in text
    assert not list(tmp_path.iterdir())


def test_recipes_have_one_shape():
    """Imports, one main, run_main: what differs between the recipes is what they do."""
    for path in RECIPES:
        text = path.read_text()
        assert "from medzoo.recipe_args import parse" in text and "def main() -> None:" in text
        assert text.endswith('if __name__ == "__main__":\n    run_main(main)\n') and len(text.splitlines()) < 120
