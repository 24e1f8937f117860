"""What an unknown weights file is: the names of its tensors, and the formats whose rules match them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from medzoo import paths
from medzoo.errors import ConversionError
from medzoo.zoo.convert.messages import Answer, Request
from medzoo.zoo.convert.mismatch_hints import require_file
from medzoo.zoo.convert.sandbox import read_in_sandbox


def recognise(file: str | os.PathLike[str]) -> list[str]:
    """The formats whose rules match every key of a file; tensors that the network needs are not checked.

    Args:
        file: a weights file.

    Returns:
        Ids of medzoo.zoo.convert.formats; "timm", which accepts any names, comes last.

    Raises:
        ConversionError: if it cannot be read.
    """
    return sorted(look(paths.absolute(file)).looks_like, key=lambda name: name == "timm")


def look(file: Path, *, drop: tuple[str, ...] = ()) -> Answer:
    """The names of a file's tensors, and the formats that they match.

    Args:
        file: a weights file.
        drop: regular expressions of names to leave out.

    Raises:
        ConversionError: if it cannot be read.
    """
    require_file(file)
    with tempfile.TemporaryDirectory() as folder:
        answer = read_in_sandbox(Request(str(file.absolute()), (), folder, drop=drop))
    if answer.error:
        raise ConversionError(answer.error, code=answer.code)
    return answer
