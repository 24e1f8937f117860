"""The one precision of a suite: settled when its folder begins, and kept there, so that runs of two machines are not mixed."""

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
from medzoo.training.compute import began_with
from medzoo.training.options.protocol import chosen_precision

RECORD = "suite.json"


def settle_precision(
    suite: Suite, runs: Path, common: Mapping[str, Any], *, note: bool = True
) -> tuple[Precision | None, bool]:
    """The precision of all runs of a suite that do not state one by their protocol.

    Args:
        suite: what the table holds.
        runs: the folder of its run folders, which notes the precision.
        common: options of all runs; a precision among them is the caller's.
        note: keep it in the folder.

    Returns:
        It, and whether the folder had begun with it; (None, False) if the protocols state one and nothing else is trained.

    Raises:
        UsageError: if the suite states another precision than its folder began with.
    """
    wish = cast("PrecisionChoice | None", common.get("precision")) or suite.precision
    protocols = {chosen_precision(name, suite.mode) for name in suite.protocols}
    if wish is None and "auto" not in protocols and not suite.pretrain:
        return None, False
    began = _began(runs)
    chosen = resolve(wish, str(common.get("device", "auto")), began=began)
    if began is not None and chosen != began:
        raise UsageError(
            f"The runs of suite {suite.name} in {runs} are in {began}, and {chosen} is asked for now: a table of both would "
            "compare two trainings. Choose another --out, or state the first one again."
        )
    if note:
        runs.mkdir(parents=True, exist_ok=True)
        store.write_json(runs / RECORD, {"schema": "medzoo.suite/1", "suite": suite.name, "precision": chosen})
    return chosen, began is not None


def _began(runs: Path) -> Precision | None:
    """The precision of the folder's record, or (of a folder without one) of the first run in it."""
    with suppress(OSError, ValueError, AttributeError):
        noted = json.loads((runs / RECORD).read_text()).get("precision")
        if noted in ("fp32", "bf16"):
            return cast(Precision, noted)
    found = (began_with(path.parent) for path in sorted(runs.rglob("status.json")))
    return next((precision for precision in found if precision is not None), None)
