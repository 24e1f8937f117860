"""The page of the results, and the same values as JSON."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch

from gpu_parts.lab import Lab, number

PACKAGES = (
    "torch", "torchvision", "triton", "timm", "accelerate", "lightly", "segmentation-models-pytorch", "scikit-learn", "numpy",
    "scipy", "pillow",
)  # fmt: skip


@cache
def machine(device: torch.device) -> dict[str, str]:
    """The device, its driver, and the versions of the packages."""
    facts = {"device": "CPU", "python": platform.python_version(), "cores": str(os.cpu_count())}
    if device.type == "cuda":
        held = torch.cuda.get_device_properties(device)
        facts["device"] = (
            f"{held.name}, {held.total_memory / 2**30:.0f} GiB, {held.multi_processor_count} multiprocessors"
        )
        facts |= {
            "driver": _said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
            "CUDA": str(torch.version.cuda),
        }
        facts["cuDNN"] = str(torch.backends.cudnn.version())
    for name in PACKAGES:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            facts[name] = "not installed"
    facts["commit"] = _said("git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD")
    return facts


def _said(*command: str) -> str:
    """The first line of a command's output; "unknown" if it does not run."""
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return lines[0].strip() if lines else "unknown"


def as_dict(lab: Lab, command: str, seconds: float) -> dict[str, Any]:
    """Everything that was measured, with the machine."""
    return {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(seconds),
        "tiny": lab.tiny,
        "machine": machine(lab.device),
        "targets": [{**asdict(one), "verdict": one.verdict} for one in lab.targets],
        "tables": [asdict(one) for one in lab.sections],
        "not_measured": lab.failures,
    }


def as_page(found: dict[str, Any]) -> str:
    """The Markdown of `as_dict`."""
    machine = found["machine"]
    lines = [
        "# Training, features and analyses on a GPU", "",
        f"`{found['command']}`, {found['date']}, {found['seconds']} s. This script wrote the page; all values are of one run.", "",
        "; ".join(f"{name} {value}" for name, value in machine.items()) + ".", "",
        *(["A tiny run, which tries the code: its values mean nothing.", ""] if found["tiny"] else []),
        "Each value is the median of up to five windows of some steps, in which the ways took turns. MFU is the number of "
        "operations of a step, counted by torch, divided by its time and by the rate of bf16 matrix products of the same run.", "",
        "## Targets", "",
    ]  # fmt: skip
    rows = []
    for one in found["targets"]:
        measured = "" if one["measured"] is None else f"{number(one['measured'])}{one['unit']}"
        rows.append(
            [
                one["name"],
                f"{'<=' if one['most'] else '>='} {number(one['wanted'])}{one['unit']}",
                measured,
                one["verdict"],
            ]
        )
    lines += _table(["what", "target", "measured", ""], rows)
    for section in found["tables"]:
        lines += [f"## {section['title']}", ""]
        lines += [line for note in section["notes"] for line in (note, "")]
        lines += _table(section["columns"], section["rows"])
    lines += ["## Not measured", ""]
    failures = [[one["part"], one["what"], one["why"]] for one in found["not_measured"]]
    lines += _table(["part", "what", "why"], failures) if failures else ["Everything was measured.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(columns: list[str], rows: list[list[Any]]) -> list[str]:
    def cell(value: Any) -> str:
        return number(value) if isinstance(value, float) else str(value).replace("|", "/").replace("\n", " ")

    made = [columns, ["---"] * len(columns), *[[cell(value) for value in row] for row in rows]]
    return [*[f"| {' | '.join(row)} |" for row in made], ""]


def write(out: Path, found: dict[str, Any]) -> None:
    """Write the page, and the JSON file of the same name next to it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(as_page(found), encoding="utf-8")
    out.with_suffix(".json").write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
