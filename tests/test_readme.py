"""The README is short and its counts are true; its blocks run with those of the documentation (`test_docs.py`)."""

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (REPOSITORY / "recipes").is_dir(), reason="a checkout is needed"),
]


def test_the_first_screen_holds_the_two_commands():
    first_screen = "\n".join((REPOSITORY / "README.md").read_text().splitlines()[:30])
    assert "make demo" in first_screen and "make test" in first_screen


def test_it_takes_three_minutes():
    """A newcomer reads it in three minutes; everything else is in docs/."""
    text = (REPOSITORY / "README.md").read_text()
    read = re.sub(r"<!-- (medzoo|first) table.*?<!-- end of (medzoo|first) table -->", "", text, flags=re.DOTALL)
    assert "end of" not in read and len(re.findall(r"[A-Za-z]{3,}", read)) < 900
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
    asked = [name for name in names() if availability(info(name)) == "download" and info(name).license.needs_acceptance]
    assert re.findall(r"(\d+) of them need your acceptance", table) == [str(len(asked))]
    assert re.findall(r"The registry has (\d+) names", table) == [str(len(names()))]
    assert re.findall(r"shows all (\d+)", (REPOSITORY / "README.md").read_text()) == [str(len(names()))]


@pytest.mark.parametrize("target", ["demo", "test", "test-all", "tour", "docs", "check", "wheel", "install"])
def test_make_targets_exist(target):
    assert subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True).returncode == 0


def test_installing_compiles_once():
    """Without it, the first command of a fresh clone compiles thousands of files, and each one that is killed begins again."""
    done = subprocess.run(["make", "-n", "-B", "install"], cwd=REPOSITORY, capture_output=True, text=True)
    assert "--compile-bytecode" in done.stdout
