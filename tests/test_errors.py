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
KINDS = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.MedzooError)
}
OWN = {
    "UnknownNameError",
    "MissingExtraError",
    "DiskFullError",
}  # one cause a class, or a code that follows from its arguments


def made(path: Path) -> list[tuple[int, str, ast.expr | None]]:
    """Where a file makes an error of medzoo: line, class, and the code that it gives."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and (name := getattr(node.func, "attr", getattr(node.func, "id", ""))) in KINDS:
            given = [row.value for row in node.keywords if row.arg == "code"]
            found.append((node.lineno, name, given[0] if given else None))
    return found


def test_every_error_has_a_code_of_small_words():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for line, name, code in made(path):
            if code is None and name not in OWN:
                wrong.append(f"{path}:{line}: {name} without code=")
            if isinstance(code, ast.Constant) and not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", str(code.value)):
                wrong.append(f"{path}:{line}: {code.value!r}")
    assert not wrong, "\n".join(wrong)
