"""Review a contribution of results from its data alone: no contributed code or model is run."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medzoo.bench.results.untrusted import parse_result
from medzoo.bench.review.contribution import Contribution, ReviewFinding, by_folder, of_folder, of_pull_request
from medzoo.bench.review.numbers import check_numbers
from medzoo.bench.sharing.identity_check import check_checkpoint, check_task
from medzoo.bench.sharing.layout import RUN, predictions_file, replicate_of, run_file
from medzoo.bench.sharing.parquet_sandbox import check_in_sandbox
from medzoo.bench.sharing.prepare_upload import prepare_upload
from medzoo.bench.sharing.result_privacy import find_private
from medzoo.errors import ResultError, UsageError
from medzoo.store import canonical_json

__all__ = ["ReviewFinding", "review", "review_pull_request", "review_store"]


def review(
    path_or_folder: Path | str, *, base: Path | str | None = None, token: str | bool | None = None
) -> list[ReviewFinding]:
    """Review contributed results: their format, their paths, and every number against the predictions.

    Args:
        path_or_folder: a folder with runs/ and predictions/, or the file of one run in such a folder.
        base: a folder with the current content of the repository. Then the first folder is the repository with the
            contribution, and must contain all files of `base` unchanged.
        token: of the Hub, used only to read config.json of checkpoints on the Hub.

    Returns:
        The problems; empty if there are none.

    Raises:
        UsageError: if there is nothing to review.

    >>> Path("contribution").mkdir()
    >>> for finding in review("contribution"):
    ...     print(finding)
    runs: There is no new run. [empty]
    """
    path = Path(path_or_folder)
    if path.is_dir():
        return _judged(of_folder(path, None if base is None else Path(base)), token)
    if not path.is_file():
        raise UsageError(f"{path} does not exist. Give a folder with runs/ and predictions/.", code="path-missing")
    root = path.absolute().parents[4] if len(path.absolute().parents) > 4 else path.parent
    name = path.absolute().relative_to(root).as_posix()
    if not RUN.fullmatch(name):
        raise UsageError(
            f"{path} is not a run of a contribution. Expected path: runs/TASK@VERSION/CHECKPOINT/PROTOCOL/ID.json.",
            code="not-a-run-file",
        )
    whole = of_folder(root, None if base is None else Path(base))
    whole.present |= frozenset(whole.files)
    whole.files = {key: file for key, file in whole.files.items() if key in (name, predictions_file(name))}
    whole.findings = [row for row in whole.findings if row.file in (name, predictions_file(name))]
    return _judged(whole, token)


def review_store(root: Path | str, *, base: Path | str | None = None) -> tuple[list[ReviewFinding], list[str]]:
    """Review the runs of a store in the form in which they would be uploaded.

    Args:
        root: of the store.
        base: as for `review`.

    Returns:
        The problems, and the runs that would not be uploaded, with the reason.

    Raises:
        ResultError: for a result that breaks the schema, or without its predictions.
        PublishError: if a result contains private information.
    """
    with tempfile.TemporaryDirectory() as folder:
        _, stays = prepare_upload(Path(root), Path(folder), secrets.token_hex(16))
        return review(folder, base=base), stays


def review_pull_request(repo: str, number: int, *, token: str | bool | None = None) -> list[ReviewFinding]:
    """Review a pull request of a repository of results; only allowed files are downloaded.

    Args:
        repo: org/name.
        number: of the pull request.
        token: of the Hub.

    Returns:
        The problems; empty if there are none.

    Raises:
        ResultError: if it cannot be read.
    """
    return _judged(of_pull_request(repo, number, token=token), token)


def _judged(contribution: Contribution, token: str | bool | None) -> list[ReviewFinding]:
    runs, predictions = by_folder(contribution.files)
    findings = list(contribution.findings)
    if not runs and not findings:
        findings.append(ReviewFinding("runs", "empty", "There is no new run."))
    unreadable = check_in_sandbox([contribution.files[name] for name in sorted(predictions)])
    checkpoints: dict[str, list[tuple[str, str]]] = {}

    # each run, with its predictions unless they are unsafe to read
    for name in sorted(runs):
        parquet = contribution.files.get(predictions_file(name))
        if parquet in unreadable:
            findings.append(ReviewFinding(predictions_file(name), "harm", unreadable[parquet]))
        try:
            result = parse_result(contribution.files[name].read_bytes())
        except ResultError as error:
            findings.append(ReviewFinding(name, "schema", str(error)))
            continue
        problems = [
            *_run(name, result, contribution, checkpoints, token),
            *(check_numbers(result, parquet) if parquet not in unreadable else ()),
        ]
        findings += [ReviewFinding(name, check, message) for check, message in problems]

    # predictions without a run
    of_runs = {predictions_file(name) for name in runs}
    for name in sorted(set(predictions) - of_runs):
        findings.append(ReviewFinding(name, "orphan", "No run of this contribution has these predictions."))
    return findings


def _run(
    name: str,
    result: Mapping[str, Any],
    contribution: Contribution,
    checkpoints: dict[str, list[tuple[str, str]]],
    token: str | bool | None,
) -> Iterator[tuple[str, str]]:
    yield from (("scan", problem) for problem in find_private(result, "The result"))
    yield from _place(name, result, contribution)
    yield from check_task(result)
    checkpoint = canonical_json([result["identity"]["checkpoint"], result["provenance"]["origin"]])
    if checkpoint not in checkpoints:  # check each checkpoint once, because this contacts the Hub
        checkpoints[checkpoint] = list(check_checkpoint(result, token))
    yield from checkpoints[checkpoint]
    yield from _status(result)


def _place(name: str, result: Mapping[str, Any], contribution: Contribution) -> Iterator[tuple[str, str]]:
    number = replicate_of(name)
    if (expected := run_file(result["identity"], number)) != name:
        yield "place", f"Wrong path: expected {expected} for this identity."
    first = run_file(result["identity"])
    if number > 1 and first not in contribution.files and first not in contribution.present:
        yield "place", f"This is a replicate, but its first run is missing: {first}."


def _status(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if result["status"] == "failed":
        yield "status", "The run failed. Run it again."
    if result["status"] != "ok" or result["provenance"]["origin"] == "reported":
        return
    selection = result["selection"]
    if (times := selection.get("test_evaluations")) != 1:
        yield (
            "selection",
            f"The test split was evaluated {'an unknown number of' if times is None else times} times; expected once.",
        )
    if selection.get("split") == "test":
        yield "selection", "The model was selected on the test split."
