"""What a finished run should have left, and whether two results of one run agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medzoo.bench.cell_options import CellOptions
from medzoo.bench.results.record import headline_value, read_result
from medzoo.errors import ResultError
from medzoo.training.options.protocol import Mode

if TYPE_CHECKING:
    from medzoo.training.run_state.run_folder import RunFolder

CLOSE = 1e-9  # two values of a metric that agree to this are one


def missing_parts(run: RunFolder, known: Mapping[str, Any], options: CellOptions, mode: Mode) -> str:
    """Why a run whose result is known has to be made again; empty if all that was asked for is there.

    A missing picture of the curves is drawn again from the log.

    Args:
        run: the run folder that was asked for.
        known: the stored result.
        options: of the run.
        mode: "finetune" or "linear".

    Raises:
        ResultError: if the folder holds this run with another number than the store.
    """
    if options.resume == "never":
        return "--resume never asks for it"
    try:
        here = read_result(run.path / "result.json") if (run.path / "result.json").is_file() else None
    except ResultError:
        here = None
    if here is None or here["run_id"] != known["run_id"]:
        return f"{run.path} does not hold it"
    if differs := disagreement(known, here):
        raise ResultError(
            f"The run in {run.path} gave another result than the one that the store holds for it: {differs}. Tables show the "
            "store's. To look into it, make the run again with another --out and another --results."
        )
    if known["status"] != "ok" or mode != "finetune":
        return ""
    return _missing_weights(run) if options.keep_weights else _curves(run)


def _missing_weights(run: RunFolder) -> str:
    from medzoo.zoo.registry.locations import is_folder

    return _curves(run) if is_folder(run.checkpoint) else f"{run.checkpoint} does not hold its network"


def _curves(run: RunFolder) -> str:
    from medzoo.training.run_state.plot_curves import draw_curves
    from medzoo.training.run_state.run_folder import is_main_process

    if not run.rows():
        return f"{run.path} does not hold its log"
    if not (run.path / "curves.png").is_file() and is_main_process():
        draw_curves(run)
    return ""


def disagreement(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """In what two results of one run differ, in words; empty if they agree.

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
    told = [f"{value:.6f}" if value is not None else "undefined" for value in values]
    if told[0] != told[1]:
        return f"{first['metric']} {told[0]} in the store, {told[1]} now"
    name, label = differing[0]
    return f"{name}{f' of {label}' if label else ''} is {before.get(differing[0])} in the store, {now.get(differing[0])} now"


def _values(result: Mapping[str, Any]) -> dict[tuple[str, str | None], float | None]:
    return {(row["name"], row["label"]): row["value"] for row in result["metrics"]}


def _same(one: float | None, two: float | None) -> bool:
    return one == two if one is None or two is None else math.isclose(one, two, rel_tol=CLOSE, abs_tol=CLOSE)
