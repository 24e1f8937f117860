"""Whether a checkpoint was pre-trained on images of the task's kind: intra-domain, cross-domain, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medzoo.data.task_description import modality_of
from medzoo.data.task_info import TaskInfo
from medzoo.data.task_registry import task_info, task_names
from medzoo.errors import MedzooError, UsageError
from medzoo.zoo.registry.random_weights import SUFFIX
from medzoo.zoo.registry.registry import info

# The registry's words for modalities, and those of tasks.
SAME = {"CXR": "X-ray", "US": "ultrasound", "MRI": "MR"}
NATURAL = "natural"
FORM = "NAME=MODALITY[+MODALITY...][:IMAGES]"


@dataclass(frozen=True)
class PretrainingFacts:
    """What is known about the pre-training of a checkpoint.

    Args:
        name: of the checkpoint in results.
        domain: "intra" (the task's modality, no natural images), "mixed" (both), "cross" (other images), "random" weights,
            or "unknown".
        modalities: of the pre-training images, in the words of tasks.
        images: how many; None if it is not known.
    """

    name: str
    domain: str
    modalities: tuple[str, ...] = ()
    images: int | None = None


def given_facts(texts: Sequence[str]) -> dict[str, tuple[tuple[str, ...], int | None]]:
    """Modalities and numbers of images as the user gave them.

    Args:
        texts: of the form NAME=MODALITY[+MODALITY...][:IMAGES].

    Raises:
        UsageError: for a text of another form.

    >>> given_facts(["resnet18-cifar10=natural:15000"])
    {'resnet18-cifar10': (('natural',), 15000)}
    """
    found = {}
    for text in texts:
        name, _, rest = text.partition("=")
        kinds, colon, count = rest.partition(":")
        words = tuple(SAME.get(word.strip(), word.strip()) for word in kinds.split("+"))
        if not name or not all(words) or (colon and not count.isdecimal()):
            raise UsageError(f"--pretrained-on is {text!r}; it should be {FORM}.", code="pretraining-fact-invalid")
        found[name] = words, int(count) if count else None
    return found


def pretraining_facts(
    name: str, modality: str, given: dict[str, tuple[tuple[str, ...], int | None]]
) -> PretrainingFacts:
    """The facts about a checkpoint: as given, else from the registry, else from tasks that have the names of its data.

    Args:
        name: of the checkpoint in results.
        modality: of the task; several are joined by `, `.
        given: of `given_facts`.

    >>> pretraining_facts("resnet50-imagenet", "X-ray", {}).domain
    'cross'
    >>> pretraining_facts("resnet50-imagenet-chestxray14", "X-ray", {}).domain
    'mixed'
    """
    if name.endswith(SUFFIX):
        return PretrainingFacts(name, "random")
    kinds, images = given[name] if name in given else _registered(name)
    ours = set(modality.split(", ")) - {""}
    if not kinds or not ours:
        domain = "unknown"
    elif ours & set(kinds):
        domain = "mixed" if NATURAL in kinds and NATURAL not in ours else "intra"
    else:
        domain = "cross"
    return PretrainingFacts(name, domain, tuple(kinds), images)


def _registered(name: str) -> tuple[tuple[str, ...], int | None]:
    """Modalities and images of the registry; for a checkpoint that it does not have, modalities by the names in its name."""
    try:
        past = info(name).pretraining
    except MedzooError:
        known = [
            modality_of(task_info(word)) for word in name.rpartition("/")[2].split("-")[1:] if word in task_names()
        ]
        return tuple(part for one in known for part in one.split(", ") if part), None
    if past is None:
        return (), None
    return tuple(SAME.get(word, word) for word in past.modalities), past.images


def task_modality(task: TaskInfo, given: str | None) -> str:
    """The modality of a task: as given, else from its title; empty if it is not known.

    Args:
        task: the facts of the task.
        given: by the user.
    """
    return SAME.get(given, given) if given else modality_of(task)
