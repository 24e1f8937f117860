"""Two small networks in a comparison, without a registry: what an analysis asks of its inputs."""

from dataclasses import replace

import torch

from medzoo.analysis.inputs.inputs import ComparedInputs
from medzoo.analysis.inputs.options import CompareOptions
from medzoo.training.features import network_hash, weights_hash

PHANTOM = "phantom_ct,n=30,n_validation=6,n_test=36,image_size=32"


def compared(first="test_resnet-random", second="test_resnet-random", *, change=None, **options):
    """Inputs with two tiny networks of timm.

    Args:
        first: name of a checkpoint.
        second: name of a checkpoint.
        change: a function that changes the module of the second network in place.
        options: of the comparison.
    """
    given = {"task": PHANTOM, "size": 32, "images": 36, "batch_size": 16, "device": "cpu", **options}
    inputs = ComparedInputs(CompareOptions(checkpoints=[first, second], **given))
    if change is not None:
        network = inputs.networks[1]
        with torch.no_grad():
            change(network.module)
        inputs.networks = (
            inputs.networks[0],
            replace(network, weights=weights_hash(network.module), network_hash=network_hash(network.module)),
        )
    return inputs
