"""The cost of verification in a load: the sha256 (once per file), the receipt (each later time), names and shapes, config.json.

    python benchmarks/verify.py
    python benchmarks/verify.py --architectures resnet50 --out benchmarks/results/verify.md

CPU time of one process, one thread, median of 7, with the time of the complete load for comparison.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ARCHITECTURES = ("resnet50", "vit_base_patch16_224", "swin_tiny_patch4_window7_224")


def median_ms(call: Callable[[], object], runs: int) -> float:
    """Median CPU milliseconds of a call."""
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return 1000 * statistics.median(seconds)


def measure(architecture: str, runs: int) -> dict[str, float]:
    """The time of each part of verification, and of the complete load."""
    import timm
    import torch

    import medzoo
    from medzoo import store
    from medzoo.zoo.folder.config import read_config
    from medzoo.zoo.models.weights import read_header

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        card = {"name": f"{architecture}-drawn", "license": "apache-2.0", "data": ["nothing"]}
        folder = medzoo.save(timm.create_model(architecture, num_classes=0), Path(scratch) / "folder", card=card)
        weights = folder / "model.safetensors"
        medzoo.load(str(folder))
        return {
            "size": weights.stat().st_size / 1e6,
            "hash": median_ms(lambda: store.verified_sha256(weights, always=True), runs),
            "receipt": median_ms(lambda: store.verified_sha256(weights), runs),
            "header": median_ms(lambda: read_header(weights), runs),
            "config": median_ms(lambda: read_config(folder), runs),
            "load": median_ms(lambda: medzoo.load(str(folder)), runs),
        }


def main() -> None:
    """Measure and print."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--out", type=Path, help="a Markdown file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Verification: CPU milliseconds, one thread", "",
        "`python benchmarks/verify.py --out benchmarks/results/verify.md`; the shares count, not the milliseconds.", "",
        "| network | MB | sha256, once per file | receipt | header | config.json | later loads | share of the load |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for architecture in options.architectures:
        row = measure(architecture, options.runs)
        each_time = row["receipt"] + row["header"] + row["config"]
        lines.append(
            f"| {architecture} | {row['size']:.0f} | {row['hash']:.0f} | {row['receipt']:.2f} | {row['header']:.1f} | "
            f"{row['config']:.1f} | {row['load']:.0f} | {each_time / row['load']:.0%} |"
        )
    lines += ["", f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}.", ""]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
