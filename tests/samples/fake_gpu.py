"""A GPU that exists in name: tensors have shapes, types and devices, and no values.

torch's fake tensors refuse what a GPU refuses: an operation on tensors of two devices. They also refuse to give a value to Python,
which on a GPU waits for all work that was sent to it. What is computed is not checked: real devices are for that.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

CUDA = torch.device("cuda", 0)


@contextmanager
def fake_gpu() -> Iterator[torch.device]:
    """A block in which all new tensors are fake, and the device "cuda:0" can be used."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    with pytest.MonkeyPatch.context() as patch, FakeTensorMode(allow_non_fake_inputs=True):
        patch.setattr(torch.cuda, "get_rng_state", lambda device=0: torch.zeros(16, dtype=torch.uint8))
        patch.setattr(torch.cuda, "set_rng_state", lambda state, device=0: None)
        patch.setattr(torch.cuda, "manual_seed", lambda seed: None)
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # a fake tensor cannot be put into a real one
        try:
            yield CUDA
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(before)
