"""LoRA starts with the same function, trains q, v and the head only, and leaves a plain network."""

import pytest
import timm
import torch
from expect import raises

from medzoo.errors import UsageError
from medzoo.training.layers.lora import add_lora, merge_lora

pytest.importorskip("peft")
IMAGES = torch.randn(2, 3, 32, 32)


@pytest.fixture
def net():
    torch.manual_seed(0)
    shape = {"embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 32, "patch_size": 8}
    return timm.create_model("vit_tiny_patch16_224", num_classes=3, **shape).eval()


def test_the_merged_network_is_plain_and_computes_the_same(net):
    plain, before = {key: value.clone() for key, value in net.state_dict().items()}, net(IMAGES)
    add_lora(net, 4)
    assert torch.equal(net(IMAGES), before)
    optimizer = torch.optim.AdamW(
        [value for value in net.parameters() if value.requires_grad], lr=0.1, weight_decay=0.1
    )
    for _ in range(3):
        net(IMAGES).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    trained = net(IMAGES)
    merge_lora(net)
    after = net.state_dict()
    assert after.keys() == plain.keys() and torch.allclose(net(IMAGES), trained, atol=1e-5)
    changed = {key for key in plain if not torch.equal(plain[key], after[key])}
    assert changed == {"blocks.0.attn.qkv.weight", "blocks.1.attn.qkv.weight", "head.weight", "head.bias"}
    for block in (0, 1):
        old, new = (table[f"blocks.{block}.attn.qkv.weight"].chunk(3) for table in (plain, after))
        assert [torch.equal(one, other) for one, other in zip(old, new, strict=True)] == [False, True, False]


def test_a_network_without_attention():
    with raises(UsageError, "lora-without-attention", match="lora_rank is 4"):
        add_lora(timm.create_model("resnet18", num_classes=2), 4)
