"""The setting of a stored run: its protocol and its data. Only runs of one setting are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class RunSetting:
    """What runs must have in common to be compared: everything but the checkpoint, the seed and the fold.

    Args:
        protocol: its name.
        mode: "finetune", or the probe.
        protocol_hash: of all its options.
        version: of the task.
        fingerprint: of the images and labels.
        split: hash of the split; for folds, of the division that all folds share.
        label_policy: for uncertain labels; empty without one.
    """

    protocol: str
    mode: str
    protocol_hash: str
    version: str
    fingerprint: str
    split: str
    label_policy: str

    @property
    def name(self) -> str:
        """The text that `--runs-of` takes: the protocol and the start of its hash."""
        return f"{self.protocol}@{self.protocol_hash[:8]}"

    def is_named(self, name: str) -> bool:
        """Whether `--runs-of` means this setting.

        Args:
            name: of a protocol, or with `@` and the start of its hash.

        >>> setting = RunSetting("medzoo", "finetune", "cbd464f9", "1", "data", "split", "")
        >>> setting.is_named("medzoo"), setting.is_named("medzoo@cbd4"), setting.is_named("medzoo@00")
        (True, True, False)
        """
        protocol, _, digest = name.rpartition("@") if "@" in name else (name, "", "")
        return protocol == self.protocol and self.protocol_hash.startswith(digest)

    @property
    def data(self) -> tuple[str, str, str, str]:
        """The part of the setting that is the data."""
        return self.version, self.fingerprint, self.split, self.label_policy


def setting_of(result: Mapping[str, Any]) -> RunSetting:
    """The setting of a stored result.

    The folds of one cross-validation have different splits; they are one setting, because their division of the data is the same.

    Args:
        result: as stored.
    """
    identity = result["identity"]
    protocol, data = identity["protocol"], identity["dataset"]
    folds = None if identity["fold"] is None else result["train"].get("folds")
    split = folds["sha256"] if folds else data["split_hash"]
    return RunSetting(
        protocol["id"],
        protocol["mode"],
        protocol["hash"],
        identity["task"]["version"],
        data["fingerprint"],
        split,
        data["label_policy"] or "",
    )


def uses_all_training_images(result: Mapping[str, Any]) -> bool:
    """Whether a run was trained with all training images: no fraction, no images per class, no draw.

    Args:
        result: as stored.
    """
    identity = result["identity"]
    return identity["protocol"]["label_fraction"] == 1 and not identity.get("training_part")


def names_of(settings: Iterable[RunSetting]) -> list[str]:
    """The names of settings for a message: with the hash only where the protocol's name is not enough.

    Args:
        settings: any.

    >>> one = RunSetting("medzoo", "finetune", "cbd464f9", "1", "data", "split", "")
    >>> names_of([one, RunSetting("probe", "linear", "00000000", "1", "data", "split", "")])
    ['medzoo', 'probe']
    """
    chosen = sorted(set(settings))
    protocols = {(one.protocol, one.protocol_hash) for one in chosen}
    several = [protocol for protocol, _ in protocols]
    return list(dict.fromkeys(one.name if several.count(one.protocol) > 1 else one.protocol for one in chosen))
