"""Options as dataclass fields: help line, section and default for `--help`, and the allowed values."""

from __future__ import annotations

import math
import types
from collections.abc import Iterator
from dataclasses import MISSING, Field, asdict, field, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from medzoo.closed_schema import hints_of, limits_in_words, within_limits
from medzoo.errors import UsageError


def option(
    help: str,
    default: Any = None,  # noqa: ANN401 - any option type
    *,
    section: str | None = None,
    metavar: str | None = None,
    shown: str | None = None,
    required: bool = False,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    unused: Any = MISSING,  # noqa: ANN401 - any option type
) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A dataclass field that becomes an option of a command line.

    Args:
        help: one line.
        default: of the field.
        section: heading under which `--help` lists it.
        metavar: placeholder for the value in `--help`.
        shown: text for the default, where the value itself is not clear.
        required: there is no usable default.
        least: smallest allowed value.
        above: values must be larger than this.
        most: largest allowed value.
        unused: for an option that was added later, the value with which runs are what they were without it; see
            `options_in_use`.
    """
    metadata = {
        "help": help,
        "section": section,
        "metavar": metavar,
        "shown": shown,
        "required": required,
        "least": least,
        "above": above,
        "most": most,
        "unused": unused,
    }
    return field(default=default, metadata=metadata)


def flag(name: str) -> str:
    """The option of a field.

    >>> flag("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


def shown_default(one: Field[Any]) -> str:
    """A field's default as `--help` shows it.

    >>> from dataclasses import make_dataclass
    >>> made = make_dataclass("Made", [("rate", float, option("peak", 5e-4)), ("root", str, option("folder"))])
    >>> [shown_default(one) for one in fields(made)]
    ['default: 5e-4', 'default: none']
    """
    if one.metadata.get("required") or one.default is MISSING:
        return "required"
    return f"default: {one.metadata.get('shown') or worded(one.default)}"


def worded(value: object) -> str:
    """A value in the form that a user would type.

    >>> worded(5e-4), worded(1.0), worded(None), worded(True), worded(64)
    ('5e-4', '1.0', 'none', 'on', '64')
    """
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float) and 0 < abs(value) < 0.01:
        digits, _, power = f"{value:e}".partition("e")
        return f"{float(digits):g}e{int(power)}"
    return str(value)


def options_of(kind: type) -> Iterator[tuple[Field[Any], type, tuple[Any, ...] | None]]:
    """The fields of a dataclass that are options: each with its type (without None) and its choices, or None."""
    hints = hints_of(kind)
    for one in fields(kind):
        if not one.init:
            continue
        hint = hints[one.name]
        if get_origin(hint) in (Union, types.UnionType):
            hint = next(part for part in get_args(hint) if part is not type(None))
        words = get_args(hint) if get_origin(hint) is Literal else None
        yield one, (type(words[0]) if words else hint), words


def options_in_use(options: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    """The options by name that belong to a run's identity: all but later ones that change nothing.

    A run from before such an option existed stays the same run, so that it can be resumed.

    Args:
        options: a dataclass instance whose fields are options.

    >>> from dataclasses import make_dataclass
    >>> Made = make_dataclass("Made", [("rate", float, option("", 0.1)), ("hue", float, option("", 0.0, unused=0.0))])
    >>> options_in_use(Made()), options_in_use(Made(hue=0.2))
    ({'rate': 0.1}, {'rate': 0.1, 'hue': 0.2})
    """
    unused = {one.name: one.metadata.get("unused", MISSING) for one in fields(options)}
    return {name: value for name, value in asdict(options).items() if unused[name] is MISSING or value != unused[name]}


def check_values(options: Any) -> None:  # noqa: ANN401 - any dataclass
    """Refuse values that no run can use: wrong type, not finite, or outside the limits.

    Args:
        options: a dataclass instance whose fields are options.

    Raises:
        UsageError: names the option, its value and what it should be.
    """
    for one, kind, words in options_of(type(options)):
        value = getattr(options, one.name)
        if value is None and one.default is None:
            continue
        where = f"{flag(one.name)} is {value!r:.200}"
        if words is not None:
            if value not in words:
                choices = f"{', '.join(map(str, words[:-1]))} or {words[-1]}"
                raise UsageError(f"{where}; choose {choices}.", code="option-not-a-choice")
        elif kind is bool:
            if not isinstance(value, bool):
                raise UsageError(f"{where}; it should be true or false.", code="option-wrong-type")
        elif kind is str:
            _check_text(value, where)
        elif get_origin(kind) is list:
            for item in value:
                _check_text(item, f"{flag(one.name)} has {item!r:.200}")
        elif kind in (int, float):
            _check_number(value, kind, one, where)


def _check_text(value: object, where: str) -> None:
    if not isinstance(value, str):
        raise UsageError(f"{where}; it should be text.", code="option-wrong-type")
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise UsageError(f"{where}; it contains a control character. Remove it.", code="control-character-in-option")
    if value.startswith("~") and not _has_home(value):
        raise UsageError(f"{where}; there is no such user. Write the full path.", code="home-user-unknown")
    if any(0xD800 <= ord(char) < 0xE000 for char in value):
        raise UsageError(f"{where}; it is not text in UTF-8. Give another name.", code="option-not-utf8")


def _check_number(value: object, kind: type, one: Field[Any], where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or (kind is int and isinstance(value, float)):
        raise UsageError(f"{where}; it should be a {'whole ' if kind is int else ''}number.", code="option-wrong-type")
    if not math.isfinite(value):
        raise UsageError(f"{where}; it should be a finite number.", code="option-not-finite")
    if not within_limits(value, one):
        raise UsageError(f"{where}; it should be {limits_in_words(one)}.", code="option-out-of-range")


def _has_home(path: str) -> bool:
    try:
        Path(path).expanduser()
    except RuntimeError:
        return False
    return True
