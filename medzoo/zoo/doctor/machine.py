"""The machine checks of `medzoo doctor`: CPU and GPU, and the folder that medzoo writes to."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from medzoo import cores, paths, precision, store
from medzoo.zoo.doctor import packages
from medzoo.zoo.doctor.report import DoctorRow, in_bytes, in_shell

LITTLE, TOO_LITTLE = 5_000_000_000, 200_000_000  # bytes free
TORCH_SECONDS = 120.0  # an import from a cold network drive is slow
ELSEWHERE = "export MEDZOO_HOME=/a/folder/you/can/write"


def _torch_facts() -> dict[str, Any]:
    """Torch's facts about the machine. The source of this function runs alone in a separate process."""
    import warnings

    import torch

    from medzoo.precision import cpu_limit, is_native

    cuda = torch.version.cuda and f"CUDA {torch.version.cuda}"
    facts: dict[str, Any] = {
        "build": cuda or (torch.version.hip and f"ROCm {torch.version.hip}"),
        "cards": [],
        "bf16": False,
        "trouble": "",
        "mps": torch.backends.mps.is_available(),
        "cpu_bf16": False,
        "limit": cpu_limit(),
    }
    try:
        facts["cpu_bf16"] = is_native("cpu")
    except Exception as error:  # an old or broken torch; fp32 always works
        facts["cpu_trouble"] = str(error)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for index in range(torch.cuda.device_count()):
                card = torch.cuda.get_device_properties(index)
                facts["cards"].append([card.name, card.total_memory])
            if facts["cards"]:  # compute something: a listed card may be busy or have no kernels
                torch.ones(8, device="cuda").sum().item()
                facts["free"] = torch.cuda.mem_get_info()[0]
                facts["bf16"] = torch.cuda.is_bf16_supported(including_emulation=False)
        except Exception as error:
            facts["trouble"] = str(error).partition("\n")[0]
    facts["trouble"] = facts["trouble"] or next((str(w.message).partition("\n")[0] for w in caught), "")
    return facts


def device() -> Iterator[DoctorRow]:
    """CPU and GPU. torch is imported in a separate process, so that a crash or hang gives only a row."""
    cores_here = f"{_cores()} CPU cores, {in_bytes(_memory())} of memory" if _memory() else f"{_cores()} CPU cores"
    if packages.version("torch") is None:
        yield DoctorRow(
            "device", "FAIL", f"{cores_here}; torch is not installed.", f'pip install "{packages.TORCH}" torchvision'
        )
        return
    # run _torch_facts in a new Python, with a time limit
    code = f"import json\nfrom typing import Any\n{inspect.getsource(_torch_facts)}\nprint(json.dumps(_torch_facts()))"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            timeout=TORCH_SECONDS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired:
        detail = f"{cores_here}; importing torch took more than {TORCH_SECONDS:.0f} s."
        yield DoctorRow("device", "FAIL", detail, 'python -X faulthandler -c "import torch; torch.cuda.is_available()"')
        return
    if done.returncode:
        again = f'pip install --force-reinstall "{packages.TORCH}" torchvision'
        yield DoctorRow("device", "FAIL", f"{cores_here}; torch cannot be imported: {_exit_reason(done)}.", again)
        return
    # the last line: torch may print others before it
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    kind = "card" if facts["cards"] and "free" in facts else "mps" if facts["mps"] else "cpu"
    native = {"card": facts["bf16"], "mps": False, "cpu": facts["cpu_bf16"]}[kind]
    advice = f"use {'bf16' if native else 'fp32'}"
    # what training will use: a GPU, or the CPU and why
    if kind == "card":
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
    yield _precision(kind, native, facts["limit"])
    yield _threads()


def _precision(kind: str, native: bool, limit: str | None) -> DoctorRow:
    """The precision that `auto` selects, and the cost of emulated bf16."""
    where = {"card": "this GPU", "mps": "MPS", "cpu": "this CPU"}[kind]
    if native:
        detail = f"auto is bf16: {where} computes it natively. Use --precision fp32 for more similar numbers on all machines."
        return DoctorRow("precision", "PASS", detail)
    why = f" ({limit} disables its instructions)" if limit and kind == "cpu" else ""
    cost = precision.emulation_cost("cpu" if kind == "cpu" else "cuda")
    return DoctorRow("precision", "PASS", f"auto is fp32: bf16 is emulated on {where}{why}, and {cost}.")


def _threads() -> DoctorRow:
    """The number of threads of a run that starts now."""
    chosen = cores.choose_threads()
    detail = f"{chosen.count} for a run that starts now ({chosen.why}). OMP_NUM_THREADS=N sets another number."
    return DoctorRow("threads", "PASS", detail)


def _no_gpu(facts: dict[str, Any], cores_here: str, advice: str) -> DoctorRow:
    """The row of a GPU build of torch that cannot use a GPU, and a command that shows why."""
    if facts["cards"]:
        detail = f"{facts['cards'][0][0]} cannot compute: {facts['trouble'].rstrip('.')}."
        return DoctorRow(
            "device", "WARN", f"{detail} Until it is fixed, use --device cpu ({cores_here}).", "nvidia-smi"
        )
    why, command = "its driver lists none", "nvidia-smi"
    if not shutil.which("nvidia-smi"):
        why, command = "no driver is installed; this is right for a machine without a GPU", "lspci | grep -i nvidia"
    if shutil.which("srun"):
        why, command = "a login node, or a job without a GPU", "srun --gres=gpu:1 medzoo doctor"
    elif (hidden := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        why, command = f"CUDA_VISIBLE_DEVICES is {hidden!r}", "unset CUDA_VISIBLE_DEVICES"
    reason = facts["trouble"].rstrip(".") or why
    return DoctorRow("device", "WARN", f"{facts['build']} finds no GPU ({reason}); {cores_here}; {advice}.", command)


def _exit_reason(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        number = -done.returncode
        with suppress(ValueError):
            return f"the process was killed by {signal.Signals(number).name}"
        return f"the process was killed by signal {number}"
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1].rstrip(".")


def _cores() -> int:
    """The cores that this process may use; Slurm and containers may allow fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int:
    """Bytes that this process may use; 0 if unknown."""
    limits = []
    with suppress(OSError, ValueError, AttributeError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(limits, default=0)


def home() -> Iterator[DoctorRow]:
    """The folder of caches. Files are really written to it, and removed again."""
    # write, link and rename in it; remove folders that did not exist before
    folder = paths.home()
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=store.TEMPORARY, dir=folder) as scratch:
            mode, links = _try_files(Path(scratch))
    except OSError as error:
        detail = f"{in_shell(folder)} cannot be written: {error.strerror or error}"
        if any(folder.glob("checkpoints/*/config.json")):  # a shared home that another user fills
            detail = f"{detail}. Its checkpoints can be used, but no others can be fetched."
            yield DoctorRow("home", "WARN", detail, ELSEWHERE)
        else:
            yield DoctorRow("home", "FAIL", f"{detail}.", ELSEWHERE)
        return
    finally:
        for path in absent:
            with suppress(OSError):
                path.rmdir()
    verb = "can be created and written" if absent else "can be written"
    yield DoctorRow("home", "PASS", f"{in_shell(folder)} {verb}: files {mode:04o}, atomic renames.")
    # properties of the disk that do not stop medzoo
    if not links:
        detail = (
            "It has no hard links (some network and USB drives): processes that start together may disturb each other."
        )
        yield DoctorRow("hard links", "WARN", detail, ELSEWHERE)
    if mode & 0o002:
        detail = "Every user of this machine may change your files (umask 000, or the modes of the drive)."
        yield DoctorRow("umask", "WARN", detail, "umask 022")
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
    result = "FAIL" if free < TOO_LITTLE else "WARN" if free < LITTLE else "PASS"
    advice = (
        "."
        if free >= LITTLE
        else " (a ResNet-50 takes 94 MB, a ViT-B 343 MB). You can set MEDZOO_HOME to a larger disk."
    )
    fix = None if free >= LITTLE else "medzoo cache prune"
    yield DoctorRow("disk", result, f"{in_bytes(free)} are free{advice}", fix)  # type: ignore[arg-type]


def _try_files(folder: Path) -> tuple[int, bool]:
    """Write, link and rename files; returns the mode of a new file, and whether hard links work.

    Raises:
        OSError: if a file or folder cannot be written or replaced.
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
