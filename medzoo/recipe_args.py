"""Options of a recipe from the command line and from `--config FILE.toml`, read by transformers' HfArgumentParser.

A config file becomes arguments placed before the typed ones: types, choices and unknown keys are checked alike,
and what is typed wins. A run's own `options.toml` is such a file. Wrong usage exits with 2.
"""

from __future__ import annotations

import difflib
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import Field, field, fields, make_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from medzoo.errors import MedzooError, MissingExtraError, UsageError, is_disk_full
from medzoo.training.options.config_file import read_config
from medzoo.training.options.fields import flag, options_of

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
        raise UsageError("--config needs the path of a TOML file.")
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
    mode: str | None = None,
) -> tuple[Any, ...]:
    """One instance of each dataclass, from the command line.

    Args:
        types: dataclasses whose fields are the options.
        description: the recipe's own header, shown by --help.
        arguments: by default those of this process.
        without: fields that this recipe does not use, and why: they are no options, and typing one is an error.
        defaults: for --help, the defaults that the fields do not know, by name; called with a function that gives what was typed
            for a name.
        mode: what `mode` says in the options.toml of this recipe's runs.
    """
    try:
        from transformers import HfArgumentParser
    except ImportError as error:
        raise MissingExtraError("transformers", "recipes", "A recipe") from error
    without = without or {}
    rows = {one.name: one for kind in types for one, *_ in options_of(kind) if one.name not in without}
    parser = HfArgumentParser([_form(kind, without) for kind in types], description=description, allow_abbrev=False)
    parser.add_argument(
        "--config", metavar="FILE.toml", help="options by name, as in a run's options.toml; what is typed wins"
    )
    given = list(sys.argv[1:] if arguments is None else arguments)

    def text() -> str:
        from medzoo.training.options.help_page import help_page, shown_options

        told = defaults(lambda name: peek(given, name)) if defaults else {}
        return help_page(parser, shown_options(types, rows, told))

    from medzoo.training.options.help_page import one_spelling

    one_spelling(parser, [name for name, one in rows.items() if one.default is True])
    parser.format_help = text
    parser.format_usage = lambda: ""
    try:
        typed, files = _split_config(given)
        names = {name for argument in typed if (name := _name_of(argument))}
        for name in names & set(without):
            raise UsageError(f"{flag(name)} is no option of this recipe: {without[name]}.")
        config = read_config(files, types, without, mode, names)
    except UsageError as error:
        parser.error(str(error))
    *parsed, unknown = parser.parse_args_into_dataclasses(
        args=[*config.arguments, *typed], look_for_args_file=False, return_remaining_strings=True
    )
    if unknown:
        parser.error(_unknown(unknown[0], [*map(flag, rows), "--config", "--help"]))
    made = []
    for kind, form in zip(types, parsed, strict=False):
        instance = kind(**{one.name: getattr(form, one.name) for one in fields(form)})
        if hasattr(instance, "resolved"):
            instance.resolved = config.resolved
        made.append(instance)
    return tuple(made)


def _form(kind: type, without: Mapping[str, str]) -> type:
    """A dataclass of the options that HfArgumentParser reads: the same fields, with the metadata that argparse knows."""
    hints = get_type_hints(kind)
    rows: list[tuple[str, Any, Field[Any]]] = []
    for one, *_ in options_of(kind):
        if one.name not in without:
            facts = {key: one.metadata[key] for key in ("help", "metavar") if one.metadata.get(key)}
            rows.append((one.name, hints[one.name], field(default=one.default, metadata=facts)))
    return make_dataclass(kind.__name__, rows, kw_only=True)


def _unknown(argument: str, known: Sequence[str]) -> str:
    if not argument.startswith("-"):
        return f"{argument!r:.80} is no option; an option begins with --. --help lists all."
    near = difflib.get_close_matches(argument.partition("=")[0].replace("_", "-"), known, n=2)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"unknown option {argument:.80}.{hint} --help lists all."


def peek(arguments: Sequence[str], name: str) -> str | None:
    """The value of one option before the parser is built (the method decides which options there are)."""
    from medzoo.training.options.toml_files import read_toml

    found = None
    try:
        given, files = _split_config(arguments)
        for file in files:
            found = {key.replace("-", "_"): value for key, value in read_toml(file, "--config").items()}.get(
                name, found
            )
    except UsageError:  # `parse` will say so
        return None
    for position, argument in enumerate(given):
        if _name_of(argument) == name:
            _, equals, value = argument.partition("=")
            found = value if equals else given[position + 1] if position + 1 < len(given) else found
    return None if found is None else str(found)


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


def _show_all_names() -> None:
    """Let stdout and stderr show bytes of a name that are no UTF-8, as escapes, instead of failing on them."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def run_main(main: Callable[[], None]) -> None:
    """Run a recipe's main: errors as one clear line, exit codes as documented (0 done or saved, 1 failed, 2 usage).

    Args:
        main: what to run.

    Raises:
        SystemExit: with the exit code, if it did not end well.
    """
    from medzoo.training.run_state.run_folder import Interrupted, is_main_process

    _show_all_names()
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
        if (
            isinstance(error, RuntimeError) and str(error) == "Could not determine home directory."
        ):  # as pathlib says it
            print("error: a path begins with ~NAME, and there is no user of that name.", file=sys.stderr)
            raise SystemExit(2) from None
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
