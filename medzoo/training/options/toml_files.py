"""TOML files that users write: options, protocols, suites."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from medzoo.errors import UsageError


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of a TOML file; a byte order mark, which some editors write, is ignored.

    Args:
        path: the file.
        what: purpose of the file, the first word of a message, for example "--config".

    Raises:
        UsageError: if there is no such file, it cannot be read, or it is not TOML in UTF-8.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be read: {error.strerror or error}.", code="toml-unreadable") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{what} {path} is not TOML: it is not text in UTF-8 (byte {error.start}). Save it as UTF-8.",
            code="toml-not-utf8",
        ) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(
            f"{what} {path} is not TOML: {str(error).rstrip('.')[:300]}. Correct it.", code="toml-invalid"
        ) from error
    except ValueError as error:  # an impossible path, such as one with a null byte
        raise UsageError(f"{what} {str(path)!r:.200} cannot be read: {error}.", code="toml-unreadable") from error


def to_toml(options: dict[str, Any]) -> str:
    """Options as TOML; None values are left out, and a path is written as text.

    >>> print(to_toml({"task": "oct", "seed": 0, "root": None}), end="")
    task = "oct"
    seed = 0
    """
    import tomli_w

    return tomli_w.dumps(_toml_values(options))


def _toml_values(value: Any) -> Any:  # noqa: ANN401 - any JSON-like value
    if isinstance(value, dict):
        return {key: _toml_values(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_toml_values(item) for item in value]
    return value if isinstance(value, bool | int | float | str) else str(value)
