"""Tables of positions are resized as timm resizes them, and without its kernel."""

import copy

import pytest
import torch
from objective_samples import plain_vit

from medzoo.training.pretraining.position_table import fix_order_of_positions, resized
from medzoo.training.pretraining.small_views import allow_sizes

KINDS = {
    "class token": {},
    "registers": {"reg_tokens": 2},
    "no rows for them": {"reg_tokens": 2, "no_embed_class": True},
    "patches alone": {"class_token": False, "global_pool": "avg"},
    "no table": {"pos_embed": "none"},
    "not square": {"img_size": (16, 24)},
}


@pytest.mark.parametrize("grid", [(2, 2), (3, 2), (4, 4), (4, 6), (6, 5), (1, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_positions_and_their_gradients_are_those_of_timm(kind, grid):
    torch.manual_seed(0)
    ours = plain_vit(**KINDS[kind], dynamic_img_size=True).train()
    theirs = copy.deepcopy(ours)
    fix_order_of_positions(ours)
    tokens = torch.randn(2, *grid, 16)
    made = [network._pos_embed(tokens) for network in (ours, theirs)]
    torch.testing.assert_close(*made, rtol=0, atol=2e-6)
    if kind == "no table":
        return
    weights = torch.randn_like(made[0])
    for values in made:
        (values * weights).sum().backward()
    torch.testing.assert_close(ours.pos_embed.grad, theirs.pos_embed.grad, rtol=0, atol=1e-5)


def test_a_table_stays_for_its_own_grid_and_is_exact_under_autocast():
    table = torch.randn(1, 17, 8)
    assert resized(table, (4, 4), (4, 4), before=1) is table
    expected = resized(table, (4, 4), (2, 3), before=1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(resized(table, (4, 4), (2, 3), before=1), expected)
    assert torch.equal(expected[:, :1], table[:, :1])


def test_a_copy_of_the_network_has_a_table_of_its_own():
    network = allow_sizes(plain_vit()).eval()
    teacher, images = copy.deepcopy(network), torch.randn(2, 3, 8, 8)
    before = teacher(images)
    with torch.no_grad():
        network.pos_embed.add_(torch.randn_like(network.pos_embed))
    assert torch.equal(teacher(images), before) and not torch.equal(network(images), before)


def test_a_network_with_another_way_of_adding_positions_keeps_it():
    from timm.models.deit import VisionTransformerDistilled

    network = VisionTransformerDistilled(img_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=2)
    fix_order_of_positions(network)
    assert "_pos_embed" not in vars(network)
