"""The operations of a training step that a GPU adds in a changing order, and for which torch has no other algorithm.

A CPU shows which operations a step has; torch's documentation of `use_deterministic_algorithms` lists those that a GPU refuses.
Bilinear resizing is not listed here: with deterministic algorithms, torch replaces it on a GPU.
"""

import re

from torch.utils._python_dispatch import TorchDispatchMode

REFUSED = re.compile(
    r"aten::(_?upsample_(linear1d|bicubic2d|trilinear3d|bilinear2d_aa|bicubic2d_aa)_backward|_?adaptive_(avg|max)_pool[23]d_backward"
    r"|avg_pool3d_backward|fractional_max_pool[23]d_backward|max_unpool\w+|reflection_pad\w+_backward|_?ctc_loss_backward|histc"
    r"|grid_sampler_[23]d_backward|put_?|nll_loss2d_forward|kthvalue|median|bincount|scatter_reduce_?)$"
)


class Operations(TorchDispatchMode):
    """The names of all operations, forward and backward."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.name().partition(".")[0])
        return function(*args, **(kwargs or {}))


def operations(call):
    with Operations() as seen:
        call().backward()
    return seen.names


def refused(names):
    return sorted(name for name in names if REFUSED.match(name))
