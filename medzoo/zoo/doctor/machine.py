"""The machine as `medzoo doctor` sees it: Python, packages, what computes, and the folder that medzoo writes to."""

from __future__ import annotations

import inspect
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import cores, paths, precision, store
from medzoo.errors import listed
from medzoo.zoo.doctor.report import DoctorRow, in_bytes, in_shell

if TYPE_CHECKING:
    from packaging.requirements import Requirement

LITTLE, TOO_LITTLE = 5_000_000_000, 200_000_000  # bytes free
TORCH_SECONDS = 120.0  # an import from a cold network drive is slow
EXTRAS = {
    "recipes": "pre-training, fine-tuning, probing, tables",
    "convert": "reading Keras (HDF5) weights",
    "medical": "DICOM and NIfTI images",
    "pretrain": "more pre-training methods",
    "slurm": "tables on a Slurm cluster",
}
TORCH, FIRST = "torch>=2.10", ("torch", "torchvision", "timm", "huggingface-hub")
ELSEWHERE = "export MEDZOO_HOME=/a/folder/you/can/write"


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
        detail = f"{here}; medzoo was imported and is not installed, so what it needs is not known."
        yield DoctorRow("python", "WARN", detail, "pip install -e .")
    else:
        yield DoctorRow("python", "PASS", f"{here}; medzoo needs {metadata.metadata('medzoo')['Requires-Python']}.")


def _needs(package: str, extra: str | None = None) -> list[Requirement]:
    """What an installed package asks for by its own metadata; with `extra`, only what that adds."""
    from packaging.requirements import Requirement

    stated = metadata.requires(package) if version(package) else [TORCH]  # a source tree that was not installed
    rows = [Requirement(text) for text in stated or ()]
    always = [row for row in rows if row.marker is None or row.marker.evaluate({"extra": ""})]
    if extra is None:
        return always
    return [row for row in rows if row.marker and row not in always and row.marker.evaluate({"extra": extra})]


def _unfit(need: Requirement) -> str | None:
    have = version(need.name)
    if have is None:
        return f"{need.name} is missing"
    return None if need.specifier.contains(have, prereleases=True) else f"{need.name} {have} is not {need.specifier}"


def packages() -> Iterator[DoctorRow]:
    """What medzoo cannot do without, against the floors of its own metadata."""
    needs = {need.name: need for need in _needs("medzoo")}
    unfit = {name: problem for name, need in needs.items() if (problem := _unfit(need))}
    pair = f"pip install --upgrade {_quoted(needs[name] for name in ('torch', 'torchvision') if name in needs)}"
    if "torch" in unfit and version("torch"):
        hole = "in older ones a file of weights can corrupt the memory, even with weights_only=True (CVE-2026-24747)."
        yield DoctorRow("torch", "FAIL", f"{unfit.pop('torch')}: {hole}", pair)
    if version("torch") and version("torchvision"):
        for problem in filter(None, map(_unfit, (need for need in _needs("torchvision") if need.name == "torch"))):
            detail = f"torchvision {version('torchvision')} was built for another torch: {problem}."
            yield DoctorRow("torchvision", "FAIL", detail, pair)
    if unfit:
        command = f"pip install --upgrade {_quoted(needs[name] for name in unfit)}"
        yield DoctorRow("packages", "FAIL", f"{', '.join(unfit.values())}.", command)
    else:
        first = sorted(needs, key=lambda name: (name not in FIRST, name))
        yield DoctorRow("packages", "PASS", f"{listed((f'{name} {version(name)}' for name in first), 4)}: new enough.")


def _quoted(needs: Iterator[Requirement]) -> str:
    return " ".join(f'"{need.name}{need.specifier}"' for need in needs)


def extras() -> Iterator[DoctorRow]:
    """The optional parts; `dev` is for people who change medzoo."""
    known = metadata.metadata("medzoo").get_all("Provides-Extra") or () if version("medzoo") else ()
    for extra in sorted(set(known) - {"dev"}):
        needs, purpose = _needs("medzoo", extra), EXTRAS.get(extra, "an optional part")
        if unfit := [problem for need in needs if (problem := _unfit(need))]:
            detail = f"{', '.join(unfit)}; needed for {purpose}."
            yield DoctorRow(f"[{extra}]", "WARN", detail, f'pip install "medzoo[{extra}]"')
        else:
            yield DoctorRow(f"[{extra}]", "PASS", f"{purpose}: {listed((need.name for need in needs), 3)}.")


def _torch_facts() -> dict[str, Any]:
    """What torch says of the machine. Its source runs alone in a process of its own."""
    import warnings

    import torch

    from medzoo.precision import cpu_limit, is_native

    cuda = torch.version.cuda and f"CUDA {torch.version.cuda}"
    facts: dict[str, Any] = {
        "build": cuda or (torch.version.hip and f"ROCm {torch.version.hip}"), "cards": [], "bf16": False, "trouble": "",
        "mps": torch.backends.mps.is_available(), "cpu_bf16": False, "limit": cpu_limit(),
    }  # fmt: skip
    try:
        facts["cpu_bf16"] = is_native("cpu")
    except Exception as error:  # an old or broken torch: nothing is lost, fp32 works everywhere
        facts["cpu_trouble"] = str(error)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            for index in range(torch.cuda.device_count()):
                card = torch.cuda.get_device_properties(index)
                facts["cards"].append([card.name, card.total_memory])
            if facts["cards"]:  # a computation shows what a list does not: kernels for this card, a free card
                torch.ones(8, device="cuda").sum().item()
                facts["free"] = torch.cuda.mem_get_info()[0]
                facts["bf16"] = torch.cuda.is_bf16_supported(including_emulation=False)
        except Exception as error:
            facts["trouble"] = str(error).partition("\n")[0]
    facts["trouble"] = facts["trouble"] or next((str(w.message).partition("\n")[0] for w in told), "")
    return facts


def device() -> Iterator[DoctorRow]:
    """What computes. torch is imported in a process of its own, so that one that crashes or hangs is only a row."""
    cores_here = f"{_cores()} CPU cores, {in_bytes(_memory())} of memory" if _memory() else f"{_cores()} CPU cores"
    if version("torch") is None:
        yield DoctorRow(
            "device", "FAIL", f"{cores_here}; torch is not installed.", f'pip install "{TORCH}" torchvision'
        )
        return
    code = f"import json\nfrom typing import Any\n{inspect.getsource(_torch_facts)}\nprint(json.dumps(_torch_facts()))"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], timeout=TORCH_SECONDS, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        detail = f"{cores_here}; importing torch did not end within {TORCH_SECONDS:.0f} s."
        yield DoctorRow("device", "FAIL", detail, 'python -X faulthandler -c "import torch; torch.cuda.is_available()"')
        return
    if done.returncode:
        again = f'pip install --force-reinstall "{TORCH}" torchvision'
        yield DoctorRow("device", "FAIL", f"{cores_here}; torch cannot be imported: {_death(done)}.", again)
        return
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    computes = "card" if facts["cards"] and "free" in facts else "mps" if facts["mps"] else "cpu"
    native = {"card": facts["bf16"], "mps": False, "cpu": facts["cpu_bf16"]}[computes]
    advice = f"{'bf16' if native else 'fp32'} suits it"
    if computes == "card":
        more = len(facts["cards"]) - 1
        names = f"{facts['cards'][0][0]}, {in_bytes(facts['cards'][0][1])}, {in_bytes(facts['free'])} of it free"
        others = f", and {more} more" if more else ""
        yield DoctorRow("device", "PASS", f"{names}{others} ({facts['build']}); {cores_here}; {advice}.")
    elif facts["mps"]:
        yield DoctorRow("device", "PASS", f"Apple GPU (MPS); {cores_here}; {advice}.")
    elif facts["build"]:
        yield _no_gpu(facts, cores_here, advice)
    else:
        yield DoctorRow("device", "PASS", f"No GPU (torch is a CPU build); {cores_here}; {advice}.")
    yield _precision(computes, native, facts["limit"])
    yield _threads()


def _precision(computes: str, native: bool, limit: str | None) -> DoctorRow:
    """Which precision `auto` is here, and what bf16 costs where it is emulated."""
    where = {"card": "this GPU", "mps": "MPS", "cpu": "this CPU"}[computes]
    if native:
        detail = f"auto is bf16: {where} computes it natively. --precision fp32 for numbers that other machines repeat closely."
        return DoctorRow("precision", "PASS", detail)
    why = f" ({limit} keeps it from its instructions)" if limit and computes == "cpu" else ""
    cost = precision.emulation_cost("cpu" if computes == "cpu" else "cuda")
    return DoctorRow("precision", "PASS", f"auto is fp32: bf16 is emulated on {where}{why}, and {cost}.")


def _threads() -> DoctorRow:
    """How many threads a run would compute with now."""
    chosen = cores.choose_threads()
    said = f"{chosen.count} for a run that begins now ({chosen.why})"
    return DoctorRow("threads", "PASS", f"{said}; OMP_NUM_THREADS=N chooses otherwise.")


def _no_gpu(facts: dict[str, Any], cores_here: str, advice: str) -> DoctorRow:
    """The sentence for a build that computes on no GPU, and where to look."""
    if facts["cards"]:
        detail = f"{facts['cards'][0][0]} is there and cannot compute: {facts['trouble'].rstrip('.')}."
        return DoctorRow("device", "WARN", f"{detail} Until that is mended: --device cpu ({cores_here}).", "nvidia-smi")
    why, look = "its driver lists none", "nvidia-smi"
    if not shutil.which("nvidia-smi"):
        why, look = "no driver is installed; right if this machine has none", "lspci | grep -i nvidia"
    if shutil.which("srun"):
        why, look = "a login node, or a job that asked for none", "srun --gres=gpu:1 medzoo doctor"
    elif (hidden := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        why, look = f"CUDA_VISIBLE_DEVICES is {hidden!r}", "unset CUDA_VISIBLE_DEVICES"
    said = facts["trouble"].rstrip(".") or why
    return DoctorRow("device", "WARN", f"{facts['build']} sees no GPU ({said}); {cores_here}; {advice}.", look)


def _death(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        number = -done.returncode
        with suppress(ValueError):
            return f"the process died of {signal.Signals(number).name}"
        return f"the process died of signal {number}"
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1].rstrip(".")


def _cores() -> int:
    """Those that this process may use: Slurm and containers give fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int:
    """Bytes that this process may use, as far as that can be known; else 0."""
    known = []
    with suppress(OSError, ValueError, AttributeError):
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):
        known.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(known, default=0)


def home() -> Iterator[DoctorRow]:
    """The folder of caches: written to for real, and left as it was."""
    folder = paths.home()
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=store.TEMPORARY, dir=folder) as scratch:
            mode, links = _try_files(Path(scratch))
    except OSError as error:
        detail = f"{in_shell(folder)} cannot be written: {error.strerror or error}"
        if any(folder.glob("checkpoints/*/config.json")):  # somebody else fills it for all
            yield DoctorRow(
                "home", "WARN", f"{detail}; what is in it can be used, nothing more can be fetched.", ELSEWHERE
            )
        else:
            yield DoctorRow("home", "FAIL", f"{detail}.", ELSEWHERE)
        return
    finally:
        for path in absent:
            with suppress(OSError):
                path.rmdir()
    made = "can be made and written" if absent else "can be written"
    yield DoctorRow("home", "PASS", f"{in_shell(folder)} {made}: files {mode:04o}, atomic renames.")
    if not links:
        detail = (
            "It has no hard links (some network and USB drives): processes that begin at once may disturb each other."
        )
        yield DoctorRow("hard links", "WARN", detail, ELSEWHERE)
    if mode & 0o002:
        detail = "Everybody on this machine may change what you write (umask 000 or the drive's own modes)."
        yield DoctorRow("umask", "WARN", detail, "umask 022")
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
    result = "FAIL" if free < TOO_LITTLE else "WARN" if free < LITTLE else "PASS"
    room = "." if free >= LITTLE else " (a ResNet-50 takes 94 MB, a ViT-B 343 MB); or set MEDZOO_HOME to a larger disk."
    mend = None if free >= LITTLE else "medzoo cache prune"
    yield DoctorRow("disk", result, f"{in_bytes(free)} are free{room}", mend)  # type: ignore[arg-type]


def _try_files(folder: Path) -> tuple[int, bool]:
    """Write, link, and rename over; the mode that a file gets, and whether hard links work.

    Raises:
        OSError: if a file or folder cannot be written, or cannot take another's place.
    """
    new, old = folder / "new", folder / "old"
    old.touch()
    new.write_bytes(bytes(1 << 16))
    store.fsync_file(new)
    links = True
    try:
        os.link(new, folder / "link")
    except OSError:
        links = False
    os.replace(new, old)
    (folder / "one").mkdir()
    os.replace(folder / "one", folder / "two")
    return old.stat().st_mode & 0o777, links
