"""A model's input convention, read from its configuration, and the transform that follows from it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from medzoo.data.images.ct_windows import WindowChoice, checked_window, limits_of, parse_window
from medzoo.data.transforms.apply import Augmentation, InputConvention, augment, normalise, to_unit, whole
from medzoo.errors import ImageError, UsageError
from medzoo.zoo.models.input_notes import from_notes, window_of_notes

if TYPE_CHECKING:
    import torch


def convention_of(model: torch.nn.Module) -> InputConvention:
    """Mean, std and scaling rule of a model from medzoo or timm; the config of a medzoo folder has the rule for timm too.

    A model with `in_chans=1` uses the means over the stored channels' statistics.

    Args:
        model: with a `pretrained_cfg`.
    """
    config: dict[str, Any] = dict(getattr(model, "pretrained_cfg", {}))
    channels = _channels(model, len(config["mean"]))
    return InputConvention.for_channels(config["mean"], config["std"], channels, _rule_of(model)[0])


def _rule_of(model: torch.nn.Module) -> tuple[Any, tuple[float, ...] | None]:
    """The rule that scales to [0, 1] and the HU limits of CT: from the load receipt, or from timm's config."""
    receipt = getattr(model, "load_receipt", None)
    if receipt is not None:
        return receipt.input_rule, receipt.input_clip
    return from_notes(dict(getattr(model, "pretrained_cfg", {})))


def _channels(model: torch.nn.Module, default: int) -> int:
    first = dict(getattr(model, "pretrained_cfg", {})).get("first_conv")
    name = first[0] if isinstance(first, tuple | list) else first
    weight = dict(model.named_parameters()).get(f"{name}.weight") if name else None
    return default if weight is None else int(weight.shape[1])


def input_size(model: torch.nn.Module) -> int:
    """Side of the model's usual input, pixels."""
    config: Any = model.pretrained_cfg
    return int(config["input_size"][-1])


def load_at_size(
    name: str,
    *,
    num_classes: int,
    size: int | None,
    seed: int,
    hub: str | None,
    accept_license: bool,
    drop_path: float = 0.0,
) -> tuple[torch.nn.Module, int]:
    """A checkpoint for training at a size: the position tables of networks with a fixed size (ViT, Swin) are resized.

    Args:
        name: as for `medzoo.load`.
        num_classes: of the fresh head; 0 for features.
        size: side of the input, pixels; None uses the checkpoint's.
        seed: of a fresh head, and of all weights of a random checkpoint.
        hub: directory hub.
        accept_license: accept non-commercial or contested terms.
        drop_path: rate of stochastic depth, for transformers; other networks have none.

    Returns:
        The model, and the side of its input.
    """
    import torch

    from medzoo.training.layers.trained_layers import is_transformer
    from medzoo.zoo.loading.load import load

    def load_seeded(**architecture: Any) -> torch.nn.Module:  # noqa: ANN401 - keywords of the architecture
        torch.manual_seed(seed)
        return load(
            name,
            num_classes=num_classes,
            fresh_head=num_classes > 0,
            hub=hub,
            accept_license=accept_license,
            **architecture,
        )

    model = load_seeded()
    config: Any = model.pretrained_cfg
    architecture: dict[str, Any] = {}
    if size and size != input_size(model) and config.get("fixed_input_size"):
        architecture["img_size"] = size
    if drop_path and is_transformer(model):
        architecture["drop_path_rate"] = drop_path
    if architecture:
        model = load_seeded(**architecture)
    return model, size or input_size(model)


@dataclass(frozen=True)
class Transform:
    """Any image → the tensor that a checkpoint's network expects; `medzoo.transform` creates it.

    It is plain data: it can be sent to the workers of a DataLoader with any start method (fork, spawn, forkserver), and two
    transforms with the same values are equal.

    Args:
        convention: of the network's input.
        size: side of the result, pixels.
        clip: lowest and highest HU that CT is clipped to, or None.
        window: (low, high) or the name of a CT window, or None.
        train: whether to crop and flip at random.
        unscaled_hu: whether values whose type does not give their range (int16, floats) are in HU and clipped to `clip`.

    Raises:
        UsageError: for an invalid size or window.
    """

    convention: InputConvention
    size: int
    clip: tuple[float, float] | None = None
    window: WindowChoice | None = None
    train: bool = False
    unscaled_hu: bool = False

    def __post_init__(self) -> None:
        if type(self.size) is not int or not 1 <= self.size <= 16_384:
            raise UsageError(
                f"size is {self.size!r}; give the side of the result in pixels (1 to 16,384).", code="size-invalid"
            )
        object.__setattr__(self, "window", _window(self.window))

    @property
    def mean(self) -> tuple[float, ...]:
        """Of the normalisation, one number a channel, for inputs in [0, 1]."""
        return self.convention.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Of the normalisation, one number a channel, for inputs in [0, 1]."""
        return self.convention.std

    @property
    def rule(self) -> Literal["unit", "per_image_minmax"]:
        """The rule that scales to [0, 1]."""
        return self.convention.rule

    def __repr__(self) -> str:
        values = {"size": self.size, "mean": self.mean, "std": self.std, "rule": self.rule, "window": self.window}
        values |= {"clip": self.clip, "train": self.train}
        return f"Transform({', '.join(f'{key}={value!r}' for key, value in values.items())})"

    def __call__(self, image: Any) -> torch.Tensor:  # noqa: ANN401
        """The tensor (channels, size, size) of an image.

        Args:
            image: as for `medzoo.transform`.

        Raises:
            ImageError: if it is not an image, or its range is unknown.
        """
        import numpy as np
        import torch

        from medzoo.training.inputs.input_pixels import input_pixels

        pixels = input_pixels(image, window=self.window, clip=self.clip, unscaled_hu=self.unscaled_hu, rule=self.rule)
        # scale to [0, 1], crop or resize, normalise
        low, high = pixels.range
        unit = to_unit((pixels.array[None].astype(np.float32) - low) / (high - low), 1.0, self.rule)
        if self.train:
            seed = int(torch.randint(2**31, (1,)))
            augmentation = Augmentation(min_area=0.35, flip=0.5)
            unit = augment(
                unit, augmentation, self.size, seed=seed, epoch=0, indices=np.zeros(1, int), stream="transform"
            )
        else:
            unit = whole(unit, self.size)
        return normalise(unit, self.convention)[0]


def transform(
    name_or_model: str | os.PathLike[str] | torch.nn.Module,
    *,
    train: bool = False,
    size: int | None = None,
    window: WindowChoice | None = None,
    hub: str | os.PathLike[str] | None = None,
) -> Transform:
    """The transform of a checkpoint: any image → the tensor that its network expects.

    Integers are scaled by the range of their type, so 16 bits are never clipped. The range of floats and int16 is unknown, so
    such an image needs `window`. CT in Hounsfield units is clipped first if the checkpoint's training data were.
    A uint16 image that fills only the lower quarter of its range (12 to 14 bits in 16) gives a UserWarning with the window to use.

    Args:
        name_or_model: a checkpoint's name, a folder, or a loaded model (also one that timm loaded from a medzoo folder).
        train: crop and flip at random, with torch's generator, instead of using the whole image. `torch.manual_seed(n)` repeats
            the same values. Each worker of a DataLoader has its own generator; torch seeds it from the loader's generator
            (`generator=`, else the main one) and the worker's number. The same seed and number of workers give the same values
            with any start method.
        size: side of the result, pixels; by default the checkpoint's.
        window: (low, high) for values of unknown range; for CT in Hounsfield units the name of a window ("lung"); or a rule that
            computes it for each image ("percentile:1,99", "zscore:3"). Values outside are clipped. By default the window of the
            checkpoint's fine-tuning, if it had one; "none" uses no window.
        hub: directory hub for a name; by default MEDZOO_HUB.

    Returns:
        A function of a path, a PIL image, an array (H, W) or (H, W, 3), a tensor (C, H, W), Pixels, or encoded bytes, that
        gives (C, size, size) float32. It can be pickled, copied and compared, and prints its values. The whole image is resized
        to a square with antialiased bilinear weights, independent of the checkpoint's `interpolation`: the aspect ratio changes
        and no border is cut off. timm's transform and transformers' AutoImageProcessor instead resize and crop as the authors
        did (`interpolation`, `crop_pct`). Grey is repeated to colour; colour becomes luminance for a network with one channel.

    Raises:
        UsageError: for an invalid size or window, or a model without an input convention.
        ImageError: (the function) if it is not an image, or its range is unknown.

    >>> import numpy as np
    >>> transform("resnet18-random")(np.zeros((40, 50), np.uint8)).shape
    torch.Size([3, 224, 224])
    """
    convention, side, clip, stored = _facts(name_or_model, hub)
    in_hu = False
    if window is None and stored is not None:
        in_hu, limits = stored.endswith(" HU"), parse_window(stored.removesuffix(" HU"))
        # a window in HU is for CT in HU only: grey images (PNG) of CT were windowed by those who wrote them
        clip, window = (limits_of(limits), None) if in_hu else (clip, limits)
    window = None if isinstance(window, str) and window == "none" else window
    return Transform(convention, side if size is None else size, clip, window, bool(train), in_hu)


def _window(window: WindowChoice | None) -> WindowChoice | None:
    """A checked window: two finite numbers with low < high, the name of a CT window, a rule, or None."""
    if window is None:
        return None
    try:
        return checked_window(window)
    except ImageError as error:
        raise UsageError(
            f"window is {window!r}; give (low, high), two finite numbers with low < high, the name of a CT window, or a rule such "
            "as 'percentile:1,99'.",
            code="window-invalid",
        ) from error


def _facts(
    name_or_model: Any,  # noqa: ANN401
    hub: str | os.PathLike[str] | None,
) -> tuple[InputConvention, int, tuple[float, float] | None, str | None]:
    """The convention, the side, the HU limits of CT, and the window of the fine-tuning."""
    if isinstance(name_or_model, str | os.PathLike):
        from medzoo.zoo.loading.load import describe_with_window  # facts without weights

        facts, window = describe_with_window(name_or_model, hub=hub)
        return InputConvention(facts.mean, facts.std, facts.rule), facts.size, _pair(facts.clip), window
    if not hasattr(name_or_model, "pretrained_cfg"):
        raise UsageError(
            f"A {type(name_or_model).__name__} has no input convention; give a name, a folder or a timm model.",
            code="input-convention-missing",
        )
    receipt: Any = getattr(name_or_model, "load_receipt", None)
    window = window_of_notes(dict(name_or_model.pretrained_cfg)) if receipt is None else receipt.input_window
    return convention_of(name_or_model), input_size(name_or_model), _pair(_rule_of(name_or_model)[1]), window


def _pair(clip: tuple[float, ...] | None) -> tuple[float, float] | None:
    return None if clip is None else (clip[0], clip[1])
