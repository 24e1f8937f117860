"""How a repository of results is laid out: runs, their predictions, and what is made from the runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from medzoo.bench.results.store import ResultStore

RUNS, PREDICTIONS = "runs", "predictions"
TABLE, EVAL, CARD = "results.parquet", "eval.yaml", "README.md"
DERIVED = (TABLE, EVAL, CARD, ".gitattributes")  # made by those who keep the repository, not by contributors
_WORD = r"[A-Za-z0-9_~][A-Za-z0-9._~@-]*"  # neither hidden nor `..`
_PLACE = rf"{_WORD}/{_WORD}/{_WORD}/[0-9a-f]{{16}}(?:\.r[0-9]+)?"
RUN = re.compile(rf"{RUNS}/{_PLACE}\.json")
PREDICTION = re.compile(rf"{PREDICTIONS}/{_PLACE}\.parquet")
STORED = re.compile(rf"{_PLACE}\.json")  # in a store, which has its runs at the top


def run_file(identity: Mapping[str, Any], number: int = 1) -> str:
    """Where a run lies in a repository.

    Args:
        identity: of the run.
        number: 1 for the run that counts, 2 and up for its replicates.

    Raises:
        ResultError: if the identity breaks its schema.
    """
    path = ResultStore(RUNS).path(identity).as_posix()
    return path if number == 1 else f"{path.removesuffix('.json')}.r{number}.json"


def predictions_file(run: str) -> str:
    """Where the predictions of a run lie.

    >>> predictions_file("runs/phantom_ct@1/resnet18-random/medzoo/0123456789abcdef.r2.json")
    'predictions/phantom_ct@1/resnet18-random/medzoo/0123456789abcdef.r2.parquet'
    """
    return f"{PREDICTIONS}{run.removeprefix(RUNS).removesuffix('.json')}.parquet"


def replicate_of(run: str) -> int:
    """Which replicate a file's name says it is; 1 is the run that counts.

    >>> replicate_of("0123456789abcdef.json"), replicate_of("0123456789abcdef.r2.json")
    (1, 2)
    """
    match = re.search(r"\.r([0-9]+)\.json$", run)
    return int(match[1]) if match else 1


def same_run(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two results of one identity have the same numbers.

    Environment, times and the hash of the predictions may differ: the same predictions have another hash under another salt.
    """

    def told(result: Mapping[str, Any]) -> list[Any]:
        metrics = [{key: value for key, value in row.items() if value is not None} for row in result["metrics"]]
        return [result["run_id"], result["status"], result["metric"], result["selection"], metrics,
                result["provenance"]["origin"]]  # fmt: skip

    return told(one) == told(other)
