"""Closed schemas: a frozen dataclass from a mapping, where an unknown key or a wrong type is an error with a hint."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from medzoo.errors import MedzooError, RegistryError

T = TypeVar("T")
SCALARS = (str, int, float, bool)


def parse(cls: type[T], values: Any, where: str, error: type[MedzooError] = RegistryError) -> T:  # noqa: ANN401
    """A frozen dataclass from a mapping that was read from TOML or JSON.

    Args:
        cls: the dataclass; nested dataclasses, tuples, literals, scalars, mappings and `None` may be its fields' types.
        values: what was read.
        where: file and place, for the message.
        error: the class to raise.

    Raises:
        MedzooError: of class `error`, naming the place, the key and the nearest known key.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Point:
    ...     x: int
    ...     name: str | None = None
    >>> parse(Point, {"x": 1}, "here")
    Point(x=1, name=None)
    """
    if not isinstance(values, Mapping):
        raise error(f"{where} should be a table of keys, not {values!r}.")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(str(key), list(fields), n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise error(f"{where}: unknown key {key!r}.{hint} Known keys: {', '.join(fields)}.")
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in values:
            raise error(f"{where}: the key {name!r} is missing.")
    hints = _hints(cls)  # type: ignore[arg-type]
    return cls(**{key: _value(hints[key], value, f"{where}: {key}", error) for key, value in values.items()})


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _value(kind: Any, value: Any, where: str, error: type[MedzooError]) -> Any:  # noqa: ANN401
    if dataclasses.is_dataclass(kind):
        return parse(kind, value, where, error)  # type: ignore[arg-type]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        options = [option for option in arguments if option is not type(None)]
        if value is None and len(options) < len(arguments):
            return None
        for option in options[:-1]:
            try:
                return _value(option, value, where, error)
            except error:
                continue
        return _value(options[-1], value, where, error)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise error(f"{where} is {value!r}; it should be one of {', '.join(map(repr, arguments))}.")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise error(f"{where} is {value!r}; it should be a list.")
        return tuple(_value(arguments[0], item, f"{where}[{index}]", error) for index, item in enumerate(value))
    if origin is Mapping or kind is Mapping or origin is dict:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise error(f"{where} is {value!r}; it should be a table.")
        return dict(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in SCALARS and (not isinstance(value, kind) or (kind is not bool and isinstance(value, bool))):
        raise error(f"{where} is {value!r}; it should be of type {kind.__name__}.")
    return value


def plain(value: Any) -> Any:  # noqa: ANN401
    """A dataclass as dictionaries and lists, without the fields that are None or empty.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Point:
    ...     x: int
    ...     name: str | None = None
    >>> plain(Point(1))
    {'x': 1}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        rows = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {key: row for key, row in rows.items() if row is not None and row != [] and row != {}}
    if isinstance(value, Mapping):
        return {str(key): plain(row) for key, row in value.items()}
    if isinstance(value, list | tuple):
        return [plain(row) for row in value]
    return value
