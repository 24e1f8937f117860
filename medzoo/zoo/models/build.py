"""Build networks from an architecture's name: on the meta device for checks and fast loads, or with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from medzoo.errors import UsageError, WeightsMismatchError, listed
from medzoo.zoo.models.input_notes import to_notes
from medzoo.zoo.models.weights import compare_names
from medzoo.zoo.registry.checkpoint import Input

if TYPE_CHECKING:
    import torch
    from torch import nn

REFUSALS = (
    TypeError,
    ValueError,
    AssertionError,
    RuntimeError,
    LookupError,
    AttributeError,
)  # timm's errors for wrong keywords
FILLS = ("normal_", "uniform_", "fill_", "zero_", "mul_", "add_", "clamp_", "erfinv_", "div_")
FILLS_OF_NN = ("kaiming_normal_", "kaiming_uniform_")  # torch calls the mode for these functions themselves


def known_architecture(name: str, where: str) -> None:
    """Refuse an architecture that neither timm nor medzoo's variants have.

    Raises:
        WeightsMismatchError: with timm's version.
    """
    import timm

    import medzoo.zoo.variants  # noqa: F401 - registers the variants with timm

    if not timm.is_model(name):
        raise WeightsMismatchError(
            f"{where} is a {name!r}, which timm {timm.__version__} does not have. Update timm.",
            code="architecture-unknown",
        )


def timm_config(
    architecture: str, shape: Input, *, num_classes: int, license_id: str | None = None, origin: str | None = None,
    window: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A complete pretrained_cfg with a checkpoint's facts; only the names of layers come from timm's pretrained_cfg.

    Args:
        architecture: timm's name, or a variant's.
        shape: the input convention.
        num_classes: of the stored head.
        license_id: of the weights.
        origin: address of the original weights.
        window: the range to which the images of a fine-tuning were clipped.
    """
    from timm.models import get_pretrained_cfg

    known_architecture(architecture, "The checkpoint")
    own = get_pretrained_cfg(architecture, allow_unregistered=True)
    usual = own is not None and own.input_size[-1] == shape.size
    return {
        "tag": "medzoo",
        "custom_load": False,
        "input_size": (shape.channels, shape.size, shape.size),
        "fixed_input_size": bool(own.fixed_input_size) if own else False,
        "interpolation": shape.interpolation or "bilinear",
        "crop_pct": shape.crop_pct or 1.0,
        "crop_mode": "center",
        "mean": shape.mean,
        "std": shape.std,
        "num_classes": num_classes,
        "pool_size": own.pool_size if usual else None,
        "first_conv": own.first_conv if own else None,
        "classifier": own.classifier if own else None,
        **({"license": license_id} if license_id else {}),
        **({"origin_url": origin} if origin else {}),
        **({"notes": notes} if (notes := to_notes(shape.rule, shape.clip, window)) else {}),
    }


def create(architecture: str, config: Mapping[str, Any], arguments: Mapping[str, Any]) -> nn.Module:
    """Build a network with timm, with random weights, in eval mode.

    Args:
        architecture: timm's name, or a variant's.
        config: its complete pretrained_cfg.
        arguments: keywords of the architecture, including num_classes and in_chans.

    Raises:
        UsageError: if timm refuses a keyword.
    """
    import timm

    known_architecture(architecture, "The checkpoint")
    try:
        model: nn.Module = timm.create_model(architecture, pretrained=False, pretrained_cfg=dict(config), **arguments)
    except REFUSALS as error:
        raise refused(architecture, arguments, error) from error
    return model.eval()


def refused(what: str, arguments: Mapping[str, Any], error: Exception) -> UsageError:
    """The error for keywords that timm does not accept.

    Args:
        what: the architecture or the checkpoint.
        arguments: the keywords.
        error: what timm raised.
    """
    hint = " (out_indices counts from 0; leave it out to get all depths)" if "out_indices" in arguments else ""
    return UsageError(
        f"timm cannot build {what} with {dict(arguments)}: {str(error)[:800]}{hint}", code="timm-refused-arguments"
    )


def twin(architecture: str, config: Mapping[str, Any], arguments: Mapping[str, Any]) -> nn.Module:
    """As `create`, on the meta device: names and shapes without memory."""
    import torch

    with torch.device("meta"), _without_drawing():
        return create(architecture, config, arguments)


def _without_drawing() -> AbstractContextManager[object]:
    """Skip the functions that fill tensors on the meta device: meta tensors hold no numbers, and the calls are slow."""
    import torch
    from torch.overrides import TorchFunctionMode

    fills = {getattr(torch.Tensor, name) for name in FILLS} | set(map(_nn_init, FILLS_OF_NN))

    class WithoutDrawing(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
            if func in fills and (args[0] if args else kwargs["tensor"]).is_meta:
                return args[0] if args else kwargs["tensor"]
            return func(*args, **(kwargs or {}))

    return WithoutDrawing()


def _nn_init(name: str) -> Any:  # noqa: ANN401
    from torch.nn import init

    return getattr(init, name)


def fill(model: nn.Module, state: Mapping[str, torch.Tensor]) -> bool:
    """Put tensors into a network from `twin`, without random weights first.

    Args:
        model: on the meta device; changed in place.
        state: exactly the network's tensors.

    Returns:
        Whether no tensor is left on the meta device. If one is, the network must be built with `create`.
    """
    import torch

    _assign(model, state)
    for module in model.modules():
        computed = [name for name, buffer in module._buffers.items() if buffer is not None and buffer.is_meta]
        for (
            name
        ) in computed:  # files do not store these buffers, and meta buffers would give wrong results without an error
            if not hasattr(module, "init_non_persistent_buffers"):
                return False
            module._buffers[name] = torch.empty_like(module._buffers[name], device="cpu")  # type: ignore[arg-type]
        if computed:
            module.init_non_persistent_buffers()  # type: ignore[operator]
    return not any(_meta_tensors(module) for module in model.modules())


def _assign(model: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """The same as `load_state_dict(strict=True, assign=True)`, without its slow hooks."""
    import torch

    have: dict[str, tuple[int, ...]] = {name: tuple(tensor.shape) for name, tensor in state.items()}
    need: dict[str, tuple[int, ...]] = {}
    made: dict[int, nn.Parameter] = {}  # tied parameters stay one parameter
    for path, module in model.named_modules():
        here = f"{path}." if path else ""
        for key, old in module._parameters.items():
            if old is not None and (tensor := state.get(here + key)) is not None:
                module._parameters[key] = made.setdefault(id(old), torch.nn.Parameter(tensor, old.requires_grad))
            if old is not None:
                need[here + key] = tuple(old.shape)
        for key, buffer in module._buffers.items():
            if buffer is not None and key not in module._non_persistent_buffers_set:
                module._buffers[key] = state.get(here + key, buffer)
                need[here + key] = tuple(buffer.shape)
    compare_names(have, need, "The state", type(model).__name__)


def _meta_tensors(module: nn.Module) -> list[str]:
    import torch

    values = {**module._parameters, **module._buffers, **module.__dict__}
    return [name for name, value in values.items() if isinstance(value, torch.Tensor) and value.is_meta]


def filled(
    architecture: str,
    config: Mapping[str, Any],
    arguments: Mapping[str, Any],
    state: Mapping[str, torch.Tensor],
    empty: nn.Module | None = None,
) -> nn.Module:
    """Build a network with the given tensors, which must be exactly its tensors; torch's random generator does not change.

    Args:
        architecture: timm's name, or a variant's.
        config: its complete pretrained_cfg.
        arguments: keywords of the architecture.
        state: the tensors; the network uses them without a copy.
        empty: the result of `twin` for the same arguments, if there is one.
    """
    import torch

    model = empty if empty is not None else twin(architecture, config, arguments)
    if not fill(model, state):
        with torch.random.fork_rng(devices=[]):
            model = create(architecture, config, arguments)
        model.load_state_dict(dict(state), strict=True)
    return model


def in_chans_of(model: nn.Module) -> int:
    """The number of input channels of a network's first convolution."""
    config = getattr(model, "pretrained_cfg", {})
    first = config.get("first_conv")
    name = first[0] if isinstance(first, tuple | list) else first
    if name:
        weight = dict(model.named_parameters()).get(f"{name}.weight")
        if weight is not None:
            groups = getattr(model.get_submodule(name), "groups", 1)
            return int(weight.shape[1]) * int(groups)
    return int(getattr(model, "in_chans", 3))


def names_under(names: Mapping[str, Any] | set[str], prefixes: object) -> list[str]:
    """The names below a module, or below one of several.

    >>> names_under({"fc.weight", "fc2.weight"}, "fc")
    ['fc.weight']
    """
    heads = [prefixes] if isinstance(prefixes, str) else [str(prefix) for prefix in prefixes or ()]  # type: ignore[attr-defined]
    return sorted(name for name in names if any(name.startswith(f"{head}.") for head in heads))


def head_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The modules of a network's head: its classifier layers, or the modules that contain them.

    Args:
        config: a pretrained_cfg.

    >>> head_of({"classifier": "fc"}), head_of({"classifier": ("head.linear", "head_dist.linear")})
    (('fc',), ('head', 'head_dist'))
    """
    classifier = config.get("classifier")
    names = [classifier] if isinstance(classifier, str) else list(classifier or ())
    return tuple(name.rpartition(".")[0] or name for name in names)


def tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """The parameters and buffers of a network's state, by name."""
    own: dict[str, torch.Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: own[name] for name in model.state_dict() if name in own}


def another_head(model: nn.Module, classes: int, config: Mapping[str, Any], name: str) -> tuple[list[str], list[str]]:
    """Replace the head of a loaded network by a new one, or remove it.

    Args:
        model: changed in place.
        classes: outputs of the new head, which has random weights; 0 for no head.
        config: its pretrained_cfg.
        name: of the checkpoint, for the message.

    Returns:
        The names of the removed tensors, and of the new ones.

    Raises:
        WeightsMismatchError: if tensors outside the head changed.
    """
    before = tensors_of(model)
    model.reset_classifier(classes)  # type: ignore[operator]
    after = tensors_of(model)
    dropped = sorted(row for row, tensor in before.items() if after.get(row) is not tensor)
    fresh = sorted(row for row, tensor in after.items() if before.get(row) is not tensor)
    changed = {*dropped, *fresh}
    if foreign := sorted(changed - set(names_under(changed, head_of(config)))):
        raise WeightsMismatchError(
            f"Changing the head of {name} changed other tensors too: {listed(foreign, 6)}.", code="head-change-too-wide"
        )
    return dropped, fresh
