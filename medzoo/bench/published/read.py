"""Read the published numbers of a study from recipes/published/, and check every name in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from medzoo import paths
from medzoo.bench.metrics import METRICS
from medzoo.bench.published.schema import PublishedStudy, PublishedTable
from medzoo.closed_schema import parse
from medzoo.data.task_registry import split_name, task_info
from medzoo.errors import MedzooError, UnknownNameError, UsageError
from medzoo.training.options.protocol import list_protocols
from medzoo.training.options.toml_files import read_toml
from medzoo.zoo.registry.registry import is_known

_CLAIMS = "claims"  # another form, in the same folder
_TABLES = ("tables", "checkpoints")  # arrays of tables; their items begin with [[name]]


def list_published() -> list[str]:
    """The studies whose numbers ship with medzoo.

    >>> "juodelyte2023" in list_published()
    True
    """
    names = (path.stem for path in (paths.data_dir("recipes") / "published").glob("*.toml"))
    return sorted(name for name in names if name != _CLAIMS)


def load_published(name: str) -> PublishedStudy:
    """The published numbers of a study.

    Args:
        name: of a study that ships with medzoo, or a .toml file.

    Raises:
        UnknownNameError: for an unknown study, checkpoint, task, metric or protocol, with the line.
        UsageError: for an unknown key, a wrong value, or a cell without a number, with the line.

    >>> study = load_published("juodelyte2023")
    >>> study.table("finetune").find("ImageNet", "isic").n is None   # its five runs are listed instead
    True
    """
    file = Path(name)
    if not name.endswith(".toml"):
        file = paths.data_dir("recipes") / "published" / f"{name}.toml"
        if not file.is_file() or name == _CLAIMS:
            known = ", ".join(list_published())
            raise UnknownNameError("published study", name, list_published(), f"Known: {known}, or a .toml file.")
    return _read(file, file.stat().st_mtime_ns if file.is_file() else 0)


@cache
def _read(file: Path, _changed: int) -> PublishedStudy:
    content = read_toml(file, "The published numbers")
    try:
        study = parse(PublishedStudy, content, "", UsageError)
        _check(study)
    except UnknownNameError:
        raise
    except UsageError as error:
        place, text = _with_line(file, str(error))
        raise UsageError(f"{place}{text}", code=error.code) from None
    return study


def _check(study: PublishedStudy) -> None:
    """Refuse unknown names, cells without a number, and cells that occur twice."""
    rows = [row.name for row in study.checkpoints]
    _once(rows, "checkpoints", "name")
    _once([table.name for table in study.tables], "tables", "name")
    for i, row in enumerate(study.checkpoints):
        if row.checkpoint is not None and not is_known(row.checkpoint):
            raise _wrong(f"checkpoints[{i}]: checkpoint", f"{row.checkpoint!r} is not in the registry", "checkpoint")
    for i, table in enumerate(study.tables):
        _check_table(table, f"tables[{i}]", rows)


def _check_table(table: PublishedTable, where: str, rows: Sequence[str]) -> None:
    for name in (table.protocol, *[column.protocol for column in table.columns if column.protocol]):
        if name not in list_protocols():
            raise _wrong(f"{where}: protocol", f"{name!r} is not a protocol of medzoo", "protocol")
    if (table.obtained == "figure") != (table.error is not None):
        raise _wrong(f"{where}: error", "is needed for values that were read from a figure, and only for them", "error")
    _once([column.name for column in table.columns], f"{where}: columns", "name")
    for i, column in enumerate(table.columns):
        if column.metric not in METRICS:
            raise _wrong(f"{where}: columns[{i}]: metric", f"{column.metric!r} is not a metric of medzoo", "metric")
        if column.task is not None and not _is_task(column.task):
            raise _wrong(f"{where}: columns[{i}]: task", f"{column.task!r} is not a task of medzoo", "task")
    columns = [column.name for column in table.columns]
    for i, cell in enumerate(table.cells):
        place = f"{where}: cells[{i}]"
        if cell.row not in rows:
            raise _wrong(f"{place}: row", f"{cell.row!r} is not one of the file's checkpoints", "row")
        if cell.column not in columns:
            raise _wrong(f"{place}: column", f"{cell.column!r} is not one of the table's columns", "column")
        if bool(cell.runs) == (cell.mean is not None):
            raise _wrong(place, "needs either its runs or their mean", "value")
        if cell.runs and (cell.sd is not None or cell.n is not None):
            raise _wrong(place, "has runs; sd and n are computed from them", "value")
    _once([f"{cell.row} on {cell.column}" for cell in table.cells], f"{where}: cells", "cell")
    for i, test in enumerate(table.tests):
        for name in (test.row, test.against):
            if table.find(name, test.column) is None:
                raise _wrong(f"{where}: tests[{i}]", f"{name} on {test.column} is not a cell of the table", "test")


def _is_task(name: str) -> bool:
    try:
        task_info(split_name(name)[0])
    except MedzooError:
        return False
    return True


def _once(names: Sequence[str], where: str, what: str) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise _wrong(f"{where}[{i}]", f"{name!r} occurs twice", what)


def _wrong(place: str, problem: str, what: str) -> UsageError:
    return UsageError(f": {place} {problem}.", code=f"published-{what}-wrong")


def _with_line(file: Path, message: str) -> tuple[str, str]:
    """The file with the line of a message such as ": tables[1]: cells[2]: unknown key 'rusn'.", and the message."""
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    steps = [(name, int(number)) for name, number in re.findall(r"\b(\w+)\[(\d+)\]", message)]
    line = _line_of(lines, steps)
    if line is not None and len(steps) < 2:  # the key inside the table
        key = re.search(r"unknown key '(\w+)'|: (\w+)(?: is|:| '|$)", message)
        line = _line_of_key(lines, line, (key[1] or key[2]) if key else "")
    elif line is None and (key := re.search(r"unknown key '(\w+)'", message)):
        line = _line_of_key(lines, 0, key[1])
    return (f"{file}:{line + 1}" if line is not None else str(file)), message


def _line_of(lines: Sequence[str], steps: Sequence[tuple[str, int]]) -> int | None:
    """The line of an item; items of a list inside a table are on lines of their own that begin with a brace."""
    if not steps or steps[0][0] not in _TABLES:
        return None
    starts = [number for number, text in enumerate(lines) if text.strip() == f"[[{steps[0][0]}]]"]
    if steps[0][1] >= len(starts):
        return None
    start = starts[steps[0][1]]
    if len(steps) == 1:
        return start
    name, wanted = steps[1]
    items = list(_items(lines, start, name))
    return items[wanted] if wanted < len(items) else start


def _items(lines: Sequence[str], start: int, name: str) -> Iterator[int]:
    inside = False
    for number in range(start + 1, len(lines)):
        text = lines[number].strip()
        if text.startswith("[["):
            return
        if re.match(rf"{name}\s*=", text):
            inside = True
        elif inside and text.startswith("{"):
            yield number
        elif inside and text.startswith("]"):
            return


def _line_of_key(lines: Sequence[str], start: int, key: str) -> int:
    for number in range(start, len(lines)):
        if number > start and lines[number].startswith("[["):
            break
        if key and re.match(rf"\s*{re.escape(key)}\s*=", lines[number]):
            return number
    return start
