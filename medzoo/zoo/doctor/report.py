"""The report of `medzoo doctor`: rows, their table, and the removal of private data, so that users can paste it into an issue."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

Result = Literal["PASS", "WARN", "FAIL"]


@dataclass(frozen=True)
class DoctorRow:
    """One check and its result.

    Args:
        check: its name.
        result: PASS; WARN if some features do not work; FAIL if medzoo does not work.
        detail: one sentence about the result.
        fix: the command that fixes a WARN or FAIL.
        names: all checkpoints of this row.
    """

    check: str
    result: Result
    detail: str
    fix: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class DoctorReport:
    """The results of `diagnose`; `print` shows them as a table.

    Args:
        version: of medzoo.
        rows: of the checks.
    """

    version: str
    rows: tuple[DoctorRow, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(row.result != "FAIL" for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"medzoo": self.version, "passed": self.passed, "rows": [asdict(row) for row in self.rows]}

    def to_text(self, width: int = 110) -> str:
        """The table. Sentences are wrapped; commands are not, so that they can be copied.

        Args:
            width: of a line, in characters.

        >>> print(DoctorReport("1.0", (DoctorRow("disk", "WARN", "1 GB is free.", "medzoo cache prune"),)).to_text())
        WARN  disk  1 GB is free.
                    fix: medzoo cache prune
        medzoo 1.0 works here, with 1 warning.
        """
        column = max((len(row.check) for row in self.rows), default=0)
        width, indent, lines = max(width, column + 48), " " * (column + 8), []
        for row in self.rows:
            lines += wrap(
                row.detail,
                width,
                initial_indent=f"{row.result}  {row.check:<{column}}  ",
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
            lines += [f"{indent}fix: {row.fix}"] if row.fix else []
        return "\n".join([*lines, self._verdict()])

    __str__ = to_text

    def _verdict(self) -> str:
        failures, warnings = (sum(row.result == result for row in self.rows) for result in ("FAIL", "WARN"))
        if failures:
            return f"medzoo {self.version} does not work here yet: fix {counted(failures, 'failure')} first."
        return f"medzoo {self.version} works here" + (f", with {counted(warnings, 'warning')}." if warnings else ".")


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number and its word.

    >>> counted(1, "failure"), counted(2, "failure"), counted(2, "entry", "entries")
    ('1 failure', '2 failures', '2 entries')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def in_bytes(size: float) -> str:
    """A size in the unit that fits.

    >>> in_bytes(2_400_000_000), in_bytes(123_456_789), in_bytes(12)
    ('2.4 GB', '123 MB', '12 bytes')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            number = size / scale
            return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"
    return f"{size:.0f} bytes"


def in_shell(path: Path) -> str:
    """A path quoted for a shell, starting with ~ if it is in the home folder.

    >>> in_shell(Path("/data/my files"))
    "'/data/my files'"
    """
    for home in _homes():
        if path != home and path.is_relative_to(home):
            return f"~/{shlex.quote(str(path.relative_to(home)))}"
    return shlex.quote(str(path))


def clean(text: str) -> str:
    """A text without the home folder's path, host names in addresses, and tokens.

    >>> clean("https://me:secret@proxy:80/x refused hf_abcdefghijkl")
    'https://***/x refused ***'
    """
    for home in _homes():
        text = re.sub(rf"(?<![\w./-]){re.escape(str(home))}(?![\w-])", "~", text)
    text = re.sub(r"(?<=://)(?!huggingface\.co\b)[^/\s]+", "***", text)
    text = re.sub(r"\bhf_[A-Za-z0-9]{8,}", "***", text)
    if len(token := os.environ.get("HF_TOKEN", "")) >= 8:
        text = text.replace(token, "***")
    return text


def _homes() -> tuple[Path, ...]:
    try:
        home = Path.home()
    except RuntimeError:  # a user id without a name, as in containers
        return ()
    return tuple(path for path in (home, home.resolve()) if path != Path(path.anchor))
