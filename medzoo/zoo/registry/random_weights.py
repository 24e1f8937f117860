"""Random weights of any architecture of timm, by the name `<architecture>-random`, where the registry has no file for it."""

from __future__ import annotations

from medzoo.zoo.registry.checkpoint import Checkpoint, Input, License

SUFFIX = "-random"


def architecture_hint(name: str) -> str:
    """A sentence for the name of an architecture in place of a checkpoint's, and a blank; empty for other names.

    Args:
        name: that is not a checkpoint.

    >>> architecture_hint("resnet34")
    'It is an architecture, not a checkpoint; resnet34-random has random weights. '
    """
    if "-" in name or random_checkpoint(f"{name}{SUFFIX}") is None:
        return ""
    return f"It is an architecture, not a checkpoint; {name}{SUFFIX} has random weights. "


def random_checkpoint(name: str) -> Checkpoint | None:
    """The facts about random weights; None if the name does not end in -random or timm has no such architecture.

    The input convention is timm's for the architecture.

    Args:
        name: of a checkpoint.

    >>> random_checkpoint("resnet34-random").input.size
    224
    >>> random_checkpoint("no_such_net-random") is None
    True
    """
    architecture = name.removesuffix(SUFFIX)
    if architecture == name:
        return None
    import timm  # here, since names of the registry need no torch

    if not timm.is_model(architecture):
        return None
    cfg = timm.get_pretrained_cfg(architecture)
    if cfg is None or cfg.input_size[0] not in (1, 3):
        return None
    shape = Input(
        cfg.input_size[1], tuple(cfg.mean), tuple(cfg.std), cfg.input_size[0], rule="unit",
        note="Random weights imply no statistics; those of timm's configuration are used.",
    )  # fmt: skip
    free = License(
        "Apache-2.0", redistributable=True, note="Nothing is distributed: the weights are drawn on your machine."
    )
    return Checkpoint(name, architecture, shape, free)
