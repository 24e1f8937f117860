"""Where layers of each family go, written down by hand from their authors' code; and what is done to their numbers."""

import pytest
import torch

from medzoo.errors import ConversionError
from medzoo.zoo.convert import tensor_steps
from medzoo.zoo.convert.formats import FORMATS
from medzoo.zoo.convert.key_rules import plan

KEPT = [  # format, name in the file, name in timm
    ("moco-v2", "state_dict.module.encoder_q.layer3.5.bn2.running_var", "layer3.5.bn2.running_var"),
    ("pycontrast-infomin", "model.module.encoder.layer1.0.downsample.1.bias", "layer1.0.downsample.1.bias"),
    ("swav", "module.conv1.weight", "conv1.weight"),
    ("swav-training", "state_dict.module.layer4.2.conv3.weight", "layer4.2.conv3.weight"),
    ("barlowtwins-full", "model.module.backbone.bn1.weight", "bn1.weight"),
    ("mocov3-resnet50", "state_dict.module.base_encoder.layer2.3.conv1.weight", "layer2.3.conv1.weight"),
    ("vissl-classy", "classy_state_dict.base_model.model.trunk.base_model._feature_blocks.conv1.weight", "conv1.weight"),
    ("radnet-simclr-checkpoint", "encoder.layer1.0.conv1.weight", "layer1.0.conv1.weight"),
    ("radimagenet-torch-resnet50", "backbone.0.weight", "conv1.weight"),
    ("radimagenet-torch-resnet50", "module.backbone.7.2.bn3.bias", "layer4.2.bn3.bias"),
    ("radimagenet-torch-densenet121", "backbone.0.denseblock3.denselayer24.conv2.weight",
     "features.denseblock3.denselayer24.conv2.weight"),
    ("radimagenet-torch-inceptionv3", "backbone.14.branch3x3_2.conv.weight", "Mixed_6e.branch3x3_2.conv.weight"),
    ("jliang-imagenet-chestxray14", "state_dict.fc.0.weight", "fc.weight"),
    ("jliang-imagenet-chexpert", "state_dict.module.fc.bias", "fc.bias"),
    ("convnext-base", "model.downsample_layers.0.0.weight", "stem.0.weight"),
    ("convnext-base", "model.downsample_layers.2.1.weight", "stages.2.downsample.1.weight"),
    ("convnext-base", "model.stages.2.26.dwconv.weight", "stages.2.blocks.26.conv_dw.weight"),
    ("convnext-tiny", "model.stages.0.1.pwconv2.bias", "stages.0.blocks.1.mlp.fc2.bias"),
    ("convnext-tiny", "model.norm.weight", "head.norm.weight"),
    ("convnext-tiny", "model.head.bias", "head.fc.bias"),
    ("torchxrayvision-densenet121", "classifier.weight", "classifier.weight"),
    ("dino-full-checkpoint", "teacher.backbone.blocks.11.attn.qkv.weight", "blocks.11.attn.qkv.weight"),
    ("sit", "teacher.module.backbone.pos_embed", "pos_embed"),
    ("mae-pretrain", "model.blocks.0.norm1.weight", "blocks.0.norm1.weight"),
    ("mocov3-vit-base", "state_dict.module.base_encoder.norm.bias", "norm.bias"),
    ("dinov2-vitb14-reg4", "register_tokens", "reg_token"),
    ("dinov2-giant-2blocks", "blocks.1.mlp.w12.weight", "blocks.1.mlp.fc1.weight"),
    ("dinov2-giant-2blocks", "blocks.1.mlp.w3.bias", "blocks.1.mlp.fc2.bias"),
    ("dinov2-training-teacher", "teacher.backbone.blocks.2.7.ls1.gamma", "blocks.7.ls1.gamma"),
    ("rad-dino-hf", "encoder.layer.3.attention.attention.key.bias", "blocks.3.attn.k.bias"),
    ("rad-dino-hf", "encoder.layer.3.attention.output.dense.weight", "blocks.3.attn.proj.weight"),
    ("rad-dino-hf", "encoder.layer.9.layer_scale2.lambda1", "blocks.9.ls2.gamma"),
    ("rad-dino-hf", "layernorm.weight", "norm.weight"),
    ("swin-tiny", "model.layers.0.downsample.reduction.weight", "layers.1.downsample.reduction.weight"),
    ("swin-base", "model.layers.2.downsample.norm.bias", "layers.3.downsample.norm.bias"),
    ("swin-base", "model.head.weight", "head.fc.weight"),
    ("simmim-swin-base", "model.encoder.layers.1.downsample.reduction.weight", "layers.2.downsample.reduction.weight"),
    ("simmim-swin-base", "model.encoder.layers.2.blocks.17.attn.relative_position_bias_table",
     "layers.2.blocks.17.attn.relative_position_bias_table"),
    ("keras-resnet50", "conv3_block4_2_conv/conv3_block4_2_conv/kernel:0", "layer2.3.conv2.weight"),
    ("keras-resnet50", "conv5_block1_0_conv/conv5_block1_0_conv/bias:0", "layer4.0.downsample.0.bias"),
    ("keras-resnet50", "conv2_block1_1_bn/conv2_block1_1_bn/gamma:0", "layer1.0.bn1.weight"),
    ("keras-resnet50", "conv2_block1_1_bn/conv2_block1_1_bn/beta:0", "layer1.0.bn1.bias"),
    ("keras-resnet50", "conv2_block1_1_bn/conv2_block1_1_bn/moving_mean:0", "layer1.0.bn1.running_mean"),
    ("keras-resnet50", "conv2_block1_1_bn/conv2_block1_1_bn/moving_variance:0", "layer1.0.bn1.running_var"),
    ("keras-densenet121", "conv4_block24_1_bn/conv4_block24_1_bn/gamma:0", "features.denseblock3.denselayer24.norm2.weight"),
    ("keras-densenet121", "pool3_conv/pool3_conv/kernel:0", "features.transition2.conv.weight"),
    ("byol", "experiment_state.online_params.res_net50/~/initial_conv.w", "conv1.weight"),
    ("byol", "experiment_state.online_params.res_net50/~/block_group_2/~/block_5/~/conv_0.w", "layer3.5.conv1.weight"),
    ("byol", "experiment_state.online_params.res_net50/~/block_group_2/~/block_5/~/conv_2.w", "layer3.5.conv3.weight"),
    ("byol", "experiment_state.online_params.res_net50/~/block_group_0/~/block_0/~/shortcut_conv.w",
     "layer1.0.downsample.0.weight"),
    ("byol", "experiment_state.online_params.res_net50/~/block_group_3/~/block_1/~/batchnorm_1.scale", "layer4.1.bn2.weight"),
    ("byol", "experiment_state.online_params.res_net50/~/block_group_3/~/block_1/~/batchnorm_1.offset", "layer4.1.bn2.bias"),
    ("byol", "experiment_state.online_state.res_net50/~/initial_batchnorm/~/mean_ema.average", "bn1.running_mean"),
    ("byol", "experiment_state.online_state.res_net50/~/initial_batchnorm/~/var_ema.average", "bn1.running_var"),
]  # fmt: skip


@pytest.mark.parametrize(("identifier", "stored", "name"), KEPT, ids=[f"{row[0]} {row[2]}" for row in KEPT])
def test_a_layer_goes_where_its_authors_put_it(identifier, stored, name):
    assert plan([stored], FORMATS[identifier]).names == {name: stored}


LEFT_OUT = [  # networks beside the one that is wanted, and heads of the training objective
    ("moco-v2", "state_dict.module.encoder_k.conv1.weight"), ("moco-v2", "state_dict.module.encoder_q.fc.2.weight"),
    ("moco-v1", "state_dict.module.queue"), ("pycontrast-moco", "model_ema.encoder.conv1.weight"),
    ("pycontrast-mocov2", "model.module.head.0.weight"), ("swav", "module.projection_head.0.weight"),
    ("mocov3-resnet50", "state_dict.module.momentum_encoder.conv1.weight"),
    ("mocov3-vit-small", "state_dict.module.base_encoder.head.0.weight"),
    ("dino-full-checkpoint", "student.module.backbone.cls_token"), ("dino-full-checkpoint", "teacher.head.mlp.0.weight"),
    ("sit", "student.module.backbone.cls_token"), ("mae-pretrain", "model.decoder_embed.weight"),
    ("dinov2-training-teacher", "teacher.dino_head.mlp.0.weight"), ("simmim-swin-base", "model.decoder.0.weight"),
    ("radnet-finetuned-classifier", "head.weight"), ("barlowtwins-full", "model.module.projector.0.weight"),
    ("byol", "experiment_state.target_params.res_net50/~/initial_conv.w"),
    ("byol", "experiment_state.online_params.classifier.w"), ("simclr-v1", "head_supervised/linear_layer/dense/kernel"),
    ("simclr-v1", "base_model/conv2d/kernel/Momentum"), ("timm", "AuxLogits.conv0.conv.weight"),
]  # fmt: skip


@pytest.mark.parametrize(("identifier", "stored"), LEFT_OUT, ids=lambda value: value[:60])
def test_other_networks_of_a_file_are_left_out(identifier, stored):
    sorted_ = plan([stored, *_whole(identifier)], FORMATS[identifier])
    assert sorted_.dropped.get(stored)


def _whole(identifier):
    """Formats that number layers want them all."""
    return _simclr() if identifier.startswith("simclr") else ()


def _numbered(kind, count, ending, start="base_model/"):
    return [f"{start}{kind}{f'_{number}' if number else ''}/{ending}" for number in range(count)]


def _simclr():
    return _numbered("conv2d", 53, "kernel") + _numbered("batch_normalization", 53, "gamma")


SIMCLR = {  # TensorFlow numbers layers as they are made: the shortcut of a stage before its first block
    0: "conv1", 1: "layer1.0.downsample.0", 2: "layer1.0.conv1", 4: "layer1.0.conv3", 5: "layer1.1.conv1", 10: "layer1.2.conv3",
    11: "layer2.0.downsample.0", 12: "layer2.0.conv1", 23: "layer2.3.conv3", 24: "layer3.0.downsample.0", 42: "layer3.5.conv3",
    43: "layer4.0.downsample.0", 44: "layer4.0.conv1", 52: "layer4.2.conv3",
}  # fmt: skip


def test_simclrs_numbers():
    names = {stored: name for name, stored in plan(_simclr(), FORMATS["simclr-v1"]).names.items()}
    for number, layer in SIMCLR.items():
        tail = f"_{number}" if number else ""
        assert names[f"base_model/conv2d{tail}/kernel"] == f"{layer}.weight"
        norm = layer.replace("downsample.0", "downsample.1").replace("conv", "bn")
        assert names[f"base_model/batch_normalization{tail}/gamma"] == f"{norm}.weight"


INCEPTION = {
    0: "Conv2d_1a_3x3", 4: "Conv2d_4a_3x3", 5: "Mixed_5b.branch1x1", 6: "Mixed_5b.branch5x5_1", 8: "Mixed_5b.branch3x3dbl_1",
    11: "Mixed_5b.branch_pool", 12: "Mixed_5c.branch1x1", 26: "Mixed_6a.branch3x3", 30: "Mixed_6b.branch1x1",
    70: "Mixed_7a.branch3x3_1", 76: "Mixed_7b.branch1x1", 93: "Mixed_7c.branch_pool",
}  # fmt: skip


@pytest.mark.parametrize("first", [0, 94, 1000])
def test_kerass_numbers_go_on_in_a_second_network_of_one_process(first):
    """conv2d_94 is the first layer of the second network that a process made; and 10 comes after 9, not after 1."""
    tails = [f"_{number}" if number else "" for number in range(first, first + 94)]
    keys = [f"conv2d{tail}/conv2d{tail}/kernel:0" for tail in tails]
    norms = [f"batch_normalization{tail}/batch_normalization{tail}/beta:0" for tail in tails]
    names = {stored: name for name, stored in plan([*keys, *norms], FORMATS["keras-inceptionv3"]).names.items()}
    for number, layer in INCEPTION.items():
        assert (names[keys[number]], names[norms[number]]) == (f"{layer}.conv.weight", f"{layer}.bn.bias")
    with pytest.raises(ConversionError):
        plan([*keys[:-1], *norms], FORMATS["keras-inceptionv3"])


def test_kernels_of_tensorflow():
    """(height, width, in, out) and (in, out): by the place of single numbers."""
    kernel, dense = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5), torch.arange(6.0).reshape(2, 3)
    made = tensor_steps.kernels_last_axis_out({"a.weight": kernel, "b.weight": dense, "c.bias": torch.arange(3.0)})
    assert made["a.weight"].shape == (5, 4, 2, 3) and made["a.weight"].is_contiguous()
    assert made["a.weight"][4, 1, 0, 2] == kernel[0, 2, 1, 4]
    assert made["b.weight"].tolist() == [[0, 3], [1, 4], [2, 5]] and made["c.bias"].tolist() == [0, 1, 2]


def test_query_key_and_value_are_joined_in_this_order():
    state = {f"blocks.0.attn.{letter}.{what}": torch.full((2, 2) if what == "weight" else (2,), float(number))
             for number, letter in enumerate("vqk") for what in ("weight", "bias")}  # fmt: skip
    joined = tensor_steps.join_query_key_value(state)
    assert set(joined) == {"blocks.0.attn.qkv.weight", "blocks.0.attn.qkv.bias"}
    assert joined["blocks.0.attn.qkv.bias"].tolist() == [1, 1, 2, 2, 0, 0]
    assert joined["blocks.0.attn.qkv.weight"][:, 0].tolist() == [1, 1, 2, 2, 0, 0]


@pytest.mark.parametrize(("rows", "keywords"), [(121, (192, 6)), (169, (224, 7)), (225, None)])
def test_what_swins_bias_table_says(rows, keywords):
    table = {"layers.0.blocks.0.attn.relative_position_bias_table": torch.zeros(rows, 4)}
    found = tensor_steps.swin_window(table)
    assert found == ({} if keywords is None else {"img_size": keywords[0], "window_size": keywords[1]})
    assert tensor_steps.swin_window({}) == {}
