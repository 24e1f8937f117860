"""What mkdocs calls while it builds the site (https://www.mkdocs.org/user-guide/configuration/#hooks)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(DOCS), str(DOCS.parent)]  # mkdocs loads this file by its path

from site_pages.checkpoint_files_page import checkpoint_files_page  # noqa: E402
from site_pages.command_line_page import command_line_page  # noqa: E402
from site_pages.errors_page import errors_page  # noqa: E402
from site_pages.protocols_page import protocols_page  # noqa: E402
from site_pages.recipes_page import recipes_page  # noqa: E402
from site_pages.suites_page import suites_page  # noqa: E402

PAGES: dict[str, Callable[[], str]] = {
    "how_to/errors.md": errors_page,
    "reference/command_line.md": command_line_page,
    "reference/recipes.md": recipes_page,
    "reference/protocols.md": protocols_page,
    "reference/suites.md": suites_page,
    "reference/checkpoint_files.md": checkpoint_files_page,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the source.

    Args:
        files: of the site.
        config: of the site.
    """
    for name, page in PAGES.items():
        files.append(File.generated(config, name, content=page()))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leave the error codes out of the table of contents: there are hundreds.

    Args:
        html: of the page.
        page: with its table of contents.
        config: of the site.
        files: of the site.
    """
    if page.file.src_uri == "how_to/errors.md":
        for heading in page.toc:
            for subject in heading.children:
                subject.children.clear()
    return html
