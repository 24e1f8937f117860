"""Settings of pre-trainings as files, `recipes/protocols/pretrain_*.toml`: `--protocol NAME` of the recipes.

A file holds options by name, of the training and of its method. Typed options win.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medzoo import paths
from medzoo.errors import UnknownNameError
from medzoo.training.options.toml_files import read_toml

PREFIX = "pretrain_"


def list_pretrain_protocols() -> list[str]:
    """The settings that ship with medzoo.

    >>> all(name.startswith("pretrain_") for name in list_pretrain_protocols())
    True
    """
    return sorted(path.stem for path in _folder().glob(f"{PREFIX}*.toml"))


def pretrain_protocol_file(name: str) -> Path:
    """The file of some settings.

    Args:
        name: one that ships with medzoo, or a .toml file.

    Raises:
        UnknownNameError: with the nearest names.
    """
    path = Path(name).expanduser() if name.endswith(".toml") else _folder() / f"{name}.toml"
    if not path.is_file() or not (name.endswith(".toml") or name.startswith(PREFIX)):
        known = list_pretrain_protocols()
        raise UnknownNameError("protocol", name, known, f"Known: {', '.join(known)}, or a .toml file.")
    return path


def read_pretrain_protocol(name: str) -> dict[str, Any]:
    """The options by name.

    Args:
        name: as for `pretrain_protocol_file`.
    """
    values = read_toml(pretrain_protocol_file(name), "The protocol")
    return {key.replace("-", "_"): value for key, value in values.items()}


def with_protocol(arguments: Sequence[str], name: str | None) -> list[str]:
    """The arguments of a recipe, with the settings as the first config file, so that all others win.

    Args:
        arguments: as they were typed.
        name: the value of --protocol; None changes nothing.
    """
    return [*([] if name is None else ["--config", str(pretrain_protocol_file(name))]), *arguments]


def _folder() -> Path:
    return paths.data_dir("recipes") / "protocols"
