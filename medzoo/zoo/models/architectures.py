"""Compute facts about architectures and write them to architectures.json: `python -m medzoo.zoo.models.architectures`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "registry" / "architectures.json"


def compute(architecture: str) -> dict[str, Any]:
    """Parameters (without a classifier), feature width, usual input size, and the names of stem and classifier.

    Args:
        architecture: timm's name, or a variant's.

    >>> compute("resnet18")["features"]
    512
    """
    import timm
    import torch

    import medzoo.zoo.variants

    with torch.device("meta"):
        model = timm.create_model(architecture, num_classes=0)
    config = model.pretrained_cfg
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "features": int(model.num_features),
        "size": int(config["input_size"][-1]),
        "fixed_size": bool(config.get("fixed_input_size", False)),
        "first_conv": config["first_conv"],
        "classifier": config["classifier"],
        "variant": timm.models.model_entrypoint(architecture).__module__ == medzoo.zoo.variants.__name__,
    }


def compute_all() -> dict[str, dict[str, Any]]:
    """The facts about every architecture that a checkpoint names."""
    from medzoo.zoo.registry.registry import info, names

    return {
        architecture: compute(architecture) for architecture in sorted({info(name).architecture for name in names()})
    }


if __name__ == "__main__":
    from medzoo import store

    store.write_json(FILE, compute_all())
    print(FILE)
