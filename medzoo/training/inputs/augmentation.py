"""The random changes of training images that a protocol names."""

from __future__ import annotations

from dataclasses import fields

from medzoo.data.transforms.augmentation_law import Augmentation
from medzoo.training.options.protocol_options import Protocol


def augmentation_of(protocol: Protocol) -> Augmentation:
    """The augmentation of a protocol: every option that both have has the same name.

    Args:
        protocol: resolved.

    >>> augmentation_of(Protocol("mine", "finetune", flip=0.5, shift=0.1)).shift
    0.1
    """
    names = {one.name for one in fields(Augmentation)} & {one.name for one in fields(Protocol)}
    return Augmentation(**{name: getattr(protocol, name) for name in names})
