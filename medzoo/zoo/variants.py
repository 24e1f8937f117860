"""Networks that timm lacks, made from timm's by editing attributes and registered with timm.

Outside medzoo, `import medzoo.zoo.variants` comes first; then `timm.create_model("resnet18_cifar")` and folders that name
such an architecture work as any other.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, is_model, register_model
from timm.models.resnet import BasicBlock, ResNet
from torch import nn

__all__ = ["ResNetSmallImage"]  # register_model appends the names it registers

default_cfgs = generate_default_cfgs(
    {
        "resnet18_cifar.untrained": {
            "input_size": (3, 32, 32), "pool_size": (4, 4), "interpolation": "bilinear", "crop_pct": 1.0,
            "first_conv": "conv1", "classifier": "fc",
        },
    }
)  # fmt: skip


class ResNetSmallImage(ResNet):
    """A ResNet whose stem keeps the size of the image: a 3x3 convolution of stride 1, and no max pool.

    Source: https://arxiv.org/abs/1512.03385, section 4.2 (CIFAR-10).
    """

    def __init__(self, *arguments: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **kwargs)
        old: nn.Conv2d = self.conv1  # type: ignore[has-type]
        self.conv1 = nn.Conv2d(
            old.in_channels, old.out_channels, 3, stride=1, padding=1, bias=False,
            device=old.weight.device, dtype=old.weight.dtype,
        )  # fmt: skip
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")  # as timm draws the others
        self.maxpool = nn.Identity()
        for stage in self.feature_info:
            stage["reduction"] = max(1, stage["reduction"] // (2 if stage["module"] == "act1" else 4))


def resnet18_cifar(pretrained: bool = False, **kwargs: Any) -> torch.nn.Module:  # noqa: ANN401
    """ResNet-18 for small images.

    >>> import timm
    >>> timm.create_model("resnet18_cifar", num_classes=0)(torch.zeros(1, 3, 28, 28)).shape
    torch.Size([1, 512])
    """
    arguments = {"block": BasicBlock, "layers": (2, 2, 2, 2), **kwargs}
    return build_model_with_cfg(ResNetSmallImage, "resnet18_cifar", pretrained, **arguments)


if not is_model("resnet18_cifar"):  # a reloaded module does not register twice
    register_model(resnet18_cifar)
