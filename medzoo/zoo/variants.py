"""Architectures that timm does not have: timm's networks with changed attributes, and a plain U-Net's encoder.

Outside medzoo, `import medzoo.zoo.variants` first; then `timm.create_model("resnet18_cifar")` and folders with such an
architecture work as all others. A change that timm accepts as a keyword (num_heads, window_size) does not need a variant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from timm.layers import ClassifierHead, Conv2dSame, ConvNormAct, create_pool2d
from timm.models import build_model_with_cfg, generate_default_cfgs, is_model, register_model
from timm.models.densenet import DenseNet
from timm.models.inception_v3 import InceptionV3
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn
from torch.nn import functional

# register_model appends the names it registers
__all__ = [
    "DenseNetKeras",
    "InceptionV3Keras",
    "ResNetSame",
    "ResNetSamePool",
    "ResNetSmallImage",
    "ResNetV1",
    "UNetEncoder",
]

UNET_WIDTHS = (32, 64, 128, 256, 512)
KERAS_EPS = 1.001e-5  # https://github.com/keras-team/keras/blob/master/keras/src/applications/resnet.py

_RESNET = {
    "input_size": (3, 224, 224), "pool_size": (7, 7), "interpolation": "bilinear", "crop_pct": 0.875,
    "first_conv": "conv1", "classifier": "fc",
}  # fmt: skip
default_cfgs = generate_default_cfgs(
    {
        "resnet18_cifar.untrained": {**_RESNET, "input_size": (3, 32, 32), "pool_size": (4, 4), "crop_pct": 1.0},
        "resnet50_v1.untrained": _RESNET,
        "resnet50_same.untrained": _RESNET,
        "resnet50_samepool.untrained": _RESNET,
        "densenet121_keras.untrained": {**_RESNET, "first_conv": "features.conv0", "classifier": "classifier"},
        "inception_v3_keras.untrained": {
            **_RESNET, "input_size": (3, 299, 299), "pool_size": (8, 8), "first_conv": "Conv2d_1a_3x3.conv",
        },
        "unet_encoder.untrained": {
            **_RESNET, "pool_size": (14, 14), "crop_pct": 1.0, "first_conv": "stages.0.conv1.conv", "classifier": "head.fc",
        },
    }
)  # fmt: skip


class ResNetSmallImage(ResNet):
    """A ResNet whose stem keeps the image size: a 3x3 convolution of stride 1 and no max pool.

    Source: https://arxiv.org/abs/1512.03385, section 4.2 (CIFAR-10).
    """

    def __init__(self, *arguments: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **kwargs)
        old: nn.Conv2d = self.conv1  # type: ignore[has-type]
        self.conv1 = nn.Conv2d(
            old.in_channels, old.out_channels, 3, stride=1, padding=1, bias=False,
            device=old.weight.device, dtype=old.weight.dtype,
        )  # fmt: skip
        nn.init.kaiming_normal_(
            self.conv1.weight, mode="fan_out", nonlinearity="relu"
        )  # as timm initialises the others
        self.maxpool = nn.Identity()
        for stage in self.feature_info:
            stage["reduction"] = max(1, stage["reduction"] // (2 if stage["module"] == "act1" else 4))


class ResNetV1(ResNet):
    """A ResNet with the stride in the first 1x1 convolution of a stage, not in the 3x3, and Keras' BatchNorm eps.

    Source: https://arxiv.org/abs/1512.03385 and https://keras.io/api/applications/resnet; timm and torchvision build "v1.5".
    """

    def __init__(self, *arguments: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **kwargs)
        for stage in (self.layer2, self.layer3, self.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = stage[0].conv2.stride, stage[0].conv1.stride
        _set_eps(self, KERAS_EPS)


class ResNetSamePool(ResNet):
    """A ResNet whose max pool pads like TensorFlow's "SAME": for even sizes, one row and column only at the end.

    Source: https://github.com/google-research/simclr/blob/master/resnet.py (its convolutions pad like PyTorch's).
    """

    def __init__(self, *arguments: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **kwargs)
        self.maxpool = create_pool2d("max", 3, stride=2, padding="same")


class ResNetSame(ResNetSamePool):
    """A ResNet whose strided convolutions and max pool all pad like TensorFlow's "SAME".

    Source: https://github.com/google-deepmind/deepmind-research/blob/master/byol/utils/networks.py (Haiku's default).
    """

    def __init__(self, *arguments: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **kwargs)
        self.conv1 = _padded_same(self.conv1)  # type: ignore[has-type]
        for stage in (self.layer2, self.layer3, self.layer4):
            stage[0].conv2 = _padded_same(stage[0].conv2)


class DenseNetKeras(DenseNet):
    """A DenseNet with Keras' BatchNorm eps.

    Source: https://keras.io/api/applications/densenet
    """

    def __init__(self, *arguments: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **kwargs)
        _set_eps(self, KERAS_EPS)


class InceptionV3Keras(InceptionV3):
    """An Inception-v3 whose 3x3 average pools exclude the padding from the mean.

    Source: https://keras.io/api/applications/inceptionv3 (TensorFlow's average pool); timm's always divides by nine.
    """

    def __init__(self, *arguments: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **kwargs)
        for block in self.children():
            if isinstance(branch := getattr(block, "branch_pool", None), ConvNormAct):
                branch.__class__ = _AfterPool


class UNetEncoder(nn.Module):
    """The encoder of a plain U-Net: at each resolution two 3x3 convolutions with BatchNorm, then a max pool of 2.

    It has the interface of timm's networks. The original has twice the channels, and neither padding nor BatchNorm.

    Source: https://arxiv.org/abs/1505.04597
    """

    def __init__(
        self, in_chans: int = 3, num_classes: int = 1000, widths: tuple[int, ...] = UNET_WIDTHS, drop_rate: float = 0.0
    ) -> None:
        super().__init__()
        self.num_classes, self.num_features = num_classes, widths[-1]
        stages = []
        for level, (before, width) in enumerate(zip((in_chans, *widths), widths, strict=False)):
            stage = nn.Sequential()
            if level:
                stage.add_module("pool", nn.MaxPool2d(2))
            stage.add_module("conv1", ConvNormAct(before, width, 3))
            stage.add_module("conv2", ConvNormAct(width, width, 3))
            stages.append(stage)
        self.stages = nn.Sequential(*stages)
        self.feature_info = [
            {"num_chs": width, "reduction": 2**level, "module": f"stages.{level}"} for level, width in enumerate(widths)
        ]
        self.head = ClassifierHead(widths[-1], num_classes, drop_rate=drop_rate)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """The groups of layers."""
        return {"stem": r"^stages\.0", "blocks": r"^stages\.(\d+)"}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Not supported, and not needed for a small network."""
        if enable:
            raise NotImplementedError("UNetEncoder has no gradient checkpointing.")

    def get_classifier(self) -> nn.Module:
        """The last linear layer."""
        found: nn.Module = self.head.fc
        return found

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier.

        Args:
            num_classes: outputs; 0 for features.
            global_pool: kind of pooling; None keeps it.
        """
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """The coarsest feature map."""
        features: torch.Tensor = self.stages(x)
        return features

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """The pooled features or the outputs of the classifier."""
        out: torch.Tensor = self.head(x, pre_logits=pre_logits)
        return out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs of the classifier."""
        return self.forward_head(self.forward_features(x))


class _AfterPool(ConvNormAct):
    """The convolution after timm's average pool, which counts padding: it first divides by the share of image pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        share = functional.avg_pool2d(torch.ones_like(x[:1, :1]), kernel_size=3, stride=1, padding=1)
        after: torch.Tensor = super().forward(x / share)
        return after


def _set_eps(model: nn.Module, eps: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = eps


def _padded_same(old: nn.Conv2d) -> Conv2dSame:
    new = Conv2dSame(
        old.in_channels, old.out_channels, old.kernel_size, stride=old.stride, bias=False,
        device=old.weight.device, dtype=old.weight.dtype,
    )  # fmt: skip
    new.weight = old.weight
    return new


def resnet18_cifar(pretrained: bool = False, **kwargs: Any) -> nn.Module:  # noqa: ANN401
    """ResNet-18 for small images.

    >>> import timm
    >>> timm.create_model("resnet18_cifar", num_classes=0)(torch.zeros(1, 3, 28, 28)).shape
    torch.Size([1, 512])
    """
    return _resnet(ResNetSmallImage, "resnet18_cifar", pretrained, BasicBlock, (2, 2, 2, 2), kwargs)


def resnet50_v1(pretrained: bool = False, **kwargs: Any) -> nn.Module:  # noqa: ANN401
    """ResNet-50 as Keras builds it."""
    return _resnet(ResNetV1, "resnet50_v1", pretrained, Bottleneck, (3, 4, 6, 3), kwargs)


def resnet50_same(pretrained: bool = False, **kwargs: Any) -> nn.Module:  # noqa: ANN401
    """ResNet-50 with TensorFlow's padding in all strided layers (BYOL)."""
    return _resnet(ResNetSame, "resnet50_same", pretrained, Bottleneck, (3, 4, 6, 3), kwargs)


def resnet50_samepool(pretrained: bool = False, **kwargs: Any) -> nn.Module:  # noqa: ANN401
    """ResNet-50 with TensorFlow's padding in the max pool (SimCLR)."""
    return _resnet(ResNetSamePool, "resnet50_samepool", pretrained, Bottleneck, (3, 4, 6, 3), kwargs)


def densenet121_keras(pretrained: bool = False, **kwargs: Any) -> nn.Module:  # noqa: ANN401
    """DenseNet-121 as Keras builds it."""
    arguments = {"growth_rate": 32, "block_config": (6, 12, 24, 16), "feature_cfg": {"flatten_sequential": True}}
    return build_model_with_cfg(DenseNetKeras, "densenet121_keras", pretrained, **arguments, **kwargs)


def inception_v3_keras(pretrained: bool = False, **kwargs: Any) -> nn.Module:  # noqa: ANN401
    """Inception-v3 as Keras builds it."""
    return build_model_with_cfg(InceptionV3Keras, "inception_v3_keras", pretrained, **kwargs)


def unet_encoder(pretrained: bool = False, **kwargs: Any) -> nn.Module:  # noqa: ANN401
    """The encoder of a plain U-Net.

    >>> import timm
    >>> [maps.shape[-1] for maps in timm.create_model("unet_encoder", features_only=True)(torch.zeros(1, 3, 32, 32))]
    [32, 16, 8, 4, 2]
    """
    return build_model_with_cfg(
        UNetEncoder, "unet_encoder", pretrained, feature_cfg={"flatten_sequential": True}, **kwargs
    )


def _resnet(
    cls: type[ResNet],
    name: str,
    pretrained: bool,
    block: type[nn.Module],
    layers: tuple[int, ...],
    kwargs: dict[str, Any],
) -> nn.Module:
    return build_model_with_cfg(cls, name, pretrained, **{"block": block, "layers": layers, **kwargs})


VARIANTS: tuple[Callable[..., nn.Module], ...] = (
    resnet18_cifar, resnet50_v1, resnet50_same, resnet50_samepool, densenet121_keras, inception_v3_keras, unet_encoder,
)  # fmt: skip


for _variant in VARIANTS:
    if not is_model(_variant.__name__):  # do not register twice when the module is reloaded
        register_model(_variant)
