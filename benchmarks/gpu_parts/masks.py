"""Segmentation steps: medzoo's U-Net on a ResNet-50, next to the same network of segmentation_models_pytorch in a plain loop."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import timm
import torch

from gpu_parts.clock import StepWay, Way
from gpu_parts.lab import Lab
from gpu_parts.loops import LoopWay, Ready, count_flops
from gpu_parts.steps import best, mfu, ratio
from gpu_parts.turns import Builder, measure
from medzoo.training.segmentation.decoders import make_decoder
from medzoo.training.segmentation.encoders import Pyramid
from medzoo.training.segmentation.losses import SegmentationLoss, outputs_of
from medzoo.training.segmentation.network import Segmenter
from medzoo.training.segmentation.tune import SegmentationObjective

BATCH, SIDE, CLASSES = 32, 512, 2


def objective_of(lab: Lab) -> SegmentationObjective:
    """The network of `medzoo.segmenter` with random weights, and the recipe's loss."""
    torch.manual_seed(0)
    encoder: Any = timm.create_model("test_resnet" if lab.tiny else "resnet50", features_only=True)
    encoder.pretrained_cfg, encoder.load_receipt = dict(encoder.default_cfg or {}), None
    pyramid = Pyramid(encoder, 3, None)
    model = Segmenter(pyramid, *make_decoder(pyramid, "unet", outputs_of(CLASSES)), "unet", SIDE)
    return SegmentationObjective(model, SegmentationLoss(CLASSES))


def batch_of(lab: Lab, images: int) -> dict[str, Any]:
    """Noise and masks on the device."""
    torch.manual_seed(1)
    side = 64 if lab.tiny else SIDE
    made = torch.randn(images, 3, side, side, device=lab.device).to(memory_format=torch.channels_last)
    mask = torch.randint(0, CLASSES + 1, (images, side, side), dtype=torch.uint8, device=lab.device)
    return {"image": made, "mask": mask, "label": torch.zeros(images, device=lab.device), "index": range(images)}


def smp_way(lab: Lab, images: int, *, compiled: bool) -> Way:
    """A plain loop of segmentation_models_pytorch: its U-Net, Dice and cross-entropy, AdamW, bf16, channels_last."""
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    name = "resnet18" if lab.tiny else "resnet50"
    model: Any = smp.Unet(name, encoder_weights=None, classes=CLASSES + 1).to(
        lab.device, memory_format=torch.channels_last
    )
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    dice, entropy = smp.losses.DiceLoss("multiclass"), torch.nn.CrossEntropyLoss()
    batch, run = batch_of(lab, images), torch.compile(model) if compiled else model
    target = batch["mask"].long()

    def step() -> None:
        with lab.autocast():
            logits = run(batch["image"])
            loss = dice(logits, target) + entropy(logits, target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return StepWay(step, images, lab.clock, peer=True)


def ways_of(lab: Lab, name: str) -> Mapping[str, Builder]:
    """The ways, by name."""
    images = lab.images(BATCH)

    def ours(**options: Any) -> Way:
        return LoopWay(objective_of(lab), Ready(batch_of(lab, images), images), lab, **options)

    return {
        "medzoo": ours, "smp": partial(smp_way, lab, images, compiled=False),
        "medzoo-fastest": partial(ours, fastest=True),
    }  # fmt: skip


def part(lab: Lab) -> None:
    """One network."""
    table = lab.table(
        f"Segmentation steps: U-Net on ResNet-50, {SIDE} px, batch {lab.images(BATCH)}, bf16",
        ["way", "images/s", "lowest to highest", "ms a step", "of smp", "MFU %", "GB"],
    )
    flops = None
    with lab.attempt("FLOP"):
        flops = count_flops(objective_of(lab), batch_of(lab, 2), lab)
        table.notes.append(f"{flops / 1e9:.1f} GFLOP a training step and image.")
    found = measure(ways_of(lab, "unet-resnet50"), lab, lab.left, "U-Net")
    for way, one in found.items():
        cells = [ratio(found, one, "smp"), mfu(one, flops, lab)]
        spread = f"{one.spread[0]:,.0f} to {one.spread[1]:,.0f}"
        table.rows.append(
            [way, one.rate, spread, one.step_ms, *["" if cell is None else cell for cell in cells], one.peak_gb]
        )
    lab.target("U-Net, compared with smp in a plain loop", 1.0, ratio(found, best(found, "medzoo"), "smp"), " x")
