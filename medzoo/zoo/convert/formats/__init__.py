"""The upstream formats by id, one file a family. A file here that holds FORMATS is found by its name."""

from __future__ import annotations

import importlib
import pkgutil

from medzoo.zoo.convert.key_rules import Format

FORMATS: dict[str, Format] = {}
for _file in pkgutil.iter_modules(__path__):
    _family: dict[str, Format] = importlib.import_module(f"{__name__}.{_file.name}").FORMATS
    if _twice := _family.keys() & FORMATS.keys():
        raise ImportError(f"Two files of {__name__} hold the format {min(_twice)}.")
    FORMATS |= _family
