"""The facts about the checkpoints of a table, for groups and filters: from the registry, else from the name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from medzoo.errors import MedzooError
from medzoo.training.objectives import list_methods
from medzoo.zoo.registry.checkpoint import Citation, architecture_facts
from medzoo.zoo.registry.random_weights import SUFFIX
from medzoo.zoo.registry.registry import info

RANDOM, UNKNOWN = "random weights", "not known"
FACETS = {  # facet → its heading on the page
    "architecture": "Architecture", "method": "Method of pre-training", "data": "Pre-training data",
    "modality": "Modality of these data", "study": "Publication",
}  # fmt: skip


@dataclass(frozen=True)
class CheckpointFacts:
    """The facts about a checkpoint; those that are not known say so.

    Args:
        architecture: timm's name.
        method: of the pre-training.
        data: names of the pre-training data sets.
        modality: kinds of their images.
        study: first author and year of the publication.
        parameters: number of weights of the network, without its head; None if it is not known.
    """

    architecture: str
    method: str
    data: tuple[str, ...]
    modality: tuple[str, ...]
    study: str
    parameters: int | None

    @property
    def facets(self) -> dict[str, str]:
        """The value of each facet."""
        several = {"data": self.data, "modality": self.modality}
        return {name: " + ".join(several[name]) if name in several else getattr(self, name) for name in FACETS}


def checkpoint_facts(name: str, architecture: str) -> CheckpointFacts:
    """The facts about a checkpoint.

    For a checkpoint that medzoo trained and that is not in the registry, its name gives the method and the data; a revision
    (`org/name@abc`) is not a part of them.

    Args:
        name: of the checkpoint.
        architecture: in the results; empty if there are none.
    """
    parameters = architecture_facts().get(architecture, {}).get("parameters")
    if name.endswith(SUFFIX):
        return CheckpointFacts(architecture or UNKNOWN, RANDOM, (RANDOM,), (RANDOM,), RANDOM, parameters)
    try:
        entry = info(name)
    except MedzooError:
        tokens = name.rstrip("/").split("/")[-1].partition("@")[0].split("-")[1:]
        known = [token for token in tokens if token in list_methods()]
        data = tuple(token for token in tokens if token not in known)
        return CheckpointFacts(
            architecture or UNKNOWN,
            known[-1] if known else UNKNOWN,
            data or (UNKNOWN,),
            (UNKNOWN,),
            UNKNOWN,
            parameters,
        )
    trained = entry.pretraining
    return CheckpointFacts(
        entry.architecture,
        (trained and trained.method) or UNKNOWN,
        (trained and trained.data) or (UNKNOWN,),
        (trained and trained.modalities) or (UNKNOWN,),
        study_of(entry.citation),
        entry.facts.get("parameters", parameters),
    )


def study_of(citation: Citation | None) -> str:
    """The first author and the year of a publication.

    >>> study_of(Citation("A title", "Jane Doe, John Roe", 2022)), study_of(None)
    ('Doe et al. 2022', 'not known')
    """
    if citation is None or not citation.authors:
        return UNKNOWN
    authors = re.split(r",| and ", citation.authors)
    name = authors[0].strip().split(" ")[-1] + (" et al." if len(authors) > 1 else "")
    return f"{name} {citation.year}" if citation.year else name
