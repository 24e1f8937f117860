"""Read a foreign file and rename its tensors: what the child process of `sandbox` does."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from medzoo.errors import ConversionError, MedzooError
from medzoo.zoo.convert.formats import FORMATS
from medzoo.zoo.convert.read import read_tensors
from medzoo.zoo.convert.rules import apply, fits

STATE, ANSWER = "state.safetensors", "answer.json"


@dataclass(frozen=True)
class Request:
    """What is asked.

    Args:
        file: the foreign file.
        formats: tried in order; none if only the format is asked for.
        folder: where the answer goes.
        prefix: only the tensors whose names begin so are looked at, without it.
        drop: regular expressions; names that one of them matches from their start are left out.
    """

    file: str
    formats: tuple[str, ...]
    folder: str
    prefix: str = ""
    drop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What came of it.

    Args:
        format: that fits; its tensors lie in the folder. None if none does.
        error: why none does.
        looks_like: the formats whose rules name all keys of the file.
        names: of the tensors that were looked at.
    """

    format: str | None = None
    error: str | None = None
    looks_like: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def answer(request: Request) -> Answer:
    """Read, rename, write safetensors; every failure that has a sentence becomes an answer."""
    from safetensors.torch import save_file

    try:
        tensors = read_tensors(Path(request.file))
    except MedzooError as error:
        return Answer(error=str(error))
    tensors = {
        key.removeprefix(request.prefix): tensor for key, tensor in tensors.items() if key.startswith(request.prefix)
    }
    tensors = {key: tensor for key, tensor in tensors.items() if not any(re.match(rule, key) for rule in request.drop)}
    if not tensors:
        return Answer(error=f"{request.file} has no tensor below {request.prefix!r}.")
    errors = []
    for name in request.formats:
        try:
            state = apply(tensors, FORMATS[name])
        except ConversionError as error:
            errors.append(f"{request.file} (format {name}): {error}")
            continue
        # tensors of a file may share memory, which safetensors refuses
        save_file({key: tensor.contiguous().clone() for key, tensor in state.items()}, Path(request.folder) / STATE)
        return Answer(format=name)
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    fitting = tuple(name for name in FORMATS if fits(shapes, FORMATS[name]))
    return Answer(error=errors[0] if errors else None, looks_like=fitting, names=tuple(tensors))


if __name__ == "__main__":
    from medzoo.zoo.convert.sandbox import confine

    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    wanted = Request(asked["file"], tuple(asked["formats"]), asked["folder"], asked["prefix"], tuple(asked["drop"]))
    confine(Path(wanted.file), Path(wanted.folder))
    (Path(wanted.folder) / ANSWER).write_text(json.dumps(asdict(answer(wanted))), encoding="utf-8")
