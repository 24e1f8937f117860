"""How fast the similarity of activations is, next to the form of google/svcca and to CKA pair by pair, and whether they agree.

    OMP_NUM_THREADS=1 python benchmarks/analysis.py --out benchmarks/results/analysis.md
    python benchmarks/analysis.py --only cca --runs 9

Both sides take turns in one process. Seconds are medians of the CPU time of all threads, which other programs on the machine change
little; ratios are medians over the turns. BLAS uses as many threads as OMP_NUM_THREADS says, by default one for each core.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy
import torch

from medzoo.analysis.similarity.cka import cka_matrix
from medzoo.analysis.similarity.measures import mean_cca


@dataclass(frozen=True)
class Times:
    """Medians of a measurement in which both sides took turns."""

    ours: float  # CPU seconds of all threads
    theirs: float
    ratio: float  # of CPU seconds, theirs over ours
    wall_ratio: float


def turns(runs: int, ours: Callable[[], object], theirs: Callable[[], object]) -> Times:
    """Times of both calls, which take turns; after one of each that is not counted. Ratios are those of the same turn."""
    found = np.empty((runs + 1, 2, 2))  # turns x sides x clocks
    for turn in found:
        for call, clocks in zip((ours, theirs), turn, strict=True):
            start = time.process_time(), time.perf_counter()
            call()
            clocks[:] = time.process_time() - start[0], time.perf_counter() - start[1]
    one, other = np.moveaxis(found[1:], 1, 0)
    ratios = np.median(other / one, axis=0)
    return Times(float(np.median(one[:, 0])), float(np.median(other[:, 0])), float(ratios[0]), float(ratios[1]))


def activations(samples: int, units: int, layers: int, seed: int) -> list[np.ndarray]:
    """Layers that share part of their variance, float32 as networks give them, with a mean and some large directions."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(samples, 64))
    return [
        (2 + rng.normal(size=(samples, units)) + shared @ rng.normal(size=(64, units)) / 4).astype(np.float32)
        for _ in range(layers)
    ]


# --- mean CCA ---


def cca(runs: int) -> list[str]:
    """Mean CCA of 10,000 samples next to the algorithm of google/svcca."""
    rows = []
    for units, target in ((512, 1.8), (1024, 2.5)):
        x, y = activations(10_000, units, 2, seed=0)
        theirs = np.ascontiguousarray(x.T), np.ascontiguousarray(y.T)  # the layout that it is written for
        difference = abs(mean_cca(x, y) - svcca_form(*theirs).mean())
        times = turns(runs, partial(mean_cca, x, y), partial(svcca_form, *theirs))
        rows.append(row(f"mean CCA, 10,000 x {units:,}", times, target, f"difference {difference:.0e}"))
    return rows


def svcca_form(x: np.ndarray, y: np.ndarray, epsilon: float = 1e-12) -> np.ndarray:
    """Canonical correlations as google/svcca computes them, without its screen output; units x samples."""
    units = len(x)
    covariance = np.cov(x, y)
    sides = [covariance[:units, :units], covariance[units:, units:]]
    scales = [np.abs(side).max() for side in sides]
    cross = covariance[:units, units:] / np.sqrt(scales[0] * scales[1])
    roots = []
    for side, scale in zip(sides, scales, strict=True):
        values, vectors = np.linalg.eigh(np.linalg.pinv(side / scale + epsilon * np.eye(len(side))))
        roots.append(vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T)
    _, found, _ = np.linalg.svd(roots[0] @ cross @ roots[1])  # with the directions, as there
    return np.abs(found)


# --- CKA of all pairs of layers ---


def cka(runs: int) -> list[str]:
    """Linear CKA of 8 x 8 layers with 2,000 samples and 512 units next to two Gram matrices for each pair."""
    layers = activations(2_000, 512, 16, seed=1)
    xs, ys = layers[:8], layers[8:]
    difference = np.abs(cka_matrix(xs, ys) - pairwise_cka(xs, ys)).max()
    times = turns(runs, partial(cka_matrix, xs, ys), partial(pairwise_cka, xs, ys))
    return [row("linear CKA of 8 x 8 layers, 2,000 x 512", times, 5, f"difference {difference:.0e}")]


def pairwise_cka(xs: list[np.ndarray], ys: list[np.ndarray]) -> np.ndarray:
    """Each pair by itself: both Gram matrices, centred, and three inner products."""

    def centred_gram(x: np.ndarray) -> np.ndarray:
        x = x.astype(np.float64)
        gram = x @ x.T
        means = gram.mean(axis=0)
        return gram - means - means[:, None] + means.mean()

    def one(x: np.ndarray, y: np.ndarray) -> float:
        k, l = centred_gram(x), centred_gram(y)  # noqa: E741 - K and L as in the papers
        return float(np.vdot(k, l) / (np.linalg.norm(k) * np.linalg.norm(l)))

    return np.array([[one(x, y) for y in ys] for x in xs])


# --- a whole comparison ---


def comparison(_: int) -> list[str]:
    """All analyses of two ResNet-50 on 1,000 images of 224 px next to the forward passes in them, once: it takes minutes."""
    from timm.models.resnet import ResNet

    from medzoo.analysis.comparison.compare import compare_checkpoints
    from medzoo.analysis.inputs.inputs import ComparedInputs
    from medzoo.analysis.inputs.options import CompareOptions

    seconds, images = 0.0, 0
    forward = ResNet.forward

    def timed(self: ResNet, x: torch.Tensor) -> torch.Tensor:
        nonlocal seconds, images
        start = time.perf_counter()
        made = forward(self, x)
        seconds, images = seconds + time.perf_counter() - start, images + len(x)
        return made

    with tempfile.TemporaryDirectory() as folder:
        options = CompareOptions(
            checkpoints=["resnet50-random", "resnet50-random"], results=folder, device="cpu",
            task="phantom_chest,n=1000,n_validation=20,n_test=1000,image_size=224",
        )  # fmt: skip
        before = ComparedInputs(options)
        assert (
            len(before.images.ids) == len(before.training_images.ids) == 1000
        )  # decoding is not part of the measurement
        ResNet.forward = timed
        start = time.perf_counter()
        try:
            made = compare_checkpoints(options).made
        finally:
            ResNet.forward = forward
        whole = time.perf_counter() - start
    print(f"# {len(made)} analyses, {images:,} forward passes of an image", flush=True)
    what = f"comparison of two ResNet-50: {len(made)} analyses, {images:,} passes of an image"
    return [f"| {what} | {whole:.0f} | {seconds:.0f} (passes) | {whole / seconds:.2f}x | | at most 1.2x | |"]


# --- the table ---


MEASUREMENTS: dict[str, Callable[[int], list[str]]] = {
    "cca": cca,
    "cka": cka,
    "compare": comparison,
}  # each gives its rows of the table


def row(what: str, times: Times, target: float, agreement: str) -> str:
    """A row of the table."""
    seconds = f"{times.ours:.3f} | {times.theirs:.3f}"
    return f"| {what} | {seconds} | {times.ratio:.2f}x | {times.wall_ratio:.2f}x | {target}x | {agreement} |"


def processor() -> str:
    """The CPU's name, its cores, and the number of threads that was asked for."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, OMP_NUM_THREADS {threads}"


def main() -> None:
    """Print the table, and write it to --out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=MEASUREMENTS, action="append", help="one measurement; may be given again")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = [
        "# Similarity of activations: CPU seconds, all threads",
        "",
        "`python benchmarks/analysis.py`; the ratios count.",
        "",
        f"{processor()}, numpy {np.__version__}, scipy {scipy.__version__}, median of {options.runs} turns.",
        "",
        "| what | medzoo s | other s | ratio | ratio of wall time | target | agreement |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for name in options.only or MEASUREMENTS:
        rows = MEASUREMENTS[name](options.runs)
        print("\n".join(rows), flush=True)
        lines += rows
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
