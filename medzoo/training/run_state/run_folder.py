"""A run folder: options, status, log and saved states. One process uses it at a time; a stopped run loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from medzoo import store
from medzoo.errors import DivergedError, ResumeError, RunFolderError, listed
from medzoo.progress import is_main_process
from medzoo.training.options.toml_files import to_toml
from medzoo.training.run_state.tracker import Tracker

SAVE_SECONDS = 120.0
_NOT_COMPARED = ("out", "results", "resume", "device", "num_workers", "tracker")  # these do not change the run
DIVERGED = "diverged.json"  # the step at which the loss was not finite, with its images
_STATUS, _LOG, _OPTIONS, _CLAIM, _STATES = "status.json", "log.jsonl", "options.toml", ".claim", "resume"


class Interrupted(Exception):  # noqa: N818 - not an error: the run is saved and can continue
    """The run was stopped and saved; `code` is the exit status for the shell."""

    def __init__(self, why: str, code: int, folder: Path) -> None:
        super().__init__(f"Stopped by {why}; saved. The same command continues from {folder}.")
        self.code = code


def other_processes(old: dict[str, Any], new: dict[str, Any]) -> str:
    """A message if two identities differ only in the number of processes; else empty.

    >>> other_processes({"seed": 0}, {"seed": 0, "processes": 2}).partition(":")[0]
    'It was started with 1 process, and this launch has 2'
    """
    there, now = (int(identity.get("processes", 1)) for identity in (old, new))
    if there == now or {**old, "processes": 0} != {**new, "processes": 0}:
        return ""
    return (
        f"It was started with {there} process{'' if there == 1 else 'es'}, and this launch has {now}: batch statistics and "
        f"noise differ, so the result would too. Use {there} again (accelerate launch --num_processes {there} ...), or choose "
        "another --out."
    )


class RunFolder:
    """The folder `--out` of one run.

    Args:
        path: the folder; created if missing.
        kind: "pretrain", "finetune", ...
        identity: everything that can change the result; the folder belongs to this identity only.
        options: the user's options, written to options.toml.
        resume: "auto" continues from the newest complete state, "never" needs an empty folder, a path names a state.
        title: for messages; by default the folder's name.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        identity: dict[str, Any],
        options: dict[str, Any],
        resume: str = "auto",
        title: str = "",
    ) -> None:
        self.path, self.kind, self.resume = Path(path), kind, resume
        self.identity: dict[str, Any] = json.loads(store.canonical_json(identity))
        self.options = options
        self.title = title or self.path.name
        self.tracker = Tracker("none", self.path, self.title, {})  # the caller may set another
        self.stop_at_step: int | None = None  # for tests: stop at this step, as after SIGTERM
        self._stop: str | None = None
        # the launcher, if Accelerate started this process: the run stops if it dies
        self._parent = os.getppid() if "ACCELERATE_MIXED_PRECISION" in os.environ else None
        self._saved = time.monotonic()

    @property
    def states(self) -> Path:
        """Where this run's resumable states are written."""
        return self.path / _STATES

    @property
    def source(self) -> Path:
        """The folder of the states to continue from: this run's, or the one of --resume PATH, which is only read."""
        if self.resume in ("auto", "never") or self.states.is_dir():
            return self.states
        chosen = Path(self.resume)
        if not chosen.is_dir():
            raise ResumeError(
                f"--resume {chosen} is not a folder. Give a run folder, one of its states, auto or never.",
                code="resume-folder-missing",
            )
        states = chosen / _STATES if (chosen / _STATES).is_dir() else chosen
        if not (states / "facts.json").is_file() and not any(states.glob("step-*")):
            raise ResumeError(
                f"--resume {chosen} has no saved state: it is not a run, or the run is finished. Give auto, never, or another "
                "folder.",
                code="resume-without-state",
            )
        return states

    @property
    def checkpoint(self) -> Path:
        """The folder of the trained checkpoint."""
        return self.path / "checkpoint"

    def status(self) -> dict[str, Any] | None:
        """The content of status.json, or None for a new folder."""
        try:
            status = json.loads((self.path / _STATUS).read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise RunFolderError(
                f"{self.path / _STATUS} is not JSON ({error}); choose another --out.", code="run-status-invalid"
            ) from error
        return status if isinstance(status, dict) else {}

    @property
    def done(self) -> bool:
        """Whether this run is already complete in this folder."""
        status = self.status()
        return status is not None and status.get("state") == "done" and status.get("identity") == self.identity

    def check(self) -> None:
        """Refuse a folder with another run or with other files, before any work is done.

        Every process of a launch checks, so that none waits for another.

        Raises:
            RunFolderError: names the differences; nothing was changed.
            ResumeError: if --resume names a folder without a state.
        """
        self._check()
        _ = self.source  # raises if the folder of --resume has no state

    def _check(self) -> None:
        status = self.status()
        if not is_main_process():  # the first process may be writing here by now
            if status is not None and status.get("state") not in ("failed", "diverged"):
                self._check_identity(status)
            return
        names = [] if not self.path.is_dir() else [p.name for p in self.path.iterdir() if not p.name.startswith(".")]
        if status is None:
            if names:
                raise RunFolderError(
                    f"{self.path} contains files that do not belong to a medzoo run ({listed(names, 5)}). "
                    "Choose an empty or new folder for --out; nothing was changed.",
                    code="run-folder-not-empty",
                )
            return
        outputs = [name for name in (_STATES, "checkpoint", "result.json") if (self.path / name).exists()]
        if status.get("state") in ("failed", "diverged") and not outputs:
            return  # it failed before it saved anything, so the folder can be used again
        self._check_identity(status)
        if self.resume == "never":
            raise RunFolderError(
                f"{self.path} holds this run already. Use --resume auto, or another --out.", code="run-exists"
            )

    def _check_identity(self, status: dict[str, Any]) -> None:
        if status.get("identity") != self.identity:
            old = status.get("identity") or {}
            if difference := other_processes(old, self.identity):
                raise RunFolderError(
                    f"{self.path} holds this run already. {difference} Nothing was changed.",
                    code="number-of-processes-changed",
                )
            keys = sorted(key for key in {*old, *self.identity} if old.get(key) != self.identity.get(key))
            changes = listed((f"{k}: {old.get(k)!r} there, {self.identity.get(k)!r} now" for k in keys), 6)
            options = self._other_options()
            changes += f"; of its options, {options}" if options else ""
            raise RunFolderError(
                f"{self.path} holds another run ({changes}). Choose another --out, or repeat its options; nothing was changed.",
                code="folder-of-other-run",
            )

    def _other_options(self) -> str:
        """The options that differ from those of the run in the folder, by their option names; empty if unknown."""
        try:
            old = tomllib.loads((self.path / _OPTIONS).read_text())
            new = tomllib.loads(to_toml(self.options))
        except (OSError, ValueError):
            return ""
        names = [key for key in {**old, **new} if old.get(key) != new.get(key) and key not in _NOT_COMPARED]
        named = [key for key in names if key.removeprefix("protocol_") not in names or not key.startswith("protocol_")]
        return listed((f"{key}: {old.get(key)!r} there, {new.get(key)!r} now" for key in named), 6)

    @contextmanager
    def open(self) -> Iterator[RunFolder]:
        """Claim the folder, write the end of the block to status.json, and turn a signal into a saved stop."""
        if not is_main_process():  # the other processes of a launch only handle signals
            with self._signals():
                yield self
            return
        self.check()
        self.path.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            # claim first: all writes below need the folder for this process alone
            stack.enter_context(store.claim(self.path / _CLAIM))
            store.sweep(self.path, older_than=0)
            store.write_text(self.path / _OPTIONS, to_toml(self.options))
            self.note("running")
            stack.enter_context(self._signals())
            stack.callback(self.tracker.close)
            try:
                yield self
            except (Interrupted, KeyboardInterrupt):
                self.note("resumable")
                raise
            except DivergedError as error:
                self.note("diverged", error=str(error))
                raise
            except BaseException as error:
                with suppress(OSError):  # a full disk may be the cause; the raised error reports it
                    self.note("failed", error=f"{type(error).__name__}: {error}")
                raise
            self.note("done")
            shutil.rmtree(self.states, ignore_errors=True)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_signal(number: int, frame: FrameType | None) -> None:
            if self._stop is not None and number == signal.SIGINT:
                raise KeyboardInterrupt  # a second Ctrl-C stops at once; the last complete state is kept
            self._stop = signal.Signals(number).name

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def note(self, state: str, **facts: Any) -> None:  # noqa: ANN401 - JSON values
        """Write status.json: the state (running, resumable, done, diverged, failed) and facts such as the step."""
        steps = {k: v for k, v in (self.status() or {}).items() if k in ("step", "steps")}
        row = {"schema": "medzoo.status/1", "state": state, "kind": self.kind, "identity": self.identity, **steps}
        row |= {"host": socket.gethostname(), "pid": os.getpid(), "updated": round(time.time(), 3), **facts}
        store.write_json(self.path / _STATUS, row)

    def stop_reason(self, step: int) -> str | None:
        """Why the run should save and stop after this step: a signal, a dead launcher, or None."""
        if self._stop is None and self._parent is not None and os.getppid() != self._parent:
            self._stop = "the end of the launcher"
        if self._stop is None and self.stop_at_step == step:
            self._stop = "SIGTERM"
        return self._stop

    def interrupted(self) -> Interrupted:
        """The exception that ends a saved run."""
        why = self._stop or "request"
        return Interrupted(why, 130 if why == "SIGINT" else 0, self.path)

    def save_due(self) -> bool:
        """Whether it is time to save a new state."""
        return time.monotonic() - self._saved > SAVE_SECONDS

    def saved(self, step: int, steps: int) -> None:
        """Record that a state of this step was saved."""
        self._saved = time.monotonic()
        self.note("running", step=step, steps=steps)

    def log(self, row: dict[str, Any]) -> None:
        """Append one row to log.jsonl."""
        with (self.path / _LOG).open("a") as file:
            file.write(json.dumps(row) + "\n")
        self.tracker.log(row)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of log.jsonl, without an incomplete last line of a killed process."""
        rows = []
        with suppress(FileNotFoundError):
            for line in (self.path / _LOG).read_text().splitlines():
                with suppress(ValueError):
                    rows.append(json.loads(line))
        return rows

    def rewind(self, step: int) -> None:
        """Remove the logged rows after a step, because the run will repeat them; then start the tracker."""
        rows = [row for row in self.rows() if row.get("step", 0) <= step]
        store.write_text(self.path / _LOG, "".join(json.dumps(row) + "\n" for row in rows))
        self.tracker.start(step)
