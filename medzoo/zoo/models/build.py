"""Networks from an architecture's name: on the meta device for checks and fast loads, or drawn from torch's generator."""

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

REFUSALS = (TypeError, ValueError, AssertionError, RuntimeError, LookupError, AttributeError)  # as timm says no
FILLS = ("normal_", "uniform_", "fill_", "zero_", "mul_", "add_", "clamp_", "erfinv_", "div_")
FILLS_OF_NN = ("kaiming_normal_", "kaiming_uniform_")  # torch asks the mode before it looks into them


def known_architecture(name: str, where: str) -> None:
    """Refuse an architecture that neither timm nor medzoo's variants have.

    Raises:
        WeightsMismatchError: naming timm's version.
    """
    import timm

    import medzoo.zoo.variants  # noqa: F401 - registers the variants with timm

    if not timm.is_model(name):
        raise WeightsMismatchError(f"{where} is a {name!r}, which timm {timm.__version__} does not have. Update timm.")


def timm_config(
    architecture: str, shape: Input, *, num_classes: int, license_id: str | None = None, origin: str | None = None
) -> dict[str, Any]:
    """A whole pretrained_cfg with a checkpoint's own facts; only the names of layers come from timm's own.

    Args:
        architecture: timm's name, or a variant's.
        shape: the input convention.
        num_classes: of the stored head.
        license_id: of the weights.
        origin: address of the weights' authors.
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
        **({"notes": notes} if (notes := to_notes(shape.rule, shape.clip)) else {}),
    }


def create(architecture: str, config: Mapping[str, Any], arguments: Mapping[str, Any]) -> nn.Module:
    """A network without stored weights, by timm, in eval mode.

    Args:
        architecture: timm's name, or a variant's.
        config: its whole pretrained_cfg.
        arguments: keywords of the architecture, num_classes and in_chans among them.

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
    """The error for keywords that timm does not take.

    Args:
        what: the architecture or the checkpoint.
        arguments: the keywords.
        error: what timm raised.
    """
    depths = " (out_indices counts the depths from 0; without it all are given)" if "out_indices" in arguments else ""
    return UsageError(f"timm cannot build {what} with {dict(arguments)}: {str(error)[:800]}{depths}")


def twin(architecture: str, config: Mapping[str, Any], arguments: Mapping[str, Any]) -> nn.Module:
    """As `create`, on the meta device: names and shapes without memory."""
    import torch

    with torch.device("meta"), _without_drawing():
        return create(architecture, config, arguments)


def _without_drawing() -> AbstractContextManager[object]:
    """Leave out what fills tensors on the meta device: they hold no numbers, and the calls cost most of the building."""
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
    """Put tensors into a network that `twin` built, without drawing weights first.

    Args:
        model: on the meta device; changed in place.
        state: exactly the network's tensors.

    Returns:
        Whether nothing is left on meta. If not, the network must be built in the normal way.
    """
    import torch

    _assign(model, state)
    for module in model.modules():
        computed = [name for name, buffer in module._buffers.items() if buffer is not None and buffer.is_meta]
        for name in computed:  # not stored in files; meta ones compute silent nonsense
            if not hasattr(module, "init_non_persistent_buffers"):
                return False
            module._buffers[name] = torch.empty_like(module._buffers[name], device="cpu")  # type: ignore[arg-type]
        if computed:
            module.init_non_persistent_buffers()  # type: ignore[operator]
    return not any(_meta_tensors(module) for module in model.modules())


def _assign(model: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """What `load_state_dict(strict=True, assign=True)` does, without the hooks that cost most of its time."""
    import torch

    have: dict[str, tuple[int, ...]] = {name: tuple(tensor.shape) for name, tensor in state.items()}
    need: dict[str, tuple[int, ...]] = {}
    made: dict[int, nn.Parameter] = {}  # tied parameters stay one
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

    places = {**module._parameters, **module._buffers, **module.__dict__}
    return [name for name, value in places.items() if isinstance(value, torch.Tensor) and value.is_meta]


def filled(
    architecture: str,
    config: Mapping[str, Any],
    arguments: Mapping[str, Any],
    state: Mapping[str, torch.Tensor],
    empty: nn.Module | None = None,
) -> nn.Module:
    """A network with given tensors, which must be exactly its own; torch's generator is not touched.

    Args:
        architecture: timm's name, or a variant's.
        config: its whole pretrained_cfg.
        arguments: keywords of the architecture.
        state: the tensors; the network takes them over.
        empty: what `twin` gives for the same arguments, if it was built already.
    """
    import torch

    model = empty if empty is not None else twin(architecture, config, arguments)
    if not fill(model, state):
        with torch.random.fork_rng(devices=[]):
            model = create(architecture, config, arguments)
        model.load_state_dict(dict(state), strict=True)
    return model


def in_chans_of(model: nn.Module) -> int:
    """Channels that a network's stem takes."""
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
    """The names that lie under a module, or under one of several.

    >>> names_under({"fc.weight", "fc2.weight"}, "fc")
    ['fc.weight']
    """
    heads = [prefixes] if isinstance(prefixes, str) else [str(prefix) for prefix in prefixes or ()]  # type: ignore[attr-defined]
    return sorted(name for name in names if any(name.startswith(f"{head}.") for head in heads))


def head_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The modules that a network's head consists of: its classifier, or what holds it where that is more than a layer.

    Args:
        config: a pretrained_cfg.

    >>> head_of({"classifier": "fc"}), head_of({"classifier": ("head.linear", "head_dist.linear")})
    (('fc',), ('head', 'head_dist'))
    """
    given = config.get("classifier")
    names = [given] if isinstance(given, str) else list(given or ())
    return tuple(name.rpartition(".")[0] or name for name in names)


def tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """The very parameters and buffers that a network's state is made of, by name."""
    own: dict[str, torch.Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: own[name] for name in model.state_dict() if name in own}


def another_head(model: nn.Module, classes: int, config: Mapping[str, Any], name: str) -> tuple[list[str], list[str]]:
    """Put another head, or none, on a loaded network.

    Args:
        model: changed in place.
        classes: outputs of the new head, which is drawn; 0 for none.
        config: its pretrained_cfg.
        name: of the checkpoint, for the message.

    Returns:
        The names of the tensors that went, and of those that were drawn.

    Raises:
        WeightsMismatchError: if other tensors than those of the head changed.
    """
    before = tensors_of(model)
    model.reset_classifier(classes)  # type: ignore[operator]
    now = tensors_of(model)
    dropped = sorted(row for row, tensor in before.items() if now.get(row) is not tensor)
    fresh = sorted(row for row, tensor in now.items() if before.get(row) is not tensor)
    changed = {*dropped, *fresh}
    if foreign := sorted(changed - set(names_under(changed, head_of(config)))):
        raise WeightsMismatchError(f"Changing the head of {name} changed other tensors too: {listed(foreign, 6)}.")
    return dropped, fresh
