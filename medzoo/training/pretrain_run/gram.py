"""Gram anchoring: continued pre-training that keeps the relations between the patches of an image.

Long self-supervised training improves what a network knows about images, and loses what it knows about their parts. The anchor is
the checkpoint that the training continues from.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medzoo.errors import UsageError
from medzoo.training.layers.joint_batch_norm import joint_batch_norm
from medzoo.training.pretraining.loss_precision import no_autocast
from medzoo.training.tokens.network_tokens import patch_tokens
from medzoo.training.trainable import Trainable, in_full


def gram_loss(tokens: torch.Tensor, anchor: torch.Tensor) -> torch.Tensor:
    """The mean squared difference of the cosine similarities between the patches of each image.

    Args:
        tokens: (N, T, D) patch tokens of the trained network.
        anchor: (N, T, E) patch tokens of the anchor; D and E may differ.

    Source: Siméoni et al. 2025, DINOv3, https://arxiv.org/abs/2508.10104, section 4.2; there the sum of squares.

    >>> rows = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> float(gram_loss(rows, 3 * rows)), float(gram_loss(rows, rows[:, [0, 0]]))
    (0.0, 0.5)
    """
    ours, theirs = (F.normalize(in_full(part), dim=-1) for part in (tokens, anchor))
    with no_autocast(ours):  # similarities near 1 have two digits in bf16, and the drift is smaller
        difference: torch.Tensor = ours @ ours.mT - theirs @ theirs.mT
        return difference.square().mean()


class GramAnchored(Trainable):
    """An objective with a term that keeps the patch similarities of images near those of a frozen network.

    The tokens are those of the first pass that the objective makes through the network: of the first view, or of all views that go
    through it together. The anchor sees the same images in the same mode, with the same noise (dropout), and its BatchNorm layers
    use the statistics of the batch, too. So the term is 0 while the weights are those of the anchor, and a step costs one more pass
    of the anchor. Running statistics, which the network uses after the training, still follow the new images.

    An objective whose network sees masked images (`Trainable.masks_images`) has one more pass, forward and backward, in which
    network and anchor see the first view without a mask: the patches of whole images are what the anchor knows, and what is used
    later. In DINOv3 the network sees masked images and the anchor whole ones, so there the term is not 0 at the start.

    Args:
        objective: of the method.
        weight: of the term.
        start: share of the training after which the term begins.

    Raises:
        UsageError: if the network has no patch tokens and no feature map.
    """

    def __init__(self, objective: Trainable, weight: float, start: float = 0.0) -> None:
        nn.Module.__init__(self)  # `backbone` is a property here, so that saved states hold it once
        self.objective, self.weight, self.first_share = objective, weight, start
        self.first_step = 0
        anchor = joint_batch_norm(copy.deepcopy(objective.backbone)).requires_grad_(False)
        for layer in _batch_norms(anchor):  # they use batch statistics in training, and keep their own as they are
            layer.track_running_stats = False
        self._anchor = (anchor,)  # in a tuple, since the anchor is never trained and no part of a saved state
        if not callable(getattr(anchor, "forward_features", None)):
            raise UsageError(
                f"--gram-weight needs patch tokens or a feature map, and a {type(anchor).__name__} gives neither.",
                code="network-without-tokens",
            )
        self._passes = FeaturePasses(objective.backbone)

    @property
    def backbone(self) -> nn.Module:  # type: ignore[override]
        """The network of the objective."""
        return self.objective.backbone

    @property
    def kept_network(self) -> nn.Module:
        """That of the objective."""
        return self.objective.kept_network

    def compiled_modules(self) -> list[nn.Module]:
        """Those of the objective."""
        return self.objective.compiled_modules()

    def start(self, *, steps: int, epoch_steps: int, seed: int) -> None:
        """See Trainable."""
        self.objective.start(steps=steps, epoch_steps=epoch_steps, seed=seed)
        self.first_step = round(self.first_share * steps)

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The values of the objective, with "gram" added to the loss."""
        if step < self.first_step:
            outputs: dict[str, torch.Tensor] = self.objective(batch, step)
            return outputs
        view = batch["image"] if "image" in batch else batch["views"][0]
        noise = _noise_state(view.device)
        with self._passes.recorded() as passes:
            values: dict[str, torch.Tensor] = self.objective(batch, step)
        first = None if self.objective.masks_images or not passes else passes[0]
        passes.clear()  # it would keep the activations of the step
        if first is not None:
            images, features = first
            fixed = self._fixed(images, noise)
        else:
            noise, backbone = _noise_state(view.device), cast("Any", self.backbone)
            fixed = self._fixed(view, noise)
            with _noise(noise, view.device), _kept_statistics(backbone):  # as moved by the objective's own pass
                features = backbone.forward_features(view)
        gram = gram_loss(patch_tokens(self.backbone, features), fixed)
        return {**values, "loss": values["loss"] + self.weight * gram, "gram": gram.detach()}

    @torch.no_grad()
    def _fixed(self, images: torch.Tensor, noise: dict[str, torch.Tensor]) -> torch.Tensor:
        """The patch tokens of the anchor.

        Args:
            images: that the network sees.
            noise: the state of torch's generators before the pass of the network.
        """
        anchor: Any = self._anchor[0].train(self.backbone.training)
        with _noise(noise, images.device):
            tokens = patch_tokens(anchor, anchor.forward_features(images))
        if tokens.shape[1] < 2:
            raise UsageError(
                f"--gram-weight compares the patches of an image, and at {images.shape[-1]} px the last map of this "
                f"{type(anchor).__name__} has one position. Choose a larger --size, or a transformer.",
                code="gram-one-position",
            )
        return tokens

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Move the anchor with the objective: to a device, a precision, a memory format."""
        self._anchor[0]._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def before_update(self, step: int) -> None:
        """See Trainable."""
        self.objective.before_update(step)

    def after_update(self, step: int) -> None:
        """See Trainable."""
        self.objective.after_update(step)

    def finish(self) -> None:
        """See Trainable."""
        self.objective.finish()

    def pictures(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """See Trainable."""
        return self.objective.pictures(batch, step)


class FeaturePasses:
    """The images and features of each pass of a network, which `forward_features` is part of.

    Args:
        network: a timm model.

    >>> import timm
    >>> net = timm.create_model("test_vit", num_classes=0)
    >>> with FeaturePasses(net).recorded() as passes:
    ...     pooled = net(torch.zeros(2, 3, 160, 160))
    >>> [tuple(part.shape) for part in passes[0]]
    [(2, 3, 160, 160), (2, 101, 64)]
    """

    def __init__(self, network: nn.Module) -> None:
        self._network: Any = network
        self._passes: list[tuple[torch.Tensor, Any]] = []

    @contextmanager
    def recorded(self) -> Iterator[list[tuple[torch.Tensor, Any]]]:
        """A block after which the list holds (images, features) of each pass inside it."""
        self._passes.clear()
        # the attribute of the instance hides the method; it is the same function in each step, so that compiled code stays
        self._network.forward_features = self._forward_features
        try:
            yield self._passes
        finally:
            del self._network.forward_features

    def _forward_features(self, images: torch.Tensor, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        features = type(self._network).forward_features(self._network, images, *args, **kwargs)
        self._passes.append((images, features))
        return features


def _noise_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of torch's generators, of the CPU and of the device that computes."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def _set_noise_state(states: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    if "mps" in states:
        torch.mps.set_rng_state(states["mps"])


@contextmanager
def _noise(states: dict[str, torch.Tensor], device: torch.device) -> Iterator[None]:
    """A block with the noise of an earlier state; after it, the generators go on as if it had not been.

    Args:
        states: from `_noise_state`.
        device: that computes.
    """
    later = _noise_state(device)
    _set_noise_state(states, device)
    try:
        yield
    finally:
        _set_noise_state(later, device)


def _batch_norms(network: nn.Module) -> list[_BatchNorm]:
    return [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]


@contextmanager
def _kept_statistics(network: nn.Module) -> Iterator[None]:
    """A block in which BatchNorm layers compute as before, and their running statistics do not move."""
    layers = [layer for layer in _batch_norms(network) if layer.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
