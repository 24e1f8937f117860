"""Fine-tuning steps on a batch that is on the device: medzoo's loop and the step of timm's train.py, eager and compiled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import timm
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import AverageMeter, dispatch_clip_grad

from gpu_parts.clock import StepWay, Way
from gpu_parts.lab import Lab
from gpu_parts.loops import BETWEEN, LoopWay, Ready, count_flops, find_syncs
from gpu_parts.turns import Builder, Measured, measure
from medzoo.training.finetune import FineTuneObjective
from medzoo.training.losses import TaskLoss
from medzoo.training.optimization.optimizer import make_optimizer

BATCH, CLASSES = 256, 5
# the networks in the order of their importance, with what a tiny run takes instead
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit_base_patch16_224": ("test_vit", {"img_size": 32}),
    "resnet50": ("test_resnet", {}),
    "vit_small_patch16_224": ("test_vit", {"img_size": 32}),
    "convnext_tiny": ("test_convnext", {}),
    "swin_tiny_patch4_window7_224": (
        "swin_tiny_patch4_window7_224",
        {"img_size": 32, "window_size": 4, "embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2)},
    ),
}
EAGER = 1.3  # times timm's eager step, on ViT-B; 2 on the smaller networks
COLUMNS = [
    "network",
    "way",
    "images/s",
    "lowest to highest",
    "ms a step",
    "of timm",
    "of timm compiled",
    "MFU %",
    "GB",
    "first step, s",
]


def network(name: str, lab: Lab, classes: int = CLASSES, **keywords: Any) -> torch.nn.Module:
    """A network of timm with random weights, or its tiny form; the same weights at each call."""
    torch.manual_seed(0)
    if lab.tiny:
        name, keywords = NETWORKS[name][0], {**NETWORKS[name][1], **keywords}
    return timm.create_model(name, num_classes=classes, **keywords)


def objective_of(name: str, lab: Lab) -> FineTuneObjective:
    """A fine-tuning of medzoo's recipe."""
    return FineTuneObjective(network(name, lab), TaskLoss("multiclass"))


def batch_of(lab: Lab, images: int) -> dict[str, Any]:
    """Noise on the device, in channels_last, with labels."""
    torch.manual_seed(1)
    side = 32 if lab.tiny else 224
    made = torch.randn(images, 3, side, side, device=lab.device).to(memory_format=torch.channels_last)
    return {"image": made, "label": torch.arange(images, device=lab.device) % CLASSES, "index": range(images)}


def timm_way(
    name: str,
    lab: Lab,
    batches: Callable[[], tuple[torch.Tensor, torch.Tensor]],
    *,
    compiled: bool,
    images: int,
    drain: int = 0,
) -> Way:
    """The step of timm's train.py: --amp --amp-dtype bfloat16 --channels-last --clip-grad 1, and --torchcompile.

    As there, the optimizer is AdamW of timm's factory in its default form, the loss is read at every step, and a scheduler and
    an average follow.

    Args:
        name: of the network.
        lab: of the run.
        batches: gives images and labels on the device.
        compiled: whether the network is compiled.
        images: of a step.
        drain: as for `StepWay`.
    """
    model: Any = network(name, lab).to(lab.device, memory_format=torch.channels_last).train()
    optimizer = create_optimizer_v2(model, "adamw", lr=1e-3, weight_decay=0.05)
    scheduler = CosineLRScheduler(optimizer, t_initial=10_000, t_in_epochs=False)
    criterion, losses, done = torch.nn.CrossEntropyLoss(), AverageMeter(), 0
    parameters = list(model.parameters())
    run = torch.compile(model) if compiled else model

    def step() -> None:
        nonlocal done
        given, label = batches()
        with lab.autocast():
            loss = criterion(run(given), label)
        loss.backward()
        dispatch_clip_grad(parameters, value=1.0, mode="norm")
        optimizer.step()
        optimizer.zero_grad()
        losses.update(loss.item(), images)
        done += 1
        scheduler.step_update(done, metric=losses.avg)

    return StepWay(step, images, lab.clock, peer=True, drain=drain)


def ways_of(lab: Lab, name: str) -> Mapping[str, Builder]:
    """The ways of a network, by name; the last ones are skipped if no time is left, so peers come before an option of ours."""
    images = lab.images(BATCH)

    def ours(**options: Any) -> Way:
        return LoopWay(objective_of(name, lab), Ready(batch_of(lab, images), images), lab, **options)

    def theirs(compiled: bool) -> Way:
        batch = batch_of(lab, images)
        return timm_way(name, lab, lambda: (batch["image"], batch["label"]), compiled=compiled, images=images)

    return {
        "medzoo": ours, "timm": partial(theirs, False),
        "timm-compiled": partial(theirs, True), "medzoo-fastest": partial(ours, fastest=True),
    }  # fmt: skip


def part(lab: Lab) -> None:
    """All networks, then the overhead of the loop."""
    overhead(lab)
    images = lab.images(BATCH)
    table = lab.table(
        f"Fine-tuning steps, 224 px, batch {images}, bf16, images on the device", COLUMNS,
        "`medzoo` is `Loop.fit` as recipes/finetune.py uses it, so with deterministic algorithms; `medzoo-fastest` has `--compile` "
        "and `--no-deterministic`. `timm` is the step of timm's train.py (`--amp --amp-dtype bfloat16 --channels-last "
        "--clip-grad 1`), `timm-compiled` with `--torchcompile`; both set cudnn's benchmark mode and TF32. AdamW.",
    )  # fmt: skip
    for position, name in enumerate(NETWORKS):
        flops = None
        with lab.attempt(f"{name}, FLOP"):
            flops = count_flops(objective_of(name, lab), batch_of(lab, 2), lab)
            table.notes.append(f"{name}: {flops / 1e9:.1f} GFLOP a training step and image.")
        found = measure(ways_of(lab, name), lab, lab.left / (len(NETWORKS) - position), name)
        table.rows += [row(name, way, one, found, flops, lab) for way, one in found.items()]
        _targets(lab, name, found, flops)


def row(
    name: str, way: str, one: Measured, found: Mapping[str, Measured], flops: float | None, lab: Lab
) -> list[str | float]:
    """A row of the table."""
    ratios: list[str | float] = [
        one.rate / found[peer].rate if peer in found else "" for peer in ("timm", "timm-compiled")
    ]
    used = mfu(one, flops, lab)
    shown = "" if used is None else used
    spread = f"{one.spread[0]:,.0f} to {one.spread[1]:,.0f}"
    return [name, way, one.rate, spread, one.step_ms, *ratios, shown, one.peak_gb, one.first_s]


def mfu(one: Measured, flops: float | None, lab: Lab) -> float | None:
    """Per cent of the rate of matrix products of the same run."""
    return None if flops is None or not math.isfinite(lab.rate) else 100 * one.rate * flops / lab.rate


def best(found: Mapping[str, Measured], *names: str) -> Measured | None:
    """The fastest of some ways that were measured."""
    return max((found[name] for name in names if name in found), key=lambda one: one.rate, default=None)


def ratio(found: Mapping[str, Measured], one: Measured | None, peer: str) -> float | None:
    """How many times as fast as a peer."""
    return None if one is None or peer not in found else one.rate / found[peer].rate


def _targets(lab: Lab, name: str, found: Mapping[str, Measured], flops: float | None) -> None:
    ours = best(found, "medzoo", "medzoo-fastest")
    if name == "vit_base_patch16_224":
        lab.target("MFU, fine-tuning ViT-B/16", 40, None if ours is None else mfu(ours, flops, lab), " %")
    if name == "resnet50":
        lab.target("fine-tuning ResNet-50", 5000, None if ours is None else ours.rate, " images/s")
    lab.target(f"{name}, compared with timm compiled", 1.0, ratio(found, ours, "timm-compiled"), " x")
    if name in ("vit_base_patch16_224", "resnet50", "vit_small_patch16_224"):
        wanted = EAGER if "base" in name else 2.0
        lab.target(f"{name}, compared with timm eager", wanted, ratio(found, ours, "timm"), " x")


def overhead(lab: Lab) -> None:
    """What the loop adds to forward, backward, clipping and AdamW of a network that takes nearly no time on the device."""

    def small() -> torch.nn.Module:
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(768, 64), torch.nn.ReLU(), torch.nn.Linear(64, CLASSES)
        )

    batch = {
        "image": torch.randn(16, 3, 16, 16, device=lab.device),
        "label": torch.arange(16, device=lab.device) % CLASSES,
    }
    batch["index"] = range(16)  # type: ignore[assignment]

    def raw() -> Way:
        model = small().to(lab.device)
        optimizer, criterion = make_optimizer(model, "adamw", 1e-3, 0.05), torch.nn.CrossEntropyLoss()

        def step() -> None:
            with lab.autocast():
                loss = criterion(model(batch["image"]), batch["label"])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return StepWay(step, 16, lab.clock)

    def looped() -> LoopWay:
        return LoopWay(FineTuneObjective(small(), TaskLoss("multiclass")), Ready(batch, 16), lab)

    table = lab.table(
        "Time on the host", ["what", "ms a step"], "Two linear layers, 16 px, batch 16: the device has nearly no work."
    )
    found = measure({"raw": raw, "medzoo": looped}, lab, lab.left / 20, "two linear layers")
    added = found["medzoo"].step_ms - found["raw"].step_ms if len(found) == 2 else None
    table.rows += [[name, one.step_ms] for name, one in found.items()]
    lab.target("host overhead of the loop", 0.3, added, " ms a step", most=True)
    with lab.attempt("waits of the host"):
        places = find_syncs(looped(), lab)
        if places is not None:
            listed = ", ".join(f"{place} ({count})" for place, count in places.items()) or "nowhere"
            table.notes.append(f"Where the host waits for the device in {BETWEEN} steps that are not logged: {listed}.")
        waits = None if places is None else sum(places.values()) / BETWEEN
        lab.target("waits of the host between logged steps", 0, waits, " a step", most=True)
