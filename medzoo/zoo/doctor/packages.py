"""The package checks of `medzoo doctor`: Python, required packages and optional parts."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

from medzoo.errors import listed
from medzoo.zoo.doctor.report import DoctorRow

if TYPE_CHECKING:
    from packaging.requirements import Requirement

EXTRAS = {
    "recipes": "pre-training, fine-tuning, probing, tables",
    "convert": "reading Keras (HDF5) weights",
    "medical": "DICOM and NIfTI images",
    "pretrain": "the pre-training methods whose losses are in lightly",
    "lora": "fine-tuning by low-rank changes (LoRA)",
    "export": "networks as ONNX files, and their check",
    "docs": "building the documentation site",
    "trackers": "sending the log of a training to TensorBoard, trackio or Weights & Biases",
    "slurm": "tables on a Slurm cluster",
    "parsl": "tables on other clusters and in clouds, through Parsl",
}
ONE_IS_ENOUGH = {"trackers"}  # extras whose packages are alternatives
TORCH, FIRST = "torch>=2.10", ("torch", "torchvision", "timm", "huggingface-hub")


def version(package: str) -> str | None:
    """The version of an installed package, read without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def python() -> Iterator[DoctorRow]:
    """The interpreter, and whether medzoo itself is installed."""
    here = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if version("medzoo") is None:
        detail = f"{here}; medzoo was imported but is not installed, so its requirements are unknown."
        yield DoctorRow("python", "WARN", detail, "pip install -e .")
    else:
        yield DoctorRow("python", "PASS", f"{here}; medzoo needs {metadata.metadata('medzoo')['Requires-Python']}.")


def _requirements(package: str, extra: str | None = None) -> list[Requirement]:
    """The requirements in the metadata of an installed package; with `extra`, only those of the extra."""
    from packaging.requirements import Requirement

    texts = metadata.requires(package) if version(package) else [TORCH]  # a source tree that was not installed
    rows = [Requirement(text) for text in texts or ()]
    always = [row for row in rows if row.marker is None or row.marker.evaluate({"extra": ""})]
    if extra is None:
        return always
    return [row for row in rows if row.marker and row not in always and row.marker.evaluate({"extra": extra})]


def _problem(need: Requirement) -> str | None:
    installed = version(need.name)
    if installed is None:
        return f"{need.name} is missing"
    fits = need.specifier.contains(installed, prereleases=True)
    return None if fits else f"{need.name} {installed} is not {need.specifier}"


def packages() -> Iterator[DoctorRow]:
    """The required packages and their minimum versions, from medzoo's metadata."""
    needs = {need.name: need for need in _requirements("medzoo")}
    wrong = {name: problem for name, need in needs.items() if (problem := _problem(need))}
    pair = f"pip install --upgrade {_quoted(needs[name] for name in ('torch', 'torchvision') if name in needs)}"
    # torch and torchvision must be updated together
    if "torch" in wrong and version("torch"):
        reason = (
            "in older versions a weights file can corrupt the memory, even with weights_only=True (CVE-2026-24747)."
        )
        yield DoctorRow("torch", "FAIL", f"{wrong.pop('torch')}: {reason}", pair)
    if version("torch") and version("torchvision"):
        for problem in filter(None, (_problem(need) for need in _requirements("torchvision") if need.name == "torch")):
            detail = f"torchvision {version('torchvision')} was built for another torch: {problem}."
            yield DoctorRow("torchvision", "FAIL", detail, pair)
    if wrong:
        command = f"pip install --upgrade {_quoted(needs[name] for name in wrong)}"
        yield DoctorRow("packages", "FAIL", f"{', '.join(wrong.values())}.", command)
    else:
        first = sorted(needs, key=lambda name: (name not in FIRST, name))
        yield DoctorRow("packages", "PASS", f"{listed((f'{name} {version(name)}' for name in first), 4)}: new enough.")


def _quoted(needs: Iterator[Requirement]) -> str:
    return " ".join(f'"{need.name}{need.specifier}"' for need in needs)


def extras() -> Iterator[DoctorRow]:
    """The optional parts, except `dev`, which is for developers of medzoo."""
    known = metadata.metadata("medzoo").get_all("Provides-Extra") or () if version("medzoo") else ()
    for extra in sorted(set(known) - {"dev"}):
        needs, purpose = _requirements("medzoo", extra), EXTRAS.get(extra, "an optional part")
        wrong = [problem for need in needs if (problem := _problem(need))]
        if extra in ONE_IS_ENOUGH and len(wrong) < len(needs):
            wrong, needs = [], [need for need in needs if not _problem(need)]
        if wrong:
            detail = f"{', '.join(wrong)}; needed for {purpose}."
            yield DoctorRow(f"[{extra}]", "WARN", detail, f'pip install "medzoo[{extra}]"')
        else:
            yield DoctorRow(f"[{extra}]", "PASS", f"{purpose}: {listed((need.name for need in needs), 3)}.")
