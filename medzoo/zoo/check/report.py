"""The report of `medzoo check`: one row for each check, printed as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from medzoo.errors import printable

Result = Literal["PASS", "WARN", "FAIL", "SKIP"]


@dataclass(frozen=True)
class CheckRow:
    """One check and its result.

    Args:
        check: its name.
        result: PASS; FAIL; WARN for something that the user should know but that is not broken; SKIP if the check was not
            possible or not needed.
        detail: one sentence about the result.
    """

    check: str
    result: Result
    detail: str


@dataclass(frozen=True)
class CheckReport:
    """The results of `check`; `print` shows them as a table.

    Args:
        name: of the checkpoint.
        folder: its folder; None for random weights.
        rows: one for each check.
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
