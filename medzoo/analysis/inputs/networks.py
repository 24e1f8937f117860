"""A network that is compared: loaded without its head, with its input convention and the hash of its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from medzoo import store
from medzoo.data.transforms.apply import InputConvention
from medzoo.errors import MedzooError
from medzoo.training.features import network_hash, weights_hash
from medzoo.training.inputs.input_transform import convention_of, load_at_size
from medzoo.zoo.loading.identify import identify
from medzoo.zoo.models.build import create


@dataclass(frozen=True)
class OpenedNetwork:
    """A network without its head, on the device of the comparison, in eval mode.

    Args:
        label: as the user typed its name.
        name: of its checkpoint.
        architecture: its timm name, or a variant's.
        module: gives (B, D) pooled features.
        convention: of its input.
        weights: sha256 of its tensors, as `weights_hash`.
        file_sha256: of the weights file; None for random weights.
        network_hash: sha256 of its tensors, architecture and modules, as `medzoo.training.features.network_hash`.
    """

    label: str
    name: str
    architecture: str
    module: torch.nn.Module
    convention: InputConvention
    weights: str
    file_sha256: str | None
    network_hash: str

    @property
    def key(self) -> str:
        """The sha256 of what decides its outputs for an image: the network and its input convention."""
        return store.sha256_of({"network": self.network_hash, "input": asdict(self.convention)})


def open_network(
    label: str, *, size: int, seed: int, hub: str | None, accept_license: bool, device: torch.device
) -> OpenedNetwork:
    """Load a checkpoint for a comparison.

    Args:
        label: as for `medzoo.load`.
        size: side of the input, pixels; networks with tables of positions are resized to it.
        seed: of the weights of a random checkpoint.
        hub: directory used instead of the Hub.
        accept_license: accept non-commercial or contested terms.
        device: where to compute.

    Raises:
        MedzooError: as `medzoo.load` does.

    >>> open_network("resnet18-random", size=32, seed=0, hub=None, accept_license=False, device=torch.device("cpu")).name
    'resnet18-random'
    """
    module, _ = load_at_size(label, num_classes=0, size=size, seed=seed, hub=hub, accept_license=accept_license)
    receipt: Any = module.load_receipt
    module = module.to(device).eval().requires_grad_(False)
    return OpenedNetwork(
        label,
        receipt.name,
        receipt.architecture,
        module,
        convention_of(module),
        weights_hash(module),
        receipt.sha256 or None,
        network_hash(module),
    )


def random_twin(network: OpenedNetwork, *, seed: int) -> OpenedNetwork:
    """The same architecture and input convention with random weights, on the same device.

    Args:
        network: the original.
        seed: of the weights; torch's generator is left as it was.
    """
    receipt: Any = network.module.load_receipt
    config: Any = network.module.pretrained_cfg
    arguments = {**receipt.model_args, "in_chans": network.convention.channels, "num_classes": 0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = create(network.architecture, dict(config), arguments)
    device = next(network.module.parameters()).device
    module = module.to(device).eval().requires_grad_(False)
    name = f"{network.architecture}-random"
    return OpenedNetwork(
        f"{name} (seed {seed})", name, network.architecture, module, network.convention, weights_hash(module), None,
        network_hash(module),
    )  # fmt: skip


def title_of(label: str, hub: str | None) -> str:
    """The name of a checkpoint without paths of this machine; nothing is loaded.

    Args:
        label: as for `medzoo.load`.
        hub: directory used instead of the Hub.

    >>> title_of("resnet18-random", None)
    'resnet18-random'
    """
    if "/" not in label and not Path(label).is_dir():
        return label
    try:
        return identify(label, hub=hub).name
    except (MedzooError, OSError):  # not on this machine: the last part of its name
        return label.rstrip("/").rpartition("/")[2]
