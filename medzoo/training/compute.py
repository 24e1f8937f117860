"""What a run computes with: device, precision, threads and processes, settled before anything is hashed and kept after a stop.

Numbers depend on it. Another precision is another training; so are several processes, each of which has its own batch statistics
and noise. Another number of threads changes the order of sums, and with it the last bits. So a run that goes on keeps what it began
with: precision and processes stand in its identity, the number of threads in its log.
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
    """The processes of the launch, on all its machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def identity_of_processes() -> dict[str, int]:
    """What a run's identity says of its processes: nothing for one, so that its results keep their names."""
    return {"processes": processes()} if processes() > 1 else {}


def began_with(folder: Path | str | None) -> Precision | None:
    """The precision of the run in a folder, or of the run that a state belongs to; None if there is none.

    Args:
        folder: a run folder, its folder of states, or one state.
    """
    if folder is None:
        return None
    path = Path(folder)
    for place in (path, *list(path.parents)[:2]):
        if not (place / "status.json").is_file():
            continue
        found: Any = None
        with suppress(OSError, ValueError, AttributeError):
            found = json.loads((place / "status.json").read_text())["identity"].get("precision")
        with suppress(OSError, ValueError):
            found = found or tomllib.loads((place / "options.toml").read_text()).get("protocol_precision")
        if found in ("fp32", "bf16"):
            return cast(Precision, found)
    return None


def unfinished(folder: Path) -> bool:
    """Whether a run was stopped in a folder, or goes on there now."""
    with suppress(OSError, ValueError):
        return json.loads((folder / "status.json").read_text()).get("state") in ("running", "resumable")
    return False


def begun_otherwise(out: Path, identity: Mapping[str, Any]) -> str:
    """What to say of an unfinished run beside a new one that differs in the number of processes alone; else empty.

    Args:
        out: the run folder of the new one.
        identity: of the new one.
    """
    for beside in sorted(out.parent.glob("*/status.json")) if not out.exists() else []:
        with suppress(OSError, ValueError, AttributeError):
            old = json.loads(beside.read_text())["identity"]
            if unfinished(beside.parent) and (said := other_processes(old, dict(identity))):
                return f"{beside.parent} holds the same run, not finished. {said}"
    return ""


def began(out: Path | str | None, resume: str) -> Precision | None:
    """The precision that a run has to keep, because it goes on.

    Args:
        out: its folder.
        resume: "auto", "never", or the path of a run or state.
    """
    if resume == "never":
        return None
    return began_with(out) or (None if resume == "auto" else began_with(resume))


@dataclass(frozen=True)
class Compute:
    """What one run computes with.

    Args:
        device: its kind, "cpu", "cuda", ...
        precision: "fp32" or "bf16".
        threads: of this process.
        processes: of the launch.
        note: what to say of the threads of a run that goes on.
    """

    device: str
    precision: Precision
    threads: int
    processes: int
    note: str = ""

    def __str__(self) -> str:
        words = (counted(self.threads, "thread"), counted(self.processes, "process", "processes"))
        return f"device {self.device}, precision {self.precision}, {', '.join(words)}"

    @contextmanager
    def applied(self, run: RunFolder) -> Iterator[None]:
        """Set the number of threads for a block, and note it in the log of a run that begins.

        Args:
            run: the open run folder.
        """
        import torch

        if self.device == "cpu" and is_main_process() and _noted(run) is None:
            run.log({"step": 0, _THREADS: self.threads})
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def settle(run: RunFolder, chosen: Precision, device: str) -> Compute:
    """What a run computes with, threads as it began, if it goes on.

    Args:
        run: the run folder, open or not.
        chosen: the resolved precision.
        device: "auto" or "cpu".
    """
    kind = precision.device_kind(device)
    threads, kept = cores.choose_threads(), _threads_of(run) if kind == "cpu" else None
    if kept in (None, threads.count):
        return Compute(kind, chosen, threads.count, processes())
    said = (
        f"{counted(kept or 1, 'thread')}, as the run began: {threads.count} ({threads.why}) would change the last bits"
    )
    return Compute(kind, chosen, kept or 1, processes(), said)


def _threads_of(run: RunFolder) -> int | None:
    """The threads that a run began with: of its own log, or of the log of the run that --resume names."""
    if run.resume == "never":
        return None
    if (own := _noted(run)) is not None or run.resume == "auto":
        return own
    chosen = Path(run.resume)
    places = [place for place in (chosen, *list(chosen.parents)[:2]) if (place / "status.json").is_file()]
    return _noted(RunFolder(places[0], run.kind, {}, {})) if places else None


def _noted(run: RunFolder) -> int | None:
    """The threads that the log of a run folder names."""
    return next((int(row[_THREADS]) for row in run.rows() if _THREADS in row), None)


def doubts(site: Compute, *, kept: bool) -> list[str]:
    """What to warn of before a run computes: emulated bf16, a precision that the launcher was asked for; nothing in a suite's part.

    Args:
        site: what the run computes with.
        kept: whether the precision is that of a run which goes on, and not asked for now.
    """
    said = [] if progress.is_brief() else [precision.emulated(site.precision, site.device, kept=kept)]
    launcher = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if launcher not in ("no", site.precision):
        said.append(
            f"--mixed_precision {launcher} of accelerate launch has no effect: --precision decides, and it is {site.precision}."
        )
    return [sentence for sentence in said if sentence]


def announce(
    run: RunFolder, compute: Compute, *, checkpoint: str, counts: Mapping[str, int], how: str, notes: Sequence[str] = ()
) -> None:
    """Write the first lines of a run: where it lies, what it starts from, what it computes with, its data, and how.

    Args:
        run: its folder.
        compute: as settled.
        checkpoint: name and beginning of the hash of the weights.
        counts: images of each split.
        how: the protocol or the method.
        notes: of the task: what was chosen among its columns, and whose splits they are.
    """
    images = " + ".join(f"{count:,} {split}" for split, count in counts.items())
    progress.header(f"{run.title}: run folder {run.path}; checkpoint {checkpoint}; {compute}; images {images}; {how}")
    if notes and not progress.is_brief():
        progress.say(f"data: {'; '.join(notes)}")
    if compute.note:
        progress.say(compute.note)


def named(receipt: Any) -> str:  # noqa: ANN401 - a LoadReceipt
    """A checkpoint in a few words: its name, and the beginning of its weights' sha256."""
    return f"{receipt.name} ({'sha256 ' + receipt.sha256[:12] if receipt.sha256 else 'random weights'})"


def counts_of(task: Task) -> dict[str, int]:
    """Images of each split."""
    return {split: int(table.num_rows) for split, table in task.tables.items()}
