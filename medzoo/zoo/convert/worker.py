"""Read a foreign file and rename its tensors: what the child process of `sandbox` does."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from medzoo.errors import ConversionError, MedzooError, listed
from medzoo.zoo.convert.formats import FORMATS
from medzoo.zoo.convert.key_rules import apply, fits, plan
from medzoo.zoo.convert.limits import confine
from medzoo.zoo.convert.messages import ANSWER, STATE, Answer, Request
from medzoo.zoo.convert.readers.detect import read_tensors


def answer(request: Request) -> Answer:
    """Read, rename, write safetensors; every failure that has a sentence becomes an answer."""
    from safetensors.torch import save_file

    try:
        stored = read_tensors(Path(request.file))
    except MedzooError as error:
        return Answer(error=str(error))
    names = tuple(stored)
    prefix = _whole_words(request.prefix, names)
    tensors = {
        key.removeprefix(prefix): tensor
        for key, tensor in stored.items()
        if key.startswith(prefix) and not any(re.match(rule, key.removeprefix(prefix)) for rule in request.drop)
    }
    del stored  # an optimiser's state may be twice the network
    if not tensors:
        return Answer(error=f"{request.file} has no tensor below {request.prefix!r}: it has {listed(names, 4)}.")
    errors = []
    for name in request.formats:
        try:
            state = apply(tensors, FORMATS[name])
        except ConversionError as error:
            errors.append(f"{request.file} (format {name}): {error}")
            continue
        # tensors of a file may share memory, which safetensors refuses
        save_file({key: tensor.contiguous().clone() for key, tensor in state.items()}, Path(request.folder) / STATE)
        used = {prefix + key for key in plan(tensors, FORMATS[name]).names.values()}
        return Answer(format=name, left_out=tuple(key for key in names if key not in used))
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    fitting = tuple(name for name in FORMATS if fits(shapes, FORMATS[name]))
    foreign = _foreign(tensors, request.formats[0]) if request.formats else ()
    return Answer(None, errors[0] if errors else None, fitting, tuple(tensors), foreign)


def _whole_words(prefix: str, names: Iterable[str]) -> str:
    """A prefix with the dot (or slash) that a person left out, if the names have one there."""
    if not prefix or prefix.endswith((".", "/")):
        return prefix
    return next((prefix + end for end in "./" if any(name.startswith(prefix + end) for name in names)), prefix)


def _foreign(names: Iterable[str], format: str) -> tuple[str, ...]:
    try:
        sorted_ = plan(names, FORMATS[format])
    except ConversionError:
        return ()
    return sorted_.foreign if sorted_.names else ()


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    wanted = Request(asked["file"], tuple(asked["formats"]), asked["folder"], asked["prefix"], tuple(asked["drop"]))
    confine(Path(wanted.file), Path(wanted.folder))
    (Path(wanted.folder) / ANSWER).write_text(json.dumps(asdict(answer(wanted))), encoding="utf-8")
