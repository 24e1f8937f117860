"""Vision transformers and Swin in PyTorch and safetensors files."""

from collections.abc import Callable

from medzoo.zoo.convert import tensor_steps
from medzoo.zoo.convert.formats.contrastive_resnets import MOCO3, TRAINING
from medzoo.zoo.convert.key_rules import Drop, Format, Keep, Rename, State

VIT = r"(?=(cls_token$|pos_embed$|patch_embed\.|blocks\.|norm\.))"
DINO = "https://github.com/facebookresearch/dino/blob/main/hubconf.py"
DINO2 = "https://github.com/facebookresearch/dinov2/blob/main/dinov2/hub/backbones.py"
MAE = "https://github.com/facebookresearch/mae/blob/main/util/misc.py (save_model)"
SWIN = "https://github.com/microsoft/Swin-Transformer/blob/main/models/swin_transformer.py"
SIMMIM = "https://github.com/microsoft/SimMIM/blob/main/models/simmim.py"
ASU = "https://github.com/MR-HosseinzadehTaher/BenchmarkTransferLearning"
MASK = Drop(r"mask_token$", "token of masked patches")
COMPUTED = r"layers\.\d\.blocks\.\d+\.(attn\.relative_position_index|attn_mask)$"
SWIN_NAMES = (  # upstream puts a downsampling at the end of a stage, timm at the beginning of the next one
    Rename(r"^layers\.2\.downsample\.", "layers.3.downsample."),
    Rename(r"^layers\.1\.downsample\.", "layers.2.downsample."),
    Rename(r"^layers\.0\.downsample\.", "layers.1.downsample."),
    Rename(r"^head\.(weight|bias)$", r"head.fc.\1"),
)


def swin(start: str, classes: int, source: str = SWIN) -> Format:
    """Swin with upstream's names."""
    return Format(
        drop=(*TRAINING, Drop(start + COMPUTED, "computed buffer")),
        keep=(Keep(rf"{start}(?=(patch_embed|layers|norm|head)\.)"),),
        rename=SWIN_NAMES,
        shapes=((r"\.head\.weight$", (classes, 0)),),
        head=True,
        source=source,
    )


def mocov3() -> Format:
    """The base network, or the output of upstream's convert_to_deit.py."""
    return Format(
        drop=(
            *TRAINING,
            Drop(r"state_dict\.module\.base_encoder\.head\.\d\.", "projector, not a classifier"),
            Drop(r"state_dict\.module\.momentum_encoder\.", "momentum encoder"),
            Drop(r"state_dict\.module\.predictor\.", "predictor"),
        ),
        keep=(Keep(rf"state_dict\.module\.base_encoder\.{VIT}"), Keep(rf"model\.{VIT}")),
        source=MOCO3,
    )


def dinov2(*rename: Rename, mark: str, tokens: str = "", do: tuple[Callable[[State], State], ...] = ()) -> Format:
    """DINOv2 from its authors' torch.hub."""
    return Format(
        drop=(MASK,),
        keep=(Keep(rf"(?=(cls_token$|pos_embed$|patch_embed\.|blocks\.\d+\.[a-z]|norm\.{tokens}))"),),
        rename=rename,
        needs=(r"^mask_token$", r"\.ls1\.gamma$", mark),
        steps=do,
        source=DINO2,
    )


FORMATS = {
    "dino-vit-small16-backbone": Format(keep=(Keep(VIT),), source=DINO),
    "dino-vit-base16-backbone": Format(keep=(Keep(VIT),), source=DINO),
    "dino-full-checkpoint": Format(
        drop=(
            *TRAINING,
            Drop(r"student\.", "student; the teacher is the network"),
            Drop(r"teacher\.(module\.)?head\.", "projection head"),
            Drop(r"dino_loss\.", "centre of the loss"),
            Drop(r"fp16_scaler(\.|$)", "state of the training"),
        ),
        keep=(Keep(rf"teacher\.(module\.)?backbone\.{VIT}"),),
        source="https://github.com/facebookresearch/dino/blob/main/main_dino.py",
    ),
    "mae-pretrain": Format(
        drop=(*TRAINING, Drop(r"model\.(decoder_\w+|mask_token)(\.|$)", "decoder of the pre-training")),
        keep=(Keep(rf"model\.{VIT}"),),
        source=MAE,
    ),
    "mae-pretrain-training": Format(
        drop=(*TRAINING, Drop(r"model\.(decoder_\w+|mask_token)(\.|$)", "decoder of the pre-training")),
        keep=(Keep(rf"model\.{VIT}"),),
        needs=(r"^model\.decoder_",),
        source=MAE,
    ),
    "mae-finetune": Format(
        drop=TRAINING,
        keep=(Keep(r"model\.(?=(cls_token$|pos_embed$|patch_embed\.|blocks\.|fc_norm\.|head\.))"),),
        needs=(r"^model\.fc_norm\.",),
        head=True,
        source=MAE,
    ),
    "mocov3-vit-small": mocov3(),
    "mocov3-vit-base": mocov3(),
    "dinov2-vitb14": dinov2(mark=r"\.mlp\.fc1\."),
    "dinov2-vitb14-reg4": dinov2(
        Rename(r"^register_tokens$", "reg_token"),
        mark=r"^register_tokens$",
        tokens="|register_tokens$",
        do=(tensor_steps.register_positions,),
    ),
    "dinov2-giant-2blocks": dinov2(
        Rename(r"\.mlp\.w12\.", ".mlp.fc1."), Rename(r"\.mlp\.w3\.", ".mlp.fc2."), mark=r"\.mlp\.w12\."
    ),
    "dinov2-training-teacher": Format(
        drop=(
            *TRAINING,
            Drop(r"teacher\.backbone\.mask_token$", "token of masked patches"),
            Drop(r"teacher\.(dino|ibot)_head\.", "projection head"),
        ),
        keep=(Keep(rf"teacher\.backbone\.{VIT}"),),
        rename=(Rename(r"^blocks\.\d+\.(\d+)\.", r"blocks.\1."),),  # the chunk's number, then the block's
        source="https://github.com/facebookresearch/dinov2/blob/main/dinov2/train/train.py",
    ),
    "rad-dino-hf": Format(
        drop=(Drop(r"embeddings\.mask_token$", "token of masked patches"),),
        keep=(
            Keep(r"embeddings\.cls_token$", "cls_token"),
            Keep(r"embeddings\.position_embeddings$", "pos_embed"),
            Keep(r"embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
            Keep(r"encoder\.layer\.(\d+)\.", r"blocks.\1."),
            Keep(r"layernorm\.", "norm."),
        ),
        rename=(
            Rename(
                r"\.attention\.attention\.(q)uery\.|\.attention\.attention\.(k)ey\.|\.attention\.attention\.(v)alue\.",
                r".attn.\1\2\3.",
            ),
            Rename(r"\.attention\.output\.dense\.", ".attn.proj."),
            Rename(r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
        ),
        steps=(tensor_steps.join_query_key_value,),
        source="https://huggingface.co/docs/transformers/model_doc/dinov2",
    ),
    "swin-tiny": swin(r"model\.", 1000),
    "swin-base": swin(r"model\.", 1000),
    "swin-training": swin(r"model\.", 1000),
    "jliang-swin-base-mimic": swin(r"(state_dict|model)\.(module\.)?", -100, ASU),
    "simmim-swin-base": Format(
        drop=(
            *TRAINING,
            Drop(rf"model\.(module\.)?encoder\.{COMPUTED}", "computed buffer"),
            Drop(r"model\.(module\.)?encoder\.mask_token$", "token of masked patches"),
            Drop(r"model\.(module\.)?decoder\.", "decoder of the pre-training"),
        ),
        keep=(Keep(r"model\.(module\.)?encoder\.(?=(patch_embed|layers|norm)\.)"),),
        rename=SWIN_NAMES,
        adapt=tensor_steps.swin_window,
        source=SIMMIM,
    ),
    "simmim-vit-base": Format(
        drop=(
            *TRAINING,
            Drop(r"model\.(module\.)?encoder\.rel_pos_bias\.relative_position_index$", "computed buffer"),
            Drop(r"model\.(module\.)?encoder\.mask_token$", "token of masked patches"),
            Drop(r"model\.(module\.)?decoder\.", "decoder of the pre-training"),
        ),
        keep=(Keep(r"model\.(module\.)?encoder\.(?=(cls_token$|patch_embed\.|rel_pos_bias\.|blocks\.|norm\.))"),),
        needs=(r"encoder\.rel_pos_bias\.relative_position_bias_table$",),
        source=SIMMIM,
    ),
    "sit": Format(
        drop=(
            *TRAINING,
            Drop(r"student\.", "student; the teacher is the network"),
            Drop(r"teacher\.(module\.)?head\.", "projection head of the contrastive loss"),
            Drop(r"teacher\.(module\.)?head_recons\.", "head of the reconstruction"),
            Drop(r"fp16_scaler(\.|$)", "state of the training"),
        ),
        keep=(Keep(rf"teacher\.(module\.)?backbone\.{VIT}"),),
        needs=(r"^teacher\.(module\.)?head_recons\.",),
        source="https://github.com/Sara-Ahmed/SiT/blob/main/main.py",
    ),
}
