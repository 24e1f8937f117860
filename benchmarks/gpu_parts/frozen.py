"""Frozen networks: features, probes on them, and the similarity of activations; next to loops of other libraries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from gpu_parts.clock import StepWay, Way
from gpu_parts.lab import Lab
from gpu_parts.loops import count_flops
from gpu_parts.pretraining import rows
from gpu_parts.steps import batch_of, mfu, network, objective_of
from gpu_parts.turns import measure, seconds_of
from medzoo.data.transforms.apply import InputConvention
from medzoo.training.inputs.evaluate import evaluate_rows
from medzoo.training.probes import attentive
from medzoo.training.probes.head_grid import LEARNING_RATES, batch_rows, first_weights, fit_head_grid
from medzoo.training.probes.knn import vote
from medzoo.training.probes.logistic import Problem, fit_logistic

NETWORKS = ("vit_base_patch16_224", "resnet50")
STRENGTHS = [10.0**power for power in range(-4, 5)]


def features(lab: Lab) -> None:
    """Features of decoded rows, next to forward passes of the same network on batches that are ready."""
    table = lab.table(
        "Features of frozen networks, 224 px, batch 256", ["network", "way", "images/s", "MFU %", "GB"],
        "`medzoo` reads decoded rows on the device, normalises them, and copies the features to the host. `forward passes` "
        "is the network alone, in channels_last, on a batch that is ready. MFU counts a third of a training step.",
    )  # fmt: skip
    data, images = rows(lab, count=512), lab.images(256)

    def ours(name: str, half: bool) -> Way:
        model = network(name, lab, classes=0).to(lab.device).eval()

        def step() -> None:
            with torch.autocast(lab.device.type, torch.bfloat16, enabled=half):
                evaluate_rows(
                    model, data, InputConvention(), size=32 if lab.tiny else 224, device=lab.device, batch_size=images
                )

        return StepWay(step, len(data.ids), lab.clock)

    def alone(name: str) -> Way:
        model = network(name, lab, classes=0).to(lab.device, memory_format=torch.channels_last).eval()
        given = batch_of(lab, images)["image"]

        def step() -> None:
            with torch.inference_mode(), lab.autocast():
                model(given)

        return StepWay(step, images, lab.clock, peer=True)

    for position, name in enumerate(NETWORKS):
        flops = None
        with lab.attempt(f"{name}, FLOP"):
            flops = count_flops(objective_of(name, lab), batch_of(lab, 2), lab) / 3
        builders = {
            "medzoo, bf16": partial(ours, name, True),
            "medzoo, fp32": partial(ours, name, False),
            "forward passes, bf16": partial(alone, name),
        }
        found = measure(builders, lab, lab.left / 4 / (len(NETWORKS) - position), f"features of {name}")
        for way, one in found.items():
            used = mfu(one, flops, lab)
            table.rows.append([name, way, one.rate, "" if used is None or "fp32" in way else used, one.peak_gb])


def drawn(count: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Features whose variances fall as 1/rank, and classes that a noisy linear rule gives."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(count, width)).astype(np.float32)
    logits = 0.15 * hidden @ rng.normal(size=(width, classes)).astype(np.float32)
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    return (hidden * np.arange(1, width + 1) ** -0.5).astype(np.float32), labels


def probes(lab: Lab) -> None:
    """45 logistic regressions, 52 heads, attentive heads, and neighbours."""
    table = lab.table(
        "Probes of frozen features", ["what", "medzoo on the device, s", "medzoo on the CPU, s", "other, s", "other"],
        "Medians of three calls; the other side is timed once.",
    )  # fmt: skip
    for name, run in {
        "logistic": _logistic,
        "heads": _heads,
        "attentive": _attentive,
        "neighbours": _neighbours,
    }.items():
        with lab.attempt(name):
            table.rows.append(run(lab))
            print("  " + ", ".join(str(cell) for cell in table.rows[-1]), flush=True)


def _logistic(lab: Lab) -> list[str | float]:
    count, width, used = (60, 8, 40) if lab.tiny else (10_000, 768, 5_000)
    given, labels = drawn(count, width, 5)
    rng = np.random.default_rng(1)
    masks = [np.isin(np.arange(count), rng.permutation(count)[:used]) for _ in range(5)]
    problems = [Problem(strength, mask) for mask in masks for strength in STRENGTHS]
    held = torch.from_numpy(given).to(lab.device)
    ours = seconds_of(lambda: fit_logistic(held, labels, problems, kind="multiclass", classes=5), lab)
    few = [Problem(strength, masks[0]) for strength in STRENGTHS[::4]]
    share = len(problems) / len(few)

    from sklearn.linear_model import LogisticRegression

    def theirs() -> None:
        mask = masks[0]
        scaled = (given[mask] - given[mask].mean(0)) / given[mask].std(0)
        for problem in few:
            LogisticRegression(C=problem.strength, max_iter=500).fit(scaled, labels[mask])

    on_cpu = share * seconds_of(
        lambda: fit_logistic(given, labels, few, kind="multiclass", classes=5), lab, 1, warm=False
    )
    other = share * seconds_of(theirs, lab, 1, warm=False)
    what = f"45 logistic regressions, {used:,} x {width}, 9 C x 5 resamples"
    return [
        what,
        ours,
        on_cpu,
        other,
        f"scikit-learn in a loop; both CPU columns are {len(few)} of them, times {share:g}",
    ]


def _heads(lab: Lab) -> list[str | float]:
    count, steps = (64, 2) if lab.tiny else (20_000, 100)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, count)
    parts = [torch.from_numpy(rng.normal(size=(count, width)).astype(np.float32)) for width in (384, 768, 384, 768)]
    held, size = [part.to(lab.device) for part in parts], min(128, count)
    ask: dict[str, Any] = {"kind": "multiclass", "classes": 10, "steps": steps, "batch_size": size}

    def theirs() -> None:
        """As DINOv2's linear.py: a module for each head, which gathers its input."""
        heads, groups = [], []
        for number, part in enumerate(held):
            for rate in LEARNING_RATES:
                head = torch.nn.Linear(part.shape[1], 10, device=lab.device)
                head.weight.data = first_weights(0, number, 10, part.shape[1], 1)[0].to(lab.device)
                heads.append((number, head))
                groups.append({"params": head.parameters(), "lr": rate})
        optimizer = torch.optim.SGD(groups, momentum=0.9)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=0)
        targets = torch.from_numpy(labels).to(lab.device)
        for step in range(steps):
            chosen = torch.from_numpy(batch_rows(0, step, size, count)).to(lab.device)
            losses = [
                torch.nn.functional.cross_entropy(head(held[number][chosen]), targets[chosen]) for number, head in heads
            ]
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            optimizer.step()
            schedule.step()

    ours = seconds_of(lambda: fit_head_grid(held, labels, **ask), lab)
    on_cpu = seconds_of(lambda: fit_head_grid(parts, labels, **ask), lab, 1, warm=False)
    return [
        f"52 linear heads, {steps} steps",
        ours,
        on_cpu,
        seconds_of(theirs, lab, 1),
        "one module per head, on the device",
    ]


def _attentive(lab: Lab) -> list[str | float]:
    images, tokens, width, steps = (4, 5, 8, 2) if lab.tiny else (256, 197, 768, 50)
    held = torch.randn(images, tokens, width, device=lab.device)
    labels, rates = np.arange(images) % 5, [1e-3, 1e-2, 1e-1]

    def fit(rates: list[float], decays: tuple[float, ...]) -> None:
        attentive.fit_attentive(
            ((held, labels) for _ in range(steps)), kind="multiclass", classes=5, steps=steps, learning_rates=rates,
            weight_decays=decays, queries=min(32, width),
        )  # fmt: skip

    def loop() -> None:
        for rate in rates:
            for decay in (0.0, 0.01, 0.1):
                fit([rate], (decay,))

    ours = seconds_of(lambda: fit(rates, (0.0, 0.01, 0.1)), lab)
    return [
        f"9 attentive heads, {steps} steps of {images} x {tokens} tokens",
        ours,
        "",
        seconds_of(loop, lab, 1),
        "one head after another, on the device",
    ]


def _neighbours(lab: Lab) -> list[str | float]:
    train, asked, width = (40, 8, 8) if lab.tiny else (100_000, 10_000, 768)
    given, labels = drawn(train + asked, width, 5)
    held = torch.from_numpy(given).to(lab.device)

    def ours(values: Any, count: int) -> object:
        queries = values[train : train + count]
        return vote(values[:train], labels[:train], queries, kind="multiclass", classes=5, counts=[20])

    few = max(1, asked // 10)

    from sklearn.neighbors import KNeighborsClassifier

    def theirs() -> None:
        model = KNeighborsClassifier(20, algorithm="brute", metric="cosine").fit(given[:train], labels[:train])
        model.predict_proba(given[train : train + few])

    fast, share = seconds_of(lambda: ours(held, asked), lab), asked / few
    on_cpu = share * seconds_of(lambda: ours(given, few), lab, 1, warm=False)
    other = share * seconds_of(theirs, lab, 1, warm=False)
    return [
        f"20 neighbours of {asked:,} in {train:,} x {width}",
        fast,
        on_cpu,
        other,
        f"scikit-learn brute force; CPU columns are {few:,} queries, times {share:g}",
    ]


def similarity(lab: Lab) -> None:
    """Mean CCA and linear CKA of two layers: sums on the device, compared with numpy."""
    from medzoo.analysis.similarity.cca import cca_coefficients
    from medzoo.analysis.similarity.cka import linear_cka_from_covariances
    from medzoo.analysis.similarity.moments import moments_of

    count, width = (64, 4) if lab.tiny else (50_000, 1024)
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(count, min(64, width))).astype(np.float32)
    pair = [
        (2 + rng.normal(size=(count, width)) + shared @ rng.normal(size=(shared.shape[1], width)) / 4).astype(
            np.float32
        )
        for _ in range(2)
    ]
    held = [torch.from_numpy(values).to(lab.device) for values in pair]

    def cca(values: list[Any], products: Any) -> float:
        moments = moments_of(*values, products=products)
        return float(cca_coefficients(*moments.covariances(), moments.n, tolerance=moments.tolerance).mean())

    def cka(values: list[Any], products: Any) -> float:
        return linear_cka_from_covariances(*moments_of(*values, products=products).covariances())

    table = lab.table(
        f"Similarity of two layers, {count:,} x {width}",
        ["measure", "products", "on the device, s", "numpy, s", "times as fast", "difference"],
        "Covariances are summed on the device; their decompositions are computed by the CPU on both sides.",
    )
    measures: dict[str, Callable[[list[Any], Any], float]] = {"mean CCA": cca, "linear CKA": cka}
    for name, run in measures.items():
        value: dict[Any, float] = {}
        slow = seconds_of(partial(_keep, value, "numpy", partial(run, pair, "float64")), lab, 1, warm=False)
        for products in ("float64", "float32"):
            with lab.attempt(f"{name}, {products}"):
                fast = seconds_of(partial(_keep, value, products, partial(run, held, products)), lab)
                apart = abs(value[products] - value["numpy"])
                table.rows.append([name, products, fast, slow, slow / fast, f"{apart:.0e}"])


def _keep(values: dict[Any, float], name: str, call: Callable[[], float]) -> None:
    values[name] = call()


def part(lab: Lab) -> None:
    """All three."""
    for name, run in {"features": features, "probes": probes, "similarity": similarity}.items():
        if name != "features" and lab.left < 0:
            lab.failed(name, "skipped: no time was left (--budget)")
            continue
        with lab.attempt(name):
            run(lab)
