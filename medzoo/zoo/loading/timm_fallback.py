"""Feature maps, other image sizes and other keywords go through timm; afterwards every tensor is shown to have arrived."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.errors import WeightsMismatchError, listed
from medzoo.zoo.folder.config import FolderConfig
from medzoo.zoo.models import build

if TYPE_CHECKING:
    import torch
    from torch import nn

    from medzoo.zoo.loading.request import LoadRequest


def through_timm(
    config: FolderConfig, state: Mapping[str, torch.Tensor], want: LoadRequest, classes: int, channels: int
) -> tuple[nn.Module, list[str], list[str], list[str]]:
    """Let timm build the network and load the (already checked) file.

    Args:
        config: the folder's configuration.
        state: its tensors, to compare with.
        want: what was asked for.
        classes: outputs of the head; 0 for none.
        channels: of the input.

    Returns:
        The model, the names of the file's tensors that it does not use, its tensors that were drawn, and notes.

    Raises:
        UsageError: if timm refuses a keyword.
        WeightsMismatchError: if a tensor outside the head did not come from the file.
    """
    import inspect

    import timm
    import torch
    from timm.models import build_model_with_cfg

    from medzoo.zoo.loading.stem import adapt_stem

    # in_chans and num_classes of the file stand in the configuration, those of the network in the keywords
    cfg = {
        **config.pretrained_cfg,
        "architecture": config.architecture,
        "custom_load": False,
    }
    cfg["input_size"] = (config.in_chans, *config.pretrained_cfg["input_size"][1:])
    arguments: dict[str, Any] = {**config.model_args, **want.keywords(), "in_chans": channels}
    if not want.features_only:
        arguments["num_classes"] = classes
    known = "pretrained_model_args" in inspect.signature(build_model_with_cfg).parameters  # a newer timm
    source = {"pretrained_model_args": dict(config.model_args)} if known and config.model_args else {}
    before = torch.random.get_rng_state()
    try:
        with _utf8_path(config.weights) as weights:
            model: nn.Module = timm.create_model(
                config.architecture, pretrained=True, pretrained_cfg={**cfg, "file": weights}, **arguments, **source
            )
    except build.REFUSALS as error:
        raise build.refused(config.name, arguments, error) from error
    expected = adapt_stem(config, state, channels) if channels != config.in_chans else state
    arrived = _Arrivals(model, expected, config)
    heads, head = config.pretrained_cfg.get("classifier"), build.head_of(config.pretrained_cfg)
    keep_head = not want.features_only and classes == config.num_classes and want.num_classes == "pretrained"
    drawn_head = not want.features_only and not keep_head
    gone: list[str] = []
    new: list[str] = []
    if (
        drawn_head and classes and classes == config.num_classes
    ):  # a number asks for a fresh head, also of the stored width
        gone, new = build.another_head(model, classes, config.pretrained_cfg, config.name)
        arrived = _Arrivals(model, expected, config)
    drawn = {*new, *build.names_under(set(model.state_dict()), heads), *build.names_under(set(arrived.absent), head)}
    fresh = sorted(drawn) if drawn_head else []
    absent = [name for name in arrived.absent if name not in fresh]
    if arrived.resampled:
        after = torch.random.get_rng_state()
        torch.random.set_rng_state(before)
        twin = timm.create_model(
            config.architecture, pretrained=False, pretrained_cfg={**cfg, "file": None}, **arguments
        )
        torch.random.set_rng_state(after)
        untouched = {name: tensor for name, tensor in twin.state_dict().items() if name in arrived.resampled}
        now = model.state_dict()
        absent += [name for name, tensor in untouched.items() if torch.equal(tensor, now[name]) and bool(tensor.any())]
    if absent:
        raise WeightsMismatchError(
            f"With {dict(want.timm_kwargs)} these tensors of {config.architecture} did not come from {config.weights}: "
            f"{listed(absent, 6)}. Nothing is returned."
        )
    dropped = [name for name in state if name not in arrived.used]
    if not keep_head:
        dropped = sorted({*dropped, *gone, *build.names_under(set(state), heads)})
    outside = [name for name in dropped if name not in build.names_under(set(state), head)]
    if outside and not want.features_only:
        raise WeightsMismatchError(
            f"With {dict(want.timm_kwargs)} {config.architecture} has no place for these tensors of {config.weights}: "
            f"{listed(outside, 6)}. Nothing is returned."
        )
    notes = [f"{len(arrived.resampled)} tensors were resampled by timm to the new size: {listed(arrived.resampled, 6)}"]
    return model, dropped, fresh, notes if arrived.resampled else []


@contextmanager
def _utf8_path(path: Path) -> Iterator[str]:
    """A path that timm's reader can open: its own, or a link where it is no UTF-8."""
    try:
        str(path).encode()
        yield str(path)
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / path.name
            link.symlink_to(path.absolute())
            yield str(link)


class _Arrivals:
    """Which tensors of a network are equal to a file's, tensor by tensor, under the names that wrappers give them."""

    def __init__(self, model: nn.Module, state: Mapping[str, torch.Tensor], config: FolderConfig) -> None:
        import torch

        by_spelling = {_spelling(name): name for name in state}
        self.used: set[str] = set()
        self.absent: list[str] = []
        self.resampled: list[str] = []
        for name, tensor in model.state_dict().items():
            source = by_spelling.get(_spelling(name)) or by_spelling.get(_spelling(name.removeprefix("model.")))
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


def _spelling(name: str) -> str:
    return name.replace(".", "_")  # FeatureListNet writes stem_0 for stem.0
