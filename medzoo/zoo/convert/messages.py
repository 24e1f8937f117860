"""What conversion asks of the process that reads a foreign file, and what that answers."""

from __future__ import annotations

from dataclasses import dataclass

STATE, ANSWER = "state.safetensors", "answer.json"


@dataclass(frozen=True)
class Request:
    """What is asked.

    Args:
        file: the foreign file.
        formats: tried in order; none if only the format is asked for.
        folder: where the answer goes.
        prefix: only the tensors whose names begin so are looked at, without it; a whole word may lack its dot.
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
        foreign: of these, the names that the first format has no rule for, although it has for others.
        left_out: names of the file's tensors that are not among the result.
    """

    format: str | None = None
    error: str | None = None
    looks_like: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
