"""Options of a recipe from the command line and from `--config FILE.toml`, read by transformers' HfArgumentParser.

A config file becomes arguments placed before the typed ones: types, choices and unknown keys are checked alike,
and what is typed wins. Wrong usage exits with 2.
"""

from __future__ import annotations

import argparse
import difflib
import io
import os
import sys
import tomllib
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from medzoo.errors import MedzooError, MissingExtraError, UsageError, is_disk_full


def config_arguments(path: Path) -> list[str]:
    """A flat TOML file as arguments.

    Raises:
        UsageError: if the file is missing, is no TOML, or holds tables.
    """
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"--config {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} is not TOML: {error}.") from error
    arguments: list[str] = []
    for key, value in values.items():
        flag = f"--{key.replace('-', '_')}"
        if isinstance(value, dict):
            raise UsageError(f"--config {path}: {key} is a table; options stand at the top level, one a line.")
        if isinstance(value, list):
            arguments += [flag, *map(str, value)]
        else:
            arguments += [flag, str(value)]
    return arguments


def _expand_config(arguments: Sequence[str]) -> list[str]:
    typed, files = [], []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--config":
            files.append(next(rest, ""))
        elif argument.startswith("--config="):
            files.append(argument.partition("=")[2])
        else:
            typed.append(argument)
    return [argument for file in files for argument in config_arguments(Path(file))] + typed


def parse(types: Sequence[type], description: str, arguments: Sequence[str] | None = None) -> tuple[Any, ...]:
    """One instance of each dataclass, from the command line.

    Args:
        types: dataclasses whose fields are the options.
        description: the recipe's own header, shown by --help.
        arguments: by default those of this process.
    """
    try:
        from transformers import HfArgumentParser
    except ImportError as error:
        raise MissingExtraError("transformers", "recipes", "A recipe") from error
    parser = HfArgumentParser(
        list(types), description=description, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", metavar="FILE.toml", help="options by name; what is typed wins")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        expanded = _expand_config(given)
    except UsageError as error:
        parser.error(str(error))
    # "--learning-rate" and "--learning_rate" are one option
    *parsed, unknown = parser.parse_args_into_dataclasses(
        args=expanded, look_for_args_file=False, return_remaining_strings=True
    )
    if unknown:
        known = [flag for action in parser._actions for flag in action.option_strings]
        near = difflib.get_close_matches(unknown[0].partition("=")[0], known, n=2)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        parser.error(f"unknown option {unknown[0]}.{hint} --help lists all.")
    return tuple(parsed[: len(types)])


def peek(arguments: Sequence[str], name: str) -> str | None:
    """The value of one option before the parser is built (the method decides which options there are)."""
    try:
        given = _expand_config(arguments)
    except UsageError:
        return None
    found = None
    for position, argument in enumerate(given):
        if argument == f"--{name}" and position + 1 < len(given):
            found = given[position + 1]
        elif argument.startswith(f"--{name}="):
            found = argument.partition("=")[2]
    return found


def said_by_system(error: OSError) -> str:
    """What the operating system refused, in a sentence with the path, and what may be done about it.

    Args:
        error: as it was raised.

    >>> said_by_system(PermissionError(13, "Permission denied", "/data/x"))
    '/data/x: Permission denied.'
    """
    from medzoo.paths import home

    said = error.strerror or str(error) or type(error).__name__
    places = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    sentence = f"{' and '.join(places)}: {said}." if places else f"{said}."
    if any(Path(place).absolute().is_relative_to(home()) for place in places):
        sentence += f" medzoo keeps its files in {home()} (MEDZOO_HOME); make it a folder that you may write to."
    return sentence


def run_main(main: Callable[[], None]) -> None:
    """Run a recipe's main: errors as one clear line, exit codes as documented (0 done or saved, 1 failed, 2 usage).

    Args:
        main: what to run.

    Raises:
        SystemExit: with the exit code, if it did not end well.
    """
    from medzoo.training.runs import Interrupted, is_main_process

    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name that is no UTF-8 is printed with escapes, as on stderr
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with nullcontext() if is_main_process() else redirect_stdout(io.StringIO()):
            main()
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        raise SystemExit(stop.code) from None
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except MedzooError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except Exception as error:
        if isinstance(error, OSError) and not is_disk_full(error):
            print(f"error: {said_by_system(error)}", file=sys.stderr)
            raise SystemExit(1) from None
        if not is_disk_full(error):
            raise
        where = f" at {error.filename}" if isinstance(error, OSError) and error.filename else ""
        print(
            f"error: No space left on the disk{where}. What was there before is as it was. Free some (`medzoo cache prune` "
            "removes leftovers), then run the same command again.",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("Stopped. The last whole state stays; the same command goes on from it.", file=sys.stderr)
        raise SystemExit(130) from None
