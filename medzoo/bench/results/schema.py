"""The closed schema of a result file, `medzoo.result/1`: all allowed fields; no others may occur."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from medzoo import store
from medzoo.errors import OtherVersionError, ResultError, listed

SCHEMA = "medzoo.result/1"
STATUSES = ("ok", "diverged", "failed")

# A string is a type ("str", "int", "number", "bool", "sha256"), with "|null" if null is allowed. A tuple lists the
# allowed values. A list contains one spec for all its items. A dict is an object with exactly these keys; "?" marks
# optional keys, and the key "*" means any name.
IDENTITY: dict[str, Any] = {
    "task": {"id": "str", "version": "str"},
    "dataset": {
        "fingerprint": "str",
        "split_hash": "str",
        "preprocess_hash": "str",
        "label_policy": "str|null",
        "source_revision?": "str|null",
    },
    "checkpoint": {
        "id": "str",
        "weights_sha256": "sha256|null",
        "arch": "str",
        "init": "str",
        "repo?": "str|null",
        "revision?": "str|null",
    },
    "protocol": {"id": "str", "hash": "str", "label_fraction": "number", "mode": "str", "size?": "int|null"},
    "seed": "int",
    "fold": "int|null",
    "training_part?": {"per_class?": "int", "draw?": "int"},  # if it is not a plain label_fraction
    "processes?": "int",  # of the launch, if more than one: the training differs from that of one process
}
METRIC: dict[str, Any] = {
    "name": "str",
    "label": "str|null",
    "value": "number|null",
    "undefined": "str|null",
    "n": "int",
    "n_pos": "int|null",
    "n_patients": "int",
    "n_labels?": "int|null",
    "definition?": "str",  # of distances between masks, which tools define differently
}
RESULT: dict[str, Any] = {
    "schema": (SCHEMA,),
    "run_id": "sha256",
    "identity": IDENTITY,
    "status": STATUSES,
    "metric": "str",
    "selection": {
        "split?": "str",
        "metric?": "str",
        "n_candidates?": "int",
        "test_evaluations?": "int",
        "value?": "number|null",
        "epoch?": "int|null",
        "step?": "int|null",
        "regularisation?": "number|null",
        "neighbours?": "int",
        "learning_rate?": "number",
        "weight_decay?": "number",
        "input?": "str",
        "temperature?": "number",
        "thresholds?": {"*": {"value": "number", "rule": "str", "chosen_on": "str"}},
    },
    "metrics": [METRIC],
    "predictions": {"sha256": "sha256|null", "rows": "int"},
    "labels_stay?": "bool",  # if the name of the task does not say it; an earlier medzoo does not read results with it
    "train": {
        "steps?": "int",
        "best_step?": "int|null",
        "stopped_early?": "bool",
        "micro_batch_size?": "int",
        "compiled?": "bool",
        "wall_s?": "number",
        "gpu_s?": "number|null",
        "resumes?": "int",
        "state_sha256?": "sha256|null",
        "counts?": {"*": "int"},
        "folds?": {"count": "int", "sha256": "sha256"},
        "draws?": {"sha256": "sha256"},
        "converged?": "bool",
        "reason?": "str|null",
    },
    "environment": {
        "medzoo": "str",
        "python": "str",
        "torch": "str|null",
        "timm": "str|null",
        "cuda": "str|null",
        "platform": "str",
        "device": {"name": "str", "count": "int"},
        "precision": "str",
        "threads?": "int",
        "deterministic": "bool",
    },
    "provenance": {
        "origin": ("run", "reported"),
        "verified?": "str|null",
        "by?": "str|null",
        "started?": "str|null",
        "finished?": "str|null",
        "source_url?": "str|null",
    },
}
_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "number": (int, float), "bool": (bool,)}
_PATHS = re.compile(
    r"(?<![\w/.])(?:~|[A-Za-z]:)?[/\\](?!/)(?:[^\s'\"`:,;()\[\]/\\]+[/\\])*([^\s'\"`:,;()\[\]/\\]+)[/\\]?"
)


def run_id(identity: Mapping[str, Any]) -> str:
    """The key of a run: the sha256 of the canonical JSON of everything that may change its number.

    The source of the weights or data (repo, revision) does not change the number. It is in the identity, but not in the key.

    Raises:
        ResultError: if the identity breaks its schema, or contains a path of this machine.
    """
    _check(identity, IDENTITY, "identity")
    for field in ("task.id", "checkpoint.id", "protocol.id"):
        table, key = field.split(".")
        if without_paths(text := identity[table][key]) != text:
            raise ResultError(
                f"identity.{field} is the path {text!r}. Results contain names, not paths of one machine.",
                code="identity-contains-path",
            )
    checkpoint = {key: value for key, value in identity["checkpoint"].items() if key not in ("repo", "revision")}
    dataset = {key: value for key, value in identity["dataset"].items() if key != "source_revision"}
    return store.sha256_of({**identity, "checkpoint": checkpoint, "dataset": dataset})


def validate(result: Mapping[str, Any]) -> None:
    """Check a result against the closed schema, and its fields against each other.

    Raises:
        ResultError: naming the path of the field, what was expected, and what was found.
    """
    written = result.get("schema") if isinstance(result, Mapping) else None
    if isinstance(written, str) and written != SCHEMA and written.startswith("medzoo.result/"):
        raise OtherVersionError(
            f"The result has the schema {written}; this medzoo reads {SCHEMA}. Update medzoo (pip install --upgrade medzoo).",
            code="result-schema-other-version",
        )
    _check(result, RESULT, "")
    if (expected := run_id(result["identity"])) != result["run_id"]:
        raise ResultError(
            f"run_id is {result['run_id'][:16]}…, but its identity gives {expected[:16]}…: one of them was edited.",
            code="run-id-mismatch",
        )
    for i, row in enumerate(result["metrics"]):
        if (row["value"] is None) != (row["undefined"] is not None):
            raise ResultError(
                f"metrics[{i}] ({row['name']}) should have either a value or a reason in `undefined`.",
                code="metric-value-or-reason",
            )
    of_task = [row["name"] for row in result["metrics"] if row["label"] is None]
    if len(of_task) != len(set(of_task)):
        raise ResultError(f"metrics contains a metric of the whole task twice: {listed(of_task)}.", code="metric-twice")
    if result["status"] == "ok" and result["metric"] not in of_task:
        raise ResultError(
            f"metrics does not contain {result['metric']!r}, the task's metric; it contains {listed(of_task)}.",
            code="metric-missing",
        )


def without_paths(text: str) -> str:
    """Cut the absolute paths in a text to their last part: results contain no paths of one machine.

    >>> without_paths("cannot read /data/secret/a.png: truncated")
    'cannot read a.png: truncated'
    """
    return _PATHS.sub(r"\1", text)


def _check(value: Any, spec: Any, where: str) -> None:  # noqa: ANN401 - any JSON value, any spec
    if isinstance(spec, dict):
        _check_object(value, spec, where)
    elif isinstance(spec, list):
        if not isinstance(value, list):
            raise _wrong(where, "a list", value)
        for i, item in enumerate(value):
            _check(item, spec[0], f"{where}[{i}]")
    elif isinstance(spec, tuple):
        if value not in spec:
            raise _wrong(where, " or ".join(map(repr, spec)), value)
    else:
        _check_word(value, spec, where)


def _check_object(value: Any, spec: dict[str, Any], where: str) -> None:  # noqa: ANN401
    if not isinstance(value, Mapping):
        raise _wrong(where, "an object", value)
    prefix = f"{where}." if where else ""
    if "*" in spec:
        for key, item in value.items():
            _check(item, spec["*"], f"{prefix}{key}")
        return
    known = {key.rstrip("?"): key for key in spec}
    for key in value:
        if key not in known:
            raise ResultError(
                f"{prefix}{key} is not a field of {SCHEMA}. Known fields there: {', '.join(known)}.",
                code="result-field-unknown",
            )
    for name, key in known.items():
        if name in value:
            _check(value[name], spec[key], f"{prefix}{name}")
        elif not key.endswith("?"):
            raise ResultError(f"{prefix}{name} is missing.", code="result-field-missing")


def _check_word(value: Any, spec: str, where: str) -> None:  # noqa: ANN401
    word, _, null = spec.partition("|")
    if value is None and null:
        return
    if word == "sha256":
        if not (isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value)):
            raise _wrong(where, "a sha256 of 64 hex digits", value)
    elif not isinstance(value, _TYPES[word]) or (isinstance(value, bool) and word != "bool"):
        raise _wrong(where, f"of type {word}{' or null' if null else ''}", value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ResultError(
            f"{where} is {value}; a result contains finite numbers, or null with a reason.",
            code="result-number-not-finite",
        )


def _wrong(where: str, expected: str, value: object) -> ResultError:
    return ResultError(f"{where or 'The result'} should be {expected}, not {value!r:.80}.", code="result-type-wrong")
