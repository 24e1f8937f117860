"""The tokens of a network: which count, in which order, and what a grid of heads reads."""

from types import SimpleNamespace

import pytest
import timm
import torch
from expect import raises
from timm.models.vision_transformer import VisionTransformer

import medzoo.zoo.variants  # noqa: F401 - registers architectures with timm
from medzoo.errors import UsageError
from medzoo.training.objectives import list_methods
from medzoo.training.tokens.network_tokens import LayerNetwork, TokenNetwork, layer_inputs
from medzoo.zoo.registry.class_token import LOSS_ON
from medzoo.zoo.registry.registry import info, names

# all other checkpoints have no class token, no loss on it, or an output that does not read it
WITH_CLASS_TOKEN = {
    *(f"deit_{size}-imagenet" for size in ("tiny", "small", "base")),
    *(f"vit_base-{how}" for how in ("imagenet", "imagenet21k", "imagenet_sam", "dino-imagenet", "mocov3-imagenet")),
    "vit_base-dinov2-lvd142m", "vit_base-dinov2-cxr_raddino",
    *(f"vit_small-{how}" for how in ("imagenet", "dino-imagenet", "sit-imagenet", "sit-imagenet-mimic")),
    *(f"vit_small-mocov3-{data}" for data in ("imagenet", "imagenet-mimic", "chestxray14")),
}  # fmt: skip


def small_vit(**changes):
    torch.manual_seed(0)
    usual = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 5, "num_heads": 2, "num_classes": 0}
    network = VisionTransformer(**{**usual, **changes}).eval()
    network.pretrained_cfg = {"input_size": (3, 32, 32)}
    return network


def test_the_registry_fixes_for_every_checkpoint_whether_the_class_token_counts():
    empty = {}
    for name in names():
        entry = info(name)
        if "resnet" in entry.architecture or "densenet" in entry.architecture:
            assert name not in WITH_CLASS_TOKEN  # they have no class token; building each takes long
            continue
        build = entry.architecture, str(entry.model.kwargs)
        if build not in empty:
            with torch.device("meta"):
                empty[build] = TokenNetwork(timm.create_model(entry.architecture, num_classes=0, **entry.model.kwargs))
        network = empty[build]
        network.network.load_receipt = SimpleNamespace(lineage=entry.lineage())
        assert network.class_token_counts == (name in WITH_CLASS_TOKEN), name
    assert set(names()) >= WITH_CLASS_TOKEN


def test_every_objective_says_where_its_loss_is():
    methods = {entry.pretraining.method for name in names() if (entry := info(name)).pretraining}
    assert methods | set(list_methods()) <= set(LOSS_ON)


def test_a_transformer_gives_class_token_and_patches_and_never_registers():
    network, images = small_vit(reg_tokens=3), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        given, tokens = network.forward_features(images), TokenNetwork(network)(images)
    assert given.shape == (2, 1 + 3 + 16, 24) and torch.equal(tokens, torch.cat([given[:, :1], given[:, 4:]], 1))


def test_a_network_without_class_token_gives_all_its_patches():
    network = small_vit(class_token=False, global_pool="avg")
    tokens = TokenNetwork(network)
    network.load_receipt = SimpleNamespace(lineage=({"method": "dino"},))
    assert tokens(torch.rand(1, 3, 32, 32)).shape == (1, 16, 24) and not tokens.class_token_counts


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "swin_tiny_patch4_window7_224"])
def test_a_map_is_read_row_by_row(name):
    swin = {"img_size": 64, "window_size": 2, "embed_dim": 12, "num_heads": (1, 1, 2, 2), "depths": (1, 1, 1, 1)}
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0, **(swin if "swin" in name else {})).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        given, tokens = network.forward_features(images), TokenNetwork(network)(images)
    rows, columns, width = given.shape[1:] if "swin" in name else (*given.shape[2:], given.shape[1])
    assert tokens.shape == (1, rows * columns, width) and rows > 1
    expected = given[0, 1, 0] if "swin" in name else given[0, :, 1, 0]
    assert torch.equal(tokens[0, columns], expected)


def test_frozen_means_eval():
    network = timm.create_model("test_resnet", num_classes=0).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for wrapped in (TokenNetwork(network), LayerNetwork(network.train(), 2)):
        wrapped(torch.rand(2, 3, 32, 32))
        assert not any(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_inputs_of_the_grid_are_those_of_dinov2():
    network, images = small_vit(reg_tokens=2), torch.rand(2, 3, 32, 32)
    layers = LayerNetwork(network, 4)
    with torch.no_grad():
        whole = layers(images)
        last = network.get_intermediate_layers(images, n=4, return_prefix_tokens=True, norm=True)
    inputs = layer_inputs(layers.widths, [1, 4], class_token=True)
    classes = [prefix[:, 0] for _, prefix in last]
    mean = last[-1][0].mean(1)
    expected = [classes[-1:], [classes[-1], mean], classes, [*classes, mean]]
    assert len(inputs) == 4
    for (_, columns), parts in zip(inputs, expected, strict=True):
        assert torch.allclose(whole[:, columns], torch.cat(parts, 1), atol=1e-6)
    assert layers.widths_at(32) == (24,) * 5


def test_a_convolutional_network_has_one_input_for_each_number_of_layers():
    network = timm.create_model("test_resnet", num_classes=0)
    network.eval()
    layers, images = LayerNetwork(network, 2), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        whole, maps = layers(images), network.forward_intermediates(images, indices=2, intermediates_only=True)
    inputs = layer_inputs(layers.widths, [1, 2], class_token=False)
    assert [name for name, _ in inputs] == ["1 layer", "2 layers"]
    assert torch.allclose(whole[:, inputs[0][1]], maps[-1].mean((2, 3)))
    assert torch.allclose(whole[:, inputs[1][1]], torch.cat([part.mean((2, 3)) for part in maps], 1))


def test_networks_that_cannot_be_read_are_refused(tiny_net):
    with raises(UsageError, "network-without-tokens"):
        TokenNetwork(tiny_net())
    flat = SimpleNamespace(forward_features=lambda images: images.flatten(1))
    network = tiny_net()
    network.forward_features = flat.forward_features
    with raises(UsageError, "network-without-tokens"):
        TokenNetwork(network)(torch.rand(1, 3, 8, 8))
    with raises(UsageError, "network-without-layers"):
        LayerNetwork(tiny_net(), 1)
    with raises(UsageError, "layers-too-many"):
        LayerNetwork(small_vit(), 6)(torch.rand(1, 3, 32, 32))
