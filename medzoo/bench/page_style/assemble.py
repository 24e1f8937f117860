"""Put a page together: template, styles, script and data, as one HTML file that needs no network.

Its Content-Security-Policy forbids every request, and every script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

FOLDER = Path(__file__).parent
COLOURS, BASE = FOLDER / "colours.css", FOLDER / "base.css"
HELPERS, TABS, VIEW_STATE = FOLDER / "helpers.js", FOLDER / "tabs.js", FOLDER / "view_state.js"


@dataclass(frozen=True)
class PageParts:
    """The parts of a page that do not depend on its content.

    Args:
        style: CSS.
        script: JavaScript.
    """

    style: str
    script: str

    def policy(self, *, images: bool = False) -> str:
        """The Content-Security-Policy of the page.

        Args:
            images: whether it has images in data URLs.

        >>> PageParts("a{}", "").policy().split(";")[0]
        "default-src 'none'"
        """
        drawn = " img-src data:;" if images else ""
        return (
            f"default-src 'none'; style-src '{_hash(self.style)}'; script-src '{_hash(self.script)}';{drawn} base-uri 'none'; "
            "form-action 'none'"
        )


def joined(files: Sequence[Path]) -> str:
    """Files as one text, without indents, empty lines and lines that are comments.

    Args:
        files: CSS, or JavaScript, in this order.
    """
    return packed("\n".join(path.read_text(encoding="utf-8") for path in files))


def packed(text: str) -> str:
    """CSS or JavaScript without indents, empty lines and lines that are comments.

    Args:
        text: of a file.

    >>> packed("a {\\n  color: red;\\n}\\n\\n/* a comment */")
    'a {\\ncolor: red;\\n}'
    """
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*")))


def script_data(data: Any) -> Markup:  # noqa: ANN401 - of json.dumps
    """JSON for a script element; no text can leave it, because `<`, `>` and `&` are written as escapes.

    Args:
        data: plain dictionaries and lists.

    >>> script_data({"name": "</script>"})
    Markup('{"name":"\\\\u003c/script\\\\u003e"}')
    """
    from markupsafe import Markup

    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


@cache
def template_of(file: Path) -> Template:
    """A compiled template of a page or a section; texts are escaped, and an unknown name is an error.

    The filter `breaks` lets a long name break after its joints.

    Args:
        file: the template; it may include files of its folder.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(file.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    environment.filters["breaks"] = _breaks
    return environment.get_template(file.name)


def _breaks(text: str) -> Markup:
    """A name, escaped, that may be broken after its joints."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(?<=[\w.])([_/-])(?=\w)", r"\1<wbr>", str(escape(text))))


def _hash(text: str) -> str:
    """As a Content-Security-Policy names a script or a style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
