"""A batch in pieces: the same loss and gradient as in one piece, also of mixed images."""

import pytest
import torch
from tiny import TinyNet

from medzoo.training.accelerator import make_accelerator
from medzoo.training.finetune import FineTuneObjective
from medzoo.training.losses import TaskLoss
from medzoo.training.optimization.micro_batches import MicroBatches

LABELS = {
    "multiclass": torch.tensor([0, 2, 1, 0, 1]),
    "multilabel": torch.tensor([[1.0, 0.0, float("nan")], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    "regression": torch.tensor([3.0, 1.0, 4.0, 1.0, 5.0]),
}  # fmt: skip


def step_of(size, kind, mixing, seed, target=(3.0, 2.0)):
    """The values and the gradient of a step in pieces of this size; 0 is one piece."""
    torch.manual_seed(0)
    net = TinyNet(1 if kind == "regression" else 3)
    net.norm, net.drop = torch.nn.GroupNorm(2, 8), torch.nn.Identity()
    weights = () if kind == "regression" else (1.0, 3.0, 0.5)
    objective = FineTuneObjective(net, TaskLoss(kind, "auto", 0.1, weights), *mixing, target=target)
    batch = {"image": torch.rand(5, 3, 16, 16), "label": LABELS[kind], "index": torch.arange(5)}
    micro = MicroBatches(size, objective, make_accelerator("fp32", "cpu"))
    values = micro.backward(objective, batch, 0, seed)
    return values["loss"], torch.cat([value.grad.flatten() for value in net.parameters()])


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("mixing", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.4, 0.4)], ids=str)
def test_pieces_have_the_loss_and_gradient_of_the_whole_batch(kind, mixing):
    """Images are mixed with partners from the whole batch, so that a piece of one image is not mixed with itself."""
    for seed in (1, 2, 3):
        loss, gradient = step_of(0, kind, mixing, seed)
        plain, _ = step_of(0, kind, (0.0, 0.0), seed)
        assert (loss == plain) == (mixing == (0.0, 0.0))
        for size in (1, 2, 4):
            of_pieces, added = step_of(size, kind, mixing, seed)
            assert torch.allclose(of_pieces, loss, rtol=1e-5) and torch.allclose(added, gradient, atol=1e-6), size
