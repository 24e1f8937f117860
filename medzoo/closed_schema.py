"""Closed schemas: build a frozen dataclass from a mapping; an unknown key or a wrong type is an error with a hint."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from medzoo.errors import MedzooError, RegistryError

T = TypeVar("T")
Reader = Callable[[Any], Any]
SCALARS = (str, int, float, bool)


@lru_cache(maxsize=256)
def hints_of(cls: type) -> Mapping[str, Any]:
    """The types of a class's fields; Python resolves them anew at each call, which takes longer than reading a file.

    Args:
        cls: the class.
    """
    return get_type_hints(cls)


class _WrongError(Exception):
    """A wrong value; each outer reader adds its key to `place`, so that correct values need no text."""

    def __init__(self, problem: str, code: str) -> None:
        super().__init__(problem)
        self.place, self.problem, self.code = "", problem, code


def parse(cls: type[T], values: Any, where: str, error: type[MedzooError] = RegistryError) -> T:  # noqa: ANN401
    """A frozen dataclass from a mapping that was read from TOML or JSON.

    Args:
        cls: the dataclass; its fields may be nested dataclasses, tuples, literals, scalars, mappings and `None`.
        values: the mapping.
        where: file and place, for the message.
        error: the class to raise.

    Raises:
        MedzooError: of class `error`, with the place, the key and the nearest known key.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Point:
    ...     x: int
    ...     name: str | None = None
    >>> parse(Point, {"x": 1}, "here")
    Point(x=1, name=None)
    """
    try:
        read: T = _reader(cls)(values)  # type: ignore[arg-type]
    except _WrongError as wrong:
        raise error(f"{where}{wrong.place}{wrong.problem}", code=wrong.code) from None
    return read


@cache
def _reader(kind: Any) -> Reader:  # noqa: ANN401
    """A function that reads values of a type; it is built once for each type."""
    if dataclasses.is_dataclass(kind):
        return _table_reader(kind)  # type: ignore[arg-type]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union_reader(arguments)
    if origin is Literal:
        return _literal_reader(arguments)
    if origin is tuple:
        return _list_reader(arguments[0])
    if origin is Mapping or kind is Mapping or origin is dict:
        return _read_mapping
    if kind in SCALARS:
        return _scalar_reader(kind)
    return lambda value: value


def _table_reader(cls: type) -> Reader:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    no_default = (dataclasses.MISSING, dataclasses.MISSING)
    needed = [name for name, field in fields.items() if (field.default, field.default_factory) == no_default]
    hints = hints_of(cls)
    readers = {name: _limited(_reader(hints[name]), field) for name, field in fields.items()}

    def read(values: Any) -> Any:  # noqa: ANN401
        if not isinstance(values, Mapping):
            raise _WrongError(f" should be a table of keys, not {values!r}.", "not-a-table")
        for key in values:
            if key not in readers:
                near = difflib.get_close_matches(str(key), list(fields), n=1, cutoff=0.5)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise _WrongError(f": unknown key {key!r}.{hint} Known keys: {', '.join(fields)}.", "unknown-key")
        for name in needed:
            if name not in values:
                raise _WrongError(f": the key {name!r} is missing.", "missing-key")
        rows = {}
        for key, value in values.items():
            try:
                rows[key] = readers[key](value)
            except _WrongError as wrong:
                wrong.place = f": {key}{wrong.place}"
                raise
        return cls(**rows)

    return read


def within_limits(value: float, field: dataclasses.Field[Any]) -> bool:
    """Whether a number is inside the limits of a field: `least`, `above` and `most` of its metadata.

    Args:
        value: the number.
        field: of a dataclass.
    """
    least, above, most = (field.metadata.get(key) for key in ("least", "above", "most"))
    return (least is None or value >= least) and (above is None or value > above) and (most is None or value <= most)


def limits_in_words(field: dataclasses.Field[Any]) -> str:
    """The limits of a number, such as "above 0 and at most 1"."""
    words = {"least": "at least", "above": "above", "most": "at most"}
    limits = {key: field.metadata.get(key) for key in words}
    return " and ".join(f"{words[key]} {limit:,}" for key, limit in limits.items() if limit is not None)


def _limited(reader: Reader, field: dataclasses.Field[Any]) -> Reader:
    """A reader that also checks the limits of numbers, alone or in a list."""
    if not any(field.metadata.get(key) is not None for key in ("least", "above", "most")):
        return reader

    def read(value: Any) -> Any:  # noqa: ANN401
        result = reader(value)
        for number in result if isinstance(result, tuple) else (result,):
            if isinstance(number, float) and not math.isfinite(number):
                raise _WrongError(f" is {value!r}; it should be finite.", "not-finite")
            if isinstance(number, int | float) and not within_limits(number, field):
                raise _WrongError(f" is {value!r}; it should be {limits_in_words(field)}.", "out-of-range")
        return result

    return read


def _union_reader(arguments: tuple[Any, ...]) -> Reader:
    *first, last = [_reader(option) for option in arguments if option is not type(None)]
    optional = type(None) in arguments

    def read(value: Any) -> Any:  # noqa: ANN401
        if value is None and optional:
            return None
        for option in first:
            try:
                return option(value)
            except _WrongError:
                continue
        return last(value)

    return read


def _literal_reader(choices: tuple[Any, ...]) -> Reader:
    def read(value: Any) -> Any:  # noqa: ANN401
        if value not in choices or isinstance(value, bool):
            raise _WrongError(f" is {value!r}; it should be one of {', '.join(map(repr, choices))}.", "not-a-choice")
        return value

    return read


def _list_reader(kind: Any) -> Reader:  # noqa: ANN401
    item = _reader(kind)

    def read(value: Any) -> Any:  # noqa: ANN401
        if not isinstance(value, list | tuple):
            raise _WrongError(f" is {value!r}; it should be a list.", "not-a-list")
        rows = []
        try:
            for row in value:
                rows.append(item(row))  # noqa: PERF401 - the error below needs the index
        except _WrongError as wrong:
            wrong.place = f"[{len(rows)}]{wrong.place}"
            raise
        return tuple(rows)

    return read


def _scalar_reader(kind: type) -> Reader:
    def read(value: Any) -> Any:  # noqa: ANN401
        if type(value) is kind:
            return value
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise _WrongError(f" is {value!r}; it should be of type {kind.__name__}.", "wrong-type")
        return value

    return read


def _read_mapping(value: Any) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _WrongError(f" is {value!r}; it should be a table.", "not-a-table")
    return dict(value)


def plain(value: Any) -> Any:  # noqa: ANN401
    """A dataclass as dictionaries and lists, without fields that are None or empty.

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
