"""The names of trained checkpoints."""

from __future__ import annotations

import hashlib
import re

LONGEST_NAME = 96  # of a checkpoint


def slug(text: str) -> str:
    """A word for a checkpoint's name: small letters, digits and `_`.

    >>> slug("parquet:some/BUSI-224")
    'busi_224'
    """
    last = re.split(r"[/\\:]", text.rstrip("/\\"))[-1]
    return re.sub(r"[^a-z0-9]+", "_", last.lower()).strip("_") or "data"


def trained_name(base: str, methods: list[str], method: str, data: str) -> str:
    """The name of a trained checkpoint: the tokens of its base, the method if it is new, and the data.

    Args:
        base: name of the base checkpoint.
        methods: methods of its lineage, oldest first.
        method: of the new step; supervised adds no token.
        data: the new data set.

    >>> trained_name("resnet18-random", [], "simclr", "phantom_ct")
    'resnet18-simclr-phantom_ct'
    >>> trained_name("resnet18-simclr-phantom_ct", ["simclr"], "simclr", "oct")
    'resnet18-simclr-phantom_ct-oct'
    """
    tokens = [token for token in base.rstrip("/").split("/")[-1].split("-") if token != "random"]
    if method != "supervised" and (not methods or methods[-1] != method):
        tokens.append(method)
    name = "-".join([*tokens, slug(data)])
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]  # a long name is cut, and its hash makes it unique
    return f"{name[: LONGEST_NAME - 9]}_{digest}"
