"""`--config FILE.toml`: options by name, checked by type, and the options.toml of an earlier run."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medzoo.errors import UsageError
from medzoo.training.options.fields import flag, options_of
from medzoo.training.options.toml_files import read_toml

RESOLVED = "protocol_"  # keys of options.toml that hold a protocol's option as a run resolved it


@dataclass
class Config:
    """What config files say.

    Args:
        arguments: as if they were typed.
        resolved: options of a protocol as an earlier run resolved them, by the protocol's names.
    """

    arguments: list[str] = field(default_factory=list)
    resolved: dict[str, Any] = field(default_factory=dict)


def read_config(
    files: Sequence[Path], types: Sequence[type], without: Mapping[str, str], mode: str | None, typed: set[str]
) -> Config:
    """Read config files in their order; a later one wins.

    Args:
        files: TOML files with options at their top level.
        types: dataclasses of the options.
        without: options that this recipe does not use, and why.
        mode: what `mode` says in the options.toml of this recipe's runs; None if it has no such key.
        typed: names of the options that were typed, which win.

    Raises:
        UsageError: naming the file, the key, and what is wrong with it.
    """
    config = Config()
    known = {one.name: (kind, words) for owner in types for one, kind, words in options_of(owner)}
    plain = {one.name: one.default for owner in types for one, *_ in options_of(owner)}
    for file in files:
        values = {key.replace("-", "_"): value for key, value in read_toml(file, "--config").items()}
        where = f"--config {file}"
        resolved: dict[str, Any] = {}
        if "mode" not in known and mode is not None and "mode" in values:
            _check_mode(values.pop("mode"), mode, where)  # first: a run of another recipe has other options, too
        for key, value in values.items():
            if key.startswith(RESOLVED) and key not in known and mode is not None:
                resolved[key.removeprefix(RESOLVED)] = value
            elif key in without and key in plain and value == plain[key]:
                continue  # an options.toml states defaults too
            elif key in without:
                raise UsageError(f"{where}: {key} is no option of this recipe: {without[key]}.")
            elif key not in known:
                near = difflib.get_close_matches(key, known, n=2)
                hint = f" Did you mean {' or '.join(near)}?" if near else ""
                raise UsageError(f"{where}: unknown key {key!r:.80}.{hint}")
            else:
                config.arguments.append(f"{flag(key)}={_checked(value, *known[key], f'{where}: {key}')}")
        _take(resolved, values, typed, config, where)
    return config


def _check_mode(value: object, mode: str, where: str) -> None:
    recipes = {"finetune": "recipes/finetune.py", "linear": "recipes/probe.py"}
    if value != mode:
        other = recipes.get(str(value))
        raise UsageError(
            f"{where}: mode is {value!r:.80}"
            + (f", which is a run of {other}." if other else f"; here it is {mode!r}.")
        )


def _take(resolved: dict[str, Any], values: Mapping[str, Any], typed: set[str], config: Config, where: str) -> None:
    """Keep the resolved options that no typed option replaces."""
    if "protocol" in typed:  # another protocol is asked for, so that this one's values mean nothing
        config.resolved = {}
        return
    for name, value in resolved.items():
        stated = values.get(name, "auto")
        same = stated == value or (
            isinstance(stated, int | float) and isinstance(value, int | float) and stated == value
        )
        if stated != "auto" and not same:
            raise UsageError(
                f"{where}: {name} is {stated!r:.80} and {RESOLVED}{name} is {value!r:.80}. Remove one of them."
            )
        if name not in typed:
            config.arguments = [text for text in config.arguments if not text.startswith(f"{flag(name)}=")]
            config.resolved[name] = value


def _checked(value: object, kind: type, words: tuple[Any, ...] | None, where: str) -> str:
    """A value of TOML as an argument, if it is of the option's type."""
    if isinstance(value, dict):
        raise UsageError(f"{where} is a table; options stand at the top level, one a line.")
    if isinstance(value, list):
        raise UsageError(f"{where} is a list; it takes one value.")
    right = {bool: isinstance(value, bool), int: type(value) is int, float: type(value) in (int, float)}
    if not right.get(kind, isinstance(value, str)):
        name = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "text in quotes")
        raise UsageError(f"{where} is {value!r:.80}; it should be {name}.")
    if isinstance(value, str) and any(ord(sign) < 32 or ord(sign) == 127 for sign in value):
        raise UsageError(f"{where} holds a control character.")
    return str(value)
