"""The upstream formats by id, one module for each family. Each module here defines FORMATS; they are merged below."""

from __future__ import annotations

import importlib
import pkgutil

from medzoo.zoo.convert.key_rules import Format

FORMATS: dict[str, Format] = {}
for _file in pkgutil.iter_modules(__path__):
    _family: dict[str, Format] = importlib.import_module(f"{__name__}.{_file.name}").FORMATS
    if _duplicates := _family.keys() & FORMATS.keys():
        raise ImportError(f"Two modules of {__name__} define the format {min(_duplicates)}.")
    FORMATS |= _family
