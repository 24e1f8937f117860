"""The repository holds source and small fixtures: no weights, images or outputs of runs."""

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
LARGEST = 10**6  # bytes


def tracked() -> list[Path]:
    """The files that git tracks and that exist; the test is skipped without git or outside of a clone."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    if done.returncode or not done.stdout or not (REPOSITORY / ".git").exists():
        pytest.skip("a clone is needed")
    return [path for name in done.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]


def test_no_tracked_file_is_large():
    large = {path.relative_to(REPOSITORY).as_posix(): path.stat().st_size for path in tracked()}
    assert {name: size for name, size in large.items() if size > LARGEST} == {}
