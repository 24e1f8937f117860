"""The list of faults with their promises and the tests that hold them: `python tests/faults/list_faults.py`."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def faults() -> dict[str, dict[str, str]]:
    """Fault and promise by number."""
    return tomllib.loads((Path(__file__).parent / "faults.toml").read_text())


def tests() -> dict[str, list[str]]:
    """The tests that carry a fault's number, by number: file::name."""
    found: dict[str, list[str]] = {number: [] for number in faults()}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for number in numbers(node.name):
                    found.setdefault(number, []).append(f"{path.relative_to(TESTS.parent)}::{node.name}")
    return found


def numbers(name: str) -> list[str]:
    """The faults of a test's name; f07_to_f09 is three.

    >>> numbers("test_f07_to_f09_other_names"), numbers("test_f21_f23_mended"), numbers("test_files")
    (['f07', 'f08', 'f09'], ['f21', 'f23'], [])
    """
    head = re.match(r"test_((?:f\d\d_)(?:to_)?(?:f\d\d_)*)", name + "_")
    if not head:
        return []
    given = re.findall(r"f(\d\d)", head[1])
    if "to_" in head[1]:
        return [f"f{number:02d}" for number in range(int(given[0]), int(given[1]) + 1)]
    return [f"f{number}" for number in given]


def table() -> str:
    """Number, fault and promise, for SECURITY.md."""
    lines = ["| | fault | promise |", "|---|---|---|"]
    lines += [f"| {number.upper()} | {row['fault']} | {row['promise']} |" for number, row in faults().items()]
    return "\n".join(lines)


if __name__ == "__main__":
    for number, names in tests().items():
        print(number.upper(), faults().get(number, {}).get("fault", "(no such fault)"))
        for name in names or ["(no test)"]:
            print(f"    {name}")
