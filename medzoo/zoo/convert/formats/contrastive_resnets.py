"""ResNet-50s of self-supervised methods whose authors published PyTorch files."""

from medzoo.zoo.convert.key_rules import Drop, Format, Keep

# timm and torchvision use the same names, except for the classifier; convolutions have no bias
RESNET = r"(?=(layer[1-4]\.\d+\.)?(conv\d\.weight|bn\d\.\w+|downsample\.0\.weight|downsample\.1\.\w+)$)"
TRAINING = (
    Drop(r"(optimizer|scheduler|lr_scheduler|scaler|amp)(\.|$)", "state of the training"),
    Drop(r"(epoch|step)$", "counter of the training"),
)

PYCONTRAST = "https://github.com/HobbitLong/PyContrast/blob/master/pycontrast/learning/contrast_trainer.py (save)"
MOCO = "https://github.com/facebookresearch/moco/blob/main/main_moco.py (save_checkpoint)"
PCL = "https://github.com/salesforce/PCL/blob/master/main_pcl.py (save_checkpoint)"
SWAV = "https://github.com/facebookresearch/swav/blob/main/hubconf.py"
BARLOW = "https://github.com/facebookresearch/barlowtwins/blob/main/main.py"
MOCO3 = "https://github.com/facebookresearch/moco-v3/blob/main/main_moco.py (save_checkpoint)"
VISSL = "https://github.com/facebookresearch/vissl/blob/main/extra_scripts/convert_vissl_to_torchvision.py"
RADNET = "https://github.com/TIO-IKIM/Transfer-learning-with-RadNet (save_encoder)"


def pycontrast(head: str, *, jigsaw: str | None = None, momentum: bool = False) -> Format:
    """The query network; files may hold only `model`."""
    drops = [*TRAINING, Drop(rf"model\.module\.head\.{head}$", "projection head of the contrastive loss")]
    needs = [r"^model\.module\.head\."]
    if jigsaw:
        drops.append(Drop(rf"model\.module\.head_jig\.{jigsaw}$", "jigsaw head"))
        needs.append(r"^model\.module\.head_jig\.")
    if momentum:
        drops.append(Drop(r"model_ema\.", "momentum (key) encoder"))
    if "2" in head:  # a head of two layers
        needs.append(r"^model\.module\.head\.2\.")
    return Format(
        drop=(*drops, Drop(r"contrast\.", "memory bank of the contrastive loss")),
        keep=(Keep(rf"model\.module\.encoder\.{RESNET}"),),
        needs=tuple(needs),
        source=PYCONTRAST,
    )


def moco(head: str, queue: int, source: str) -> Format:
    """The query network of MoCo and of PCL, which differ in the length of the queue."""
    return Format(
        drop=(
            *TRAINING,
            Drop(rf"state_dict\.(module\.)?encoder_q\.fc\.{head}$", "projection head, not a classifier"),
            Drop(r"state_dict\.(module\.)?encoder_k\.", "momentum (key) encoder"),
            Drop(r"state_dict\.(module\.)?queue(_ptr)?$", "queue of negatives"),
        ),
        keep=(Keep(rf"state_dict\.(module\.)?encoder_q\.{RESNET}"),),
        needs=(rf"encoder_q\.fc\.{head}$",),
        shapes=((r"\.queue$", (128, queue)),),
        source=source,
    )


def clusters(prototypes: str, start: str = r"(state_dict\.)?") -> Format:
    """SwAV's family: published files have the keys at the top, files of a training below `state_dict`."""
    inside = rf"{start}(module\.)?"
    return Format(
        drop=(
            *TRAINING,
            Drop(rf"{inside}projection_head\.", "projection head"),
            Drop(rf"{inside}{prototypes}\.weight$", "prototypes"),
        ),
        keep=(Keep(inside + RESNET),),
        needs=(rf"{prototypes}\.weight$",),
        source=SWAV,
    )


def vissl(start: str, *drops: Drop) -> Format:
    """The trunk of a VISSL network."""
    return Format(
        drop=(*TRAINING, *drops),
        keep=(Keep(rf"{start}(base_model\.)?_feature_blocks\.{RESNET}"),),
        source=VISSL,
    )


FORMATS = {
    "pycontrast-insdis": pycontrast(r"0\.(weight|bias)"),
    "pycontrast-moco": pycontrast(r"0\.(weight|bias)", momentum=True),
    "pycontrast-pirl": pycontrast(r"0\.(weight|bias)", jigsaw=r"fc[12]\.(weight|bias)"),
    "pycontrast-mocov2": pycontrast(r"[02]\.(weight|bias)", momentum=True),
    "pycontrast-infomin": pycontrast(r"[02]\.(weight|bias)", jigsaw=r"(fc1\.[02]|fc2)\.(weight|bias)", momentum=True),
    "moco-v1": moco(r"(weight|bias)", 65536, MOCO),
    "moco-v2": moco(r"[02]\.(weight|bias)", 65536, MOCO),
    "pcl-v1": moco(r"(weight|bias)", 16384, PCL),
    "pcl-v2": moco(r"[02]\.(weight|bias)", 16384, PCL),
    "swav": clusters("prototypes"),
    "swav-training": clusters("prototypes", start=r"state_dict\."),
    "deepclusterv2": clusters(r"prototypes\.prototypes[0-2]"),
    "selav2": clusters(r"prototypes\.prototypes\d+"),
    "barlowtwins": Format(keep=(Keep(RESNET),), source=BARLOW),
    "barlowtwins-full": Format(
        drop=(*TRAINING, Drop(r"model\.module\.(projector|bn)\.", "projector")),
        keep=(Keep(rf"model\.module\.backbone\.{RESNET}"),),
        source=BARLOW,
    ),
    "mocov3-resnet50": Format(
        drop=(
            *TRAINING,
            Drop(r"state_dict\.module\.base_encoder\.fc\.\d\.", "projector, not a classifier"),
            Drop(r"state_dict\.module\.momentum_encoder\.", "momentum encoder"),
            Drop(r"state_dict\.module\.predictor\.", "predictor"),
        ),
        keep=(Keep(rf"state_dict\.module\.base_encoder\.{RESNET}"),),
        source=MOCO3,
    ),
    "vissl-classy": vissl(
        r"classy_state_dict\.base_model\.model\.trunk\.",
        Drop(r"classy_state_dict\.base_model\.model\.heads\.", "head of the training"),
        Drop(r"classy_state_dict\.(base_model\.meta|meters|optimizer|losses|hooks|loss)\.", "state of the training"),
        Drop(r"loss\.", "state of the training"),
    ),
    "vissl-model-state-dict": vissl(r"(model_state_dict\.)?"),
    "radnet-simclr-encoder": Format(keep=(Keep(RESNET),), source=RADNET),
    "radnet-simclr-checkpoint": Format(
        drop=(Drop(r"projector\.", "projection head"), Drop(r"ntxent\.", "buffer of the loss")),
        keep=(Keep(rf"encoder\.{RESNET}"),),
        needs=(r"^projector\.",),
        source=RADNET,
    ),
    "radnet-finetuned-classifier": Format(
        drop=(Drop(r"head\.weight$", "classifier without bias"), Drop(r"loss_criterion\.", "weights of the loss")),
        keep=(Keep(rf"encoder\.{RESNET}"),),
        needs=(r"^head\.weight$",),
        source=RADNET,
    ),
}
