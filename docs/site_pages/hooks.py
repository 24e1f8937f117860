"""What mkdocs calls while it builds the site (https://www.mkdocs.org/user-guide/configuration/#hooks)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(DOCS), str(DOCS.parent)]  # mkdocs loads this file by its path

from site_pages.checkpoint_files_page import checkpoint_files_page  # noqa: E402
from site_pages.command_line_page import command_line_page  # noqa: E402
from site_pages.errors_page import errors_page  # noqa: E402
from site_pages.option_tables import MissingTextError  # noqa: E402
from site_pages.protocols_page import protocols_page  # noqa: E402
from site_pages.python_page_check import problems_of_page  # noqa: E402
from site_pages.recipes_page import recipes_page  # noqa: E402
from site_pages.results_page import results_page  # noqa: E402
from site_pages.suites_page import suites_page  # noqa: E402

ERRORS, PYTHON = "how_to/errors.md", "reference/python.md"
PAGES: dict[str, Callable[[], str]] = {
    ERRORS: errors_page,
    "reference/command_line.md": command_line_page,
    "reference/recipes.md": recipes_page,
    "reference/protocols.md": protocols_page,
    "reference/suites.md": suites_page,
    "reference/checkpoint_files.md": checkpoint_files_page,
    "reference/results.md": results_page,
}
SEARCH, CATALOG, PICTURE = "javascripts/file_search.js", "catalog.html", "images/real_small.png"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace the script that the offline plugin takes from a network: search on file:// pages uses one of this site.

    Args:
        config: of the site.
    """
    config.extra["polyfills"] = [one for one in config.extra.get("polyfills", []) if "://" not in one] + [SEARCH]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the source, and a picture of the benchmarks.

    Args:
        files: of the site.
        config: of the site.

    Raises:
        PluginError: if a key or an option has no description.
    """
    for name, page in PAGES.items():
        try:
            files.append(File.generated(config, name, content=page()))
        except MissingTextError as error:
            raise PluginError(f"{name} cannot be made. {error}") from error
    files.append(
        File.generated(config, PICTURE, abs_src_path=str(DOCS.parent / "benchmarks" / "results" / "real_small.png"))
    )
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Refuse a page of Python names that is not complete.

    Args:
        markdown: of the page.
        page: that is made.
        config: of the site.
        files: of the site.

    Raises:
        PluginError: if a public name is missing, or its docstring is not complete.
    """
    if page.file.src_uri == PYTHON and (wrong := list(problems_of_page(markdown))):
        raise PluginError("\n".join(wrong))
    return markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leave the error codes out of the table of contents: there are hundreds.

    Args:
        html: of the page.
        page: with its table of contents.
        config: of the site.
        files: of the site.
    """
    if page.file.src_uri == ERRORS:
        for heading in page.toc:
            for subject in heading.children:
                subject.children.clear()
    return html


def on_post_build(config: MkDocsConfig) -> None:
    """Give the catalogue, which is a page of its own, a link back to the documentation.

    Args:
        config: of the site.

    Raises:
        PluginError: if the page has no header.
    """
    page = Path(config.site_dir) / CATALOG
    text = page.read_text(encoding="utf-8")
    if "</header>" not in text:
        raise PluginError(f"{CATALOG} has no header for the link to the documentation. Make it again: medzoo catalog.")
    link = '<p><a href="index.html">Documentation of medzoo</a></p>'
    page.write_text(text.replace("</header>", f"{link}</header>", 1), encoding="utf-8")
