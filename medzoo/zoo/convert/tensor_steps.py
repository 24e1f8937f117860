"""What formats do to tensors after their keys were renamed; each step is exact in eval mode."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    State = dict[str, Tensor]

CONV_AND_NORM = re.compile(r"(?P<stem>.*?)(conv(?P<number>\d+)|downsample\.0)\.bias")


def kernels_last_axis_out(state: State) -> State:
    """Convolutions from (H, W, in, out) and dense layers from (in, out), as TensorFlow and Haiku store them, to PyTorch's."""
    order = {4: (3, 2, 0, 1), 2: (1, 0)}
    return {
        name: tensor.permute(order[tensor.ndim]).contiguous() if tensor.ndim in order else tensor
        for name, tensor in state.items()
    }


def flat_norms(state: State) -> State:
    """BatchNorm's numbers from (1, 1, 1, C), as Haiku stores them, to (C)."""
    norms = {name.rpartition(".")[0] for name in state if name.endswith(".running_mean")}
    return {name: tensor.reshape(-1) if name.rpartition(".")[0] in norms else tensor for name, tensor in state.items()}


def ones_for_absent_scales(state: State) -> State:
    """A weight of ones for every BatchNorm without one: Keras leaves it out where `scale=False`."""
    import torch

    norms = [name.removesuffix(".running_mean") for name in state if name.endswith(".running_mean")]
    absent = {f"{norm}.weight": state[f"{norm}.running_mean"] for norm in norms if f"{norm}.weight" not in state}
    return state | {name: torch.ones_like(mean) for name, mean in absent.items()}


def fold_conv_biases(state: State) -> State:
    """The biases of a ResNet's convolutions, which timm's do not have, into the mean of the BatchNorm behind each.

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
    """Three layers `attn.q`, `attn.k`, `attn.v` into timm's one, in this order."""
    import torch

    joined = dict(state)
    for name in state:
        if match := re.fullmatch(r"(.*\.attn)\.q\.(weight|bias)", name):
            parts = [joined.pop(f"{match[1]}.{letter}.{match[2]}", None) for letter in "qkv"]
            if all(
                part is not None for part in parts
            ):  # otherwise the comparison with the network says what is missing
                joined[f"{match[1]}.qkv.{match[2]}"] = torch.cat(parts)  # type: ignore[arg-type]
    return joined


def register_positions(state: State) -> State:
    """Registers have no position in timm: the class token's is added to it, and the patches' remain."""
    places = state["pos_embed"]
    return state | {"cls_token": state["cls_token"] + places[:, :1], "pos_embed": places[:, 1:].contiguous()}


def swin_window(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Window and image size that fit the bias table: 121 rows are a window of 6 at 192 px, 169 one of 7 at 224 px.

    Source: https://github.com/microsoft/SimMIM/tree/main/configs
    """
    rows = {tensor.shape[0] for name, tensor in state.items() if name.endswith("relative_position_bias_table")}
    known = {121: {"img_size": 192, "window_size": 6}, 169: {"img_size": 224, "window_size": 7}}
    return known.get(rows.pop(), {}) if len(rows) == 1 else {}
