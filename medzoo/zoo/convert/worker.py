"""The child process of `sandbox`: read a foreign file and rename its tensors."""

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
    """Read, rename, write safetensors; an error of medzoo becomes an answer with its message and code."""
    from safetensors.torch import save_file

    try:
        stored = read_tensors(Path(request.file))
    except MedzooError as error:
        return Answer(error=str(error), code=error.code)
    # choose the tensors by prefix and drop rules
    names = tuple(stored)
    prefix = _whole_words(request.prefix, names)
    tensors = {
        key.removeprefix(prefix): tensor
        for key, tensor in stored.items()
        if key.startswith(prefix) and not any(re.match(rule, key.removeprefix(prefix)) for rule in request.drop)
    }
    del stored  # free memory: an optimiser's state may be twice the size of the network
    if not tensors:
        return Answer(
            error=f"{request.file} has no tensor below {request.prefix!r}: it has {listed(names, 4)}.",
            code="prefix-without-tensors",
        )
    # the first format that matches gives the result
    errors: list[tuple[str, str]] = []
    for name in request.formats:
        try:
            state = apply(tensors, FORMATS[name])
        except ConversionError as error:
            errors.append((f"{request.file} (format {name}): {error}", error.code))
            continue
        # safetensors refuses tensors that share memory
        save_file({key: tensor.contiguous().clone() for key, tensor in state.items()}, Path(request.folder) / STATE)
        used = {prefix + key for key in plan(tensors, FORMATS[name]).names.values()}
        return Answer(format=name, left_out=tuple(key for key in names if key not in used))
    # no format matches: collect what the error message needs
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    matching = tuple(name for name in FORMATS if fits(shapes, FORMATS[name]))
    foreign = _foreign(tensors, request.formats[0]) if request.formats else ()
    reason, code = errors[0] if errors else (None, "")
    return Answer(None, reason, matching, tuple(tensors), foreign, code=code)


def _whole_words(prefix: str, names: Iterable[str]) -> str:
    """The prefix with a final dot (or slash), if the user left it out and the names have one there."""
    if not prefix or prefix.endswith((".", "/")):
        return prefix
    return next((prefix + end for end in "./" if any(name.startswith(prefix + end) for name in names)), prefix)


def _foreign(names: Iterable[str], format: str) -> tuple[str, ...]:
    try:
        key_plan = plan(names, FORMATS[format])
    except ConversionError:
        return ()
    return key_plan.foreign if key_plan.names else ()


if __name__ == "__main__":
    fields = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    request = Request(
        fields["file"], tuple(fields["formats"]), fields["folder"], fields["prefix"], tuple(fields["drop"])
    )
    confine(Path(request.file), Path(request.folder))
    (Path(request.folder) / ANSWER).write_text(json.dumps(asdict(answer(request))), encoding="utf-8")
