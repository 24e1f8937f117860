"""Push the runs of a store to a data set repository on the Hub in one commit, and pull runs into a store."""

from __future__ import annotations

import hashlib
import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medzoo.bench.results.record import parquet_bytes
from medzoo.bench.results.store import ResultStore
from medzoo.bench.results.untrusted import JSON_LIMIT, PARQUET_LIMIT, parse_result
from medzoo.bench.sharing.card import card_of, eval_file, new_card
from medzoo.bench.sharing.flat_table import flat_table
from medzoo.bench.sharing.identity_check import check_address, check_task
from medzoo.bench.sharing.import_runs import Taken, lacking, take
from medzoo.bench.sharing.layout import (
    CARD,
    EVAL,
    PREDICTION,
    RUN,
    RUNS,
    TABLE,
    predictions_file,
    replicate_of,
    run_file,
    same_run,
)
from medzoo.bench.sharing.prepare_upload import Outgoing, prepare_upload
from medzoo.bench.sharing.repository import KIND, download_files, repository
from medzoo.errors import PublishError, ResultError
from medzoo.zoo.download.hub_client import Head
from medzoo.zoo.publish.upload import Pushed, commit_files, open_pull_request, open_repository
from medzoo.zoo.registry.hub_names import check_repo

Token = str | bool | None
FORBIDDEN = 403
REPLICATE = re.compile(r"(\.r[0-9]+)?\.json$")


@dataclass(frozen=True)
class Sent:
    """The outcome of a push.

    Args:
        address: of the commit or pull request; of the repository after a dry run.
        added: paths in the repository of the uploaded runs (after a dry run: of the runs to upload).
        known: number of runs that the repository already had.
        notes: runs that were not uploaded or differ in the repository, with the reason.
        unchanged: whether nothing was committed.
    """

    address: str
    added: tuple[str, ...]
    known: int = 0
    notes: tuple[str, ...] = ()
    unchanged: bool = False


def push_results(
    store: ResultStore | Path | str,
    repo: str,
    *,
    salt: str,
    private: bool | None = None,
    create_pr: bool = False,
    token: Token = None,
    dry_run: bool = False,
    license: str = "unknown",
) -> Sent:
    """Push a store's runs to a data set repository in one commit. Repeating it changes nothing; nothing is removed.

    The upload contains every run that did not fail, and the label and probability of each test case with an id made from
    your salt. Labels are not uploaded if the terms of the data forbid it (`TaskInfo.labels_stay`). With the images and the
    checkpoint, a case can still be recognised by its probabilities.

    A run in the repository is never changed; the same run with other numbers is added as a replicate. The commit also
    contains the files that are generated from all runs of the repository: results.parquet, eval.yaml and the table in the
    card. A pull request contains only runs and predictions, because the generated files of two pull requests would
    conflict; the maintainers generate these files again with their own push.

    Args:
        store: the store, or its folder.
        repo: org/name.
        salt: your secret, the same each time (`pseudonymize.store_salt` stores one); it is not uploaded.
        private: whether a new repository is private, by default it is; True refuses an existing public repository.
        create_pr: open a pull request instead of committing.
        token: of the Hub.
        dry_run: check everything, but contact nothing and write nothing.
        license: of the results, for the card of a new repository.

    Raises:
        ResultError: for a result that breaks the schema, or without its predictions.
        PublishError: if a result contains private information, or the Hub refuses the upload.

    >>> Path("results").mkdir()
    >>> push_results("results", "lab/results", salt="a secret of sixteen", dry_run=True).address
    'https://huggingface.co/datasets/lab/results'
    """
    root = store.root if isinstance(store, ResultStore) else Path(store)

    # check the arguments and prepare the files, before the Hub is contacted
    check_repo(repo, KIND)
    new_card(repo, license)
    with tempfile.TemporaryDirectory() as folder:
        ready, stays = prepare_upload(root, Path(folder), salt)
        if dry_run:
            return Sent(f"https://huggingface.co/datasets/{repo}", tuple(one.file for one in ready), 0, tuple(stays))

        # with an empty store no repository is created, but the generated files of an existing one are updated
        head = (
            open_repository(repo, kind="dataset", private=private, token=token)
            if ready
            else repository(repo, token=token)
        )
        fresh, notes = _fresh(ready, head, token)
        if create_pr:
            notes += [
                f"{one.file}: `medzoo results check` will refuse it: {why}"
                for one in fresh
                for _, why in (*check_task(one.result), *check_address(one.result))
            ]
        done = _propose(fresh, head, token) if create_pr else _commit(fresh, head, license, token)
    added = tuple(one.file for one in fresh)
    return Sent(done.address, added, len(ready) - len(fresh), (*stays, *notes), done.unchanged)


def _fresh(ready: Iterable[Outgoing], head: Head, token: Token) -> tuple[list[Outgoing], list[str]]:
    """The runs that the repository does not have, each with an unused name; and notes on runs with another salt there."""
    # the runs of the repository by identity
    by_identity: dict[str, list[str]] = {}
    for name in head.files:
        if RUN.fullmatch(name):
            by_identity.setdefault(REPLICATE.sub(".json", name), []).append(name)

    # runs whose file is already there need no download
    fresh: list[Outgoing] = []
    others: list[tuple[Outgoing, list[str]]] = []
    for one in ready:
        rivals = by_identity.get(run_file(one.result["identity"]), [])
        same = next((name for name in rivals if head.holds(name, one.content)), None)
        if same is None:
            others.append((one, rivals))
        elif one.predictions and predictions_file(same) not in head.files:
            fresh.append(replace(one, file=same))

    # compare the other runs with those of the same identity; a run with other numbers gets the next replicate number
    results = dict(_valid(download_files(head, {name for _, rivals in others for name in rivals}, token=token)))
    notes, used = [], set(head.files)
    for one, rivals in others:
        like = next((name for name in rivals if name in results and same_run(results[name], one.result)), None)
        if like is not None:
            notes.append(
                f"{like}: the repository has this run with the same numbers and another salt; it is not changed"
            )
            continue
        number = 1
        while run_file(one.result["identity"], number) in used:
            number += 1
        used.add(file := run_file(one.result["identity"], number))
        fresh.append(replace(one, file=file))
    return fresh, notes


def _commit(fresh: list[Outgoing], head: Head, license: str, token: Token) -> Pushed:
    files = {name: content for one in fresh for name, content in one.files().items()}
    files |= _derived(fresh, head, license, token)
    try:
        return commit_files(head, files, _title(fresh), token=token)
    except PublishError as error:
        if getattr(getattr(error.__cause__, "response", None), "status_code", None) == FORBIDDEN:
            raise PublishError(
                f"{error} You can open a pull request instead (create_pr=True, --pr).", code="push-forbidden"
            ) from error
        raise


def _propose(fresh: list[Outgoing], head: Head, token: Token) -> Pushed:
    """Open a pull request, unless one with the same files is open: an earlier push may have lost the Hub's answer."""
    if not fresh:
        return Pushed(f"{head.address}/commit/{head.commit}", head.commit, unchanged=True)
    files = {name: content for one in fresh for name, content in one.files().items()}
    same = open_pull_request(files, head, token)
    return same or commit_files(head, files, _title(fresh), create_pr=True, token=token)


def _title(fresh: list[Outgoing]) -> str:
    """The title of a commit; the digits are a hash of its content."""
    digest = hashlib.sha256(b"".join(sorted(hashlib.sha256(one.content).digest() for one in fresh))).hexdigest()[:12]
    return f"Results of {len(fresh)} run{'s' if len(fresh) > 1 else ''} ({digest})" if fresh else "Table of the runs"


def _derived(fresh: list[Outgoing], head: Head, license: str, token: Token) -> dict[str, bytes]:
    """The generated files, from the runs of the repository and the new runs."""
    new = {one.file: one.result for one in fresh}
    others = [name for name in head.files if RUN.fullmatch(name) and name not in new]
    files = download_files(head, [*others, *(name for name in (CARD,) if name in head.files)], token=token)
    results = sorted([*new.items(), *_valid({name: files[name] for name in others})], key=lambda pair: pair[0])
    if not results:
        raise ResultError(f"Neither the store nor {head.repo} has a run. Nothing to push.", code="nothing-to-push")
    return {
        TABLE: parquet_bytes(flat_table(results)),
        EVAL: eval_file(head.repo, results).encode(),
        CARD: card_of(files[CARD].read_bytes() if CARD in files else None, head.repo, license, results),
    }


def _valid(files: Mapping[str, Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, path in files.items():
        try:
            yield name, parse_result(path.read_bytes())
        except ResultError as error:
            warnings.warn(f"{name} in the repository is not counted: {error}", stacklevel=2)


def pull_results(
    repo: str, store_root: Path | str, *, revision: str | None = None, token: str | bool | None = None
) -> Taken:
    """Download the runs of a repository, with their predictions, into a store.

    Every file is checked against the Hub's hash, every result against the schema, and the predictions against the hash in
    their result. Runs in the store are not changed; the same run with other numbers is added as a replicate.

    Args:
        repo: org/name.
        store_root: of the store; created if it does not exist.
        revision: branch, tag, commit or refs/pr/N; by default main.
        token: of the Hub.

    Returns:
        The added, the known and the rejected runs; the last with the reason.

    Raises:
        ResultError: if the repository cannot be read, or has no runs.
        IntegrityError: if a downloaded file does not match the Hub's hash.

    >>> pull_results("results", "results")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    medzoo.errors.UnknownNameError: ...
    """
    head = repository(repo, revision=revision, token=token)
    runs = sorted((name for name in head.files if RUN.fullmatch(name)), key=lambda name: (replicate_of(name), name))
    if not runs:
        raise ResultError(
            f"{repo} has no runs (no file {RUNS}/TASK@VERSION/CHECKPOINT/PROTOCOL/ID.json).", code="repo-without-runs"
        )

    # files above the size limits are not downloaded
    store, large = ResultStore(store_root), {}
    for name, file in head.files.items():
        limit = JSON_LIMIT if RUN.fullmatch(name) else PARQUET_LIMIT if PREDICTION.fullmatch(name) else file.size
        if file.size > limit:
            large[name] = f"{name}: The file has {file.size:,} bytes; the limit is {limit:,}."
    runs = [name for name in runs if name not in large]

    # predictions are downloaded only for new runs
    files = download_files(head, runs, token=token)
    predictions = [predictions_file(name) for name in lacking(store, runs, files)]
    files |= download_files(
        head, [name for name in predictions if name in head.files and name not in large], token=token
    )
    taken = take(store, runs, files)
    taken.left_out += large.values()
    return taken
