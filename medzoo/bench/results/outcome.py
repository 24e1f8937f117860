"""The outcome of a finished run: its result, and where it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medzoo.bench import metrics
from medzoo.bench.results.record import headline_value
from medzoo.errors import DivergedError


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Args:
        result: the stored result.
        path: its file in the store of results.
        run: the run folder.
        cached: whether the store already had it.
    """

    result: dict[str, Any]
    path: Path
    run: Path | None
    cached: bool

    def __str__(self) -> str:
        folder = "" if self.run is None else f"run folder {self.run}"
        where = ", ".join(filter(None, ["already in the store" if self.cached else "", folder]))
        return f"{self.result['metric']} {self.worded}  ({where}; result {self.path})"

    @property
    def worded(self) -> str:
        """The value of the primary metric; "undefined" with the reason if the labels do not define it; else the status."""
        if self.headline is not None:
            return f"{self.headline:.4f}"
        if self.result["status"] != "ok":
            return str(self.result["status"])
        return f"undefined: {metrics.headline(self.result['metrics'], self.result['metric'])['undefined']}"

    @property
    def headline(self) -> float | None:
        """The task's primary metric on the test split."""
        return headline_value(self.result)

    def raise_if_diverged(self) -> None:
        """Raise an error if the run has no value, so that the shell gets an exit code.

        Raises:
            DivergedError: with the reason in the result.
        """
        if self.result["status"] != "ok":
            text = f"{self.result['train'].get('reason')} The result is stored: {self.path}"
            raise DivergedError(text, code="run-diverged")
