"""The README is short, and every Python and shell block of it runs, in its order, in one empty folder.

Lines that set the house up or take minutes (make ...) are checked to exist instead: `make -n`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (REPOSITORY / "recipes").is_dir(), reason="a checkout is needed"),
]


def blocks():
    return [(match[1], match[2]) for match in BLOCK.finditer((REPOSITORY / "README.md").read_text())]


def test_the_first_screen_holds_the_two_commands():
    first_screen = "\n".join((REPOSITORY / "README.md").read_text().splitlines()[:30])
    assert "make demo" in first_screen and "make test" in first_screen


def test_it_takes_three_minutes():
    """A newcomer reads it in three minutes; everything else is in docs/."""
    text = (REPOSITORY / "README.md").read_text()
    table = text[text.index("<!-- medzoo table") : text.index("<!-- end of medzoo table -->")]
    assert len(re.findall(r"[A-Za-z]{3,}", text.replace(table, ""))) < 900
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (REPOSITORY / link).exists(), link


def test_every_task_has_its_place():
    from medzoo.data.task_registry import task_names

    page = (REPOSITORY / "docs" / "start" / "checkpoints_and_tasks.md").read_text()
    text = page.partition("## The downstream tasks\n")[2].partition("\n## ")[0]
    named = [name for name in task_names() if not name.endswith("mnist")]
    assert [name for name in named if f"`{name}`" not in text] == []
    counts = re.findall(r"(\d+) tasks have names, (\d+) of them", text)
    paths = sum(name.endswith(":PATH") for name in named)
    apart = sum(name.startswith("phantom_") for name in named) + len(task_names()) - len(named) + paths
    assert counts == [(str(len(task_names()) - paths), str(len(task_names()) - apart))]


def test_the_counts_of_checkpoints_are_those_of_the_registry(private_home):
    from collections import Counter

    from medzoo.zoo.registry.locations import availability
    from medzoo.zoo.registry.registry import info, names

    page = (REPOSITORY / "docs" / "start" / "checkpoints_and_tasks.md").read_text()
    table = page.partition("## The checkpoints\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (download|by hand|recipe|drawn) \| (\d+) \|", table, re.MULTILINE))
    assert {how: int(count) for how, count in rows.items()} == Counter(availability(info(name)) for name in names())
    assert re.findall(r"The registry has (\d+) names", table) == [str(len(names()))]


@pytest.mark.parametrize("target", ["demo", "test", "test-all", "tour", "docs", "check", "wheel", "install"])
def test_make_targets_exist(target):
    assert subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True).returncode == 0


def test_installing_compiles_once():
    """Without it, the first command of a fresh clone compiles thousands of files, and each one that is killed begins again."""
    done = subprocess.run(["make", "-n", "-B", "install"], cwd=REPOSITORY, capture_output=True, text=True)
    assert "--compile-bytecode" in done.stdout


@pytest.mark.long  # minutes in one process after the other: `make tour`, which CI runs as well
def test_blocks_run(tmp_path):
    (tmp_path / "recipes").symlink_to(REPOSITORY / "recipes")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "MEDZOO_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    for kind, text in blocks():
        if kind == "sh":
            text = "\n".join(line for line in text.splitlines() if not line.startswith(("make ", "git clone", "cd ")))
        command = [sys.executable, "-c", text] if kind == "python" else ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{kind} block:\n{text}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
