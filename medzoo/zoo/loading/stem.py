"""Adapt the first convolution to another number of input channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from medzoo.errors import UsageError
from medzoo.zoo.folder.config import FolderConfig

if TYPE_CHECKING:
    import torch


def adapt_stem(config: FolderConfig, state: Mapping[str, torch.Tensor], channels: int) -> dict[str, torch.Tensor]:
    """The tensors, with the stem adapted by timm to another number of channels.

    Raises:
        UsageError: if timm cannot adapt it.
    """
    import inspect

    from timm.models import adapt_input_conv

    base = {"base_chans": config.in_chans} if "base_chans" in inspect.signature(adapt_input_conv).parameters else {}
    first = config.pretrained_cfg.get("first_conv")
    names = [first] if isinstance(first, str) else list(first or ())
    if not names:
        raise UsageError(
            f"timm's configuration of {config.architecture} has no first_conv: in_chans can only be {config.in_chans}.",
            code="stem-unknown",
        )
    adapted = dict(state)
    for name in names:
        try:
            adapted[f"{name}.weight"] = adapt_input_conv(channels, state[f"{name}.weight"], **base)
        except (NotImplementedError, AssertionError, KeyError, ValueError) as error:
            raise UsageError(
                f"timm cannot adapt the stem of {config.name} to {channels} channels: {error}",
                code="stem-not-adaptable",
            ) from error
    return adapted
