"""The precision of a suite: chosen when its folder is created and stored there, so that all runs use the same one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from medzoo import store
from medzoo.bench.suite import Suite
from medzoo.errors import UsageError
from medzoo.precision import Precision, PrecisionChoice, resolve
from medzoo.training.compute import precision_of_run
from medzoo.training.options.protocol import chosen_precision

RECORD = "suite.json"


def settle_precision(
    suite: Suite, runs: Path, common: Mapping[str, Any], *, note: bool = True
) -> tuple[Precision | None, bool]:
    """Choose the precision of all runs of a suite whose protocol does not set one.

    Args:
        suite: the suite.
        runs: the folder of its run folders; the precision is recorded there.
        common: options of all runs; a precision in them was set by the caller.
        note: record the precision in the folder.

    Returns:
        The precision, and whether the folder already had one. (None, False) if the protocols set it and the suite has no
        pre-training.

    Raises:
        UsageError: if the suite sets a precision other than that of its folder.
    """
    requested = cast("PrecisionChoice | None", common.get("precision")) or suite.precision
    protocols = {chosen_precision(name, mode) for name in suite.protocols for mode in suite.modes()}
    if requested is None and "auto" not in protocols and not suite.pretrain:
        return None, False
    began = _began(runs)
    chosen = resolve(requested, str(common.get("device", "auto")), began=began)
    if began is not None and chosen != began:
        raise UsageError(
            f"The runs of suite {suite.name} in {runs} use precision {began}, but {chosen} was requested. One table cannot mix "
            f"both. Choose another --out, or set the precision to {began}.",
            code="suite-precision-changed",
        )
    if note:
        runs.mkdir(parents=True, exist_ok=True)
        store.write_json(runs / RECORD, {"schema": "medzoo.suite/1", "suite": suite.name, "precision": chosen})
    return chosen, began is not None


def _began(runs: Path) -> Precision | None:
    """The precision in the folder's record; without a record, the precision of the first run in it."""
    with suppress(OSError, ValueError, AttributeError):
        recorded = json.loads((runs / RECORD).read_text()).get("precision")
        if recorded in ("fp32", "bf16"):
            return cast(Precision, recorded)
    of_runs = (precision_of_run(path.parent) for path in sorted(runs.rglob("status.json")))
    return next((precision for precision in of_runs if precision is not None), None)
