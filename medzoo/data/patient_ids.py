"""Normal forms of patient ids: one patient's id is often spelled in several ways, and splits compare strings.

There are two forms. Ids with an equal `same_form` are one patient (blanks, 7 and 7.0, composed and decomposed accents). Ids with
an equal `alike_form` may be one patient or two (capitals, leading zeros, `P-1` and `P_1`); the user must decide.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\x00-\x08\x0e-\x1f]")
_WHOLE = re.compile(r"([+-]?[0-9]+)\.0+")
_SIGNS = re.compile(r"[\W_]+")
_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")


def same_form(name: str) -> str:
    """The normal form that is equal for ids that certainly mean one patient.

    Args:
        name: an id.

    >>> [same_form(name) for name in ("P1 ", "7.0", "7", "Jose\\u0301") ]
    ['P1', '7', '7', 'José']
    """
    plain = " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", name)).split())
    whole = _WHOLE.fullmatch(plain)  # pandas writes 7 as 7.0 in a column with an empty cell
    return whole[1] if whole else plain


def alike_form(name: str) -> str:
    """The normal form that is equal for ids that may mean one patient.

    Args:
        name: an id.

    >>> alike_form("007") == alike_form("7"), alike_form("p_1") == alike_form("P-01"), alike_form("P1") == alike_form("P11")
    (True, True, False)
    """
    folded = unicodedata.normalize("NFKC", same_form(name)).casefold()
    return _ZEROS.sub("", _SIGNS.sub("-", folded).strip("-")) or folded


def spellings(names: Iterable[str], form: Callable[[str], str]) -> dict[str, str]:
    """Map each id that shares its form with another id to one common spelling.

    Args:
        names: ids; repetitions are allowed.
        form: `same_form` or `alike_form`.

    >>> spellings(["7", "7.0", "8"], same_form)
    {'7': '7', '7.0': '7'}
    """
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(form(name), []).append(name)
    return {
        name: min(group, key=lambda n: (len(n), n)) for group in groups.values() if len(group) > 1 for name in group
    }
