"""The committed tables: documents show what their results give."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from medzoo.bench.suite_table import named_table
from medzoo.bench.suites.read import load_suite
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


@pytest.fixture(scope="module")
def first_table():
    """The script benchmarks/first_table.py."""
    spec = importlib.util.spec_from_file_location("first_table", ROOT / "benchmarks" / "first_table.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["first_table"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["first_table"]


def test_the_answers_of_the_first_table_are_those_of_its_results(first_table):
    for page, parts in first_table.PAGES.items():
        text = page.read_text(encoding="utf-8")
        assert first_table.updated(text, parts) == text, page.name
        emptied = re.sub(
            r"(<!-- first table: [a-z ]+ -->\n).*?(<!-- end of first table -->)", r"\1\2", text, flags=re.DOTALL
        )
        assert emptied != text and first_table.updated(emptied, parts) == text, page.name


def test_pages_and_pictures_are_those_of_the_results(first_table):
    kept = {path.name: is_true for path, is_true, _ in first_table.kept()}
    assert kept == dict.fromkeys(("README.md", "first_table.md", "table.html", "first_table.png"), True)
    real_small = named_table(load_suite("real_small"), ROOT / "benchmarks" / "tables" / "real_small")
    with Image.open(first_table.RESULTS.with_name("real_small.png")) as image:
        assert image.info["Description"] == real_small.to_text()


def test_the_sentence_about_seeds_is_that_of_the_results(first_table):
    (row,) = [line for line in first_table.one_seed().splitlines() if line.startswith("| DRIVE")]
    alone, all_seeds = row.split("|")[2:4]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"{alone.strip()} of 21 differences on DRIVE looked decided; with five, none is" in readme
    assert int(all_seeds) == 0


def test_every_comparison_has_a_question(first_table):
    """A pair that no question names is with random weights of its architecture."""
    for name, (_, every) in first_table.tables().items():
        assert every, name
        for one in every:
            assert one.question != first_table.FIRST or one.found.control.endswith("random"), (
                one.row,
                one.found.control,
            )


def test_the_cards_of_the_first_table_have_the_scores_of_its_results(first_table):
    means: dict[str, set[float]] = {}
    for table, _ in first_table.tables().values():
        for row, cells in zip(table.rows, table.grid, strict=True):
            values = {round(cell.mean, 9) for cell in cells if cell.mean is not None}
            means.setdefault(row.checkpoint.rpartition("/")[2], set()).update(values)
    cards = sorted((first_table.RESULTS / "cards").glob("*.md"))
    assert len(cards) == 12
    for card in cards:
        head = yaml.safe_load(card.read_text(encoding="utf-8").split("---\n")[1])
        shown = {
            round(metric["value"], 9)
            for model in head["model-index"]
            for result in model["results"]
            for metric in result["metrics"]
        }
        assert shown == means[card.stem], card.name


def test_the_excerpts_of_a_page_are_what_the_commands_print():
    def words(text):
        return [" ".join(line.split()) for line in text.splitlines() if line.strip()]

    page = words((ROOT / "docs" / "how_to" / "tables.md").read_text(encoding="utf-8"))
    for command, marks in (
        (
            ["claims", "--only", "imagenet-or-radimagenet"],
            ("ImageNet (Keras) > RadImageNet", "Published: 12 of 14", "- Probability of a false"),
        ),
        (["table", "--suite", "krones2024_resnet50"], ()),
    ):
        printed = CliRunner().invoke(app, command).output
        shown = (
            [line for line in page if line.startswith(marks)]
            if marks
            else ["0.7505 ± 0.0066 (3)", "0.8029 ± 0.0015 (3)"]
        )
        assert len(shown) >= 2
        for line in shown:
            assert line in "\n".join(words(printed)), line
