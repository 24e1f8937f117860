"""reference/command_line.md: the `medzoo` command, from the parser that it uses."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from medzoo.cli import app
from site_pages.markdown import as_text, block, code, docstring, front_matter, table

START = re.compile(r"(medzoo|accelerate|python|export)\b")
INTRODUCTION = """`medzoo COMMAND --help` prints the same text. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C;
[each error](../how_to/errors.md) has a code. Training is done by the [recipes](recipes.md).
"""
OTHERS = """
## Environment variables

"""
VARIABLES = {
    "MEDZOO_HOME": "folder of everything that medzoo keeps: checkpoints, decoded images, features; by default `~/.cache/medzoo`",
    "MEDZOO_HUB": "directory hub that commands and `medzoo.load` use instead of the Hub",
    "HF_HUB_OFFLINE": "1 forbids all downloads: from the Hub, of upstream checkpoints, and of MedMNIST",
    "HF_TOKEN": "token of the Hub, for private and gated repositories; `hf auth login` stores one",
}


def command_line_page() -> str:
    """The page as Markdown."""
    root: Any = typer.main.get_command(app)  # typer has its own copy of click, without types
    rows = [(name, command) for name, command in commands(root, "medzoo") if not getattr(command, "commands", None)]
    overview = table(
        ["command", "what it does"],
        ([f"[{code(name)}](#{name.replace(' ', '-')})", as_text(_first(command.help))] for name, command in rows),
    )
    parts = [front_matter("Command line", "All commands of medzoo with their options"), INTRODUCTION, overview]
    parts += [_command(name, command) for name, command in commands(root, "medzoo")]
    parts += [OTHERS, table(["variable", "meaning"], ([code(name), as_text(text)] for name, text in VARIABLES.items()))]
    return "\n".join(parts)


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - of typer's copy of click
    """A command and all below it, each with its full name.

    Args:
        command: of the parser.
        name: as a user types it.
    """
    yield name, command
    for word, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {word}")


def _first(help_text: str | None) -> str:
    return (help_text or "").split("\n\n")[0]


def _command(name: str, command: Any) -> str:  # noqa: ANN401
    """The section of one command."""
    paragraphs = (command.help or "").split("\n\n")
    examples = [text for text in paragraphs if re.match(r"Examples?: ", text)]
    hints = get_type_hints(command.callback) if command.callback else {}
    options = [one for one in command.params if one.param_type_name == "option"]
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    words = [argument_word(one, hints) for one in arguments]
    if getattr(command, "commands", None):
        words.append("COMMAND")
    if command.ignore_unknown_options:  # compare: the recipe's parser reads its words
        words.append("CHECKPOINT CHECKPOINT --task TASK")
    parts = [f"## {name} {{#{name.replace(' ', '-')}}}\n", block("text", " ".join([name, *words, "[OPTIONS]"]))]
    parts += [docstring(text) for text in paragraphs if text not in examples]
    if command.ignore_unknown_options:
        parts.append(f"Its options are those of [recipes/{command.name}.py](recipes.md#{command.name}).\n")
    lines = [line for text in examples for line in example_lines(text)]
    parts += [block("bash", "\n".join(lines))] if lines else []
    shown = [(argument_word(one, hints), one) for one in arguments]
    shown += [(option_word(one, hints), one) for one in options]
    rows = ([code(word), as_text(one.help or ""), _default(one)] for word, one in shown)
    parts.append(table(["argument or option", "meaning", "default"], rows))
    return "\n".join(parts)


def example_lines(text: str) -> list[str]:
    """The commands of an `Example:` paragraph, one a line, with the words around them as comments.

    Args:
        text: of the paragraph.

    >>> example_lines("Examples: medzoo card a; medzoo list x (find one); then open a.html")
    ['medzoo card a', 'medzoo list x  # find one', '# then open a.html']
    """
    words = " ".join(text.partition(": ")[2].split()).replace("`", "")
    lines = []
    for piece in re.split(r"; |, and then ", words):
        found = START.search(piece)
        if not found or piece.startswith("then open"):
            lines.append(f"# {piece}")
            continue
        before, rest = piece[: found.start()].strip(" :"), piece[found.start() :]
        comment = re.search(r"\s+\(([^()]*)\)$", rest)
        lines += [f"# {before}"] if before else []
        lines.append(f"{rest[: comment.start()]}  # {comment[1]}" if comment else rest)
    return lines


def argument_word(one: Any, hints: dict[str, Any]) -> str:  # noqa: ANN401
    """An argument as the usage line shows it.

    Args:
        one: an argument of typer's parser.
        hints: the types of the command's function.
    """
    word = one.metavar or one.name.strip("_").upper()
    word = f"{word}..." if _is_list(hints.get(one.name)) and "..." not in word else word
    return word if one.required or word.startswith("[") else f"[{word}]"


def option_word(one: Any, hints: dict[str, Any]) -> str:  # noqa: ANN401
    """The spellings of an option with the place of its value.

    Args:
        one: an option of typer's parser.
        hints: the types of the command's function.
    """
    names = ", ".join([*one.opts, *one.secondary_opts])
    return names if one.is_flag else f"{names} {one.metavar or value_word(hints.get(one.name))}"


def value_word(hint: Any) -> str:  # noqa: ANN401 - any type
    """The place of an option's value.

    Args:
        hint: its type.

    >>> value_word(Path | None), value_word(Literal["a", "b"]), value_word(list[str])
    ('PATH', 'a|b', 'TEXT')
    """
    origin, arguments = get_origin(hint), [one for one in get_args(hint) if one is not type(None)]
    if origin in (Union, types.UnionType, list, tuple):
        return value_word(arguments[0])
    if origin is Literal:
        return "|".join(map(str, arguments))
    return {Path: "PATH", int: "N", float: "NUMBER"}.get(hint, "TEXT")


def _is_list(hint: Any) -> bool:  # noqa: ANN401
    return get_origin(hint) in (list, tuple) or any(get_origin(one) in (list, tuple) for one in get_args(hint))


def _default(one: Any) -> str:  # noqa: ANN401
    """The default of an argument or option; empty if it says nothing."""
    if one.required:
        return "required"
    if getattr(one, "is_flag", False):
        names = one.opts if one.default else one.secondary_opts
        return code(names[0]) if one.secondary_opts and one.default is not None else ""
    return "" if one.default in (None, "", (), []) else code(one.default)
