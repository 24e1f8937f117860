"""Load a checkpoint by name into a plain timm network, and check that every tensor was loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medzoo import store
from medzoo.errors import IntegrityError, UsageError
from medzoo.zoo.download.fetch import locate
from medzoo.zoo.folder.config import read_config
from medzoo.zoo.folder.read_write import verify_folder
from medzoo.zoo.loading import assemble, devices
from medzoo.zoo.loading.request import LoadRequest
from medzoo.zoo.models.build import names_under
from medzoo.zoo.models.weights import read_header
from medzoo.zoo.registry.checkpoint import Input
from medzoo.zoo.registry.locations import WEIGHTS
from medzoo.zoo.registry.registry import info, is_known, text_of

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
    """Load a checkpoint as a plain timm model in eval mode; `model.load_receipt` records what was loaded.

    Args:
        name: a registry name or alias, hf-hub:org/name@revision, org/name, local-dir:path, a folder or a run folder.
        num_classes: 0 for pooled features (N, features); "pretrained" for the stored head; a number for a fresh head from
            torch's generator, even if the stored head has as many outputs. A UserWarning reports that a fresh head replaces
            the stored one; the receipt lists the tensors that were dropped and initialised.
        fresh_head: True confirms the fresh head, so that there is no warning.
        in_chans: channels of the input; None for the stored number. For another number, timm sums or repeats the stem. The
            receipt notes if this changes the function. (For grey images, the sum is the same function if all channels share
            mean and std.)
        features_only: return feature maps of several depths, as timm does.
        out_indices: the depths, counted from 0.
        revision: commit, tag or branch on the Hub. None is the commit that the registry pins. For a repository without a pin,
            None is its newest commit at the first load on this machine: it is printed, noted in the cache and in the receipt,
            and used from then on. A branch that you name ("main") is looked up each time. Weights that are converted from
            their authors' repository also stay at their first commit, and a file that has changed at the same address is
            refused.
        dtype: of the parameters: a torch dtype or its name ("float16"); float32 by default.
        device: for the model; the CPU by default. For a CUDA device, the free memory is compared with the weights before they
            are read.
        cache_dir: instead of MEDZOO_HOME and the Hugging Face cache.
        local_files_only: make no connection.
        token: of the Hub.
        accept_license: accept non-commercial or contested terms.
        verify: "always" hashes the weights again; "receipt" only if size, time or inode of the file changed.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.
        timm_kwargs: keywords of the architecture (img_size, drop_path_rate, ...).

    Raises:
        UsageError: for an invalid argument, a device that this machine lacks, or a weights file as the name.
        DeviceMemoryError: if the weights are larger than the free memory of the device.
        UnknownNameError: for an unknown name.
        WeightsUnavailableError: if the weights are not on this machine and cannot be fetched now.
        LicenseError: if terms must be accepted first.
        IntegrityError: if a file is damaged or changed.
        WeightsMismatchError: if names or shapes differ from the architecture's.

    >>> import torch
    >>> load("resnet18-random")(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 512])
    """

    # check all arguments before a slow step
    if verify not in ("receipt", "always"):
        raise UsageError(f"verify is {verify!r}. Give 'receipt' or 'always'.", code="verify-unknown")
    parameter_dtype, place = _dtype(dtype), devices.existing_device(device)
    request = LoadRequest(num_classes, in_chans, features_only, _indices(out_indices), timm_kwargs, bool(fresh_head))
    request.check()
    # find or fetch the folder; random weights have none
    located = locate(
        name,
        hub=hub,
        revision=revision,
        token=token,
        local_files_only=local_files_only,
        accept_license=accept_license,
        cache_dir=cache_dir,
    )
    if located.folder is None:
        assert located.checkpoint is not None
        model = assemble.draw(located.checkpoint, request)
    else:
        if place is not None:
            _check_room(located.folder, request, place, parameter_dtype)
        # the fingerprint from before the hash shows if the file changes before it is read
        hashed = store.fingerprint(weights) if (weights := located.folder / WEIGHTS).is_file() else {}
        config = verify_folder(located, always=verify == "always")
        model = assemble.assemble(located, config, request, hashed, parameter_dtype)
    receipt: Any = model.load_receipt
    if place is not None:
        devices.check_memory(devices.loaded_bytes(model, parameter_dtype), place, receipt.name, parameter_dtype)
    if parameter_dtype is not None:
        model = model.to(dtype=parameter_dtype)
    model.load_receipt = replace(receipt, weight_bytes=devices.loaded_bytes(model))
    return model.to(device=place) if place is not None else model


def _check_room(folder: Path, request: LoadRequest, place: torch.device, dtype: torch.dtype | None) -> None:
    """Compare the sizes in a file's header with the free memory of a device; a damaged file is reported when it is verified."""
    if place.type == "cpu" or request.features_only or request.timm_kwargs:  # these change what is loaded
        return
    try:
        config = read_config(folder)
        entries = read_header(config.weights)
    except IntegrityError:
        return
    heads = config.pretrained_cfg.get("classifier") if request.num_classes != "pretrained" else None
    absent = names_under(set(entries), heads)
    devices.check_memory(devices.stored_bytes(entries, dtype, absent), place, config.name, dtype)


def _dtype(dtype: object) -> torch.dtype | None:
    import torch

    if dtype is None:
        return None
    found = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise UsageError(
            f"dtype is {dtype!r}. Give a floating-point type of torch, for example 'float16' or torch.bfloat16.",
            code="dtype-invalid",
        )
    return found


def _indices(given: object) -> tuple[int, ...] | None:
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise UsageError(
            f"out_indices is {given!r}. Give the numbers of the depths, for example (1, 4).", code="out-indices-invalid"
        )
    return tuple(given)


def describe(name: str | os.PathLike[str], *, hub: str | os.PathLike[str] | None = None) -> Input:
    """The input convention of a checkpoint. It reads no weights: only the registry, or config.json of a folder.

    Args:
        name: as for `load`.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.

    Raises:
        UnknownNameError: for an unknown name.
        WeightsUnavailableError: if its folder is not on this machine and cannot be fetched now.

    >>> describe("resnet50-radimagenet").mean
    (0.5, 0.5, 0.5)
    """
    return describe_with_window(name, hub=hub)[0]


def describe_with_window(
    name: str | os.PathLike[str], *, hub: str | os.PathLike[str] | None = None
) -> tuple[Input, str | None]:
    """As `describe`, and the range to which the images of a checkpoint's fine-tuning were clipped, or None.

    Args:
        name: as for `load`.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.

    >>> describe_with_window("resnet50-radimagenet")[1] is None
    True
    """
    text = text_of(name)
    if is_known(text):
        return info(text).input, None
    located = locate(text, hub=hub)
    assert located.folder is not None
    config = read_config(located.folder)
    return config.input, config.window
