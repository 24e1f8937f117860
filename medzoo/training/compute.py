"""The computing resources of a run: device, precision, threads and processes. A resumed run keeps them.

Results depend on them. Another precision gives another training. So do several processes, because each has its own batch
statistics and noise. Another number of threads changes the order of sums, and so the last bits. Therefore precision and processes
are part of a run's identity, and its log holds the number of threads.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from medzoo import cores, precision, progress
from medzoo.precision import Precision
from medzoo.progress import counted
from medzoo.training.run_state.run_folder import RunFolder, is_main_process, other_processes

if TYPE_CHECKING:
    from medzoo.data.task import Task

_THREADS = "threads"


def processes() -> int:
    """The number of processes of the launch, on all its machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def identity_of_processes() -> dict[str, int]:
    """The processes as part of a run's identity; empty for one process, so that its results keep their names."""
    return {"processes": processes()} if processes() > 1 else {}


def precision_of_run(folder: Path | str | None) -> Precision | None:
    """The precision of the run in a folder, or of the run that a state belongs to; None if there is none.

    Args:
        folder: a run folder, its folder of states, or one state.
    """
    if folder is None:
        return None
    path = Path(folder)
    for candidate in (path, *list(path.parents)[:2]):
        if not (candidate / "status.json").is_file():
            continue
        # pre-training has the precision in its identity, fine-tuning in its resolved protocol
        value: Any = None
        with suppress(OSError, ValueError, AttributeError):
            value = json.loads((candidate / "status.json").read_text())["identity"].get("precision")
        with suppress(OSError, ValueError):
            value = value or tomllib.loads((candidate / "options.toml").read_text()).get("protocol_precision")
        if value in ("fp32", "bf16"):
            return cast(Precision, value)
    return None


def unfinished(folder: Path) -> bool:
    """Whether a folder holds a run that was stopped or is running."""
    with suppress(OSError, ValueError):
        return json.loads((folder / "status.json").read_text()).get("state") in ("running", "resumable")
    return False


def other_unfinished_run(out: Path, identity: Mapping[str, Any]) -> str:
    """A message if an unfinished run in the same parent folder differs only in the number of processes; else empty.

    Args:
        out: the folder of the new run.
        identity: of the new run.
    """
    for status in sorted(out.parent.glob("*/status.json")) if not out.exists() else []:
        with suppress(OSError, ValueError, AttributeError):
            old = json.loads(status.read_text())["identity"]
            if unfinished(status.parent) and (difference := other_processes(old, dict(identity))):
                return f"{status.parent} holds the same run, not finished. {difference}"
    return ""


def precision_to_keep(out: Path | str | None, resume: str) -> Precision | None:
    """The precision that a resumed run has to keep; None for a new run.

    Args:
        out: the run folder.
        resume: "auto", "never", or the path of a run or state.
    """
    if resume == "never":
        return None
    return precision_of_run(out) or (None if resume == "auto" else precision_of_run(resume))


@dataclass(frozen=True)
class Compute:
    """The computing resources of one run.

    Args:
        device: its kind, "cpu", "cuda", ...
        precision: "fp32" or "bf16".
        threads: of this process.
        processes: of the launch.
        note: a message about the threads of a resumed run, or empty.
        deterministic: whether an accelerator uses deterministic algorithms only.
    """

    device: str
    precision: Precision
    threads: int
    processes: int
    note: str = ""
    deterministic: bool = True

    def __str__(self) -> str:
        counts = (counted(self.threads, "thread"), counted(self.processes, "process", "processes"))
        return f"device {self.device}, precision {self.precision}, {', '.join(counts)}"

    @contextmanager
    def applied(self, run: RunFolder | None = None) -> Iterator[None]:
        """Set the number of threads, the algorithms and full float32 for a block, and write the threads to the log of a new run.

        Args:
            run: the open run folder; None writes nothing.
        """
        import torch

        from medzoo.training.optimization.deterministic import deterministic_algorithms

        if run is not None and self.device == "cpu" and is_main_process() and _logged_threads(run) is None:
            run.log({"step": 0, _THREADS: self.threads})
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with deterministic_algorithms(self.deterministic, self.device), precision.full_float32(self.device):
                yield
        finally:
            torch.set_num_threads(before)


def settle(run: RunFolder, chosen: Precision, device: str, *, deterministic: bool = True) -> Compute:
    """The computing resources of a run; a resumed run keeps its number of threads.

    Args:
        run: the run folder, open or not.
        chosen: the resolved precision.
        device: "auto" or "cpu".
        deterministic: whether an accelerator uses deterministic algorithms only.
    """
    kind = precision.device_kind(device)
    threads, earlier = cores.choose_threads(), _threads_of(run) if kind == "cpu" else None
    if earlier in (None, threads.count):
        return Compute(kind, chosen, threads.count, processes(), deterministic=deterministic)
    note = (
        f"{counted(earlier or 1, 'thread')}, as at the start of this run: {threads.count} ({threads.why}) would change "
        "the last bits"
    )
    return Compute(kind, chosen, earlier or 1, processes(), note, deterministic)


def _threads_of(run: RunFolder) -> int | None:
    """The number of threads at the start of a run: from its own log, or from the log of the run that --resume names."""
    if run.resume == "never":
        return None
    if (own := _logged_threads(run)) is not None or run.resume == "auto":
        return own
    source = Path(run.resume)
    folders = [folder for folder in (source, *list(source.parents)[:2]) if (folder / "status.json").is_file()]
    return _logged_threads(RunFolder(folders[0], run.kind, {}, {})) if folders else None


def _logged_threads(run: RunFolder) -> int | None:
    """The number of threads in the log of a run folder."""
    return next((int(row[_THREADS]) for row in run.rows() if _THREADS in row), None)


def precision_warnings(site: Compute, *, kept: bool) -> list[str]:
    """Warnings before a run computes: bf16 is emulated (not within a suite), or the launcher has another precision.

    Args:
        site: the computing resources of the run.
        kept: whether a resumed run keeps this precision; False if the user chose it.
    """
    warnings = [] if progress.is_brief() else [precision.emulated(site.precision, site.device, kept=kept)]
    launcher = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if launcher not in ("no", site.precision):
        warnings.append(
            f"--mixed_precision {launcher} of accelerate launch has no effect: --precision decides, and it is {site.precision}."
        )
    return [text for text in warnings if text]


def announce(
    run: RunFolder, compute: Compute, *, checkpoint: str, counts: Mapping[str, int], how: str, notes: Sequence[str] = ()
) -> None:
    """Write the first lines of a run: its folder, checkpoint, computing resources, data, and protocol or method.

    Args:
        run: its folder.
        compute: its computing resources.
        checkpoint: name and first digits of the weights' hash.
        counts: images of each split.
        how: the protocol or the method.
        notes: of the task: the columns that were chosen, and the source of the splits.
    """
    images = " + ".join(f"{count:,} {split}" for split, count in counts.items())
    progress.header(f"{run.title}: run folder {run.path}; checkpoint {checkpoint}; {compute}; images {images}; {how}")
    if notes and not progress.is_brief():
        progress.say(f"data: {'; '.join(notes)}")
    if compute.note:
        progress.say(compute.note)


def checkpoint_label(receipt: Any) -> str:  # noqa: ANN401 - a LoadReceipt
    """A checkpoint in a few words: its name, and the first 12 digits of its weights' sha256."""
    return f"{receipt.name} ({'sha256 ' + receipt.sha256[:12] if receipt.sha256 else 'random weights'})"


def counts_of(task: Task) -> dict[str, int]:
    """Images of each split."""
    return {split: int(table.num_rows) for split, table in task.tables.items()}
