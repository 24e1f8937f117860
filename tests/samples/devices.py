"""What tests on a CPU and on a GPU share: the devices, and how far numbers are apart.

The same tests run on both. On the CPU they compare it with itself or with another way to compute the same; on a GPU, with the CPU.
"""

import numpy as np
import pytest
import torch

GPU = pytest.param("cuda", marks=pytest.mark.gpu)
DEVICES = ["cpu", GPU]
CPU = torch.device("cpu")


def option_of(device: str) -> str:
    """The value of --device that computes there."""
    return "cpu" if device == "cpu" else "auto"


def far(one, two) -> float:
    """The largest difference of two arrays or tensors, relative to the largest value of the second."""
    first, second = _array(one), _array(two)
    assert first.shape == second.shape
    return float(np.abs(first - second).max() / max(np.abs(second).max(), 1e-30))


def _array(values) -> np.ndarray:
    return np.asarray(values.detach().double().cpu() if isinstance(values, torch.Tensor) else values, np.float64)
