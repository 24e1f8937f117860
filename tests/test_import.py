"""`import medzoo` is light: the heavy libraries come when they are used."""

import subprocess
import sys
import time

import pytest

import medzoo

HEAVY = (
    "torch",
    "timm",
    "transformers",
    "datasets",
    "torchvision",
    "pandas",
    "sklearn",
    "matplotlib",
    "evaluate",
    "accelerate",
    "pydicom",
    "nibabel",
)


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    "code",
    [
        "import medzoo",
        "import medzoo; medzoo.list_models('resnet50-*', modality='CT'); medzoo.list_models(downloaded=True)",
        "import medzoo; repr(medzoo.info('resnet50-radimagenet')); medzoo.info('resnet50-random').to_dict()",
        "import medzoo; medzoo.errors; medzoo.__version__; dir(medzoo)",
        "from medzoo.data.task_registry import list_tasks; list_tasks()",
    ],
)
def test_nothing_heavy_is_imported(code):
    loaded = run(f"{code}\nimport sys; print(*[name for name in {HEAVY!r} if name in sys.modules])")
    assert loaded == ""


def best_of(code: str, times: int = 7) -> float:
    rows = []
    for _ in range(times):
        start = time.perf_counter()
        run(code)
        rows.append(time.perf_counter() - start)
    return min(rows)


def test_import_takes_under_150_ms_beyond_python():
    assert best_of("import medzoo") - best_of("pass") < 0.15


def test_every_public_name_is_there():
    for name in medzoo.__all__:
        assert getattr(medzoo, name) is not None
        assert name in dir(medzoo)


def test_lazy_and_typed_names_are_the_same():
    import ast
    from pathlib import Path

    tree = ast.parse(Path(medzoo.__file__).read_text())
    typed: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for row in node.body:
                if isinstance(row, ast.ImportFrom):
                    typed |= {alias.name: str(row.module) for alias in row.names}
    assert typed == medzoo._MODULES
    assert set(medzoo.__all__) == {*medzoo._MODULES, "errors", "__version__"}


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = medzoo.nothing
