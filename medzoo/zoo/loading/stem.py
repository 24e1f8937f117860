"""The first convolution for another number of input channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from medzoo.errors import UsageError
from medzoo.zoo.folder.config import FolderConfig

if TYPE_CHECKING:
    import torch


def adapt_stem(config: FolderConfig, state: Mapping[str, torch.Tensor], channels: int) -> dict[str, torch.Tensor]:
    """The tensors with the stem for another number of channels, as timm turns it.

    Raises:
        UsageError: if timm cannot.
    """
    import inspect

    from timm.models import adapt_input_conv

    base = {"base_chans": config.in_chans} if "base_chans" in inspect.signature(adapt_input_conv).parameters else {}
    first = config.pretrained_cfg.get("first_conv")
    names = [first] if isinstance(first, str) else list(first or ())
    if not names:
        raise UsageError(f"{config.architecture} names no first convolution; in_chans stays {config.in_chans}.")
    adapted = dict(state)
    for name in names:
        try:
            adapted[f"{name}.weight"] = adapt_input_conv(channels, state[f"{name}.weight"], **base)
        except (NotImplementedError, AssertionError, KeyError, ValueError) as error:
            raise UsageError(f"The stem of {config.name} cannot be turned into {channels} channels: {error}") from error
    return adapted
