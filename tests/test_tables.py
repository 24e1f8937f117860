"""The committed tables: documents show what their results give."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from medzoo.bench.table.formats.markdown_blocks import END
from medzoo.cli import app

ROOT = Path(__file__).resolve().parents[1]
FILES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "benchmarks").glob("results/*.md")))
PAGES = [path for path in FILES if f"\n{END}\n" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_what_the_results_give(page):
    checked = CliRunner().invoke(app, ["table", "--check", str(page)])
    assert checked.exit_code == 0, checked.output


def test_the_readme_has_a_table():
    assert ROOT / "README.md" in PAGES
