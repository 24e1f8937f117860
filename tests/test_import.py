"""`import medzoo` is light: the heavy libraries come when they are used."""

import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

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


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", "import medzoo"),
        ("-c", "import medzoo; medzoo.list_models(); medzoo.info('resnet50-radimagenet')"),
        ("-c", "import medzoo; medzoo.load('resnet18_cifar-random')"),
        ("-m", "medzoo", "list"),
        ("-m", "medzoo", "info", "resnet50-radimagenet"),
        ("-m", "medzoo", "tasks", "list"),
    ],
)
def test_no_warning_is_raised(arguments):
    """A program of the user may turn warnings into errors."""
    done = subprocess.run([sys.executable, "-W", "error", *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [("list",), ("info", "resnet50-radimagenet")])
def test_short_commands_load_neither_numpy_nor_rich(arguments):
    """They start with each press of a key in a shell: numpy and rich together take as long as the command."""
    code = f"import sys; sys.argv = {['medzoo', *arguments]}\nfrom medzoo.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    loaded = run(f"{code}print([name for name in ('numpy', 'rich.console', 'torch') if name in sys.modules])")
    assert loaded.splitlines()[-1] == "[]"


# What `pip install medzoo` brings, at most: everything else is an extra. tomli-w writes the options of a run and the user's
# entries; pyyaml reads and writes the head of a card.
CORE = {
    "torch", "torchvision", "timm", "huggingface-hub", "safetensors", "numpy", "pillow", "jinja2", "typer", "rich", "tqdm",
    "tomli-w", "pyyaml",
}  # fmt: skip


def test_the_core_has_no_further_dependency():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {re.match(r"[\w-]+", row)[0].lower() for row in project["dependencies"]} == CORE
    assert "medzoo" in project["scripts"] and (Path(medzoo.__file__).parent / "py.typed").is_file()


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = medzoo.nothing
