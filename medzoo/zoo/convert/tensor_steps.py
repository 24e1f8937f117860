"""Steps that formats apply to tensors after the renaming; each step is exact in eval mode."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    State = dict[str, Tensor]

CONV_AND_NORM = re.compile(r"(?P<stem>.*?)(conv(?P<number>\d+)|downsample\.0)\.bias")


def kernels_last_axis_out(state: State) -> State:
    """Convert convolutions (H, W, in, out) and dense layers (in, out) of TensorFlow and Haiku to PyTorch's order."""
    order = {4: (3, 2, 0, 1), 2: (1, 0)}
    return {
        name: tensor.permute(order[tensor.ndim]).contiguous() if tensor.ndim in order else tensor
        for name, tensor in state.items()
    }


def flat_norms(state: State) -> State:
    """Reshape BatchNorm's numbers from Haiku's (1, 1, 1, C) to (C)."""
    norms = {name.rpartition(".")[0] for name in state if name.endswith(".running_mean")}
    return {name: tensor.reshape(-1) if name.rpartition(".")[0] in norms else tensor for name, tensor in state.items()}


def ones_for_absent_scales(state: State) -> State:
    """Add a weight of ones to every BatchNorm without one: Keras stores none with `scale=False`."""
    import torch

    norms = [name.removesuffix(".running_mean") for name in state if name.endswith(".running_mean")]
    absent = {f"{norm}.weight": state[f"{norm}.running_mean"] for norm in norms if f"{norm}.weight" not in state}
    return state | {name: torch.ones_like(mean) for name, mean in absent.items()}


def fold_conv_biases(state: State) -> State:
    """Subtract the biases of a ResNet's convolutions, which timm's lack, from the mean of the BatchNorm after each.

    (x + b - mean) is (x - (mean - b)): exact with running statistics; in training the batch's mean absorbs b anyway.
    """
    folded = dict(state)
    for name, bias in state.items():
        if match := CONV_AND_NORM.fullmatch(name):
            norm = f"bn{match['number']}" if match["number"] else "downsample.1"
            mean = f"{match['stem']}{norm}.running_mean"
            folded[mean] = folded[mean] - bias
            del folded[name]
    return folded


def join_query_key_value(state: State) -> State:
    """Join the three layers `attn.q`, `attn.k`, `attn.v` into timm's one, in this order."""
    import torch

    joined = dict(state)
    for name in state:
        if match := re.fullmatch(r"(.*\.attn)\.q\.(weight|bias)", name):
            parts = [joined.pop(f"{match[1]}.{letter}.{match[2]}", None) for letter in "qkv"]
            # if a part is missing, the comparison with the network reports it
            if all(part is not None for part in parts):
                joined[f"{match[1]}.qkv.{match[2]}"] = torch.cat(parts)  # type: ignore[arg-type]
    return joined


def register_positions(state: State) -> State:
    """Add the class token's position to the token and keep only the patches' positions: timm's registers have no position."""
    positions = state["pos_embed"]
    return state | {"cls_token": state["cls_token"] + positions[:, :1], "pos_embed": positions[:, 1:].contiguous()}


def swin_window(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Window and image size for the bias table: 121 rows mean a window of 6 at 192 px, 169 a window of 7 at 224 px.

    Source: https://github.com/microsoft/SimMIM/tree/main/configs
    """
    rows = {tensor.shape[0] for name, tensor in state.items() if name.endswith("relative_position_bias_table")}
    known = {121: {"img_size": 192, "window_size": 6}, 169: {"img_size": 224, "window_size": 7}}
    return known.get(rows.pop(), {}) if len(rows) == 1 else {}
