"""Options as dataclass fields: a help line, the section and the default that `--help` shows, and the values that make sense."""

from __future__ import annotations

import math
import types
from collections.abc import Iterator
from dataclasses import MISSING, Field, field, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from medzoo.errors import UsageError


def option(
    help: str,
    default: Any = None,  # noqa: ANN401 - of any type that an option has
    *,
    section: str | None = None,
    metavar: str | None = None,
    shown: str | None = None,
    required: bool = False,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
) -> Any:  # noqa: ANN401 - argparse's word
    """A dataclass field that becomes an option of a command line.

    Args:
        help: one line.
        default: of the field.
        section: heading under which `--help` lists it.
        metavar: stands for the value in `--help`.
        shown: the default in words, where the value does not say it.
        required: there is no usable default.
        least: smallest value.
        above: all values are larger than this.
        most: largest value.
    """
    facts = {
        "help": help, "section": section, "metavar": metavar, "shown": shown, "required": required, "least": least,
        "above": above, "most": most,
    }  # fmt: skip
    return field(default=default, metadata=facts)


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
    """A value as a person writes it.

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
    """The fields of a dataclass that are options: each with its type (without None) and the allowed words, or None."""
    hints = get_type_hints(kind)
    for one in fields(kind):
        if not one.init:
            continue
        hint = hints[one.name]
        if get_origin(hint) in (Union, types.UnionType):
            hint = next(part for part in get_args(hint) if part is not type(None))
        words = get_args(hint) if get_origin(hint) is Literal else None
        yield one, (type(words[0]) if words else hint), words


def check_values(options: Any) -> None:  # noqa: ANN401 - any dataclass
    """Refuse values that no run could use: of another type, not finite, outside their limits.

    Args:
        options: a dataclass instance whose fields are options.

    Raises:
        UsageError: naming the option, its value and what it should be.
    """
    for one, kind, words in options_of(type(options)):
        value = getattr(options, one.name)
        if value is None and one.default is None:
            continue
        wrong = _wrong(value, kind, words, one)
        if wrong:
            raise UsageError(f"{flag(one.name)} is {value!r:.200}; {wrong}.")


def _wrong(value: object, kind: type, words: tuple[Any, ...] | None, one: Field[Any]) -> str:
    """What a value should be, if it is not."""
    if words is not None:
        return "" if value in words else f"choose {', '.join(map(str, words[:-1]))} or {words[-1]}"
    if kind is bool:
        return "" if isinstance(value, bool) else "it should be true or false"
    if kind is str:
        if not isinstance(value, str):
            return "it should be text"
        if any(ord(sign) < 32 or ord(sign) == 127 for sign in value):
            return "it holds a control character"
        if value.startswith("~") and not _has_home(value):
            return "there is no such user"
        return "it is not text in UTF-8" if any(0xD800 <= ord(sign) < 0xE000 for sign in value) else ""
    if kind not in (int, float):
        return ""
    if isinstance(value, bool) or not isinstance(value, int | kind):
        return f"it should be a {'whole ' if kind is int else ''}number"
    if not math.isfinite(value):
        return "it should be a finite number"
    return "" if _within(value, one) else f"it should be {limits_in_words(one)}"


def _has_home(path: str) -> bool:
    try:
        Path(path).expanduser()
    except RuntimeError:
        return False
    return True


def _within(value: float, one: Field[Any]) -> bool:
    least, above, most = (one.metadata.get(key) for key in ("least", "above", "most"))
    return (least is None or value >= least) and (above is None or value > above) and (most is None or value <= most)


def limits_in_words(one: Field[Any]) -> str:
    """The limits of a number, such as "above 0 and at most 1"."""
    words = {"least": "at least", "above": "above", "most": "at most"}
    told = [f"{word} {one.metadata[key]:,}" for key, word in words.items() if one.metadata.get(key) is not None]
    return " and ".join(told)
