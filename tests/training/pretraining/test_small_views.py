"""Networks process views of two sizes; those that cannot are refused."""

import pytest
import torch
from expect import raises
from objective_samples import plain_vit
from tiny import TinyNet, tiny_swin

from medzoo.errors import UsageError
from medzoo.training.pretraining.small_views import allow_sizes, crops, cut, in_groups, needs_small_views


def test_a_transformer_gives_the_same_at_its_own_size_and_processes_others():
    net, images = plain_vit().double().eval(), torch.randn(2, 3, 16, 16, dtype=torch.float64)
    before, names = net(images), list(net.state_dict())
    assert torch.equal(allow_sizes(net)(images), before) and list(net.state_dict()) == names
    net(images[..., :8, :8])[:, 0].sum().backward()
    assert net.pos_embed.grad[:, 1:].abs().min() > 0, "a small view trains all positions"
    # a small view has the positions of the whole image, resized
    with torch.no_grad():
        net.pos_embed.fill_(0.5)
    assert torch.allclose(net._pos_embed(net.patch_embed(images[..., :8, :8]))[:, 1:],
                          net.patch_embed(images[..., :8, :8]).flatten(1, 2) + 0.5, atol=1e-6)  # fmt: skip


def test_pixels_that_fill_no_patch_are_dropped_as_the_network_does():
    net = plain_vit(img_size=18).eval()
    images = torch.randn(2, 3, 18, 18)
    before = net(images)
    assert torch.equal(allow_sizes(net)(cut(images, 4)), before)


class Picky(TinyNet):
    """A CNN that fails below 10 px."""

    def forward(self, x):
        return super().forward(torch.nn.functional.avg_pool2d(x, 10, 1))


def test_networks_that_cannot_process_small_views_are_refused():
    needs_small_views("dino", TinyNet(), 7)
    needs_small_views("dino", plain_vit(), 6)
    with raises(UsageError, "view-too-small", match="7 px"):
        needs_small_views("dino", Picky(), 7)
    with raises(UsageError, "view-too-small", match="4 px"):
        needs_small_views("dino", plain_vit(), 3)
    with raises(UsageError, "architecture-not-for-method", match="SwinTransformer"):
        needs_small_views("dino", tiny_swin(), 8)


def test_the_check_changes_no_network():
    net = TinyNet().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    needs_small_views("dino", net, 7)
    assert net.training and all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_views_of_equal_size_share_a_pass_and_keep_their_order():
    seen = []

    def network(images):
        seen.append(tuple(images.shape))
        return images.mean((2, 3))

    views = [torch.full((2, 3, side, side), float(number)) for number, side in enumerate([8, 8, 4, 4, 4])]
    assert in_groups(network, views)[:, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert seen == [(4, 3, 8, 8), (6, 3, 4, 4)]


def test_crops_are_the_papers():
    made = crops(area=0.4, small_area=0.3, small_views=3, small_side=0.43, flip=0.5, tone=0.4, grey=0.2, hue=0.1,
                 solarize=0.3, blur_sigma=0.01)  # fmt: skip
    laws = [one.augmentation for one in made]
    assert [(law.min_area, law.max_area, law.blur) for law in laws] == [
        (0.4, 1.0, 1.0), (0.4, 1.0, 0.1), *[(0.05, 0.3, 0.5)] * 3,
    ]  # fmt: skip
    assert {(law.flip, law.tone, law.grey, law.brightness, law.saturation) for law in laws} == {
        (0.5, 0.8, 0.2, 0.4, 0.2)
    }
    assert [law.solarize for law in laws] == [0.0, 0.3, 0.0, 0.0, 0.0] and {law.hue for law in laws} == {0.1}
    assert [one.side(224) for one in made] == [224, 224, 96, 96, 96]
    assert {law.blur_sigma for law in laws} == {0.01}
    assert pytest.approx(0.2) == laws[0].saturation
