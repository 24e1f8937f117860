"""Pre-training steps with medzoo's objectives: the views are made on the device from decoded bytes, inside the step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from gpu_parts import lightly_steps
from gpu_parts.clock import StepWay, Way
from gpu_parts.lab import Lab
from gpu_parts.loops import LoopWay, count_flops
from gpu_parts.steps import best, mfu, network, ratio
from gpu_parts.turns import Builder, measure
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.decode_cache.device import place
from medzoo.data.transforms.apply import InputConvention
from medzoo.training.inputs.batches import Batches
from medzoo.training.layers.joint_batch_norm import joint_batch_norm
from medzoo.training.objectives import method
from medzoo.training.trainable import Trainable

ROWS = 2048  # decoded images on the device
LIGHTLY = 2.0  # times the loop of lightly's examples
COLUMNS = [
    "method",
    "way",
    "images/s",
    "lowest to highest",
    "ms a step",
    "of lightly",
    "MFU %",
    "GB",
    "views, ms a step",
    "first step, s",
]


@dataclass(frozen=True)
class Case:
    """A method with its network.

    Args:
        method: of medzoo.
        network: of timm.
        batch: images of a step.
        views: of an image, for the table.
        tiny: options of the method in a tiny run.
        goal: (kind, value): "MFU" in per cent, or "rate" in images per second.
    """

    method: str
    network: str
    batch: int
    views: str
    tiny: dict[str, Any]
    goal: tuple[str, float] | None = None


_DINO = {"prototypes": 32, "hidden": 16, "bottleneck": 8, "small_views": 2, "small_side": 0.5}
_MAE = {"decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2}
CASES = {
    "dino-vit-s": Case("dino", "vit_small_patch16_224", 256, "2 of 224 px + 8 of 96 px", _DINO, goal=("MFU", 30)),
    "mae-vit-b": Case("mae", "vit_base_patch16_224", 512, "1 of 224 px", _MAE, goal=("MFU", 35)),
    "simclr-vit-s": Case("simclr", "vit_small_patch16_224", 256, "2 of 224 px", {}, goal=("rate", 2200)),
    "simclr-resnet50": Case("simclr", "resnet50", 256, "2 of 224 px", {}),
}


def objective_of(case: Case, lab: Lab) -> Trainable:
    """The method on a headless network of random weights, prepared as `pretrain` prepares it."""
    module = method(case.method)
    backbone = network(case.network, lab, classes=0)
    made = module.Objective(backbone, options_of(case, lab), "unlabelled")
    joint_batch_norm(made)
    return made


def options_of(case: Case, lab: Lab) -> Any:
    """The method's defaults, smaller in a tiny run."""
    return method(case.method).Options(**case.tiny if lab.tiny else {})


def rows(lab: Lab, colour: bool = False, count: int = ROWS) -> Decoded:
    """Decoded images of noise on the device: grey bytes, as radiographs, or colour."""
    count, side = (8, 32) if lab.tiny else (count, 224)
    shape = (count, side, side, 3) if colour else (count, side, side)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    names = [str(number) for number in range(count)]
    held = Decoded(images, np.zeros(count, np.int64), names, names, 255.0, "0" * 64)
    return place(held, lab.device, "always")


def batches_of(case: Case, lab: Lab, data: Decoded) -> Batches:
    """The batches of medzoo's recipe."""
    views = method(case.method).views(options_of(case, lab))
    size = 32 if lab.tiny else 224
    return Batches(data, views, InputConvention(), size=size, batch_size=lab.images(case.batch), seed=0)


def ways_of(lab: Lab, name: str) -> Mapping[str, Builder]:
    """The ways of a case, by name."""
    case = CASES[name]

    def ours(**options: Any) -> Way:
        return LoopWay(objective_of(case, lab), batches_of(case, lab, rows(lab)), lab, **options)

    return {
        "medzoo": ours, "lightly": partial(lightly_steps.way_of, case.method, case.network, lab, lab.images(case.batch)),
        "medzoo-fastest": partial(ours, fastest=True),
    }  # fmt: skip


def part(lab: Lab) -> None:
    """All methods."""
    images = {name: lab.images(case.batch) for name, case in CASES.items()}
    table = lab.table(
        "Pre-training steps, 224 px, bf16", COLUMNS,
        "`medzoo` is `Loop.fit` with its objective and its batches: the views are made on the device from grey bytes in every "
        "step, and MFU counts the whole step. `lightly` is the loop of lightly's examples, with AdamW, bf16, channels_last, the "
        "settings of timm's train.py, and views that were ready: it makes none. `medzoo-fastest` has --compile and "
        "--no-deterministic. "
        "`views` are the milliseconds of the views alone.",
        *[f"{name}: batch {images[name]}, {case.views}." for name, case in CASES.items()],
    )  # fmt: skip
    with lab.attempt("loss of SimCLR"):
        table.notes.append(
            f"medzoo's loss of SimCLR and lightly's differ by {losses_agree(lab):.0e}, relative, in float32."
        )
    for position, (name, case) in enumerate(CASES.items()):
        share = lab.left / (len(CASES) - position)
        flops, views = None, {}
        with lab.attempt(f"{name}, FLOP"):
            flops = count_flops(objective_of(case, lab), batches_of(case, lab, rows(lab))[0], lab)
            table.notes.append(f"{name}: {flops / 1e9:.1f} GFLOP a training step and image.")
        with lab.attempt(f"{name}, views"):
            views = {colour: views_ms(case, lab, colour) for colour in (False, True)}
            table.notes.append(
                f"{name}: views of a step {views[False]:.2f} ms from grey and {views[True]:.2f} ms from colour images."
            )
        found = measure(ways_of(lab, name), lab, share, name)
        for way, one in found.items():
            used = mfu(one, flops, lab)
            peer = ratio(found, one, "lightly")
            table.rows.append(
                [
                    name, way, one.rate, f"{one.spread[0]:,.0f} to {one.spread[1]:,.0f}", one.step_ms, "" if peer is None else peer,
                    "" if used is None or way == "lightly" else used, one.peak_gb,
                    "" if way == "lightly" else views.get(False, ""), one.first_s,
                ]
            )  # fmt: skip
        ours = best(found, "medzoo", "medzoo-fastest")
        if case.goal is not None:
            kind, wanted = case.goal
            value = None if ours is None else ours.rate if kind == "rate" else mfu(ours, flops, lab)
            lab.target(f"{name}, {kind}", wanted, value, " images/s" if kind == "rate" else " %")
        lab.target(f"{name}, compared with lightly's loop", LIGHTLY, ratio(found, ours, "lightly"), " x")


def views_ms(case: Case, lab: Lab, colour: bool) -> float:
    """Milliseconds to make the views of a batch."""
    batches = batches_of(case, lab, rows(lab, colour))

    def endless() -> Callable[[], object]:
        number = -1

        def step() -> object:
            nonlocal number
            number += 1
            return batches[number % len(batches)]

        return step

    way = StepWay(endless(), batches.batch_size, lab.clock)
    taken = way.window(0 if lab.tiny else 3, 1 if lab.tiny else 10)
    return 1000 * taken.seconds / taken.steps


def losses_agree(lab: Lab) -> float:
    """The largest relative difference of medzoo's NT-Xent from lightly's on this device, float32."""
    from lightly.loss import NTXentLoss

    from medzoo.training.objectives.simclr import nt_xent

    torch.manual_seed(0)
    pair = [torch.randn(64, 128, device=lab.device) for _ in range(2)]
    one, other = nt_xent(*pair, 0.2), NTXentLoss(temperature=0.2)(*pair)
    return abs(float(one) / float(other) - 1)
