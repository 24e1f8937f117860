"""Licences: the known ids, and whether weights may be published again or need acceptance."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from medzoo.errors import CardError

# Ids that a model card may carry. Source: https://huggingface.co/docs/hub/repositories-licenses
_IDS = (
    "apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 "
    "bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear "
    "c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 "
    "cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 "
    "cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl "
    "ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 "
    "lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl "
    "openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr "
    "deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 "
    "llama4 grok2-community gemma unknown other"
)
HUB_IDS = frozenset(_IDS.split())
# Licences that require their own text, with the holder's line, in every copy.
WITH_TEXT = ("mit", "isc", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "ncsa", "zlib")
NO_DERIVATIVES = re.compile(r"(^|-)nd(-|$)")
NONCOMMERCIAL = re.compile(r"(^|-)nc(-|$)|noncommercial|non-commercial")


@dataclass(frozen=True)
class License:
    """Terms of the weights.

    Args:
        id: SPDX or Hub id; "other" needs a url, "unknown" means that upstream states no licence.
        redistributable: whether medzoo may publish the weights again, under these terms.
        url: the address of the terms.
        note: anything else that a user should know.
    """

    id: str
    redistributable: bool
    url: str | None = None
    note: str | None = None

    @property
    def needs_acceptance(self) -> bool:
        """Whether the terms are non-commercial or contested, so that the user must accept them first."""
        return not self.redistributable or bool(NONCOMMERCIAL.search(self.id.lower()))

    @property
    def forbids_derivatives(self) -> bool:
        """Whether changed versions of the weights must not be shared.

        >>> License("cc-by-nc-nd-4.0", True).forbids_derivatives, License("cc-by-4.0", True).forbids_derivatives
        (True, False)
        """
        return bool(NO_DERIVATIVES.search(self.id.lower()))


def forbids_sharing(licenses: Iterable[str | None]) -> bool:
    """Whether a licence of weights, or of weights that they were trained from, forbids to share changed versions.

    Args:
        licenses: SPDX or Hub ids; None is unknown.

    >>> forbids_sharing(["mit", None, "cc-by-nd-4.0"]), forbids_sharing(["mit", "cc-by-nc-4.0"])
    (True, False)
    """
    return any(License(one, redistributable=True).forbids_derivatives for one in licenses if one)


def known_license(identifier: str) -> bool:
    """Whether a licence id exists (case is ignored).

    >>> known_license("CC-BY-NC-4.0"), known_license("free")
    (True, False)
    """
    return identifier.lower() in HUB_IDS


def check_license(identifier: object, where: str) -> str:
    """A known licence id, in the Hub's spelling.

    Raises:
        CardError: for a missing or unknown id; medzoo never guesses a licence.
    """
    if not isinstance(identifier, str) or not identifier.strip():
        raise CardError(
            f"{where} has no licence. Give an SPDX or Hub id, for example license='apache-2.0' or 'unknown'.",
            code="license-missing",
        )
    if not known_license(identifier):
        near = difflib.get_close_matches(identifier.lower(), HUB_IDS, n=2)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise CardError(
            f"{where}: {identifier!r} is not a known licence id.{hint} For other terms, give license='other' and a url.",
            code="license-unknown",
        )
    return identifier.lower()
