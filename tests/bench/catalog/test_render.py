"""The page: complete without a script, small, closed to the network, and equal to the committed one."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from medzoo.bench.catalog.build import build_catalog
from medzoo.bench.catalog.facets import script_facts
from medzoo.bench.catalog.render import catalog, catalog_html, differing_line

COMMITTED = Path(__file__).resolve().parents[3] / "docs" / "catalog.html"


@pytest.fixture(scope="module")
def made():
    return build_catalog()


@pytest.fixture(scope="module")
def page(made):
    return catalog_html(made)


def text_of(page):
    """The text of a page between its tags, without styles and script."""
    parts = []

    class Reader(HTMLParser):
        def handle_data(self, data):
            parts.append(data)

    body = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    Reader().feed(body)
    return "".join(parts)


def test_the_committed_page_is_what_the_facts_give(page):
    assert differing_line(COMMITTED, page) == "", "make it again: medzoo catalog --out docs/catalog.html"


def test_it_is_small_and_always_the_same(page):
    assert len(page.encode()) < 400_000 and catalog() == page
    assert not re.search(r"/(root|home|tmp|work)/", page) and not re.search(r"\b20\d\d-\d\d-\d\d\b", page)


def test_without_a_script_it_is_a_complete_list(made, page):
    text, ids = text_of(page), re.findall(r' id="([ct]-[^"]*)"', page)
    assert ids == [f"c-{one.name}" for one in made.checkpoints] + [f"t-{one.name}" for one in made.tasks]
    assert page.count("<details>") == len(ids)
    for one in made.checkpoints:
        assert one.code.medzoo in text and one.code.timm in text and one.code.transformers in text
        assert all(alias in text for alias in one.facts.alias) and (
            one.facts.citation is None or one.facts.citation.title in text
        )
    for task in made.tasks:
        assert task.facts.title in text and all(command in text for command in task.commands)


def test_links_inside_the_page_have_a_target(page):
    ids = set(re.findall(r' id="([^"]*)"', page))
    assert set(re.findall(r'href="#([^"]*)"', page)) <= ids


def test_nothing_is_fetched(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src &#39;none&#39;;") and "unsafe" not in policy and "img-src" not in policy
    assert not re.search(r"<(img|link|iframe|object|embed|audio|video|source|base)\b", page)
    plain = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"\s(style|on\w+|src)=", re.sub(r"<pre.*?</pre>", "", plain, flags=re.DOTALL))


def test_without_scores_it_says_how_to_make_some(page):
    assert "This page has no scores" in page and "recipes/suites/mini.toml" in page and "<table" not in page


def test_hostile_facts_stay_text(made):
    evil = "</script><script>alert(1)</script><img src=x>`<b>`{{ 1 }}"
    one = made.checkpoints[0]
    facts = replace(
        one.facts,
        alias=(evil,),
        citation=replace(one.facts.citation, title=evil),
        input=replace(one.facts.input, note=evil),
    )
    task = replace(
        made.tasks[0], facts=replace(made.tasks[0].facts, title=evil, classes=(evil,), license=evil, how=evil)
    )
    lineage = replace(one.lineage, start=evil)
    page = catalog_html(
        replace(
            made, checkpoints=(replace(one, facts=facts, lineage=lineage, get=evil, weights="recipe"),), tasks=(task,)
        )
    )
    assert page.count("<script") == 2 and page.count("</script>") == 2 and "<img" not in page and "<b>`" not in page
    assert evil.replace("`", "") in text_of(page).replace("`", "")


def test_the_script_has_the_values_of_every_entry(made):
    for read, entries in zip(script_facts(made)["lists"], (made.checkpoints, made.tasks), strict=True):
        assert len(read["entries"]) == len(entries)
        values = {
            name: {
                facet["name"]: [facet["values"][i] for i in places]
                for facet, places in zip(read["facets"], row, strict=True)
            }
            for name, row, _ in read["entries"]
        }
        assert all(row for one in values.values() for row in one.values())
    tasks = script_facts(made)["lists"][1]
    assert {"X-ray", "CT", "any"} <= set(tasks["facets"][0]["values"])
    checkpoints = script_facts(made)["lists"][0]
    at = [name for name, *_ in checkpoints["entries"]].index("c-resnet50-radimagenet")
    _, places, keys = checkpoints["entries"][at]
    shown = [[facet["values"][i] for i in row] for facet, row in zip(checkpoints["facets"], places, strict=True)]
    assert shown == [
        ["CT", "MR", "US"],
        ["by hand"],
        ["unknown"],
        ["not redistributable"],
        ["supervised"],
        ["radimagenet"],
        ["resnet50"],
    ]
    assert keys == [23508032, 2022]
    json.dumps(script_facts(made))


def test_a_changed_line_is_named(page, tmp_path):
    file = tmp_path / "catalog.html"
    file.write_text(page.replace("<title>", "<title>x"), encoding="utf-8")
    assert differing_line(file, page).startswith("line 9 is '<title>xmedzoo")
    file.write_text(page + "\n", encoding="utf-8")
    assert "the facts give '(ends)'" in differing_line(file, page)
