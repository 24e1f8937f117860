"""Keras application networks without top layers, in HDF5: RadImageNet's and ImageNet's."""

from medzoo.zoo.convert import tensor_steps
from medzoo.zoo.convert.key_rules import Drop, Format, Keep, Rank, Rename

KERAS = "https://github.com/keras-team/keras/tree/master/keras/src/applications"
PREPARE = (
    Rename(r"^model_weights/", ""),  # in files of whole models; absent in files of save_weights
    Rename(r":0$", ""),  # absent since Keras 3
    # the name of a network that is nested in another
    Rename(r"^(resnet50|densenet121|inception_v3|inception_resnet_v2|functional(_\d+)?|model(_\d+)?)/", ""),
    Rename(r"^(.+)/\1/", r"\1/"),  # a layer's group holds the full names of its weights; names may contain "/"
)
PARAMETERS = (
    Rename(r"/(kernel|gamma)$", ".weight"),
    Rename(r"/(bias|beta)$", ".bias"),
    Rename(r"/moving_mean$", ".running_mean"),
    Rename(r"/moving_variance$", ".running_var"),
)
TRAINING = (Drop(r"optimizer_weights/", "state of the optimiser"),)
LAYER = r"(?=(kernel|bias)$)"
NORM = r"(?=(gamma|beta|moving_mean|moving_variance)$)"


def keras(*keep: Keep, rank: tuple[Rank, ...] = (), more: tuple[object, ...] = ()) -> Format:
    """Kernels are (H, W, in, out); counters are absent.

    RadImageNet's files and Keras's own ResNet50 take BGR. Keras's own DenseNet and Inception take RGB and have the same layout:
    `medzoo add` asks for the order.
    """
    return Format(
        prepare=PREPARE,
        drop=TRAINING,
        keep=keep,
        rank=rank,
        rename=PARAMETERS,
        steps=(tensor_steps.kernels_last_axis_out, *more),  # type: ignore[arg-type]
        bgr=True,
        counters=True,
        source=KERAS,
    )


def _numbered(order: tuple[str, ...]) -> tuple[Rank, ...]:
    return (
        Rank(r"conv2d(?:_(\d+))?(?=/)", order, "{}.conv"),
        Rank(r"batch_normalization(?:_(\d+))?(?=/)", order, "{}.bn"),
    )


def _names(start: str, tails: str) -> tuple[str, ...]:
    return tuple(f"{start}.{tail}" for tail in tails.split())


_SIX = (
    "branch1x1 branch7x7_1 branch7x7_2 branch7x7_3 branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3 branch7x7dbl_4 branch7x7dbl_5 "
    "branch_pool"
)
_FIVE = "branch1x1 branch5x5_1 branch5x5_2 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3 branch_pool"
_SEVEN = "branch1x1 branch3x3_1 branch3x3_2a branch3x3_2b branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a branch3x3dbl_3b branch_pool"
INCEPTION_V3 = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3",
    *_names("Mixed_5b", _FIVE), *_names("Mixed_5c", _FIVE), *_names("Mixed_5d", _FIVE),
    *_names("Mixed_6a", "branch3x3 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3"),
    *_names("Mixed_6b", _SIX), *_names("Mixed_6c", _SIX), *_names("Mixed_6d", _SIX), *_names("Mixed_6e", _SIX),
    *_names("Mixed_7a", "branch3x3_1 branch3x3_2 branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4"),
    *_names("Mixed_7b", _SEVEN), *_names("Mixed_7c", _SEVEN),
)  # fmt: skip
_35 = "branch0 branch1.0 branch1.1 branch2.0 branch2.1 branch2.2"
_17 = "branch0 branch1.0 branch1.1"
INCEPTION_RESNET_V2 = (
    "conv2d_1a", "conv2d_2a", "conv2d_2b", "conv2d_3b", "conv2d_4a",
    *_names("mixed_5b", f"{_35} branch3.1"),
    *(name for block in range(10) for name in _names(f"repeat.{block}", _35)),
    *_names("mixed_6a", "branch0 branch1.0 branch1.1 branch1.2"),
    *(name for block in range(20) for name in _names(f"repeat_1.{block}", f"{_17} branch1.2")),
    *_names("mixed_7a", "branch0.0 branch0.1 branch1.0 branch1.1 branch2.0 branch2.1 branch2.2"),
    *(name for block in range(9) for name in _names(f"repeat_2.{block}", f"{_17} branch1.2")),
    *_names("block8", f"{_17} branch1.2"),
)  # fmt: skip

FORMATS = {
    "keras-resnet50": keras(
        Keep(rf"conv1_conv/{LAYER}", "conv1/"),
        Keep(rf"conv1_bn/{NORM}", "bn1/"),
        *(
            keep
            for stage in range(1, 5)
            for block in range(1, 7)
            for keep in (
                Keep(rf"conv{stage + 1}_block{block}_0_conv/{LAYER}", f"layer{stage}.{block - 1}.downsample.0/"),
                Keep(rf"conv{stage + 1}_block{block}_0_bn/{NORM}", f"layer{stage}.{block - 1}.downsample.1/"),
                Keep(rf"conv{stage + 1}_block{block}_([1-3])_conv/{LAYER}", rf"layer{stage}.{block - 1}.conv\1/"),
                Keep(rf"conv{stage + 1}_block{block}_([1-3])_bn/{NORM}", rf"layer{stage}.{block - 1}.bn\1/"),
            )
        ),
        more=(tensor_steps.fold_conv_biases,),
    ),
    "keras-densenet121": keras(
        Keep(r"conv1/conv/", "features.conv0/"),
        Keep(r"conv1/bn/", "features.norm0/"),
        *(
            keep
            for stage in range(1, 5)
            for keep in (
                Keep(rf"conv{stage + 1}_block(\d+)_0_bn/", rf"features.denseblock{stage}.denselayer\1.norm1/"),
                Keep(rf"conv{stage + 1}_block(\d+)_1_bn/", rf"features.denseblock{stage}.denselayer\1.norm2/"),
                Keep(rf"conv{stage + 1}_block(\d+)_([12])_conv/", rf"features.denseblock{stage}.denselayer\1.conv\2/"),
                Keep(rf"pool{stage + 1}_bn/", f"features.transition{stage}.norm/"),
                Keep(rf"pool{stage + 1}_conv/", f"features.transition{stage}.conv/"),
            )
        ),
        Keep(r"bn/", "features.norm5/"),
    ),
    "keras-inceptionv3": keras(
        Keep(r"(?=conv2d(_\d+)?/kernel$)"),
        Keep(r"(?=batch_normalization(_\d+)?/)"),
        rank=_numbered(INCEPTION_V3),
        more=(tensor_steps.ones_for_absent_scales,),
    ),
    "keras-irv2": keras(
        Keep(r"(?=conv2d(_\d+)?/kernel$)"),
        Keep(r"(?=batch_normalization(_\d+)?/)"),
        Keep(r"conv_7b/", "conv2d_7b.conv/"),
        Keep(r"conv_7b_bn/", "conv2d_7b.bn/"),
        Keep(r"block8_10_conv/", "block8.conv2d/"),
        *(
            Keep(rf"block{size}_{block}_conv/", f"{name}.{block - 1}.conv2d/")
            for size, name, blocks in ((35, "repeat", 10), (17, "repeat_1", 20), (8, "repeat_2", 9))
            for block in range(1, blocks + 1)
        ),
        rank=_numbered(INCEPTION_RESNET_V2),
        more=(tensor_steps.ones_for_absent_scales,),
    ),
}
