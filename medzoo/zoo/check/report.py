"""What `medzoo check` finds: one row a promise, and a report that prints as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from medzoo.errors import printable

Result = Literal["PASS", "WARN", "FAIL", "SKIP"]


@dataclass(frozen=True)
class CheckRow:
    """One promise and whether it holds.

    Args:
        check: what was looked at.
        result: PASS; FAIL; WARN for what a person should know, and what breaks nothing; SKIP where it could not or need not
            be looked at.
        detail: what was found, in a sentence.
    """

    check: str
    result: Result
    detail: str


@dataclass(frozen=True)
class CheckReport:
    """What `check` found; `print` shows it as a table.

    Args:
        name: of the checkpoint.
        folder: where it lies; None for random weights.
        rows: one for each promise.
    """

    name: str
    folder: str | None
    rows: tuple[CheckRow, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(row.result != "FAIL" for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"name": self.name, "folder": self.folder, "passed": self.passed, "rows": [asdict(r) for r in self.rows]}

    def __str__(self) -> str:
        lines = [f"{row.result}  {row.check:<14} {row.detail}" for row in self.rows]
        return printable("\n".join([f"{self.name}  {self.folder or 'random weights'}", *lines]))
