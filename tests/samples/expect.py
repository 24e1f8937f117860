"""What tests expect of an error: its class and its code; the wording is free."""

from __future__ import annotations

import pytest


def raises(kind: type[BaseException], code: str | tuple[str, ...], *, match: str | None = None) -> pytest.RaisesExc:
    """As pytest.raises, for an error of medzoo.

    Args:
        kind: the class.
        code: the stable name of the cause, or the names of which it may be one.
        match: a value that the message must hold (a file, a name, a number), as a regular expression; not its prose.
    """
    codes = (code,) if isinstance(code, str) else code
    return pytest.raises(kind, match=match, check=lambda error: getattr(error, "code", None) in codes)
