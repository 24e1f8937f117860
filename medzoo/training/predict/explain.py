"""Heat maps of a network: Grad-CAM for networks with a feature map, attention rollout for plain vision transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn

from medzoo.errors import UsageError

Method = Literal["gradcam", "attention"]
METHODS: tuple[Method, ...] = ("gradcam", "attention")
Choose = Callable[[torch.Tensor], list[int]]


def check_method(model: nn.Module, method: str, size: int, channels: int) -> None:
    """Refuse a method that does not fit the network, before an image is read.

    Args:
        model: in eval mode.
        method: "gradcam" or "attention".
        size: side of the input, pixels.
        channels: of the input.

    Raises:
        UsageError: names the method to use.
    """
    if method not in METHODS:
        raise UsageError(f"explain is {method!r}. Choose {' or '.join(METHODS)}.", code="explain-unknown")
    if method == "attention":
        _attention_blocks(model)
        return
    parameter = next(model.parameters())
    with torch.no_grad():
        batch = torch.zeros(1, channels, size, size, device=parameter.device, dtype=parameter.dtype)
        maps = _maps(model, model.forward_features(batch))  # type: ignore[operator]
    if min(maps.shape[-2:]) < 2:
        raise UsageError(
            f"The last feature map of this network has {maps.shape[-1]} x {maps.shape[-2]} places at {size} pixels, so a heat map "
            "shows nothing. Fine-tune at a larger --size.",
            code="feature-map-too-small",
        )


def grad_cam(model: nn.Module, batch: torch.Tensor, choose: Choose) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, K), and the Grad-CAM (N, h, w) of one output for each image, in [0, 1].

    The last feature map is weighted by the mean gradient of the output, and negative sums are set to 0.

    Args:
        model: a timm model in eval mode.
        batch: (N, C, H, W) normalised images.
        choose: logits (N, K) → for each image, the output to explain.

    Source: https://arxiv.org/abs/1610.02391, equations 1 and 2.
    """
    with torch.no_grad():
        features = model.forward_features(batch)  # type: ignore[operator]
    with torch.enable_grad():
        leaf = features.detach().requires_grad_(True)
        logits = model.forward_head(leaf * 1)  # type: ignore[operator] # a copy: a head may compute in place
        chosen = torch.tensor(choose(logits.detach()), device=logits.device)
        (gradient,) = torch.autograd.grad(logits.gather(1, chosen[:, None]).sum(), leaf)
    maps, slopes = (_maps(model, value.detach()).float() for value in (leaf, gradient))
    heat = (maps * slopes.mean((2, 3), keepdim=True)).sum(1).relu()
    return logits.detach(), _to_one(heat)


def attention_rollout(model: nn.Module, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, K), and the attention rollout (N, h, w) of a plain ViT, in [0, 1]; it is the same for all outputs.

    The attention of each block, averaged over its heads and with one half of the identity, is multiplied from the first block
    to the last. The result is the row of the class token, or the mean of the patches where the network averages them.

    Args:
        model: a timm VisionTransformer in eval mode.
        batch: (N, C, H, W) normalised images.

    Source: https://arxiv.org/abs/2005.00928, section 3.
    """
    net: Any = model
    total: list[torch.Tensor] = []

    def note(attention: Any, inputs: tuple[torch.Tensor, ...]) -> None:  # noqa: ANN401 - timm's Attention
        weights = _weights(attention, inputs[0]).mean(1)
        step = (weights + torch.eye(weights.shape[-1], device=weights.device)) / 2
        total[:] = [step @ total[0] if total else step]

    with _hooks([block.register_forward_pre_hook(note) for block in _attention_blocks(model)]), torch.no_grad():
        logits = model(batch)
    prefix = int(net.num_prefix_tokens)
    rows = total[0][:, 0] if net.global_pool == "token" else total[0][:, prefix:].mean(1)
    heat = rows[:, prefix:].reshape(len(batch), *net.patch_embed.grid_size)
    return logits, _to_one(heat - heat.amin((1, 2), keepdim=True))


@contextmanager
def _hooks(handles: list[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _to_one(heat: torch.Tensor) -> torch.Tensor:
    return (heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-12)).float().cpu()


def _maps(model: Any, features: Any) -> torch.Tensor:  # noqa: ANN401
    """Features as maps (N, C, H, W).

    Raises:
        UsageError: for tokens.
    """
    width = int(getattr(model, "num_features", 0))
    if isinstance(features, torch.Tensor) and features.ndim == 4:
        if features.shape[1] == width:
            return features
        if features.shape[3] == width:  # Swin has its channels last
            return features.permute(0, 3, 1, 2)
    raise UsageError(
        f"Grad-CAM needs a last feature map, and {type(model).__name__} has none. For a vision transformer, use attention "
        "(--explain attention).",
        code="gradcam-unsupported",
    )


def _attention_blocks(model: Any) -> list[nn.Module]:  # noqa: ANN401
    """The attention of each block of a plain ViT.

    Raises:
        UsageError: for any other network.
    """
    from timm.layers import Attention
    from timm.models.vision_transformer import VisionTransformer

    blocks: list[Any] = [getattr(block, "attn", None) for block in getattr(model, "blocks", ())]
    plain = isinstance(model, VisionTransformer) and blocks and all(type(block) is Attention for block in blocks)
    pooled = plain and (model.global_pool == "avg" or (model.global_pool == "token" and model.num_prefix_tokens))
    if not pooled:
        raise UsageError(
            f"Attention rollout is for plain vision transformers with a class token or average pooling, not for "
            f"{type(model).__name__}. For a network with feature maps, use gradcam (--explain gradcam).",
            code="attention-unsupported",
        )
    return blocks


def _weights(attention: Any, tokens: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - timm's Attention
    """The attention (N, heads, T, T) that a block computes; fused kernels do not return it."""
    count, length, _ = tokens.shape
    qkv = attention.qkv(tokens).reshape(count, length, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    query, key = attention.q_norm(qkv[0]), attention.k_norm(qkv[1])
    return ((query * attention.scale) @ key.transpose(-2, -1)).float().softmax(-1)
