"""Options of a recipe from the command line and from `--config FILE.toml`, parsed by transformers' HfArgumentParser.

A config file becomes arguments placed before the typed ones: types, choices and unknown keys are checked in the same way,
and typed options win. The `options.toml` of a run is such a file. Wrong usage exits with 2.
"""

from __future__ import annotations

import difflib
import io
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import Field, field, fields, make_dataclass
from pathlib import Path
from typing import Any

from medzoo.closed_schema import hints_of
from medzoo.errors import MedzooError, MissingExtraError, UsageError, is_disk_full, with_code
from medzoo.paths import home
from medzoo.training.options.config_file import read_config
from medzoo.training.options.fields import flag, options_of
from medzoo.training.options.help_page import help_page, one_spelling, option_helps
from medzoo.training.options.toml_files import read_toml
from medzoo.training.run_state.run_folder import Interrupted, is_main_process

Defaults = Callable[[Callable[[str], str | None]], Mapping[str, str]]


def _split_config(arguments: Sequence[str]) -> tuple[list[str], list[Path]]:
    """The typed options, and the files of `--config`."""
    typed, files = [], []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--config":
            files.append(next(rest, ""))
        elif argument.startswith("--config="):
            files.append(argument.partition("=")[2])
        else:
            typed.append(argument)
    if "" in files:
        raise UsageError("--config needs the path of a TOML file.", code="config-path-missing")
    return typed, [Path(file) for file in files]


def _name_of(argument: str) -> str | None:
    """The field that an argument names: --batch-size=3, --batch_size → batch_size; None for a value."""
    return argument[2:].partition("=")[0].replace("-", "_") if argument.startswith("--") and len(argument) > 2 else None


def parse(
    types: Sequence[type],
    description: str,
    arguments: Sequence[str] | None = None,
    *,
    without: Mapping[str, str] | None = None,
    defaults: Defaults | None = None,
    mode: str | Sequence[str] | None = None,
    program: str | None = None,
) -> tuple[Any, ...]:
    """One instance of each dataclass, from the command line.

    Args:
        types: dataclasses whose fields are the options.
        description: the recipe's docstring, shown by --help.
        arguments: by default those of this process.
        without: fields that this recipe does not use, with the reason: using one is an error.
        defaults: for --help, the defaults that the fields do not contain, by name; called with a function that returns the typed
            value of a name.
        mode: the value of `mode` in the options.toml of this recipe's runs; of several, --probe takes the one in a config file.
        program: name of the command in messages; None takes that of this process.
    """
    try:
        from transformers import HfArgumentParser
    except ImportError as error:
        raise MissingExtraError("transformers", "recipes", "A recipe") from error
    # the parser of all options, with one spelling each
    without = without or {}
    rows = {one.name: one for kind in types for one, *_ in options_of(kind) if one.name not in without}
    forms = [_form(kind, without) for kind in types]
    parser = HfArgumentParser(forms, description=description, allow_abbrev=False, prog=program)
    parser.add_argument(
        "--config", metavar="FILE.toml", help="options by name, as in a run's options.toml; typed options win"
    )
    given = list(sys.argv[1:] if arguments is None else arguments)

    def text() -> str:
        default_texts = defaults(lambda name: peek(given, name)) if defaults else {}
        return help_page(parser, option_helps(types, rows, default_texts))

    one_spelling(parser, [name for name, one in rows.items() if one.default is True])
    parser.format_help = text
    parser.format_usage = lambda: ""
    # config files come first, so that typed options win
    try:
        typed, files = _split_config(given)
        typed = _every_fold(typed) if "folds" in rows else typed
        names = {name for argument in typed if (name := _name_of(argument))}
        for name in names & set(without):
            raise UsageError(f"{flag(name)} is not an option of this recipe: {without[name]}.", code="option-not-used")
        config = read_config(files, types, without, mode, names)
    except UsageError as error:
        parser.error(with_code(error))
    *parsed, unknown = parser.parse_args_into_dataclasses(
        args=[*config.arguments, *typed], look_for_args_file=False, return_remaining_strings=True
    )
    if unknown:
        parser.error(_unknown(unknown[0], [*map(flag, rows), "--config", "--help"]))
    # one instance of each dataclass
    instances = []
    for kind, form in zip(types, parsed, strict=False):
        instance = kind(**{one.name: getattr(form, one.name) for one in fields(form)})
        if hasattr(instance, "resolved"):
            instance.resolved = config.resolved
        instances.append(instance)
    return tuple(instances)


def _form(kind: type, without: Mapping[str, str]) -> type:
    """A dataclass of the options for HfArgumentParser: the same fields, with only the metadata that argparse uses."""
    hints = hints_of(kind)
    rows: list[tuple[str, Any, Field[Any]]] = []
    for one, *_ in options_of(kind):
        if one.name not in without:
            facts = {key: one.metadata[key] for key in ("help", "metavar") if one.metadata.get(key)}
            rows.append((one.name, hints[one.name], field(default=one.default, metadata=facts)))
    return make_dataclass(kind.__name__, rows, kw_only=True)


def _unknown(argument: str, known: Sequence[str]) -> str:
    if not argument.startswith("-"):
        return f"{argument!r:.80} is not an option; an option begins with --. --help lists all."
    near = difflib.get_close_matches(argument.partition("=")[0].replace("_", "-"), known, n=2)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"unknown option {argument:.80}.{hint} --help lists all."


def _every_fold(typed: Sequence[str]) -> list[str]:
    """The arguments with `--folds all` in place of `--fold all`.

    >>> _every_fold(["--fold", "all", "--seed=1", "--fold", "2"])
    ['--folds=all', '--seed=1', '--fold', '2']
    """
    words = "\0".join(typed)
    return re.sub(r"(^|\0)--fold[\0=]all(?=\0|$)", r"\1--folds=all", words).split("\0") if typed else []


def peek(arguments: Sequence[str], name: str) -> str | None:
    """The value of one option before the parser is built, because the method determines the other options."""
    value: Any = None
    try:
        given, files = _split_config(arguments)
        for file in files:
            options = {key.replace("-", "_"): option for key, option in read_toml(file, "--config").items()}
            value = options.get(name, value)
    except UsageError:  # `parse` will raise it again
        return None
    for position, argument in enumerate(given):
        if _name_of(argument) == name:
            _, equals, text = argument.partition("=")
            value = text if equals else given[position + 1] if position + 1 < len(given) else value
    return None if value is None else str(value)


def said_by_system(error: OSError) -> str:
    """An error of the operating system as a sentence with the path, and how to fix it.

    Args:
        error: as it was raised.

    >>> said_by_system(PermissionError(13, "Permission denied", "/data/x"))
    '/data/x: Permission denied.'
    """
    reason = error.strerror or str(error) or type(error).__name__
    paths = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    sentence = f"{' and '.join(paths)}: {reason}." if paths else f"{reason}."
    if any(Path(path).absolute().is_relative_to(home()) for path in paths):
        sentence += f" medzoo keeps its files in {home()} (MEDZOO_HOME); set it to a folder that you can write to."
    return sentence


def _show_all_names() -> None:
    """Let stdout and stderr print bytes that are not valid UTF-8 as escapes, instead of failing on them."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def run_main(main: Callable[[], None]) -> None:
    """Run a recipe's main: an error prints one line with its code; exit codes are 0 (done or saved), 1 (failed) and 2 (usage).

    Args:
        main: the function to run.

    Raises:
        SystemExit: with the exit code, unless it succeeds.
    """
    _show_all_names()
    try:
        with nullcontext() if is_main_process() else redirect_stdout(io.StringIO()):
            main()
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        raise SystemExit(stop.code) from None
    except UsageError as error:
        print(f"error: {with_code(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    except MedzooError as error:
        print(f"error: {with_code(error)}", file=sys.stderr)
        raise SystemExit(1) from None
    except Exception as error:
        # errors of the system that users cause or can fix; anything else is a bug and keeps its traceback
        if isinstance(error, RuntimeError) and str(error) == "Could not determine home directory.":  # from pathlib
            print("error: a path begins with ~NAME, and there is no user with that name.", file=sys.stderr)
            raise SystemExit(2) from None
        if isinstance(error, OSError) and not is_disk_full(error):
            print(f"error: {said_by_system(error)}", file=sys.stderr)
            raise SystemExit(1) from None
        if not is_disk_full(error):
            raise
        where = f" at {error.filename}" if isinstance(error, OSError) and error.filename else ""
        print(
            f"error: No space left on the disk{where}. Existing files are unchanged. Free some space (`medzoo cache prune` "
            "removes leftovers), then run the same command again.",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("Stopped. The last complete state is kept; the same command continues from it.", file=sys.stderr)
        raise SystemExit(130) from None
