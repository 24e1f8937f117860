"""`--config FILE.toml`: options by name with checked types, or the options.toml of an earlier run."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

from medzoo.errors import UsageError
from medzoo.training.options.fields import flag, options_of
from medzoo.training.options.protocol_options import PROBES
from medzoo.training.options.toml_files import read_toml

RESOLVED = "protocol_"  # prefix of the keys of options.toml for a protocol's options as a run resolved them


@dataclass
class Config:
    """The content of config files.

    Args:
        arguments: in the form of typed arguments.
        resolved: options of a protocol as an earlier run resolved them, by the protocol's names.
    """

    arguments: list[str] = field(default_factory=list)
    resolved: dict[str, Any] = field(default_factory=dict)


def read_config(
    files: Sequence[Path],
    types: Sequence[type],
    without: Mapping[str, str],
    mode: str | Sequence[str] | None,
    typed: set[str],
) -> Config:
    """Read config files in their order; a later file overrides an earlier one.

    Args:
        files: TOML files with options at their top level.
        types: dataclasses of the options.
        without: options that this recipe does not use, with the reason.
        mode: the value of `mode` in the options.toml of this recipe's runs; None if it has no such key.
        typed: names of the options that were typed; they override the files.

    Raises:
        UsageError: names the file, the key, and the problem.
    """
    config = Config()
    known = {one.name: (kind, words) for owner in types for one, kind, words in options_of(owner)}
    defaults = {one.name: one.default for owner in types for one, *_ in options_of(owner)}
    for file in files:
        values = {key.replace("-", "_"): value for key, value in read_toml(file, "--config").items()}
        where = f"--config {file}"
        resolved: dict[str, Any] = {}
        if "mode" not in known and mode is not None and "mode" in values:
            chosen = values.pop("mode")
            _check_mode(chosen, mode, where)  # first, because a run of another recipe has other options too
            if "probe" in known:
                config.arguments.append(f"--probe={chosen}")
        # each key is a resolved option of a protocol, an option that this recipe does not use, or one of its options
        for key, value in values.items():
            if key.startswith(RESOLVED) and key not in known and mode is not None:
                resolved[key.removeprefix(RESOLVED)] = value
            elif key in without and key in defaults and value == defaults[key]:
                continue  # an options.toml contains defaults too
            elif key in without:
                raise UsageError(
                    f"{where}: {key} is not an option of this recipe: {without[key]}.", code="option-not-used"
                )
            elif key not in known:
                near = difflib.get_close_matches(key, known, n=2)
                hint = f" Did you mean {' or '.join(near)}?" if near else ""
                raise UsageError(f"{where}: unknown key {key!r:.80}.{hint}", code="config-key-unknown")
            else:
                config.arguments += _as_arguments(key, value, *known[key], f"{where}: {key}")
        _add_resolved(resolved, values, typed, config, where)
    return config


def _check_mode(value: object, mode: str | Sequence[str], where: str) -> None:
    recipes: dict[str, str] = {
        "finetune": "recipes/finetune.py",
        **{one: f"recipes/probe.py --probe {one}" for one in PROBES},
    }
    modes = (mode,) if isinstance(mode, str) else tuple(mode)
    if value not in modes:
        other = recipes.get(str(value))
        wrong = f", a run of {other}" if other else f"; here it must be {' or '.join(map(repr, modes))}"
        raise UsageError(f"{where}: mode is {value!r:.80}{wrong}.", code="config-of-other-recipe")


def _add_resolved(
    resolved: dict[str, Any], values: Mapping[str, Any], typed: set[str], config: Config, where: str
) -> None:
    """Keep the resolved options that no typed option replaces."""
    if "protocol" in typed:  # the user chose another protocol, so the values of this one do not apply
        config.resolved = {}
        return
    for name, value in resolved.items():
        option = values.get(name, "auto")
        if option not in ("auto", value):
            raise UsageError(
                f"{where}: {name} is {option!r:.80} and {RESOLVED}{name} is {value!r:.80}. Remove one of them.",
                code="config-contradiction",
            )
        if name not in typed:
            config.arguments = [text for text in config.arguments if not text.startswith(f"{flag(name)}=")]
            config.resolved[name] = value


def _as_arguments(key: str, value: object, kind: Any, words: tuple[Any, ...] | None, where: str) -> list[str]:  # noqa: ANN401
    """A key of a config file as arguments; an option that takes several values may be a list."""
    if get_origin(kind) is list:
        values = value if isinstance(value, list) else [value]
        return [flag(key), *(_checked(one, get_args(kind)[0], words, where) for one in values)]
    return [f"{flag(key)}={_checked(value, kind, words, where)}"]


def _checked(value: object, kind: type, words: tuple[Any, ...] | None, where: str) -> str:
    """A TOML value as an argument, if it has the option's type."""
    if isinstance(value, dict):
        raise UsageError(
            f"{where} is a table; write options at the top level, one per line.", code="config-value-table"
        )
    if isinstance(value, list):
        raise UsageError(f"{where} is a list; it takes one value.", code="config-value-list")
    valid = {bool: isinstance(value, bool), int: type(value) is int, float: type(value) in (int, float)}
    if not valid.get(kind, isinstance(value, str)):
        name = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "text in quotes")
        raise UsageError(f"{where} is {value!r:.80}; it should be {name}.", code="option-wrong-type")
    if isinstance(value, str) and any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise UsageError(f"{where} contains a control character. Remove it.", code="control-character-in-option")
    return str(value)
