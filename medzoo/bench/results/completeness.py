"""Check whether the files of a finished run are complete, and whether two results of one run agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medzoo.bench.cell_options import CellOptions
from medzoo.bench.results.record import headline_value, read_result
from medzoo.errors import ResultError
from medzoo.progress import is_main_process
from medzoo.training.options.protocol_options import Mode
from medzoo.zoo.registry.locations import is_folder

if TYPE_CHECKING:
    from medzoo.bench.results.outcome import Outcome
    from medzoo.training.run_state.run_folder import RunFolder

CLOSE = 1e-9  # tolerance within which two values of a metric are equal


def missing_parts(run: RunFolder, known: Mapping[str, Any], options: CellOptions, mode: Mode) -> str:
    """Why a run with a known result must be repeated; empty if all requested files are there.

    A missing picture of the curves is drawn again from the log.

    Args:
        run: the requested run folder.
        known: the stored result.
        options: of the run.
        mode: "finetune" or "linear".

    Raises:
        ResultError: if the number of this run in the folder differs from the one in the store.
    """
    if options.resume == "never":
        return "--resume never requires it"
    try:
        here = read_result(run.path / "result.json") if (run.path / "result.json").is_file() else None
    except ResultError:
        here = None
    if here is None or here["run_id"] != known["run_id"]:
        return f"{run.path} does not contain it"
    if differs := disagreement(known, here):
        raise ResultError(
            f"The result of the run in {run.path} differs from its result in the store: {differs}. Tables show the result in the "
            "store. To investigate, repeat the run with another --out and another --results.",
            code="result-differs-from-stored",
        )
    if known["status"] != "ok" or mode != "finetune":
        return ""
    return _missing_weights(run) if options.keep_weights else _curves(run)


def _missing_weights(run: RunFolder) -> str:
    return _curves(run) if is_folder(run.checkpoint) else f"{run.checkpoint} does not contain its network"


def _curves(run: RunFolder) -> str:
    from medzoo.training.run_state.plot_curves import draw_curves

    if not run.rows():
        return f"{run.path} does not contain its log"
    if not (run.path / "curves.png").is_file() and is_main_process():
        draw_curves(run)
    return ""


def disagreement(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The difference between two results of one run, in words; empty if they agree.

    Args:
        first: the stored result.
        second: the new one.
    """
    if first["status"] != second["status"]:
        return f"status {first['status']} in the store, {second['status']} now"
    before, now = _values(first), _values(second)
    differing = [key for key in {**before, **now} if not _same(before.get(key), now.get(key))]
    if not differing:
        return ""
    values = [headline_value(result) for result in (first, second)]
    words = [f"{value:.6f}" if value is not None else "undefined" for value in values]
    if words[0] != words[1]:
        return f"{first['metric']} {words[0]} in the store, {words[1]} now"
    name, label = differing[0]
    return f"{name}{f' of {label}' if label else ''} is {before.get(differing[0])} in the store, {now.get(differing[0])} now"


def _values(result: Mapping[str, Any]) -> dict[tuple[str, str | None], float | None]:
    return {(row["name"], row["label"]): row["value"] for row in result["metrics"]}


def _same(one: float | None, two: float | None) -> bool:
    return one == two if one is None or two is None else math.isclose(one, two, rel_tol=CLOSE, abs_tol=CLOSE)


def refuse_difference(outcome: Outcome, known: Mapping[str, Any] | None) -> None:
    """Refuse a number that differs from the one in the store for this run.

    Args:
        outcome: of the run.
        known: the stored result, or None.

    Raises:
        ResultError: both numbers are kept.
    """
    differs = "" if known is None or known["status"] not in ("ok", "diverged") else disagreement(known, outcome.result)
    if differs:
        raise ResultError(
            f"The result of this run differs from its result in the store: {differs}. The store keeps the first result "
            f"({outcome.path}), and tables show it. The new result is in {outcome.run} and, as a replicate, in the store. "
            "Different hardware, different library versions or a changed file can cause this.",
            code="result-differs-from-stored",
        )
