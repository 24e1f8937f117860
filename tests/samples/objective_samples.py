"""What tests of objectives share: networks without noise, batches of views, and gradients."""

import numpy as np
import torch
from tiny import TinyNet, tiny_vit


def plain_net() -> TinyNet:
    """A CNN without dropout."""
    torch.manual_seed(0)
    net = TinyNet(8)
    net.drop.p = 0.0
    return net


def plain_vit(**options):
    """A vision transformer with 16 patches and without stochastic depth."""
    torch.manual_seed(0)
    return tiny_vit(drop_path_rate=0.0, **options)


def batch_of(sides, images=6, seed=0, dtype=torch.float64):
    """Views of noise with these sides, pixels."""
    draw = torch.Generator().manual_seed(seed)
    views = [torch.randn(images, 3, side, side, generator=draw, dtype=dtype) for side in sides]
    return {"views": views, "label": torch.zeros(images, dtype=torch.long), "index": np.arange(images)}


def started(objective, steps=12, epoch_steps=4, seed=0):
    """An objective in float64, ready for its first step."""
    objective.start(steps=steps, epoch_steps=epoch_steps, seed=seed)
    return objective.double().train()


def gradients(objective, loss):
    """The gradient of every trained parameter by name; None where there is none."""
    objective.zero_grad(set_to_none=True)
    loss.backward()
    return {name: value.grad for name, value in objective.named_parameters() if value.requires_grad}


def assert_same_gradients(one, two, within=1e-6):
    assert one.keys() == two.keys()
    largest = max(float(value.abs().max()) for value in two.values())
    assert largest > 0
    for name, value in two.items():
        assert torch.allclose(one[name], value, rtol=within, atol=within * largest), name
