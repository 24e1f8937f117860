"""One seed pairs the runs of two checkpoints: the same weights of the head, and the same images in every batch."""

import numpy as np
import pytest
import timm
import torch

import medzoo
from medzoo.data.decode_cache.cache import decoded
from medzoo.data.task_registry import load_task
from medzoo.data.transforms.augmentation_law import Augmentation
from medzoo.training.inputs.batches import Batches
from medzoo.training.inputs.input_transform import convention_of, load_at_size
from medzoo.training.layers.head import classifier_of


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Two checkpoints of one architecture, one of another architecture with the same width, and one with another width."""
    root = tmp_path_factory.mktemp("nets")
    for number, (name, architecture) in enumerate(
        {"one": "resnet10t", "two": "resnet10t", "deep": "resnet18", "wide": "test_resnet"}.items()
    ):
        torch.manual_seed(100 + number)
        card = {
            "name": f"{architecture}-net",
            "license": "apache-2.0",
            "data": ["noise"],
            "input": {"size": 32, "crop_pct": 1.0},
        }
        medzoo.save(timm.create_model(architecture, num_classes=0), root / name, card=card)
    return root


def opened(place, seed):
    return load_at_size(str(place), num_classes=3, size=32, seed=seed, hub=None, accept_license=False)[0]


def test_the_head_starts_equally(nets):
    heads = {
        (name, seed): classifier_of(opened(nets / name, seed)) for name in ("one", "two", "deep") for seed in (0, 1)
    }
    for seed in (0, 1):
        for name in ("two", "deep"):
            assert torch.equal(heads["one", seed].weight, heads[name, seed].weight)
            assert torch.equal(heads["one", seed].bias, heads[name, seed].bias)
    assert not torch.equal(heads["one", 0].weight, heads["one", 1].weight)


def test_batches_have_the_same_images_and_the_same_crops(nets):
    """Mean and deviation of the input belong to a checkpoint; apart from these, the pixels are equal."""
    task = load_task("phantom_oct,n=30,n_validation=8,n_test=8", per_class=4)
    rows = decoded(task, "train", size=32)
    made = {}
    for name in ("one", "deep", "wide"):
        convention = convention_of(opened(nets / name, 0))
        mean, std = (torch.tensor(numbers).view(1, -1, 1, 1) for numbers in (convention.mean, convention.std))
        batches = Batches(rows, Augmentation(), convention, size=32, batch_size=4, seed=5)
        made[name] = []
        for epoch in range(2):
            batches.set_epoch(epoch)
            made[name] += [
                (batch["index"], batch["image"] * std + mean) for batch in map(batches.__getitem__, range(4))
            ]
    for name in ("deep", "wide"):
        for (mine, image), (theirs, other) in zip(made["one"], made[name], strict=True):
            assert np.array_equal(mine, theirs) and torch.allclose(image, other, atol=1e-5)
    first, second = made["one"][0], made["one"][4]
    assert not np.array_equal(first[0], second[0]), "both epochs have the same order"
