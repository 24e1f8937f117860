"""Which options of a protocol a segmentation has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from medzoo.errors import UsageError, listed
from medzoo.progress import counted
from medzoo.training.options.protocol_options import Protocol

# Options of classes per image, or of a classifier; a segmentation network has neither.
UNUSED = (
    "loss", "label_smoothing", "sampling", "mixup", "cutmix", "head_start", "head_std", "head_bias", "dropout",
    "drop_path", "layer_decay", "lora_rank",
)  # fmt: skip


def check_protocol(protocol: Protocol, classes: Sequence[str]) -> None:
    """Refuse a protocol with options that a segmentation would ignore.

    Args:
        protocol: resolved.
        classes: names, without the background.

    Raises:
        UsageError: names the options and the values that they may have.
    """
    weights = protocol.class_weights
    if not isinstance(weights, str) and len(weights) != len(classes) + 1:
        raise UsageError(
            f"class_weights has {counted(len(weights), 'number')}, and the masks have the background and "
            f"{listed(classes)}. Give {len(classes) + 1} numbers, the background first.",
            code="class-weights-count",
        )
    defaults = {one.name: one.default for one in fields(protocol)}
    wrong = [f"{name} = {getattr(protocol, name)!r}" for name in UNUSED if getattr(protocol, name) != defaults[name]]
    if protocol.train_blocks > 0:
        wrong.append(f"train_blocks = {protocol.train_blocks} (0 trains the decoder only, -1 all layers)")
    if weights == "balanced":
        wrong.append("class_weights = 'balanced' (none, or one number for the background and one for each class)")
    if protocol.augmented_test == "ten_crop":
        wrong.append("augmented_test = 'ten_crop' (none or flip)")
    if wrong:
        raise UsageError(
            f"Protocol {protocol.name} has options that a segmentation cannot use: {listed(wrong)}. Write a protocol without "
            "them and give --protocol FILE.toml.",
            code="option-not-for-segmentation",
        )
