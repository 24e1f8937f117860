"""The committed tables: documents show what their results give."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from medzoo.bench.table.formats.markdown_blocks import END
from medzoo.cli import app

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "benchmarks").glob("results/*.md")),
)
PAGES = [path for path in FILES if f"\n{END}\n" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_what_the_results_give(page):
    checked = CliRunner().invoke(app, ["table", "--check", str(page)])
    assert checked.exit_code == 0, checked.output


def test_the_readme_has_a_table():
    assert ROOT / "README.md" in PAGES


def test_the_excerpts_of_the_readme_are_what_the_commands_print():
    def words(text):
        return [" ".join(line.split()) for line in text.splitlines() if line.strip()]

    readme = words((ROOT / "README.md").read_text(encoding="utf-8"))
    for command, marks in (
        (
            ["claims", "--only", "imagenet-or-radimagenet"],
            ("ImageNet (Keras) > RadImageNet", "Published: 12 of 14", "- Probability of a false"),
        ),
        (["table", "--suite", "krones2024_resnet50"], ()),
    ):
        printed = CliRunner().invoke(app, command).output
        shown = (
            [line for line in readme if line.startswith(marks)]
            if marks
            else ["0.7505 ± 0.0066 (3)", "0.8029 ± 0.0015 (3)"]
        )
        assert len(shown) >= 2
        for line in shown:
            assert line in "\n".join(words(printed)), line
