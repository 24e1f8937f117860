"""A contribution of results judged on its data alone: nothing that somebody submitted is ever run."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medzoo.bench.review.contribution import Contribution, ReviewFinding, by_folder, of_folder, of_pull_request
from medzoo.bench.review.numbers import check_numbers
from medzoo.bench.sharing.identity_check import check_checkpoint, check_task
from medzoo.bench.sharing.layout import RUN, predictions_file, replicate_of, run_file
from medzoo.bench.sharing.parquet_sandbox import check_in_sandbox
from medzoo.bench.sharing.prepare_upload import prepare_upload
from medzoo.bench.sharing.privacy_scan import find_private
from medzoo.bench.sharing.untrusted import parse_result
from medzoo.errors import ResultError, UsageError
from medzoo.store import canonical_json

__all__ = ["ReviewFinding", "review", "review_pull_request", "review_store"]


def review(
    path_or_folder: Path | str, *, base: Path | str | None = None, token: str | bool | None = None
) -> list[ReviewFinding]:
    """Judge results that somebody contributes: their form, their place, and every number against the predictions.

    Args:
        path_or_folder: a folder with runs/ and predictions/, or the file of one run in such a folder.
        base: the repository as it is now, as a folder. Then the first folder is the repository as it would become, and
            nothing in it may be missing or changed.
        token: of the Hub, which is asked only for config.json of checkpoints that lie there.

    Returns:
        What speaks against taking them; empty if nothing.

    Raises:
        UsageError: if there is nothing to judge.

    >>> Path("contribution").mkdir()
    >>> for finding in review("contribution"):
    ...     print(finding)
    runs: There is no new run in it. [empty]
    """
    path = Path(path_or_folder)
    if path.is_dir():
        return _judged(of_folder(path, None if base is None else Path(base)), token)
    if not path.is_file():
        raise UsageError(f"{path} is no file and no folder; name a folder with runs/ and predictions/.")
    root = path.absolute().parents[4] if len(path.absolute().parents) > 4 else path.parent
    name = path.absolute().relative_to(root).as_posix()
    if not RUN.fullmatch(name):
        raise UsageError(
            f"{path} is no run in a folder of contributions: runs/TASK@VERSION/CHECKPOINT/PROTOCOL/ID.json."
        )
    whole = of_folder(root, None if base is None else Path(base))
    whole.there |= frozenset(whole.files)
    whole.files = {key: file for key, file in whole.files.items() if key in (name, predictions_file(name))}
    whole.findings = [row for row in whole.findings if row.file in (name, predictions_file(name))]
    return _judged(whole, token)


def review_store(root: Path | str, *, base: Path | str | None = None) -> tuple[list[ReviewFinding], list[str]]:
    """Judge the runs of a store as they would go up.

    Args:
        root: of the store.
        base: as for `review`.

    Returns:
        What speaks against them, and what would stay in the store with the reason.

    Raises:
        ResultError: for a result that breaks the schema, or without its predictions.
        PublishError: if something must not leave this machine.
    """
    with tempfile.TemporaryDirectory() as folder:
        _, stays = prepare_upload(Path(root), Path(folder), secrets.token_hex(16))
        return review(folder, base=base), stays


def review_pull_request(repo: str, number: int, *, token: str | bool | None = None) -> list[ReviewFinding]:
    """Judge a pull request of a repository of results; only files that may be read are downloaded.

    Args:
        repo: org/name.
        number: of the pull request.
        token: of the Hub.

    Returns:
        What speaks against merging it; empty if nothing.

    Raises:
        ResultError: if it cannot be read.
    """
    return _judged(of_pull_request(repo, number, token=token), token)


def _judged(contribution: Contribution, token: str | bool | None) -> list[ReviewFinding]:
    runs, predictions = by_folder(contribution.files)
    found = list(contribution.findings)
    if not runs and not found:
        found.append(ReviewFinding("runs", "empty", "There is no new run in it."))
    harm = check_in_sandbox([contribution.files[name] for name in sorted(predictions)])
    asked: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(runs):
        beside = contribution.files.get(predictions_file(name))
        if beside in harm:
            found.append(ReviewFinding(predictions_file(name), "harm", harm[beside]))
        try:
            result = parse_result(contribution.files[name].read_bytes())
        except ResultError as error:
            found.append(ReviewFinding(name, "schema", str(error)))
            continue
        told = [
            *_run(name, result, contribution, asked, token),
            *(check_numbers(result, beside) if beside not in harm else ()),
        ]
        found += [ReviewFinding(name, check, message) for check, message in told]
    mine = {predictions_file(name) for name in runs}
    for name in sorted(set(predictions) - mine):
        found.append(ReviewFinding(name, "orphan", "No run of this contribution names these predictions."))
    return found


def _run(
    name: str, result: Mapping[str, Any], contribution: Contribution, asked: dict[str, list[tuple[str, str]]],
    token: str | bool | None,
) -> Iterator[tuple[str, str]]:  # fmt: skip
    yield from (("scan", told) for told in find_private(result, "It says"))
    yield from _place(name, result, contribution)
    yield from check_task(result)
    checkpoint = canonical_json([result["identity"]["checkpoint"], result["provenance"]["origin"]])
    if checkpoint not in asked:  # of many runs of one checkpoint the Hub is asked once
        asked[checkpoint] = list(check_checkpoint(result, token))
    yield from asked[checkpoint]
    yield from _status(result)


def _place(name: str, result: Mapping[str, Any], contribution: Contribution) -> Iterator[tuple[str, str]]:
    number = replicate_of(name)
    if (right := run_file(result["identity"], number)) != name:
        yield "place", f"By its identity it should lie at {right}."
    first = run_file(result["identity"])
    if number > 1 and first not in contribution.files and first not in contribution.there:
        yield "place", f"It is a replicate of a run that is not there: {first}."


def _status(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if result["status"] == "failed":
        yield "status", "A run that failed is no result; run it again."
    if result["status"] != "ok" or result["provenance"]["origin"] == "reported":
        return
    selection = result["selection"]
    if (times := selection.get("test_evaluations")) != 1:
        yield (
            "selection",
            f"The test split was opened {'an unknown number of' if times is None else times} times; once is right.",
        )
    if selection.get("split") == "test":
        yield "selection", "The model was selected on the test split."
