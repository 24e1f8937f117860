"""Supervised convolutional networks in PyTorch files: RadImageNet, iNaturalist, the ASU zoo, ConvNeXt, TorchXRayVision."""

from medzoo.zoo.convert import tensor_steps
from medzoo.zoo.convert.formats.contrastive_resnets import RESNET, TRAINING
from medzoo.zoo.convert.key_rules import Drop, Format, Keep, Rename

RADIMAGENET = "https://github.com/BMEII-AI/RadImageNet (acl/acl_pytorch_train.ipynb, class Backbone)"
INAT = "https://github.com/visipedia/newt (benchmark/pytorch_resnet50.py)"
ASU = "https://github.com/MR-HosseinzadehTaher/BenchmarkTransferLearning"
CONVNEXT = "https://github.com/facebookresearch/ConvNeXt/blob/main/models/convnext.py"
INCEPTION = (  # the children of torchvision's inception_v3(aux_logits=False) that hold weights, by position
    (0, "Conv2d_1a_3x3"), (1, "Conv2d_2a_3x3"), (2, "Conv2d_2b_3x3"), (4, "Conv2d_3b_1x1"), (5, "Conv2d_4a_3x3"),
    (7, "Mixed_5b"), (8, "Mixed_5c"), (9, "Mixed_5d"), (10, "Mixed_6a"), (11, "Mixed_6b"), (12, "Mixed_6c"),
    (13, "Mixed_6d"), (14, "Mixed_6e"), (15, "Mixed_7a"), (16, "Mixed_7b"), (17, "Mixed_7c"),
)  # fmt: skip


def radimagenet(*keep: Keep) -> Format:
    """Child modules below `backbone`, by position; RadImageNet's networks take BGR, and `medzoo add` asks for the order."""
    return Format(keep=keep, bgr=True, source=RADIMAGENET)


def inat(prefix: str) -> Format:
    """ResNet-50 with torchvision's names below `state_dict`, with its classifier of 10000 rows, as iNat2018's too."""
    inside = rf"state_dict\.{prefix}"
    return Format(
        drop=TRAINING,
        keep=(Keep(inside + RESNET), Keep(rf"{inside}(?=fc\.(weight|bias)$)")),
        needs=(r"\.fc\.weight$",),
        shapes=((r"\.fc\.weight$", (10000, 2048)),),
        head=True,
        source=INAT,
    )


def asu(inside: str, classes: int) -> Format:
    """The ASU zoo's ResNet-50, wrapped for several GPUs or not; its classifier is Sequential(Linear, Sigmoid), or plain."""
    return Format(
        drop=TRAINING,
        keep=(Keep(inside + RESNET), Keep(rf"{inside}fc\.(0\.)?(?=(weight|bias)$)", "fc.")),
        needs=(rf"^{inside}fc\.(0\.)?weight$",),
        shapes=((r"\.fc\.(0\.)?weight$", (classes, 2048)),),
        head=True,
        source=ASU,
    )


CONVNEXT_NAMES = (
    Rename(r"^downsample_layers\.0\.", "stem."),
    Rename(r"^downsample_layers\.([1-3])\.", r"stages.\1.downsample."),
    Rename(r"^stages\.(\d)\.(\d+)\.", r"stages.\1.blocks.\2."),
    Rename(r"\.dwconv\.", ".conv_dw."),
    Rename(r"\.pwconv([12])\.", r".mlp.fc\1."),
    Rename(r"^norm\.", "head.norm."),
    Rename(r"^head\.(weight|bias)$", r"head.fc.\1"),
)

FORMATS = {
    "radimagenet-torch-resnet50": radimagenet(
        Keep(r"(module\.)?backbone\.0(?=\.weight)", "conv1"),
        Keep(r"(module\.)?backbone\.1(?=\.)", "bn1"),
        *(Keep(rf"(module\.)?backbone\.{stage + 3}(?=\.)", f"layer{stage}") for stage in range(1, 5)),
    ),
    "radimagenet-torch-densenet121": radimagenet(
        Keep(r"(module\.)?backbone\.0\.(?=(conv0|norm0|denseblock\d|transition\d|norm5)\.)", "features.")
    ),
    "radimagenet-torch-inceptionv3": radimagenet(
        *(Keep(rf"(module\.)?backbone\.{place}(?=\.(branch\w+\.)?(conv|bn)\.)", name) for place, name in INCEPTION)
    ),
    "inat2021-supervised": inat(r"(module\.)?"),
    "inat2021-mini-supervised-scratch": inat(r"(module\.)?"),
    "jliang-imagenet-chestxray14": asu(r"state_dict\.", 14),
    "jliang-imagenet-chexpert": asu(r"state_dict\.module\.", -100),
    "jliang-convnext-base-mimic": Format(
        drop=TRAINING,
        keep=(Keep(r"(state_dict|model)\.(module\.)?(?=(stem|stages|head)\.)"),),
        head=True,
        source=ASU,
    ),
    "convnext-tiny": Format(
        drop=TRAINING,
        keep=(Keep(r"model\.(?=(downsample_layers|stages|norm|head)\.)"),),
        rename=CONVNEXT_NAMES,
        head=True,
        source=CONVNEXT,
    ),
    "convnext-base": Format(
        drop=TRAINING,
        keep=(Keep(r"model\.(?=(downsample_layers|stages|norm|head)\.)"),),
        rename=CONVNEXT_NAMES,
        head=True,
        source=CONVNEXT,
    ),
    "torchxrayvision-densenet121": Format(
        drop=(Drop(r"op_threshs$", "operating points of the classifier"),),
        keep=(Keep(r"(?=(features|classifier)\.)"),),
        head=True,
        source="https://github.com/mlmed/torchxrayvision/blob/master/torchxrayvision/models.py",
    ),
    "warvito-radimagenet-resnet50": Format(
        keep=(Keep(RESNET), Keep(r"(?=(layer[1-4]\.\d+\.)?(conv\d|downsample\.0)\.bias$)")),
        needs=(r"^conv1\.bias$",),
        steps=(tensor_steps.fold_conv_biases,),
        bgr=True,
        counters=True,
        source="https://github.com/Warvito/radimagenet-models",
    ),
}
