"""Files with timm's names: its repositories on the Hub, and networks that users trained with timm."""

from medzoo.zoo.convert.key_rules import Drop, Format, Keep, Rename

SWIN_TABLE = r"^layers\.\d+\.blocks\.\d+\.attn\.relative_position_bias_table$"
SWIN_OLD = r"^layers\.0\.downsample\."  # before timm 0.9, a downsampling was at the end of its stage

FORMATS = {
    "timm": Format(
        drop=(
            Drop(r".*\.(relative_position_index|attn_mask)$", "computed buffer"),
            Drop(r"AuxLogits\.", "auxiliary classifier of the training"),
        ),
        keep=(Keep(),),
        rename=(
            Rename(r"^layers\.2\.downsample\.", "layers.3.downsample.", when=SWIN_OLD),
            Rename(r"^layers\.1\.downsample\.", "layers.2.downsample.", when=SWIN_OLD),
            Rename(r"^layers\.0\.downsample\.", "layers.1.downsample.", when=SWIN_OLD),
            Rename(r"^head\.(weight|bias)$", r"head.fc.\1", when=SWIN_TABLE),
        ),
        counters=True,
        head=True,
        source="https://github.com/huggingface/pytorch-image-models",
    ),
}
