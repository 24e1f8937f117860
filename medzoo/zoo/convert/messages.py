"""The request to the process that reads a foreign file, and its answer."""

from __future__ import annotations

from dataclasses import dataclass

STATE, ANSWER = "state.safetensors", "answer.json"


@dataclass(frozen=True)
class Request:
    """What to read, and how.

    Args:
        file: the foreign file.
        formats: tried in order; empty to learn only which formats match.
        folder: where the answer is written.
        prefix: use only the tensors whose names begin with this, and remove it; the dot after a whole word may be missing.
        drop: regular expressions; names whose start matches one are left out.
    """

    file: str
    formats: tuple[str, ...]
    folder: str
    prefix: str = ""
    drop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The result.

    Args:
        format: the first format that matches; its tensors are in the folder. None if no format matches.
        error: why no format matches.
        looks_like: the formats whose rules match all keys of the file.
        names: of the tensors that were read.
        foreign: the names for which the first format has no rule, if it has rules for others.
        left_out: names of the file's tensors that are not in the result.
        code: the error's code.
    """

    format: str | None = None
    error: str | None = None
    looks_like: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    code: str = ""
