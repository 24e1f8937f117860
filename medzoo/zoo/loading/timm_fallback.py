"""Load through timm for feature maps, other image sizes and other keywords; then check that every tensor was loaded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.errors import WeightsMismatchError, listed
from medzoo.zoo.folder.config import FolderConfig
from medzoo.zoo.loading.stem import adapt_stem
from medzoo.zoo.models import build

if TYPE_CHECKING:
    import torch
    from torch import nn

    from medzoo.zoo.loading.request import LoadRequest


def through_timm(
    config: FolderConfig, state: Mapping[str, torch.Tensor], request: LoadRequest, classes: int, channels: int
) -> tuple[nn.Module, list[str], list[str], list[str]]:
    """Let timm build the network and load the (already checked) file.

    Args:
        config: the folder's configuration.
        state: its tensors, to compare with.
        request: the arguments of `load`.
        classes: outputs of the head; 0 for none.
        channels: of the input.

    Returns:
        The model, the names of unused tensors of the file, the names of freshly initialised tensors, and notes.

    Raises:
        UsageError: if timm refuses a keyword.
        WeightsMismatchError: if a tensor outside the head did not come from the file.
    """
    import inspect

    import timm
    import torch
    from timm.models import build_model_with_cfg

    # the configuration has in_chans and num_classes of the file, the keywords those of the network
    cfg = {**config.pretrained_cfg, "architecture": config.architecture, "custom_load": False}
    cfg["input_size"] = (config.in_chans, *config.pretrained_cfg["input_size"][1:])
    arguments: dict[str, Any] = {**config.model_args, **request.keywords(), "in_chans": channels}
    if not request.features_only:
        arguments["num_classes"] = classes
    newer = "pretrained_model_args" in inspect.signature(build_model_with_cfg).parameters  # only newer timm has it
    source = {"pretrained_model_args": dict(config.model_args)} if newer and config.model_args else {}
    before = torch.random.get_rng_state()
    try:
        with _utf8_path(config.weights) as weights:
            model: nn.Module = timm.create_model(
                config.architecture, pretrained=True, pretrained_cfg={**cfg, "file": weights}, **arguments, **source
            )
    except build.REFUSALS as error:
        raise build.refused(config.name, arguments, error) from error
    expected = adapt_stem(config, state, channels) if channels != config.in_chans else state
    loaded = _LoadedTensors(model, expected, config)
    # a number of classes means a fresh head, even if the stored head has as many outputs
    heads, head = config.pretrained_cfg.get("classifier"), build.head_of(config.pretrained_cfg)
    keep_head = not request.features_only and classes == config.num_classes and request.num_classes == "pretrained"
    fresh_head = not request.features_only and not keep_head
    removed: list[str] = []
    new: list[str] = []
    if fresh_head and classes and classes == config.num_classes:
        removed, new = build.another_head(model, classes, config.pretrained_cfg, config.name)
        loaded = _LoadedTensors(model, expected, config)
    initialised = {
        *new,
        *build.names_under(set(model.state_dict()), heads),
        *build.names_under(set(loaded.absent), head),
    }
    fresh = sorted(initialised) if fresh_head else []
    absent = [name for name in loaded.absent if name not in fresh]
    # a resampled tensor cannot equal the file's; it must at least differ from the initial one of the same random state
    if loaded.resampled:
        after = torch.random.get_rng_state()
        torch.random.set_rng_state(before)
        twin = timm.create_model(
            config.architecture, pretrained=False, pretrained_cfg={**cfg, "file": None}, **arguments
        )
        torch.random.set_rng_state(after)
        initial = {name: tensor for name, tensor in twin.state_dict().items() if name in loaded.resampled}
        now = model.state_dict()
        absent += [name for name, tensor in initial.items() if torch.equal(tensor, now[name]) and bool(tensor.any())]
    if absent:
        raise WeightsMismatchError(
            f"With {dict(request.timm_kwargs)}, timm did not load these tensors of {config.architecture} from "
            f"{config.weights}: {listed(absent, 6)}. No model is returned.",
            code="tensors-not-loaded",
        )
    # only the head and, for feature maps, unused depths may be dropped
    dropped = [name for name in state if name not in loaded.used]
    if not keep_head:
        dropped = sorted({*dropped, *removed, *build.names_under(set(state), heads)})
    outside = [name for name in dropped if name not in build.names_under(set(state), head)]
    if outside and not request.features_only:
        raise WeightsMismatchError(
            f"With {dict(request.timm_kwargs)}, {config.architecture} does not use these tensors of {config.weights}: "
            f"{listed(outside, 6)}. No model is returned.",
            code="tensors-not-used",
        )
    notes = [f"timm resampled {len(loaded.resampled)} tensors to the new size: {listed(loaded.resampled, 6)}"]
    return model, dropped, fresh, notes if loaded.resampled else []


@contextmanager
def _utf8_path(path: Path) -> Iterator[str]:
    """A path that timm's reader can open: the path itself, or a link if it is not valid UTF-8."""
    try:
        str(path).encode()
        yield str(path)
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / path.name
            link.symlink_to(path.absolute())
            yield str(link)


class _LoadedTensors:
    """Compares each tensor of a network with the file's tensor; wrappers of timm may have changed the names."""

    def __init__(self, model: nn.Module, state: Mapping[str, torch.Tensor], config: FolderConfig) -> None:
        import torch

        file_names = {_flat(name): name for name in state}
        self.used: set[str] = set()
        self.absent: list[str] = []
        self.resampled: list[str] = []
        for name, tensor in model.state_dict().items():
            source = file_names.get(_flat(name)) or file_names.get(_flat(name.removeprefix("model.")))
            if source is None:
                self.absent.append(name)
            elif state[source].shape != tensor.shape:
                self.used.add(source)
                in_head = build.names_under({source}, config.pretrained_cfg.get("classifier"))
                (self.absent if in_head else self.resampled).append(name)
            elif torch.equal(state[source].to(tensor.dtype), tensor):
                self.used.add(source)
            else:
                self.absent.append(name)


def _flat(name: str) -> str:
    return name.replace(".", "_")  # FeatureListNet writes stem_0 for stem.0
