"""Errors keep class, code and message wherever they go, and every code is well formed."""

import ast
import pickle
import re
from pathlib import Path

import pytest
from expect import raises

from medzoo import errors

SAMPLES = [
    errors.UsageError("The size is 0.", code="size-below-one"),
    errors.UnknownNameError("task", "chext", ["chest"], "See the list."),
    errors.MissingExtraError("pandas", "recipes", "A data frame"),
    errors.DiskFullError("a/b", 7),
]


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_crosses_processes_whole(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and again.code == error.code and str(again) == str(error)
    assert vars(again) == vars(error)


def test_codes_of_classes_that_have_one_cause():
    assert [error.code for error in SAMPLES] == ["size-below-one", "unknown-task", "missing-pandas", "disk-full"]
    with raises(errors.UsageError, "size-below-one"):
        raise SAMPLES[0]
    with pytest.raises(AssertionError), raises(errors.UsageError, "other"):
        raise SAMPLES[0]


PACKAGE = Path(errors.__file__).parent
NAMES = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.MedzooError)}


def codes(path: Path) -> list[tuple[int, str | None]]:
    """Where a file makes an error of medzoo, and the code that it gives it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in NAMES:
            given = [row.value for row in node.keywords if row.arg == "code"]
            found.append((node.lineno, given[0].value if given and isinstance(given[0], ast.Constant) else None))
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_codes_are_small_words_joined_by_dashes(path):
    for line, code in codes(path):
        assert code is None or re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code), f"{path}:{line}: {code}"
