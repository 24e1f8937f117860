"""Frozen layers have no gradient and stay in evaluation mode; blocks are counted from the end."""

import pytest
import timm
import torch
from expect import raises

from medzoo.errors import UsageError
from medzoo.training.layers.trained_layers import freeze_modes, has_batch_norm, is_transformer, set_trained
from medzoo.training.optimization.optimizer import make_optimizer, set_rate

VIT = {"embed_dim": 24, "depth": 4, "num_heads": 2, "img_size": 32, "patch_size": 8}
NETS = {
    "vit": lambda: timm.create_model("vit_tiny_patch16_224", num_classes=3, **VIT),
    "resnet": lambda: timm.create_model("resnet18", num_classes=3),
    "swin": lambda: timm.create_model(
        "swin_tiny_patch4_window7_224", num_classes=3, embed_dim=12, depths=(1, 1), num_heads=(1, 1)
    ),
    "convnext": lambda: timm.create_model("convnext_atto", num_classes=3, depths=(1, 1, 1, 1), dims=(8, 8, 8, 8)),
    "densenet": lambda: timm.create_model("densenet121", num_classes=3, growth_rate=4, block_config=(1, 1)),
}


def trained(net):
    return {name for name, value in net.named_parameters() if value.requires_grad}


@pytest.mark.parametrize("name", NETS)
def test_the_head_alone_and_all_layers(name):
    net = NETS[name]()
    set_trained(net, 0)
    head = net.get_classifier()
    assert {id(value) for value in net.parameters() if value.requires_grad} == {
        id(value) for value in head.parameters()
    }
    set_trained(net)
    assert all(value.requires_grad for value in net.parameters())


@pytest.mark.parametrize(
    ("name", "blocks", "expected"),
    [
        ("vit", 1, {"blocks.3", "norm", "head"}),
        ("vit", 2, {"blocks.2", "blocks.3", "norm", "head"}),
        ("resnet", 1, {"layer4.1", "fc"}),
    ],
)
def test_the_last_blocks(name, blocks, expected):
    net = NETS[name]()
    set_trained(net, blocks)
    assert {name for name in trained(net) if not name.startswith(tuple(expected))} == set()
    assert all(any(name.startswith(prefix) for name in trained(net)) for prefix in expected - {"norm"})


def test_more_blocks_than_there_are():
    with raises(UsageError, "train-blocks-too-many", match="12"):
        set_trained(NETS["vit"](), 12)


def test_frozen_batch_norm_keeps_its_statistics():
    net = NETS["resnet"]()
    set_trained(net, 1)
    net.train()
    freeze_modes(net)
    before = {name: value.clone() for name, value in net.named_buffers()}
    net(torch.randn(2, 3, 32, 32)).sum().backward()
    changed = {name.rpartition(".")[0] for name, value in net.named_buffers() if not torch.equal(value, before[name])}
    assert changed == {"layer4.1.bn1", "layer4.1.bn2"} and has_batch_norm(net)
    assert not any(
        value.grad is not None for name, value in net.named_parameters() if not name.startswith(("layer4.1", "fc"))
    )


def test_transformers_are_known_by_their_attention():
    assert {name: is_transformer(make()) for name, make in NETS.items()} == {
        "vit": True, "resnet": False, "swin": True, "convnext": False, "densenet": False,
    }  # fmt: skip


def test_the_learning_rate_falls_towards_the_stem():
    net = NETS["vit"]()
    whole = torch.nn.Module()
    whole.backbone, whole.extra = net, torch.nn.Linear(2, 2)
    optimizer = make_optimizer(whole, "adamw", 1.0, 0.05, layer_decay=0.5)
    set_rate(optimizer, 0.1)
    rates = {id(value): group["lr"] for group in optimizer.param_groups for value in group["params"]}
    by_name = {name: rates[id(value)] for name, value in whole.named_parameters()}
    assert by_name["backbone.head.weight"] == by_name["extra.weight"] == pytest.approx(0.1)
    assert by_name["backbone.blocks.3.mlp.fc1.weight"] == pytest.approx(0.05)
    assert by_name["backbone.blocks.0.mlp.fc1.weight"] == pytest.approx(0.1 / 16)
    assert by_name["backbone.patch_embed.proj.weight"] == pytest.approx(0.1 / 32)
    decays = {id(value): group["weight_decay"] for group in optimizer.param_groups for value in group["params"]}
    assert decays[id(net.norm.weight)] == 0 and decays[id(net.head.weight)] == 0.05 and decays[id(net.pos_embed)] == 0
