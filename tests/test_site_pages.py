"""The pages of the site that are made from the source, and the built site: complete, without broken links, without network."""

import ast
import doctest
import importlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from headless_browser import Browser, find_browser
from mkdocs.exceptions import PluginError
from site_pages import hooks
from site_pages.checkpoint_files_page import checkpoint_files_page
from site_pages.command_line_page import command_line_page, commands
from site_pages.error_sources import Source, error_places
from site_pages.errors_page import errors_page, exit_code, subject_of
from site_pages.message_text import as_html, as_plain, text_of
from site_pages.option_tables import MissingTextError, keys
from site_pages.protocols_page import protocols_page
from site_pages.python_page_check import problems_of_page
from site_pages.recipes_page import RECIPES, recipe_options, recipes_page
from site_pages.results_page import result_fields, results_page
from site_pages.suites_page import suites_page
from site_pages.toml_files import read_tables

import medzoo
from medzoo.cli import app
from medzoo.training.objectives import list_methods
from medzoo.training.options.fields import flag, options_of

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
PYTHON_PAGE = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")


def plain(page: str) -> str:
    """A page without entities and line breaks."""
    return re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), page)


@pytest.mark.parametrize("path", sorted((DOCS / "site_pages").glob("*.py")), ids=lambda path: path.stem)
def test_examples(path):
    assert doctest.testmod(importlib.import_module(f"site_pages.{path.stem}")).failed == 0


def test_each_code_that_the_package_writes_is_a_heading():
    headings = set(re.findall(r"^### (\S+)$", errors_page(), re.MULTILINE))
    written = set()
    for path in sorted((REPOSITORY / "medzoo").rglob("*.py")):
        written |= {
            node.value.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant)
            if "-" in str(node.value.value)
        }
    assert len(written) > 800 and written <= headings
    # codes that follow from arguments, pass through a schema, or are returned as a pair
    assert {"unknown-checkpoint", "missing-pyarrow", "disk-full", "not-a-choice", "run-not-ended"} <= headings
    assert {"published-cell-wrong", "ct-windows-need-hu", "unknown-results-repository"} & headings


SOURCE = """
CODE = "from-constant"
def helper(rows, code):
    raise UsageError(f"{len(rows)} rows. {'Remove' if rows else 'Add'} some of {rows.path}.", code=f"rows-{code}")
def first(rows):
    text = "One sentence."
    text += " Another."
    helper(rows, "bad")
    raise DataContractError(text, code=CODE)
def second(rows):
    try:
        helper(rows, "good")
    except UsageError as error:
        raise ResultError("again", code=error.code)
def pairs():
    yield "in-pair", f"key {rows!r} is wrong."
def use():
    for code, problem in pairs():
        raise RegistryError(problem, code=code)
"""


def test_a_code_is_found_however_it_is_made(tmp_path):
    (file := tmp_path / "a.py").write_text(SOURCE)
    found = {place.code: (place.kind, as_plain(place.message)) for place in Source(file).places("a.py", {})}
    assert found == {
        "rows-bad": ("UsageError", "{number of rows} rows. Remove / Add some of {rows path}."),
        "rows-good": ("UsageError", "{number of rows} rows. Remove / Add some of {rows path}."),
        "from-constant": ("DataContractError", "One sentence. Another."),
        "in-pair": ("RegistryError", "key {rows} is wrong."),
    }


def test_a_message_shows_its_remedy_and_is_escaped():
    expression = ast.parse(
        """f'<{name}> is bad. Run `medzoo check {name}`.{" Or stop." if x else ""}'""", mode="eval"
    ).body
    assert as_html(text_of(expression, {})) == (
        "&lt;<em>name</em>&gt; is bad. Run <code>medzoo check <em>name</em></code>. [Or stop.]"
    )


def test_every_place_has_a_message_a_subject_and_an_exit_code():
    places = error_places()
    assert not [place for place in places if not place.message.strip()]
    assert {exit_code(place.kind) for place in places} == {1, 2} and exit_code("UnknownNameError") == 2
    assert subject_of("medzoo/data/images/dicom/read.py") == "Images" and all(
        subject_of(place.path) for place in places
    )


def test_each_command_with_each_option_is_shown():
    page = plain(command_line_page())
    rows = list(commands(typer.main.get_command(app), "medzoo"))
    assert len(rows) > 30
    for name, command in rows:
        section = page.partition(f"## {name} {{#")[2].partition("\n## ")[0]
        for one in command.params:
            assert (one.opts[0] if one.param_type_name == "option" else one.name.strip("_").upper()) in section, name
        for example in re.findall(r"Example: (medzoo [^;(`\n]+)", command.help or ""):
            assert example.strip() in section


def test_each_option_of_each_recipe_is_shown_and_no_other():
    page = plain(recipes_page())
    for path in RECIPES.glob("*.py"):
        recipe = recipe_options(path)
        section = page.partition(f"## {path.stem}.py {{#")[2].partition("\n## ")[0]
        names = {one.name for kind in recipe.types for one, *_ in options_of(kind)}
        for name in names:
            assert (f"<code>{flag(name)}" in section) == (name not in recipe.without), (path, name)
    assert all(f"{{#method-{name}}}" in page for name in list_methods())
    assert "smallest share of the image in a view (above 0 and at most 1)" in page


def test_protocols_and_suites_are_complete():
    page, other = plain(protocols_page()), plain(suites_page())
    assert all(f"{{#{path.stem}}}" in page for path in (REPOSITORY / "recipes/protocols").glob("*.toml"))
    assert all(f"{{#{path.stem}}}" in other for path in (REPOSITORY / "recipes/suites").glob("*.toml"))
    assert "Their commands" not in page and "their counter must exceed 10" in page  # the comment at a key
    assert "resnet18-medical_mnist" in other and "per_class = 10" in other


def test_reasons_are_read_from_the_ends_of_lines(tmp_path):
    (file := tmp_path / "a.toml").write_text(
        'top = "a # b"  # first\n[x]\n# about x\nk = [1, 2]  # one # two\nplain = 3\n'
    )
    tables = read_tables(file)
    assert tables[""].reasons == {"top": "first"} and tables[""].values == {"top": "a # b"}
    assert tables["x"].comment == " about x\n" and tables["x"].reasons == {"k": "one # two"}


def test_files_are_described():
    assert "crop_pct" in plain(checkpoint_files_page())
    page = plain(results_page())
    assert all(f"<code>{place}</code>" in page for place in ("identity.checkpoint.weights_sha256", "metrics[].n_pos"))
    assert json.loads(re.search(r"```json\n(.*?)```", results_page(), re.DOTALL)[1])["schema"] == "medzoo.result/1"
    assert ("a.b", "text or null", True) in list(result_fields({"a": {"b?": "str|null"}}))


@dataclass
class Silent:
    """A table without descriptions."""

    key: int = 3


def test_a_key_without_description_fails_the_build(monkeypatch):
    with pytest.raises(MissingTextError, match="'key'"):
        keys(Silent)
    assert "of it" in keys(Silent, texts={"key": "of it"})

    def broken() -> str:
        return keys(Silent)

    monkeypatch.setattr(hooks, "PAGES", {"reference/x.md": broken})
    with pytest.raises(PluginError, match=r"reference/x\.md cannot be made.*'key'"):
        hooks.on_files([], None)


def build_page(markdown: str) -> str:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="reference/python.md"))
    return hooks.on_page_markdown(markdown, page, None, None)


def test_a_public_name_without_page_docstring_or_parameter_fails_the_build(monkeypatch):
    assert build_page(PYTHON_PAGE) == PYTHON_PAGE and not list(problems_of_page(PYTHON_PAGE))
    with pytest.raises(PluginError, match=r"Add the line `::: medzoo\.load`"):
        build_page(PYTHON_PAGE.replace("::: medzoo.load\n", ""))
    with pytest.raises(PluginError, match="does not exist"):
        build_page(PYTHON_PAGE + "\n::: medzoo.nothing\n")

    def load(name: str, size: int) -> None:
        """Load.

        Args:
            name: of it.
        """

    monkeypatch.setattr(medzoo, "load", load)
    with pytest.raises(PluginError, match=r"medzoo\.load does not describe the parameter 'size'"):
        build_page(PYTHON_PAGE)
    load.__doc__ = None
    with pytest.raises(PluginError, match=r"medzoo\.load has no docstring"):
        build_page(PYTHON_PAGE)


# --- the built site ---


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site; a broken link or anchor, or a page that is not in the navigation, ends the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_catalogue_leads_back(site):
    header = (site / "catalog.html").read_text(encoding="utf-8").partition("</header>")[0]
    assert '<a href="index.html">' in header


@pytest.mark.slow
def test_every_page_is_in_the_site(site):
    for page in DOCS.rglob("*.md"):
        if page != DOCS / "README.md":
            assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file(), page


class Fetched(HTMLParser):
    """Addresses that a browser fetches while it shows a page, and anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses, self.anchors = [], set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given["id"]} if given.get("id") else set()
        if tag != "a" and not (tag == "link" and given.get("rel") in ("canonical", "prev", "next")):
            self.addresses += [given[key] for key in ("src", "href", "srcset", "data", "poster") if given.get(key)]


@pytest.mark.slow
def test_a_browser_fetches_nothing_from_a_network(site):
    for path in site.rglob("*.html"):
        (read := Fetched()).feed(path.read_text(encoding="utf-8"))
        assert read.addresses or path.name == "catalog.html", path  # which is one file
        assert not [one for one in read.addresses if re.match(r"(https?:)?//", one)], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", path.read_text(encoding="utf-8")), path


@pytest.mark.slow
def test_codes_are_anchors_and_examples_are_code(site):
    page = site / "how_to" / "errors.html"
    (read := Fetched()).feed(page.read_text(encoding="utf-8"))
    assert {place.code for place in error_places()} <= read.anchors and page.stat().st_size < 600_000
    python = (site / "reference" / "python.html").read_text(encoding="utf-8")
    shown = re.sub(r"<pre.*?</pre>", "", python, flags=re.DOTALL)
    assert python.count("&gt;&gt;&gt;") > 20 and "&gt;&gt;&gt;" not in shown


def test_no_name_in_a_message_touches_the_next_sentence():
    assert not re.findall(r"</em>(?:<em>|[A-Z]).*", errors_page())


@pytest.mark.slow
def test_codes_are_found_first(site):
    """A search multiplies the score of a section by its boost; other pages quote errors."""
    sections = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    boosts = {section["location"]: section.get("boost") for section in sections}
    assert boosts["how_to/errors.html#unknown-checkpoint"] == 3 and boosts["how_to/errors.html"] == 3
    assert {boost for place, boost in boosts.items() if not place.startswith("how_to/errors.html")} == {None}


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason="no Chromium")
def test_search_works_on_files_and_asks_no_network(site, tmp_path):
    browser = Browser(find_browser(), tmp_path)
    try:
        browser.open((site / "reference" / "index.html").as_uri())
        browser.run("document.querySelector('.md-search__input').focus()")
        browser.write("unknown-checkpoint")
        browser.press("ArrowLeft")
        browser.wait("document.querySelector('.md-search-result__link') !== null", 20)
        links = browser.run("[...document.querySelectorAll('.md-search-result__link')].map(one => one.href)")
        assert any(link.endswith("errors.html?h=unknown+checkpoint#unknown-checkpoint") for link in links), links
        assert "/how_to/errors.html" in links[0], links
        assert not [one for one in browser.requests if not one.startswith(("file:", "data:"))] and not browser.problems
    finally:
        browser.close()


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason="no Chromium")
def test_pages_fit_a_phone(site, tmp_path):
    browser = Browser(find_browser(), tmp_path)
    try:
        for name in ("python", "command_line", "recipes", "protocols", "suites", "results", "checkpoint_files"):
            browser.open((site / "reference" / f"{name}.html").as_uri(), width=390)
            assert browser.run("document.documentElement.scrollWidth") <= 390, name
    finally:
        browser.close()
