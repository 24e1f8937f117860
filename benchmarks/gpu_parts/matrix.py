"""The two limits of the device: bf16 matrix products and copies in its memory."""

from __future__ import annotations

import statistics

import torch

from gpu_parts.lab import Lab


def part(lab: Lab) -> None:
    """Both, as the medians of some windows."""
    side, runs = (64, 1) if lab.tiny else (8192, 10)
    torch.manual_seed(0)
    # random numbers: products of zeros are faster
    one, other = (torch.randn(side, side, device=lab.device).bfloat16() for _ in range(2))
    lab.rate = 2 * side**3 * _per_second(lambda: one @ other, lab, runs)
    source = torch.empty(1 << (12 if lab.tiny else 32), dtype=torch.uint8, device=lab.device).random_()
    target = torch.empty_like(source)
    moved = 2 * source.numel() * _per_second(lambda: target.copy_(source), lab, runs)  # bytes read and written
    table = lab.table("Limits of the device", ["what", "rate"], "The first is what every MFU is divided by.")
    table.rows += [
        [f"bf16 matrix product, {side} x {side} x {side}, random numbers", f"{lab.rate / 1e12:,.1f} TFLOP/s"],
        ["copy on the device, bytes read and written", f"{moved / 1e12:,.3f} TB/s"],
    ]
    print(f"  {table.rows[0][1]}, {table.rows[1][1]}", flush=True)


def _per_second(call, lab: Lab, runs: int) -> float:
    for _ in range(3):
        call()
    rates = []
    for _ in range(1 if lab.tiny else 5):
        lab.clock.start()
        for _ in range(runs):
            call()
        rates.append(runs / lab.clock.stop(runs).seconds)
    return statistics.median(rates)
