"""Load a checkpoint by name into a plain timm network, and prove that it loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from medzoo.errors import UsageError
from medzoo.zoo.loading.request import LoadRequest
from medzoo.zoo.registry.checkpoint import Input

if TYPE_CHECKING:
    import torch
    from torch import nn


def load(
    name: str,
    *,
    num_classes: int | Literal["pretrained"] = 0,
    fresh_head: bool = False,
    in_chans: int | None = None,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    revision: str | None = None,
    dtype: torch.dtype | str | None = None,
    device: str | torch.device | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
    accept_license: bool = False,
    verify: Literal["receipt", "always"] = "receipt",
    hub: str | os.PathLike[str] | None = None,
    **timm_kwargs: Any,  # noqa: ANN401
) -> nn.Module:
    """A checkpoint as a plain timm model, in eval mode, with `model.load_receipt` saying what was loaded.

    Args:
        name: a registry name or alias, hf-hub:org/name@revision, org/name, local-dir:path, a folder or a run folder.
        num_classes: 0 for pooled features (N, features); "pretrained" for the stored head; a number for a fresh head,
            drawn from torch's generator, also where the stored head has as many outputs. A UserWarning says that a stored head
            was left out for a fresh one; the receipt lists the tensors that were dropped and drawn.
        fresh_head: say that a fresh head is meant, so that nothing is warned of.
        in_chans: channels of the input; None as stored. Another number sums or repeats the stem as timm does; the receipt
            says so where that is another function (the sum for a grey image is the same one if all channels share mean and std).
        features_only: feature maps of several depths instead, as timm gives them.
        out_indices: which depths, counted from 0.
        revision: commit, tag or branch on the Hub. None is the commit that the registry pins; for a repository without a pin
            it is the commit at its head when this machine first asked: printed, noted in the cache and in the receipt, and
            taken from then on, whatever the head is later. A branch that you name ("main") is looked up each time. Weights
            that are converted from their authors' repository keep to their first commit in the same way, and a file that is
            another one at the same address is refused.
        dtype: of the parameters, as torch's or by its name ("float16"); float32 by default.
        device: where the model goes; the CPU by default.
        cache_dir: instead of MEDZOO_HOME and the Hugging Face cache.
        local_files_only: contact nothing.
        token: of the Hub.
        accept_license: accept non-commercial or contested terms.
        verify: "always" hashes the weights again; "receipt" only if size, time or inode of the file changed.
        hub: directory that plays the Hub; by default MEDZOO_HUB.
        timm_kwargs: keywords of the architecture (img_size, drop_path_rate, ...).

    Raises:
        UsageError: for an argument that makes no sense, or a weights file.
        UnknownNameError: if the name means nothing.
        WeightsUnavailableError: if the weights are not here and cannot be fetched now.
        LicenseError: if terms have to be accepted first.
        IntegrityError: if a file is not what it claims to be.
        WeightsMismatchError: if names or shapes differ from the architecture's.

    >>> import torch
    >>> load("resnet18-random")(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 512])
    """
    from medzoo import store
    from medzoo.zoo.download.fetch import locate
    from medzoo.zoo.download.fetch import verify as verify_folder
    from medzoo.zoo.loading import assemble
    from medzoo.zoo.registry.locations import WEIGHTS

    if verify not in ("receipt", "always"):
        raise UsageError(f"verify is {verify!r}; choose 'receipt' or 'always'.")
    kind = _dtype(dtype)
    want = LoadRequest(num_classes, in_chans, features_only, _indices(out_indices), timm_kwargs, bool(fresh_head))
    want.check()
    found = locate(
        name, hub=hub, revision=revision, token=token, local_files_only=local_files_only,
        accept_license=accept_license, cache_dir=cache_dir,
    )  # fmt: skip
    if found.folder is None:
        assert found.checkpoint is not None
        model = assemble.draw(found.checkpoint, want)
    else:
        hashed = store.fingerprint(weights) if (weights := found.folder / WEIGHTS).is_file() else {}
        config = verify_folder(found, always=verify == "always")
        model = assemble.assemble(found, config, want, hashed)
    if kind is not None:
        model = model.to(dtype=kind)
    return model.to(device=device) if device is not None else model


def _dtype(dtype: object) -> torch.dtype | None:
    import torch

    if dtype is None:
        return None
    kind = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if not isinstance(kind, torch.dtype) or not kind.is_floating_point:
        raise UsageError(f"dtype is {dtype!r}; give a floating type of torch, for example 'float16' or torch.bfloat16.")
    return kind


def _indices(given: object) -> tuple[int, ...] | None:
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise UsageError(f"out_indices is {given!r}; give the numbers of the depths, for example (1, 4).")
    return tuple(given)


def describe(name: str | os.PathLike[str], *, hub: str | os.PathLike[str] | None = None) -> Input:
    """The input convention of a checkpoint, without its weights (for a registry name) or with only its config.json read.

    Args:
        name: as for `load`.
        hub: directory that plays the Hub; by default MEDZOO_HUB.

    Raises:
        UnknownNameError: if the name means nothing.
        WeightsUnavailableError: if its folder is not here.

    >>> describe("resnet50-radimagenet").mean
    (0.5, 0.5, 0.5)
    """
    from medzoo.zoo.registry.hints import text_of
    from medzoo.zoo.registry.registry import info, is_known

    text = text_of(name)
    if is_known(text):
        return info(text).input
    from medzoo.zoo.download.fetch import locate
    from medzoo.zoo.folder.config import read_config

    found = locate(text, hub=hub)
    assert found.folder is not None
    return read_config(found.folder).input
