"""Medzoo on a GPU next to other libraries, in one run of under eight minutes, with its targets and their verdicts.

    python benchmarks/gpu.py --out benchmarks/results/gpu.md      all parts; writes the page and a JSON file
    python benchmarks/gpu.py --only steps --budget 3              one part, in about three minutes
    python benchmarks/gpu.py --only matrix --profile steps/resnet50/medzoo      what a step spends its time on
    python benchmarks/gpu.py --device cpu --tiny                  tries the code in a minute; the values mean nothing

Parts, in their order (the rate of matrix products is measured in any case, since every MFU is divided by it):

    matrix        bf16 matrix products and copies: the limits of the device
    steps         fine-tuning steps, images on the device: medzoo by default and at its fastest, timm eager and compiled
    pretraining   SimCLR, DINO and MAE with views made on the device, and the loops of lightly's examples
    data          fine-tuning from files: medzoo's decoded store, and timm's loader of JPEG files
    frozen        features, probes, neighbours, CCA and CKA
    masks         segmentation steps at 512 px

Ways of the same work take turns; a value is the median of several windows. A part or way that fails (memory, a package that is
missing) or for which no time is left is listed with its reason, and the others go on. Files are in a temporary folder. Before the
measurement, networks are compiled in several processes, for at most a third of the time; torch keeps the compiled kernels.

All parts need torch, timm and accelerate; data needs Pillow and pyarrow, frozen needs scikit-learn and scipy. psutil counts busy
cores. In pretraining, the method DINO and the comparisons need lightly; masks needs segmentation-models-pytorch. Both work without
their dependencies: `pip install --no-deps --target FOLDER lightly segmentation-models-pytorch`, and FOLDER in PYTHONPATH.
Medzoo need not be installed.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

sys.path[:0] = [
    folder for folder in map(str, (Path(__file__).parent, Path(__file__).parents[1])) if folder not in sys.path
]
from gpu_parts import data_path, frozen, masks, matrix, page, pretraining, profile, steps  # noqa: E402
from gpu_parts.lab import Lab  # noqa: E402
from gpu_parts.turns import Builder  # noqa: E402
from gpu_parts.warm_up import warm_up  # noqa: E402

from medzoo.precision import FIXED_SIZE, WORKSPACE  # noqa: E402

# the parts, with their shares of the time
PARTS: dict[str, tuple[Callable[[Lab], None], float]] = {
    "matrix": (matrix.part, 1), "steps": (steps.part, 36), "pretraining": (pretraining.part, 26), "data": (data_path.part, 17),
    "frozen": (frozen.part, 14), "masks": (masks.part, 6),
}  # fmt: skip
WARM_SHARE = 0.3  # of the time, at most, to compile before the measurement
PROFILED = "steps/vit_base_patch16_224/medzoo"


def way_names() -> list[str]:
    """The names of all training ways that can be built alone."""
    lab = Lab(torch.device("cpu"), True, Path())
    found = []
    for kind, (module, cases) in CASES.items():
        found += [f"{kind}/{case}/{way}" for case in cases for way in module.ways_of(lab, case)]
    return found


CASES = {
    "steps": (steps, list(steps.NETWORKS)),
    "pretraining": (pretraining, list(pretraining.CASES)),
    "masks": (masks, ["unet-resnet50"]),
}


def builder(lab: Lab, name: str) -> Builder:
    """What makes a way.

    Args:
        lab: of the run.
        name: kind/case/way.
    """
    kind, case, way = name.split("/")
    return CASES[kind][0].ways_of(lab, case)[way]


def compiled_ways(chosen: Sequence[str]) -> list[str]:
    """The ways of some parts that compile a network, the first ones of each part first."""
    found = [name for name in way_names() if name.endswith(("-compiled", "-fastest"))]
    by_part = [[name for name in found if name.split("/")[0] == part] for part in CASES if part in chosen]
    return [name for round_of in zip_longest(*by_part) for name in round_of if name is not None]


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", metavar="PART", help="one part; may be given again")
    parser.add_argument(
        "--budget", type=float, default=7.5, metavar="MINUTES", help="of the whole run; less means fewer repeats (7.5)"
    )
    parser.add_argument(
        "--profile", nargs="?", const=PROFILED, action="append", metavar="WAY", choices=way_names(),
        help=f"also profile a way, by default {PROFILED}; may be given again; --ways lists them",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write the page to FILE, and FILE with .json; on a GPU only"
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu is for --tiny")
    parser.add_argument("--tiny", action="store_true", help="tiny networks and images, one step: tries the code")
    parser.add_argument(
        "--batch", type=int, default=0, metavar="N", help="images per step, instead of those of each part (0)"
    )
    parser.add_argument(
        "--no-warm-up", action="store_true", help="do not compile in other processes before the measurement"
    )
    parser.add_argument("--ways", action="store_true", help="list the ways that can be profiled")
    parser.add_argument("--warm", metavar="WAY", choices=way_names(), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.device == "cpu" and not given.tiny:
        parser.error("--device cpu needs --tiny: the networks have the size of a GPU")
    if given.out and (given.device == "cpu" or given.tiny):
        parser.error("--out writes results of a GPU only, without --tiny")
    if given.device == "cuda" and not (given.ways or torch.cuda.is_available()):
        parser.error("torch finds no CUDA device; --device cpu --tiny tries the code")
    if not 0 < given.budget < 1000:
        parser.error(f"--budget is {given.budget}; give minutes above 0")
    return given


def main(arguments: Sequence[str] | None = None) -> Lab | None:
    """Measure the chosen parts, print the tables, and write the page."""
    given = parsed(arguments)
    if given.ways:
        print("\n".join(way_names()))
        return None
    if given.tiny:  # torch.compile of a tiny network takes a minute on a CPU; TORCH_COMPILE_DISABLE=0 does it
        torch._dynamo.config.disable = os.environ.get("TORCH_COMPILE_DISABLE", "1") == "1"
    os.environ.setdefault(WORKSPACE, FIXED_SIZE)  # torch reads it at the first product
    began = time.monotonic()
    with quiet(), tempfile.TemporaryDirectory(prefix="medzoo-gpu-", ignore_cleanup_errors=True) as folder:
        lab = Lab(torch.device(given.device), given.tiny, Path(folder), given.batch)
        if given.warm:
            builder(lab, given.warm)().window(0, 1)
            return lab
        command = " ".join(["python benchmarks/gpu.py", *(sys.argv[1:] if arguments is None else arguments)])

        def found() -> dict[str, Any]:
            return page.as_dict(lab, command, time.monotonic() - began)

        if given.out:
            lab.save = lambda: page.write(given.out, found())
        measured(lab, given, began)
    print(page.as_page(found()))
    if given.out:
        print(f"{given.out} and {given.out.with_suffix('.json')} are written.")
    return lab


@contextmanager
def quiet() -> Iterator[None]:
    """A block without warnings and without the progress lines of each training."""
    logger = logging.getLogger("medzoo")

    def is_serious(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING

    logger.addFilter(is_serious)  # a level would stay: medzoo sets one at its first line
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.removeFilter(is_serious)


def measured(lab: Lab, given: argparse.Namespace, began: float) -> None:
    """Run the parts; each has its share of the time that is left. What was found is saved after each."""
    chosen = [name for name in PARTS if name == "matrix" or name in (given.only or PARTS)]
    end = began + 60 * given.budget
    if not given.no_warm_up and (names := compiled_ways(chosen)):
        seconds = warm_up(lab, names, WARM_SHARE * 60 * given.budget, Path(__file__))
        print(f"compiled networks in {seconds:.0f} s", flush=True)
    for position, name in enumerate(chosen):
        shares = [PARTS[other][1] for other in chosen[position:]]
        lab.part, lab.until = name, time.monotonic() + (end - time.monotonic()) * shares[0] / sum(shares)
        print(f"[{time.monotonic() - began:4.0f} s] {name}, for about {lab.left:.0f} s", flush=True)
        if lab.left <= 0:
            lab.failed("the whole part", "skipped: no time was left (--budget)")
            continue
        with lab.attempt("the whole part"):
            PARTS[name][0](lab)
        lab.free()
        lab.save()
    for name in given.profile or ():
        lab.part = "profile"
        print(f"[{time.monotonic() - began:4.0f} s] profile of {name}", flush=True)
        with lab.attempt(name):
            profile.part(lab, name, builder(lab, name)())
        lab.free()
        lab.save()
    print(f"[{time.monotonic() - began:4.0f} s] done", flush=True)


if __name__ == "__main__":
    main()
