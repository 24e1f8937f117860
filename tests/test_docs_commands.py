"""Commands that a page shows and no test runs: their options exist."""

import re
import runpy
import shlex
import sys
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path

import pytest
import typer

from medzoo.cli import app
from medzoo.paths import data_dir
from medzoo.training.objectives import list_methods

REPOSITORY = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^ *```(?:bash|sh)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
MEDZOO = typer.main.get_command(app)


def commands(page):
    """The commands of a page that start with medzoo or a recipe, as lists of words."""
    for block in FENCE.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"[|;&()]|\bdo\b", line):
                try:
                    words = shlex.split(part, comments=True)
                except ValueError:  # one half of a quoted text
                    continue
                if words[:2] == ["accelerate", "launch"] or words[:1] == ["python"]:
                    words = words[2 if words[0] == "accelerate" else 1 :]
                if words[:1] == ["medzoo"] or (words and re.fullmatch(r"recipes/\w+\.py", words[0])):
                    yield words


@cache
def recipe_options(name, method=""):
    """The help page of a recipe."""
    path = data_dir("recipes") / name
    words = ["--method", method] if method else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(path), *words, "--help"])
        with redirect_stdout(StringIO()) as text, pytest.raises(SystemExit):
            runpy.run_path(str(path), run_name="__main__")
    return set(re.findall(r"--[a-z][a-z0-9-]*", text.getvalue()))


def options_of(words):
    """The options that a command knows."""
    if words[0].startswith("recipes/"):
        method = words[words.index("--method") + 1] if "--method" in words else ""
        method = method if method in list_methods() else ""  # a name of the reader
        return recipe_options(words[0].removeprefix("recipes/"), method)
    command, rest = MEDZOO, words[1:]
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"medzoo has no command {rest[0]}: {' '.join(words)}"
        command, rest = command.commands[rest[0]], rest[1:]
    if command.name == "compare":  # its options are those of the recipe
        return recipe_options("compare.py") | {"--help"}
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_the_options_of_shown_commands_exist(page):
    for words in commands(page):
        given = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
        assert given <= options_of(words), f"{' '.join(words)}: {sorted(given - options_of(words))}"


def test_an_option_that_does_not_exist_is_found(tmp_path):
    (page := tmp_path / "page.md").write_text("```bash\nmedzoo push a b --nonsense 3\n```\n")
    ((words),) = commands(page)
    assert "--nonsense" not in options_of(words) and "--hub" in options_of(words)
