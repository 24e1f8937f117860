"""BatchNorm over the images of all processes, on any device.

torch.nn.SyncBatchNorm computes on GPUs only. With this form, several processes train as one with the whole batch, also on a CPU.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from timm.layers import BatchNormAct2d
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from medzoo.training.distributed import processes
from medzoo.training.trainable import in_full

Model = TypeVar("Model", bound=nn.Module)


class JointBatchNorm(_BatchNorm):
    """A BatchNorm layer whose statistics in training are those of all processes; each has equally many images.

    Source: the definition of torch.nn.BatchNorm2d.

    >>> norm = joint_batch_norm(nn.Sequential(nn.BatchNorm1d(2)))[0]
    >>> rows = torch.tensor([[0.0, 1.0], [2.0, 5.0]])
    >>> bool(torch.allclose(norm(rows), nn.BatchNorm1d(2)(rows)))
    True
    """

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"a BatchNorm layer needs at least two axes, not {input.dim()}")

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalised values of the same shape (N, C, ...)."""
        return _normed(self, input) if self.training and processes() > 1 else super().forward(input)


class JointBatchNormAct(BatchNormAct2d):
    """The same for timm's BatchNorm with an activation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised and activated values of the same shape (N, C, H, W)."""
        if not self.training or processes() == 1:
            outputs: torch.Tensor = super().forward(x)
        else:
            outputs = self.act(self.drop(_normed(self, x)))
        return outputs


_JOINT = {
    nn.BatchNorm1d: JointBatchNorm,
    nn.BatchNorm2d: JointBatchNorm,
    nn.BatchNorm3d: JointBatchNorm,
    BatchNormAct2d: JointBatchNormAct,
}


def joint_batch_norm(model: Model) -> Model:
    """Give the BatchNorm layers of a network the form that computes statistics over all processes; weights are kept.

    The class of a layer is changed, so that references to it, hooks and the names of its weights stay.

    Args:
        model: it is changed in place.
    """
    for module in model.modules():
        module.__class__ = _JOINT.get(type(module), type(module))
    return model


def _normed(layer: _BatchNorm, values: torch.Tensor) -> torch.Tensor:
    """The values after the normalisation of a layer, with the statistics of all processes."""
    rows = in_full(values)  # as torch's own layers under autocast
    axes = [0, *range(2, rows.dim())]
    shape = [1, -1, *[1] * (rows.dim() - 2)]
    mean = _mean_over_processes(rows.mean(axes))
    centred = rows - mean.view(shape)
    variance = _mean_over_processes(centred.square().mean(axes))
    if layer.track_running_stats:
        _follow(layer, mean.detach(), variance.detach(), processes() * rows.numel() // rows.shape[1])
    normed = centred * torch.rsqrt(variance + layer.eps).view(shape)
    if layer.affine:
        normed = normed * layer.weight.view(shape) + layer.bias.view(shape)
    return normed.to(values.dtype)


def _follow(layer: _BatchNorm, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
    """Move the running statistics towards those of this step; the stored variance is the unbiased one."""
    state = dict(layer.named_buffers())
    state["num_batches_tracked"].add_(1)
    momentum = 1 / float(state["num_batches_tracked"]) if layer.momentum is None else layer.momentum
    state["running_mean"].lerp_(mean, momentum)
    state["running_var"].lerp_(variance * count / max(1, count - 1), momentum)


class _MeanOverProcesses(torch.autograd.Function):
    """Forward and backward: the sum over the processes, divided by their number.

    The backward pass sums the gradients of all processes, since each of them uses the mean; the factor 1/processes is the
    derivative of the mean. DistributedDataParallel then averages the gradients of the parameters.
    """

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - torch's context
        total = value.clone()
        distributed.all_reduce(total)
        return total / processes()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        total = gradient.clone()
        distributed.all_reduce(total)
        return total / processes()


def _mean_over_processes(value: torch.Tensor) -> torch.Tensor:
    mean: torch.Tensor = _MeanOverProcesses.apply(value)
    return mean
