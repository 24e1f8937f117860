"""The paper of a card as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping

from medzoo.zoo.registry.checkpoint import Citation


def bibtex(paper: Citation) -> str:
    """The entry of a paper; its key is made from the first author, the year and a word of the title.

    >>> print(bibtex(Citation("A large study", "Ada Lovelace", 2020)))
    @misc{lovelace2020large,
      title = {A large study},
      author = {Ada Lovelace},
      year = {2020},
    }
    """
    names = [name.strip() for name in (paper.authors or "").split(",")]
    names = [re.sub(r"^and ", "", name) for name in names if name]
    last = re.sub(r"\W", "", names[0].split()[-1]).lower() if names else "unknown"
    word = next((word for word in re.findall(r"\w+", paper.title.lower()) if len(word) > 3), "paper")
    fields: Mapping[str, object] = {
        "title": paper.title, "author": " and ".join(names) or None, "year": paper.year, "url": paper.paper,
    }  # fmt: skip
    lines = [f"  {key} = {{{value}}}," for key, value in fields.items() if value]
    return "\n".join([f"@misc{{{last}{paper.year or ''}{word},", *lines, "}"])
