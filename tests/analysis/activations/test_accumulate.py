"""One pass over images gives the sums that the stored activations would give, whatever the size of a batch."""

from types import MappingProxyType

import numpy as np
import pytest
import torch
from expect import raises
from torch import nn

from medzoo.analysis.activations.accumulate import accumulate, spread_over_images, whole_images
from medzoo.analysis.activations.layers import LayerPair
from medzoo.analysis.inputs.networks import OpenedNetwork
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.transforms.apply import InputConvention
from medzoo.errors import NotApplicableError, UsageError

CPU = torch.device("cpu")
PAIR = [LayerPair("conv", "conv", "conv")]


class OneLayer(nn.Module):
    """Its features are the means of its one layer."""

    pretrained_cfg = MappingProxyType({"input_size": (3, 8, 8)})

    def __init__(self, units, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.conv, self.idle = nn.Conv2d(3, units, 3, padding=1), nn.Conv2d(3, units, 1)

    def forward(self, x):
        return self.conv(x).relu().mean((2, 3))


def network(units, seed=0):
    convention = InputConvention((0.5,) * 3, (0.5,) * 3, "unit")
    return OpenedNetwork(
        f"net{seed}", f"net{seed}", "tiny", OneLayer(units, seed).eval(), convention, f"w{seed}", None, f"k{seed}"
    )


def images(count, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 255, (count, 8, 8), dtype=np.uint8)
    return Decoded(
        pixels, np.zeros(count, int), [str(i) for i in range(count)], [str(i) for i in range(count)], 255.0, "s"
    )


def sums(count=30, batch=7, networks=None, pairs=PAIR, **options):
    usual = {"sampling": spread_over_images(10**6), "seed": 0, "null_draws": 2, "pooled_images": 100}
    return accumulate(
        networks or (network(4), network(5, 1)), pairs, images(count), size=8, device=CPU, batch_size=batch,
        **{**usual, **options},
    )  # fmt: skip


def whole(one, data):
    """All activations of a network, computed without the code under test: (images, positions, channels)."""
    unit = torch.from_numpy(data.images.astype(np.float32) / 255)[:, None].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        return one.module.conv((unit - 0.5) / 0.5).permute(0, 2, 3, 1).flatten(1, 2).numpy().astype(np.float64)


def test_the_covariances_are_those_of_all_activations():
    networks = network(4), network(5, 1)
    (one,), outputs = sums(networks=networks)
    x, y = (whole(each, images(30)) for each in networks)
    cxx, cyy, cxy = one.moments.covariances()
    flat = np.concatenate([x, y], axis=2).reshape(-1, 9)
    known = np.cov(flat.T)
    assert one.moments.n == 30 * 64 and (one.images, one.positions, one.grid, one.units) == (30, 64, 64, (4, 5))
    for found, part in ((cxx, known[:4, :4]), (cyy, known[4:, 4:]), (cxy, known[:4, 4:])):
        assert np.allclose(found, part, atol=1e-6)
    assert np.allclose(np.concatenate(one.pooled[0]), x.mean(1), atol=1e-5) and outputs[0].shape == (30, 4)
    assert np.allclose(outputs[1], np.maximum(y, 0).mean(1), atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"sampling": spread_over_images(90)}, {"sampling": whole_images(640)}, {"channels": 3}]
)
def test_the_size_of_a_batch_changes_nothing(options):
    networks = network(4), network(4, 1)
    first, second = (sums(batch=batch, networks=networks, **options)[0][0] for batch in (7, 30))
    assert first.moments.n == second.moments.n and first.units == second.units
    for one, other in zip(first.moments.covariances(), second.moments.covariances(), strict=True):
        assert np.allclose(one, other, rtol=1e-5, atol=1e-8)


def test_a_sample_of_positions_is_part_of_the_whole():
    networks = network(4), network(4, 0)
    (one,), _ = sums(networks=networks, sampling=spread_over_images(60))
    cxx, cyy, cxy = one.moments.covariances()
    assert one.positions == 2 and one.moments.n == 60
    assert np.allclose(cxx, cxy) and np.allclose(cxx, cyy)  # the same positions and channels in both networks


def test_whole_images_stop_at_their_number():
    (one,), outputs = sums(sampling=whole_images(640))
    assert one.images == 10 and one.moments.n == 640 and len(outputs[0]) == 30


def test_a_sample_can_be_the_mean_of_an_image():
    (one,), _ = sums(pooled=True)
    assert one.moments.n == 30 and np.allclose(one.moments.covariances()[0], np.cov(np.concatenate(one.pooled[0]).T))


def test_wrong_pairs_lose_what_the_networks_share():
    networks = network(4), network(4, 0)
    (one,), _ = sums(count=64, batch=64, networks=networks, pooled=True)
    right = np.abs(one.moments.covariances()[2]).sum()
    assert len(one.nulls) == 2 and all(null.n == 64 for null in one.nulls)
    assert all(np.abs(null.covariance()).sum() < 0.6 * right for null in one.nulls)
    assert not np.allclose(one.nulls[0].covariance(), one.nulls[1].covariance())


def test_channels_that_are_too_few_give_a_reason():
    for networks in ((network(4), network(5, 1)), (network(2), network(2, 1))):
        (one,), _ = sums(networks=networks, channels=3)
        assert one.moments is None and "channels" in one.reason


def test_bad_input():
    broken = network(4)
    with torch.no_grad():
        broken.module.conv.bias[1] = float("nan")
    with raises(UsageError, "activations-not-finite", match="conv of net0"):
        sums(networks=(broken, network(4, 1)))
    with raises(UsageError, "layer-not-used", match="idle"):
        sums(pairs=[LayerPair("idle", "conv", "idle = conv")])
    with raises(NotApplicableError, "images-too-few"):
        sums(count=1)
