"""The page of a table takes in the stored analyses of its tasks as tabs."""

import re

import pytest
from analysis_samples import put_sample
from headless_browser import Browser, find_browser

from medzoo.bench.results.store import ResultStore
from medzoo.bench.table.table import table


@pytest.fixture
def stored(tmp_path, make_run):
    """A store with two runs of phantom_chest, and analyses of it and of another task."""
    results = ResultStore(tmp_path / "results")
    for checkpoint in ("resnet18-random", "resnet18-imagenet"):
        results.put(*make_run(checkpoint=checkpoint))
    for name in ("weights", "robustness"):
        put_sample(results.root, name=name, task="phantom_chest")
    put_sample(results.root, name="predictions", task="phantom_oct")
    return results.root


def test_analyses_of_the_tables_tasks_are_in_the_page(stored):
    page = table(stored).to_html()
    assert re.findall(r'data-tab="(\w+)"', page) == ["table", "robustness", "weights"]
    assert page.count("How far did each layer move?") == 2 and page.count("<img ") == 2
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "img-src data:" in policy and "default-src &#39;none&#39;" in policy


def test_a_page_without_analyses_has_no_tabs(tmp_path, make_run):
    results = ResultStore(tmp_path / "results")
    results.put(*make_run())
    page = table(results.root).to_html()
    assert "data-tab=" not in page and "<img" not in page and "img-src" not in page and ".analysis" not in page


@pytest.mark.skipif(find_browser() is None, reason="needs Chromium (Debian: apt-get install chromium) on the PATH")
def test_a_tab_shows_its_part_and_is_in_the_address(stored, tmp_path):
    page = tmp_path / "table.html"
    page.write_text(table(stored).to_html())
    browser = Browser(find_browser(), tmp_path / "profile")
    try:
        browser.open(page.as_uri())
        shown = (
            "[...document.querySelectorAll('[data-tab]')].filter(part => !part.hidden).map(part => part.dataset.tab)"
        )
        assert browser.run(shown) == ["table"]
        browser.run("document.getElementById('tab-weights').click()")
        assert browser.run(shown) == ["weights"] and browser.run("location.hash") == "#tab=weights"
        assert (
            browser.run("document.querySelector('#part-weights img').naturalWidth") == 40
        )  # the policy lets it be drawn
        browser.open(page.as_uri() + "#tab=robustness")
        assert browser.run(shown) == ["robustness"]
        browser.open(page.as_uri() + "#tab=nothing")
        assert browser.run(shown) == ["table"]
    finally:
        browser.close()
