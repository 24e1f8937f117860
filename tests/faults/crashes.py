"""Every crash point of an act: a process that imports once, and forks children that stop, or end, at their k-th call.

Started as a program, with the places in its environment: CRASH_SHIM (crash_shim.c, built), CRASH_WORK (a folder), CRASH_SITE (the
address of files below CRASH_WORK/given/site). Reads names of scenarios, a line each, and answers with a line of JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from crash_tools import KILLED, WRITES, digest, fork, in_child, later, load, must, names, unflushed

ENDS = ("old", "new", "absent", "allowed", "refused")


class Scenario:
    """Something older on the disk, an act that writes the newer, and how medzoo reads it.

    `absent` says that nothing was there before, so that an error that says so is right until the act is done. `optional`
    names files that may lie there in the end, or not. With `brief`, of the points that differ only inside of a temporary file
    or folder the first and the last are judged; atomic_folder and others are judged in full. The folder that is given is
    watched, and put back for each point; what an act reads may lie elsewhere.
    """

    absent = False
    optional: tuple[str, ...] = ()
    brief = False

    def before(self, folder: Path) -> None:
        """Write the older state."""

    def act(self, folder: Path) -> None:
        """Write the newer; may be done again and again."""
        raise NotImplementedError

    def read(self, folder: Path) -> Any:
        """What medzoo's own reader finds, as JSON; it raises MedzooError where there is nothing."""
        raise NotImplementedError

    def prove(self, folder: Path) -> Any:
        """As `read`, with every check that there is; what is equal to it later needs no second proof."""
        return self.read(folder)

    def clean(self, folder: Path) -> None:
        """What a person or medzoo does about leftovers, another day."""

    def allowed(self, seen: Any) -> bool:
        """Whether something else than the old and the new is right as well."""
        return False

    def refused(self, error: Exception) -> bool:
        """Whether an error, where something was there before, is the best that can be."""
        return False


@dataclass(frozen=True)
class Point:
    """A moment before the k-th call, or inside of it if it writes, and the state of the folder in it."""

    k: int
    call: str
    state: str
    outside: str  # the state without what is inside of temporary files and folders
    half: bool
    killed: bool


@dataclass
class Case:
    """A scenario in its folder, with what is read before and after it."""

    scenario: Scenario
    folder: Path
    old: Any = None
    new: Any = None
    wanted: list[str] = field(default_factory=list)
    proven: set[str | None] = field(default_factory=set)  # states that were read and found to be the new one

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.scenario, name)
        if name in ("read", "prove"):
            return lambda: json.loads(json.dumps(value(self.folder)))
        return partial(value, self.folder) if name in ("act", "clean") else value


def representatives(points: Sequence[Point]) -> dict[str, str]:
    """For each state the one that is judged: its own, if it is the last of those that look alike outside; else their first."""
    first: dict[str, str] = {}
    last: dict[str, str] = {}
    for point in points:
        first.setdefault(point.outside, point.state)
        last[point.outside] = point.state
    return {
        point.state: point.state if point.state == last[point.outside] else first[point.outside] for point in points
    }


class Harness:
    """Runs scenarios.

    Args:
        shim: the built crash_shim.c.
        root: a folder of ours.
    """

    def __init__(self, shim: Path, root: Path) -> None:
        self.shim, self.root = ctypes.CDLL(str(shim)), root

    def sweep(self, name: str, scenario: Scenario, kills: bool = False) -> dict[str, Any]:
        """Judge what each crash point of an act leaves: before each call that changes the disk, and inside of each write.

        A child stops at each point while this process looks at the disk; what it sees is what a kill leaves there. With
        `kills`, one child more for each k ends at its k-th call, until one is not killed; what it leaves is judged as well,
        and told as `not_shown` if no stop had shown it.

        Returns:
            Numbers of points, how often the old, the new or nothing was found, and every failure with its k and call.
        """
        start, now, kept = time.monotonic(), self.root / name / "now", self.root / name / "kept"
        now.mkdir(parents=True)
        os.environ["MEDZOO_HOME"] = str(now / "home")
        must(in_child(lambda: scenario.before(now)))
        shutil.copytree(now, kept, symlinks=True)
        case = Case(scenario, now)
        if not scenario.absent:
            case.old, modules = must(in_child(lambda: (case.prove(), [*sys.modules])))
            load(modules)
            self._restore(now, kept)
        case.new, case.wanted, modules = must(in_child(lambda: self._whole(case)))
        load(modules)
        assert case.old != case.new, "the act changed nothing that is read"
        self._restore(now, kept)
        stopped = self._stopped(case)
        points = stopped + (self._killed(case, kept) if kills else [])
        ends, failures, verdicts = Counter[str](), [], {}
        judged = representatives(points) if scenario.brief else {}
        for point in points:
            state = judged.get(point.state, point.state)
            if state not in verdicts:
                self._restore(now, self._photo(case, state))
                told, error = in_child(lambda: self._judge(case))
                verdicts[state], proven = (f"error: {error}", None) if error else told
                case.proven |= {proven}
            end = verdicts[state]
            ends[end if end in ENDS else "wrong"] += 1
            if end not in ENDS:
                failures.append({**asdict(point), "problem": end})
        shutil.rmtree(self.root / name)
        counts = {"points": len(stopped), "kills": len(points) - len(stopped), "calls": stopped[-1].k - 1}
        row = {"scenario": name, **counts, "states": len(verdicts), "ends": dict(ends), "failures": failures}
        row["unflushed"] = unflushed(point.call for point in stopped)
        shown = {point.state for point in stopped}
        row["not_shown"] = [f"k = {point.k}: {point.call}" for point in points if point.state not in shown]
        return {**row, "seconds": round(time.monotonic() - start, 1)}

    def _restore(self, now: Path, kept: Path) -> None:
        shutil.rmtree(now)
        shutil.copytree(kept, now, symlinks=True)

    def _photo(self, case: Case, state: str) -> Path:
        """Where a state of the folder is kept; the first time that it is asked for, it is the folder as it is."""
        kept = case.folder.parent / "states" / state
        if not kept.exists():
            shutil.copytree(case.folder, kept, symlinks=True)
        return kept

    def _arm(self, case: Case, k: int = 0, half: bool = False, stops: bool = False, journal: int = -1) -> None:
        """From here on, count; without more it saves the flushes."""
        if reason := self.shim.crash_arm(os.fsencode(case.folder), k, int(half), int(stops), journal):
            raise OSError(reason, "this machine lets no process watch its own calls")

    def _whole(self, case: Case) -> tuple[Any, list[str], list[str]]:
        self._arm(case)
        case.act()
        seen = case.prove()
        case.act()
        assert case.read() == seen, "the act done twice gives another thing"
        case.clean()
        return seen, names(case.folder), [*sys.modules]

    def _stopped(self, case: Case) -> list[Point]:
        """The points of an act, seen while it stops at each."""
        ours, theirs = socket.socketpair()
        points: list[Point] = []

        def act() -> None:
            ours.close()
            self._arm(case, stops=True, journal=theirs.fileno())
            case.act()
            self.shim.crash_arm(b"", 0, 0, 0, -1)

        def watch() -> None:
            theirs.close()
            with ours.makefile() as lines:
                for line in lines:
                    half = " half" in line.partition("\t")[0]
                    before = points[-1].k if points else 0
                    points.append(self._point(case, line, before + (not half), half))
                    ours.send(b".")

        _, _, error = fork(act, watch)
        if error:
            raise RuntimeError(error)
        return [*points, self._point(case, "the end", points[-1].k + 1)]

    def _killed(self, case: Case, kept: Path) -> list[Point]:
        """The same with a child for each k, and one more for each write, that ends there."""
        points: list[Point] = []
        k, half, code = 1, False, KILLED
        while code == KILLED:
            self._restore(case.folder, kept)
            code, line = self._end_at(case, k, half)
            points.append(self._point(case, line, k, half, killed=True))
            half = code == KILLED and not half and line.partition("\t")[0] in WRITES
            k += not half
        return points

    def _end_at(self, case: Case, k: int, half: bool) -> tuple[int, str]:
        log = self.root / "journal"
        log.write_bytes(b"")
        with log.open("ab") as journal:

            def act() -> None:
                self._arm(case, k, half, journal=journal.fileno())
                case.act()
                self.shim.crash_arm(b"", 0, 0, 0, -1)

            code, _, error = fork(act)
        if error:
            raise RuntimeError(f"k = {k}: {error}")
        return code, log.read_text(errors="replace").splitlines()[-1] if code == KILLED else "the end"

    def _point(self, case: Case, line: str, k: int, half: bool = False, killed: bool = False) -> Point:
        state, outside = digest(case.folder)
        self._photo(case, state)
        return Point(k, line.rstrip("\n").replace(f"{case.folder}", ""), state, outside, half, killed)

    def _judge(self, case: Case) -> tuple[str, str | None]:
        """What is left after a kill: a word of ENDS or a story; and a state that was found to be the new one."""
        from medzoo.errors import MedzooError

        self._arm(case)
        later(case.folder)
        try:
            seen = case.read()
            verdict = "new" if seen == case.new else "old" if seen == case.old and not case.absent else ""
            verdict = verdict or ("allowed" if case.allowed(seen) else f"neither old nor new: {json.dumps(seen)}")
        except MedzooError as error:
            verdict = "refused" if case.refused(error) else "absent" if case.absent else f"nothing can be read: {error}"
        try:
            case.act()
            state, _ = digest(case.folder)
            if state not in case.proven and (seen := case.read()) != case.new:
                return f"{verdict}; done again, it is not the new: {json.dumps(seen)}", None
        except Exception:
            return f"{verdict}; done again, it fails: {traceback.format_exc(limit=-3)}", None
        case.clean()
        left, wanted = {*names(case.folder)} - {*case.optional}, {*case.wanted} - {*case.optional}
        if left != wanted:
            return f"{verdict}; left over {sorted(left - wanted)}, missing {sorted(wanted - left)}", None
        return verdict, state


def main() -> None:
    """Answer scenario after scenario."""
    import crash_scenarios

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an act prints is no answer
    harness = Harness(Path(os.environ["CRASH_SHIM"]), Path(os.environ["CRASH_WORK"]))
    crash_scenarios.prepare()
    for line in sys.stdin:
        name, _, kills = line.strip().partition(" ")
        try:
            row = harness.sweep(name, crash_scenarios.SCENARIOS[name](), bool(kills))
        except Exception:
            row = {"scenario": name, "error": traceback.format_exc()}
        print(json.dumps(row), file=answers, flush=True)
    os._exit(0)  # what libraries say at their end is of no interest


if __name__ == "__main__":
    main()
