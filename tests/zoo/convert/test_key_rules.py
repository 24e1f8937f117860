import pytest
import torch
from expect import raises
from hypothesis import given
from hypothesis import strategies as st
from zoo_samples import BGR

from medzoo.errors import ConversionError
from medzoo.zoo.convert import tensor_steps
from medzoo.zoo.convert.formats import FORMATS
from medzoo.zoo.convert.key_rules import Drop, Format, Keep, Rank, Rename, apply, fits, plan


def new_name(key, identifier):
    return {stored: name for name, stored in plan([key], FORMATS[identifier]).names.items()}.get(key)


def test_rules_look_at_whole_tokens():
    assert new_name("state_dict.module.encoder_q.conv1.weight", "moco-v2") == "conv1.weight"
    assert new_name("state_dict.module.encoder_q2.conv1.weight", "moco-v2") is None
    assert plan(["state_dict.module.encoder_q.fc.0.weight"], FORMATS["moco-v2"]).dropped
    assert plan(["state_dict.module.encoder_k.conv1.weight"], FORMATS["moco-v2"]).dropped
    assert new_name("backbone.1.running_mean", "radimagenet-torch-resnet50") == "bn1.running_mean"
    assert new_name("backbone.10.weight", "radimagenet-torch-resnet50") is None
    assert (
        new_name("backbone.10.branch3x3.bn.weight", "radimagenet-torch-inceptionv3") == "Mixed_6a.branch3x3.bn.weight"
    )
    assert new_name("backbone.1.bn.weight", "radimagenet-torch-inceptionv3") == "Conv2d_2a_3x3.bn.weight"


@pytest.mark.parametrize("identifier", FORMATS)
def test_every_format_is_well_made(identifier):
    rules = FORMATS[identifier]
    assert rules.source.startswith("https://") and rules.keep
    assert all(drop.why and drop.pattern for drop in rules.drop)


# Keras' networks and those that RadImageNet's authors trained read images with OpenCV, whose channels are blue, green, red


def test_which_networks_take_bgr():
    """Written down, since a wrong order of channels changes every feature and breaks nothing."""
    assert {name for name, rules in FORMATS.items() if rules.bgr} == BGR


def test_which_files_bring_their_classifier():
    """Heads of supervised networks; those of a training objective are no classifier."""
    assert {name for name, rules in FORMATS.items() if rules.head} == {
        "timm", "inat2021-supervised", "inat2021-mini-supervised-scratch", "jliang-imagenet-chestxray14",
        "jliang-imagenet-chexpert", "jliang-convnext-base-mimic", "convnext-tiny", "convnext-base", "mae-finetune",
        "torchxrayvision-densenet121", "swin-tiny", "swin-base", "swin-training", "jliang-swin-base-mimic",
    }  # fmt: skip


def test_two_keys_may_not_become_one():
    rules = Format(keep=(Keep("a."), Keep("b.")))
    with raises(ConversionError, "keys-collide"):
        plan(["a.x", "b.x"], rules)


def test_a_drop_comes_before_a_keep_and_says_why():
    sorted_ = plan(["head.x", "x"], Format(keep=(Keep(),), drop=(Drop(r"head\.", "the head"),)))
    assert sorted_.dropped == {"head.x": "the head"} and sorted_.names == {"x": "x"} and sorted_.fits


def test_numbered_layers_go_by_rank():
    rules = Format(keep=(Keep(),), rank=(Rank(r"conv(?:_(\d+))?(?=/)", ("first", "second", "third"), "{}.conv"),))
    for keys in (["conv/k", "conv_1/k", "conv_2/k"], ["conv_94/k", "conv_101/k", "conv_95/k"]):
        order = sorted(keys, key=lambda key: int(key.partition("/")[0].partition("_")[2] or 0))
        assert plan(keys, rules).names == dict(
            zip(["first.conv/k", "second.conv/k", "third.conv/k"], order, strict=True)
        )
    with raises(ConversionError, "layer-count-differs"):
        plan(["conv/k", "conv_1/k"], rules)


def test_a_rename_may_depend_on_the_file():
    rules = Format(keep=(Keep(),), rename=(Rename(r"^old\.", "new.", when=r"^mark$"),))
    assert plan(["old.x"], rules).names == {"old.x": "old.x"}
    assert "new.x" in plan(["old.x", "mark"], rules).names


def test_marks_and_shapes_tell_siblings_apart():
    rules = Format(keep=(Keep(),), needs=(r"^queue$",), shapes=((r"^queue$", (4, 0)), (r"^head$", (-9,))))
    assert fits({"queue": (4, 7)}, rules) and fits({"queue": (4, 7), "head": (9,)}, rules)
    assert (
        not fits({"queue": (5, 7)}, rules)
        and not fits({"x": (1,)}, rules)
        and not fits({"queue": (4, 7), "head": (10,)}, rules)
    )
    with raises(ConversionError, "other-format"):
        apply({"queue": torch.zeros(5, 7)}, rules)
    with raises(ConversionError, "other-format"):
        apply({"x": torch.zeros(5, 7)}, rules)


@given(st.lists(st.text("abm.module_01", max_size=12), max_size=8, unique=True))
def test_any_keys_are_sorted_or_refused(keys):
    for identifier in ("moco-v2", "timm", "keras-inceptionv3", "byol", "swav"):
        try:
            sorted_ = plan(keys, FORMATS[identifier])
        except ConversionError:
            continue
        assert sorted([*sorted_.names.values(), *sorted_.dropped, *sorted_.foreign]) == sorted(keys)


@pytest.mark.parametrize(
    ("stored", "layer"),
    [
        ("model_weights/conv1_conv/conv1_conv/kernel:0", "conv1.weight"),
        ("conv1_conv/conv1_conv/kernel:0", "conv1.weight"),  # save_weights
        ("model_weights/resnet50/conv1_conv/kernel:0", "conv1.weight"),  # nested in a fine-tuned model
        ("conv1_conv/conv1_conv/kernel", "conv1.weight"),  # Keras 3
        ("model_weights/conv4_block6_0_bn/conv4_block6_0_bn/moving_mean:0", "layer3.5.downsample.1.running_mean"),
        ("model_weights/dense/dense/kernel:0", None),
        ("layers/conv2d/vars/0", None),
    ],
)
def test_ways_in_which_keras_names_a_layer(stored, layer):
    assert new_name(stored, "keras-resnet50") == layer


@pytest.mark.parametrize(
    "start", ["model_weights/conv1/bn/conv1/bn/", "conv1/bn/conv1/bn/", "model_weights/densenet121/conv1/bn/"]
)
def test_keras_layers_whose_names_hold_slashes(start):
    assert new_name(f"{start}gamma:0", "keras-densenet121") == "features.norm0.weight"


def test_folded_biases_change_nothing():
    torch.manual_seed(0)
    conv, norm = torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4).eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    state = {"layer1.0.conv2.weight": conv.weight.data, "layer1.0.conv2.bias": conv.bias.data}
    state |= {f"layer1.0.bn2.{key}": tensor for key, tensor in norm.state_dict().items()}
    folded = tensor_steps.fold_conv_biases(state)
    assert "layer1.0.conv2.bias" not in folded
    plain, other = torch.nn.Conv2d(3, 4, 1, bias=False), torch.nn.BatchNorm2d(4).eval()
    plain.weight.data = folded["layer1.0.conv2.weight"]
    other.load_state_dict({key: folded[f"layer1.0.bn2.{key}"] for key in norm.state_dict()})
    image = torch.randn(2, 3, 5, 5)
    with torch.no_grad():
        assert torch.allclose(other(plain(image)), norm(conv(image)), atol=1e-6)
    shortcut = {"downsample.0.bias": torch.ones(2), "downsample.1.running_mean": torch.zeros(2)}
    assert torch.equal(tensor_steps.fold_conv_biases(shortcut)["downsample.1.running_mean"], -torch.ones(2))


def test_norms_without_scale_get_ones_and_flat_shapes():
    state = tensor_steps.ones_for_absent_scales(
        {"a.running_mean": torch.zeros(3), "b.weight": torch.zeros(2), "b.running_mean": torch.zeros(2)}
    )
    assert torch.equal(state["a.weight"], torch.ones(3)) and torch.equal(state["b.weight"], torch.zeros(2))
    state = tensor_steps.flat_norms(
        {
            "bn.weight": torch.ones(1, 1, 1, 5),
            "bn.running_mean": torch.ones(1, 1, 1, 5),
            "c.weight": torch.ones(1, 1, 1, 5),
        }
    )
    assert state["bn.weight"].shape == (5,) and state["c.weight"].shape == (1, 1, 1, 5)


def test_registers_take_the_class_tokens_position():
    state = {
        "cls_token": torch.ones(1, 1, 2),
        "pos_embed": torch.arange(8.0).reshape(1, 4, 2),
        "reg_token": torch.zeros(1, 4, 2),
    }
    out = tensor_steps.register_positions(state)
    assert torch.equal(out["cls_token"], torch.tensor([[[1.0, 2.0]]])) and torch.equal(
        out["pos_embed"], state["pos_embed"][:, 1:]
    )


def test_a_lone_query_stays_visible():
    assert set(tensor_steps.join_query_key_value({"blocks.0.attn.q.bias": torch.zeros(2)})) <= {"blocks.0.attn.q.bias"}
