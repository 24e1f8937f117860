"""Whether a probe on tokens reads the class token: a fact of the pre-training objective, never a choice by score.

The class token counts exactly if the loss of the pre-training was computed on it. Register tokens never count.

Source: the rule of https://arxiv.org/abs/2506.10178 (Psomas et al., "Attention, please!").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

LossOn = Literal["patches", "output"]

# Where the loss of each objective is computed. "output": on the pooled output of the network, whatever it pools.
LOSS_ON: Mapping[str, LossOn] = MappingProxyType(
    {
        # the pixels of masked patches are predicted; nothing trains the class token
        "gmml": "patches", "mae": "patches", "simmim": "patches",
        # of DINO, DINOv2 and SiT it is the class token as published, and the mean of patches for a network that pools so
        **dict.fromkeys(
            (
                "barlowtwins", "byol", "deepclusterv2", "dino", "dinov2", "infomin", "insdis", "lejepa", "mocov1", "mocov2",
                "mocov3", "pclv1", "pclv2", "pirl", "selav2", "simclr", "simclrv1", "simclrv2", "sit", "supervised", "swav",
                "vicreg",
            ),
            "output",
        ),
    }
)  # fmt: skip


def class_token_counts(lineage: Sequence[Mapping[str, Any]], *, output_is_class_token: bool) -> bool:
    """Whether the class token of a network belongs to the tokens of a probe.

    Args:
        lineage: the training steps of the weights, oldest first; the method of the last one decides. Random weights have none:
            nothing was trained on their class token, so it does not count. An unknown method counts as "output".
        output_is_class_token: whether the network's pooled output is its class token, and not a mean over patches.

    >>> class_token_counts([{"method": "mae"}], output_is_class_token=True)
    False
    >>> class_token_counts([{"method": "mae"}, {"method": "supervised"}], output_is_class_token=True)
    True
    >>> class_token_counts([], output_is_class_token=True)
    False
    """
    if not lineage:
        return False
    methods = [str(step["method"]) for step in lineage if step.get("method")]
    loss_on = LOSS_ON.get(methods[-1], "output") if methods else "output"
    return loss_on == "output" and output_is_class_token
