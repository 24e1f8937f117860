"""A run folder: what was asked, how far it is, its log, its states; one process at a time, stopped without loss."""

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
from medzoo.errors import ResumeError, RunFolderError, listed
from medzoo.progress import is_main_process

SAVE_SECONDS = 120.0
_NO_MATTER = ("out", "results", "resume", "device", "num_workers")  # a run is the same with others
_STATUS, _LOG, _OPTIONS, _CLAIM, _STATES = "status.json", "log.jsonl", "options.toml", ".claim", "resume"


class Interrupted(Exception):  # noqa: N818 - not an error: the run is whole and can go on
    """The run was asked to stop and has saved itself; `code` is the exit status for the shell."""

    def __init__(self, why: str, code: int, folder: Path) -> None:
        super().__init__(f"Stopped by {why}; saved. The same command goes on from {folder}.")
        self.code = code


def to_toml(options: dict[str, Any]) -> str:
    """Options as TOML; absent values (None) are left out, and a path is written as text.

    >>> print(to_toml({"task": "oct", "seed": 0, "root": None}), end="")
    task = "oct"
    seed = 0
    """
    import tomli_w

    return tomli_w.dumps(_stated(options))


def _stated(value: Any) -> Any:  # noqa: ANN401 - any JSON-like value
    if isinstance(value, dict):
        return {key: _stated(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_stated(item) for item in value]
    return value if isinstance(value, bool | int | float | str) else str(value)


def _launcher_parent() -> int | None:
    """The launcher's process id when Accelerate started us: if it dies, nobody waits for this run any more."""
    return os.getppid() if "ACCELERATE_MIXED_PRECISION" in os.environ else None


def other_processes(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What to say if two identities differ in nothing but the number of processes; else empty.

    >>> other_processes({"seed": 0}, {"seed": 0, "processes": 2}).partition(":")[0]
    'It began with 1 process, and this launch has 2'
    """
    there, now = (int(identity.get("processes", 1)) for identity in (old, new))
    if there == now or {**old, "processes": 0} != {**new, "processes": 0}:
        return ""
    return (
        f"It began with {there} process{'' if there == 1 else 'es'}, and this launch has {now}: other batch statistics and other "
        f"noise, so another result. Go on with {there} (accelerate launch --num_processes {there} ...), or choose another --out."
    )


class RunFolder:
    """The folder `--out` of one run.

    Args:
        path: the folder; made if missing.
        kind: "pretrain", "finetune", ...
        identity: everything that may change the numbers; the folder belongs to this identity alone.
        options: what the user asked for, kept in options.toml.
        resume: "auto" goes on from the newest whole state, "never" wants an empty folder, a path names a state.
    """

    def __init__(
        self, path: Path, kind: str, identity: dict[str, Any], options: dict[str, Any], resume: str = "auto"
    ) -> None:
        self.path, self.kind, self.resume = Path(path), kind, resume
        self.identity: dict[str, Any] = json.loads(store.canonical_json(identity))
        self.options = options
        self.title = self.path.name  # for people; what begins a run gives a better one
        self.stop_at_step: int | None = None  # a test's stand-in for SIGTERM at an exact step
        self._stop: str | None = None
        self._parent = _launcher_parent()
        self._saved = time.monotonic()

    @property
    def states(self) -> Path:
        """Where this run's resumable states are written."""
        return self.path / _STATES

    @property
    def source(self) -> Path:
        """Where the state to go on from lies: here, or where --resume PATH points, which is only read."""
        if self.resume in ("auto", "never") or self.states.is_dir():
            return self.states
        chosen = Path(self.resume)
        if not chosen.is_dir():
            raise ResumeError(
                f"--resume {chosen} is not a folder. Give a run folder, one of its states, auto or never."
            )
        states = chosen / _STATES if (chosen / _STATES).is_dir() else chosen
        if not (states / "facts.json").is_file() and not any(states.glob("step-*")):
            raise ResumeError(
                f"--resume {chosen} holds no state to go on from: it is no run, or a finished one. Give auto, never, or another."
            )
        return states

    @property
    def checkpoint(self) -> Path:
        """The folder of the trained checkpoint."""
        return self.path / "checkpoint"

    def status(self) -> dict[str, Any] | None:
        """What status.json says, or None for a new folder."""
        try:
            status = json.loads((self.path / _STATUS).read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise RunFolderError(f"{self.path / _STATUS} is not JSON ({error}); choose another --out.") from error
        return status if isinstance(status, dict) else {}

    @property
    def done(self) -> bool:
        """Whether this very run has ended here already."""
        status = self.status()
        return status is not None and status.get("state") == "done" and status.get("identity") == self.identity

    def check(self) -> None:
        """Refuse a folder that holds another run, or files of somebody else, before any work is done.

        Every process of a launch does, so that none waits for another.

        Raises:
            RunFolderError: with what differs; nothing was touched.
        """
        self._check()
        _ = self.source  # a state that is asked for by name is there

    def _check(self) -> None:
        status = self.status()
        if not is_main_process():  # the first process may be writing here by now
            if status is not None and status.get("state") != "failed":
                self._check_identity(status)
            return
        strangers = (
            [] if not self.path.is_dir() else [p.name for p in self.path.iterdir() if not p.name.startswith(".")]
        )
        if status is None:
            if strangers:
                raise RunFolderError(
                    f"{self.path} holds files that are no run of medzoo ({listed(strangers, 5)}). "
                    "Choose an empty or new folder for --out; nothing was touched."
                )
            return
        kept = [name for name in (_STATES, "checkpoint", "result.json") if (self.path / name).exists()]
        if status.get("state") == "failed" and not kept:
            return  # it failed before there was anything to lose
        self._check_identity(status)
        if self.resume == "never":
            raise RunFolderError(f"{self.path} holds this run already. Use --resume auto, or another --out.")

    def _check_identity(self, status: dict[str, Any]) -> None:
        if status.get("identity") != self.identity:
            old = status.get("identity") or {}
            if said := other_processes(old, self.identity):
                raise RunFolderError(f"{self.path} holds this run already. {said} Nothing was touched.")
            keys = sorted(key for key in {*old, *self.identity} if old.get(key) != self.identity.get(key))
            changes = listed((f"{k}: {old.get(k)!r} there, {self.identity.get(k)!r} now" for k in keys), 6)
            options = self._other_options()
            changes += f"; of its options, {options}" if options else ""
            raise RunFolderError(
                f"{self.path} holds another run ({changes}). Choose another --out, or repeat its options; nothing was touched."
            )

    def _other_options(self) -> str:
        """The options that differ from those of the run in the folder, by the names that users give; empty if none is known."""
        try:
            old = tomllib.loads((self.path / _OPTIONS).read_text())
            new = tomllib.loads(to_toml(self.options))
        except (OSError, ValueError):
            return ""
        names = [key for key in {**old, **new} if old.get(key) != new.get(key) and key not in _NO_MATTER]
        named = [key for key in names if key.removeprefix("protocol_") not in names or not key.startswith("protocol_")]
        return listed((f"{key}: {old.get(key)!r} there, {new.get(key)!r} now" for key in named), 6)

    @contextmanager
    def open(self) -> Iterator[RunFolder]:
        """Take the folder, note every way the block can end in status.json, and turn signals into a saved stop."""
        if not is_main_process():  # the other processes of a launch only listen for signals
            with self._signals():
                yield self
            return
        self.check()
        self.path.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(store.claim(self.path / _CLAIM))
            store.sweep(self.path, older_than=0)
            store.write_text(self.path / _OPTIONS, to_toml(self.options))
            self.note("running")
            stack.enter_context(self._signals())
            try:
                yield self
            except (Interrupted, KeyboardInterrupt):
                self.note("resumable")
                raise
            except BaseException as error:
                with suppress(OSError):  # a full disk may be the reason; what is raised says so
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
                raise KeyboardInterrupt  # asked twice: stop now, the last whole state stays
            self._stop = signal.Signals(number).name

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def note(self, state: str, **facts: Any) -> None:  # noqa: ANN401 - JSON values
        """Write status.json: the state (running, resumable, done, failed) and facts such as the step."""
        kept = {k: v for k, v in (self.status() or {}).items() if k in ("step", "steps")}
        row = {"schema": "medzoo.status/1", "state": state, "kind": self.kind, "identity": self.identity, **kept}
        row |= {"host": socket.gethostname(), "pid": os.getpid(), "updated": round(time.time(), 3), **facts}
        store.write_json(self.path / _STATUS, row)

    def stop_wanted(self, step: int) -> str | None:
        """Why the run should save and end after this step: a signal, a dead launcher, or nothing."""
        if self._stop is None and self._parent is not None and os.getppid() != self._parent:
            self._stop = "the end of the launcher"
        if self._stop is None and self.stop_at_step == step:
            self._stop = "SIGTERM"
        return self._stop

    def interrupted(self) -> Interrupted:
        """The exception that ends a run which has just been saved."""
        why = self._stop or "request"
        return Interrupted(why, 130 if why == "SIGINT" else 0, self.path)

    def save_due(self) -> bool:
        """Whether the last state is old enough for a new one."""
        return time.monotonic() - self._saved > SAVE_SECONDS

    def saved(self, step: int, steps: int) -> None:
        """Note that a state of this step stands on the disk."""
        self._saved = time.monotonic()
        self.note("running", step=step, steps=steps)

    def log(self, row: dict[str, Any]) -> None:
        """Append one row to log.jsonl."""
        with (self.path / _LOG).open("a") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """The rows of log.jsonl; a last line that a kill cut short is left out."""
        rows = []
        with suppress(FileNotFoundError):
            for line in (self.path / _LOG).read_text().splitlines():
                with suppress(ValueError):
                    rows.append(json.loads(line))
        return rows

    def rewind(self, step: int) -> None:
        """Drop logged rows beyond a step that is about to be repeated."""
        kept = [row for row in self.rows() if row.get("step", 0) <= step]
        store.write_text(self.path / _LOG, "".join(json.dumps(row) + "\n" for row in kept))
