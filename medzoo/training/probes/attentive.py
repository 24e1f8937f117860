"""The attentive probe: learned queries pool a network's tokens before a linear classifier. Many heads train on one pass.

Each of M queries has the width of a token. Its attention is the softmax over tokens of query · token / √D, without a key
projection. One linear map makes values; query m pools the m-th slice of the values. The slices together go to the classifier.
Attention weights sum to 1, so the tokens are pooled first and mapped afterwards: the same function with far fewer products.

Source: Psomas et al., "Attention, please! Revisiting attentive probing for masked image modeling", https://arxiv.org/abs/2506.10178
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import torch
from torch.nn import functional as F

from medzoo.errors import DataContractError, UsageError
from medzoo.training.probes import arrays
from medzoo.training.probes.arrays import Array

BETAS, EPSILON = (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class AttentiveWeights:
    """Parameters of H heads.

    Args:
        queries: (H, M, D).
        values: (H, M, S, D): the slice of the value map for each query.
        value_bias: (H, M, S).
        classifier: (H, classes, M * S).
        bias: (H, classes).
    """

    queries: torch.Tensor
    values: torch.Tensor
    value_bias: torch.Tensor
    classifier: torch.Tensor
    bias: torch.Tensor

    def scores(self, tokens: torch.Tensor) -> torch.Tensor:
        """(H, B, classes) logits.

        Args:
            tokens: (B, T, D).
        """
        heads, queries, width = self.queries.shape
        attention = (tokens @ self.queries.flatten(0, 1).T / math.sqrt(width)).softmax(1)  # (B, T, H * M)
        pooled = (attention.transpose(1, 2) @ tokens).transpose(0, 1)  # (H * M, B, D)
        mapped = pooled @ self.values.flatten(0, 1).transpose(1, 2)  # (H * M, B, S)
        mapped = mapped.view(heads, queries, len(tokens), -1) + self.value_bias[:, :, None]
        joined = mapped.transpose(1, 2).flatten(2)  # (H, B, M * S)
        return joined @ self.classifier.transpose(1, 2) + self.bias[:, None]

    def parts(self) -> list[torch.Tensor]:
        """The parameters in the order of their declaration."""
        return [getattr(self, field.name) for field in fields(self)]


@dataclass(frozen=True)
class AttentiveHeads:
    """Trained heads; head i has `learning_rates[i]` and `weight_decays[i]`.

    Args:
        weights: of all heads.
        learning_rates: of the first step.
        weight_decays: of AdamW.
        multilabel: whether every output has its sigmoid; otherwise they share a softmax.
        losses: (steps, H) mean loss of every batch.
    """

    weights: AttentiveWeights
    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    multilabel: bool
    losses: torch.Tensor

    def probabilities(self, tokens: Array) -> torch.Tensor:
        """(H, B, classes) probabilities for a batch of tokens (B, T, D)."""
        with torch.no_grad():
            scores = self.weights.scores(as_tokens(tokens, self.weights.queries.shape[2]))
        return scores.sigmoid() if self.multilabel else scores.softmax(2)


def as_tokens(tokens: Array, width: int | None = None) -> torch.Tensor:
    """A batch of tokens (B, T, D) as float32.

    Args:
        tokens: numbers.
        width: D, if it is known.
    """
    batch = torch.as_tensor(tokens).float()
    if batch.ndim != 3 or not batch.numel() or (width is not None and batch.shape[2] != width):
        raise UsageError(
            f"Tokens must have the shape (batch, tokens, {width or 'width'}), not {tuple(batch.shape)}.",
            code="probe-features-shape",
        )
    if not bool(torch.isfinite(batch).all()):
        raise DataContractError(
            "Tokens hold NaN or infinite numbers. Check the network and its input.", code="features-not-finite"
        )
    return batch


def first_weights(seed: int, width: int, classes: int, *, queries: int = 32, heads: int = 1) -> AttentiveWeights:
    """The parameters before the first step; all heads start alike.

    Args:
        seed: of the run.
        width: of a token.
        classes: outputs.
        queries: learned queries; a slice of the values has width // queries numbers.
        heads: how many.
    """
    if not 1 <= queries <= width:
        raise UsageError(
            f"There are {queries} queries for tokens of width {width}: choose from 1 to {width}.",
            code="queries-outside",
        )
    size, generator = width // queries, torch.Generator().manual_seed(seed)

    def normal(*shape: int, deviation: float) -> torch.Tensor:
        return (deviation * torch.randn(shape, generator=generator)).expand(heads, *shape).clone()

    return AttentiveWeights(
        queries=normal(queries, width, deviation=0.02),
        values=normal(queries, size, width, deviation=width**-0.5),
        value_bias=torch.zeros(heads, queries, size),
        classifier=normal(classes, queries * size, deviation=0.01),
        bias=torch.zeros(heads, classes),
    )


def fit_attentive(
    batches: Iterable[tuple[Array, Array]],
    *,
    kind: str,
    classes: int,
    steps: int,
    learning_rates: Sequence[float],
    weight_decays: Sequence[float] = (0.0,),
    seed: int = 0,
    queries: int = 32,
) -> AttentiveHeads:
    """Train one head for every pair of learning rate and weight decay: AdamW, cosine schedule to zero.

    Args:
        batches: (tokens (B, T, D), labels); the order is the caller's. At least `steps` batches; tokens are not kept.
        kind: "binary", "multiclass" or "multilabel".
        classes: number of classes or labels.
        steps: batches to use.
        learning_rates: of the first step.
        weight_decays: of AdamW, for all parameters.
        seed: of the first weights.
        queries: learned queries.

    Raises:
        UsageError: if there are fewer batches.
    """
    if steps < 1 or not learning_rates or not weight_decays:
        raise UsageError("A grid of heads needs a step, a learning rate and a weight decay.", code="head-grid-empty")
    grid = [(rate, decay) for rate in learning_rates for decay in weight_decays]
    weights: AttentiveWeights | None = None
    moments: list[tuple[torch.Tensor, torch.Tensor]] = []
    losses = []
    for step, (given, labels) in enumerate(batches):
        if step == steps:
            break
        tokens = as_tokens(given, None if weights is None else weights.queries.shape[2])
        if weights is None:
            start = first_weights(seed, tokens.shape[2], classes, queries=queries, heads=len(grid))
            weights = AttentiveWeights(*(part.to(tokens.device).requires_grad_() for part in start.parts()))
            moments = [(torch.zeros_like(part), torch.zeros_like(part)) for part in weights.parts()]
            # of all steps at once, since each transfer would wait for the device
            rates, decays = (values.to(tokens.device) for values in _schedules(grid, steps))
        loss = _losses(weights.scores(tokens), labels, kind, classes)
        slopes = torch.autograd.grad(loss.sum(), weights.parts())  # heads share nothing: each gets its own gradient
        losses.append(loss.detach())
        with torch.no_grad():
            for part, slope, (first, second) in zip(weights.parts(), slopes, moments, strict=True):
                shape = (-1, *[1] * (part.ndim - 1))
                _adamw(part, slope, first, second, rates[step].view(shape), decays[step].view(shape), step + 1)
    if len(losses) < steps:
        raise UsageError(f"{steps} steps need as many batches: there were {len(losses)}.", code="batches-too-few")
    assert weights is not None
    done = AttentiveWeights(*(part.detach() for part in weights.parts()))
    first_rates, weight_decay = zip(*grid, strict=True)
    return AttentiveHeads(done, first_rates, weight_decay, kind == "multilabel", torch.stack(losses))


def _schedules(grid: Sequence[tuple[float, float]], steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The learning rate of every step and head, and the factor by which AdamW shrinks the weights: (steps, H) each."""
    shares = [0.5 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)]
    rates = torch.tensor([[share * rate for rate, _ in grid] for share in shares])
    return rates, torch.tensor([[1 - share * rate * decay for rate, decay in grid] for share in shares])


def _losses(scores: torch.Tensor, labels: Array, kind: str, classes: int) -> torch.Tensor:
    """(H,) mean loss of every head; labels without annotation (NaN) do not count."""
    heads, count, _ = scores.shape
    if kind == "multilabel":
        targets = arrays.as_label_columns(labels, count, classes).to(scores)
        known = ~targets.isnan()
        each = F.binary_cross_entropy_with_logits(
            scores,
            targets.nan_to_num(0.0).expand_as(scores),
            known.to(scores.dtype).expand_as(scores),
            reduction="none",
        )
        return each.sum((1, 2)) / known.sum().clamp_min(1)
    numbers = arrays.as_classes(labels, count, classes).to(scores.device)
    each = F.cross_entropy(scores.flatten(0, 1), numbers.repeat(heads), reduction="none")
    return each.view(heads, count).mean(1)


def _adamw(
    part: torch.Tensor,
    slope: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    rate: torch.Tensor,
    decay: torch.Tensor,
    step: int,
) -> None:
    """One step of AdamW as torch.optim.AdamW, with a learning rate and a weight decay for every head."""
    part.mul_(decay)
    first.lerp_(slope, 1 - BETAS[0])
    second.mul_(BETAS[1]).addcmul_(slope, slope, value=1 - BETAS[1])
    spread = (second.sqrt() / math.sqrt(1 - BETAS[1] ** step)).add_(EPSILON)
    part.sub_(rate / (1 - BETAS[0] ** step) * first / spread)
