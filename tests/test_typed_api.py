"""A user's script in mypy's strict mode: no error, the types that a user expects, and an error for each mistake."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import medzoo

SAMPLES = Path(__file__).parent / "samples"
ARRAY = "numpy.ndarray[tuple[Any, ...], numpy.dtype[Any]]"
TYPES = {
    "names": "list[str]",
    "entry": "medzoo.zoo.registry.checkpoint.Checkpoint",
    "data": "tuple[str, ...]",
    "redistributable": "bool",
    "fetched": "pathlib.Path",
    "model": "torch.nn.modules.module.Module",
    "transform": "medzoo.training.inputs.input_transform.Transform",
    "tensor": "torch._tensor.Tensor",
    "task": "medzoo.data.task.Task",
    "classes": "tuple[str, ...]",
    "pixels": "medzoo.data.images.pixels.Pixels",
    "array": ARRAY,
    "features": ARRAY,
    # pandas has no types of its own; with pandas-stubs they are DataFrames
    "frame": "Any|pandas.*DataFrame",
    "rows": "list[dict[str, Any]]",
    "table": "medzoo.bench.table.table.Table",
    "markdown": "str",
    "long": "Any|pandas.*DataFrame",
    "saved": "pathlib.Path",
    "pushed": "str",
    "converted": "pathlib.Path",
    "report": "medzoo.zoo.check.report.CheckReport",
    "passed": "bool",
    "version": "str",
    "code": "str",
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The lines of mypy for both scripts, as (file, line, kind, text); one run, away from this project's configuration."""
    place = tmp_path_factory.mktemp("user")
    (place / "mypy.ini").write_text("[mypy]\n")
    command = ["mypy", "--strict", "--config-file", "mypy.ini", "--cache-dir", "cache", "--follow-imports", "silent"]
    files = [str(SAMPLES / name) for name in ("user_script.py", "user_mistakes.py")]
    done = subprocess.run(
        [sys.executable, "-m", *command, *files],
        cwd=place,
        env={**os.environ, "MYPYPATH": str(Path(medzoo.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    found = [re.fullmatch(r"(.+?):(\d+): (note|error): (.*)", line) for line in done.stdout.splitlines()]
    rows = [(Path(row[1]).name, int(row[2]), row[3], row[4]) for row in found if row]
    assert rows, done.stdout + done.stderr
    return rows


@pytest.mark.slow
def test_a_users_script_has_no_errors_and_the_types_that_a_user_expects(checked):
    rows = [row for row in checked if row[0] == "user_script.py"]
    assert [row for row in rows if row[2] == "error"] == []
    lines = (SAMPLES / "user_script.py").read_text().splitlines()
    marks = {number: line.rpartition("# ")[2] for number, line in enumerate(lines, start=1) if "reveal_type(" in line}
    revealed = {marks[line]: text.split('"')[1] for _, line, _, text in rows if text.startswith("Revealed type")}
    assert revealed.keys() == set(marks.values()) == TYPES.keys()
    for mark, expected in TYPES.items():
        wildcard = expected if "|" in expected else re.escape(expected)
        assert re.fullmatch(wildcard, revealed[mark]), f"{mark}: {revealed[mark]}"


@pytest.mark.slow
def test_mistakes_are_found_before_the_script_runs(checked):
    lines = (SAMPLES / "user_mistakes.py").read_text().splitlines()
    expected = {number: line.rpartition("# ")[2] for number, line in enumerate(lines, start=1) if "  # " in line}
    found = {line: text.rpartition("[")[2].rstrip("]") for file, line, kind, text in checked if kind == "error"}
    assert found == expected and len(expected) == 6
