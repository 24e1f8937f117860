"""A store of results and a data set repository on the Hub: push adds runs in one commit, pull brings them into a store."""

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
from medzoo.bench.sharing.untrusted import JSON_LIMIT, PARQUET_LIMIT, parse_result
from medzoo.errors import PublishError, ResultError
from medzoo.zoo.publish.upload import Head, Pushed, commit_files, open_pull_request, open_repository
from medzoo.zoo.registry.hub_names import check_repo

Token = str | bool | None
FORBIDDEN = 403
REPLICATE = re.compile(r"(\.r[0-9]+)?\.json$")


@dataclass(frozen=True)
class Sent:
    """What came of a push.

    Args:
        address: of the commit or pull request; of the repository after a dry run.
        added: the runs that went up (that would, after a dry run), by their place in the repository.
        known: how many were there already.
        notes: what stays here or is there otherwise than here, with the reason.
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
    """Put a store's runs into a data set repository in one commit; the same again changes nothing, and nothing is removed.

    What leaves: every run that did not fail, and the label and probability of each test case under ids that only your salt
    makes; no labels of data whose terms forbid it (`TaskInfo.labels_stay`). Whoever has the images and the checkpoint can
    still recognise a case by its probabilities.

    A run that is there already stays as it is; one that came out differently goes beside it as a replicate. With the runs go
    their predictions under a salt of your own, and what is made from all runs of the repository: results.parquet,
    eval.yaml and the table in the card. A pull request holds the runs and their predictions only: two of them would clash
    in the rest, which those who keep the repository make anew by a push of their own.

    Args:
        store: the store, or its folder.
        repo: org/name.
        salt: a secret of yours, the same each time (`salting.store_salt` keeps one); it stays here.
        private: whether a repository that is created is private, by default it is; True refuses one that is there and public.
        create_pr: open a pull request instead of committing.
        token: of the Hub.
        dry_run: check everything, contact nothing and write nothing.
        license: of the results, for the card of a new repository.

    Raises:
        ResultError: for a result that breaks the schema, or without its predictions.
        PublishError: if something must not leave this machine, or the Hub refuses.

    >>> Path("results").mkdir()
    >>> push_results("results", "lab/results", salt="a secret of sixteen", dry_run=True).address
    'https://huggingface.co/datasets/lab/results'
    """
    root = store.root if isinstance(store, ResultStore) else Path(store)
    check_repo(repo, KIND)
    new_card(repo, license)
    with tempfile.TemporaryDirectory() as folder:
        ready, stays = prepare_upload(root, Path(folder), salt)
        if dry_run:
            return Sent(f"https://huggingface.co/datasets/{repo}", tuple(one.file for one in ready), 0, tuple(stays))
        # An empty store makes no repository, but it can renew what is made from the runs of one.
        head = (
            open_repository(repo, kind="dataset", private=private, token=token)
            if ready
            else repository(repo, token=token)
        )
        fresh, there = _fresh(ready, head, token)
        if create_pr:
            there += [
                f"{one.file}: `medzoo results check` will refuse it: {why}"
                for one in fresh
                for _, why in (*check_task(one.result), *check_address(one.result))
            ]
        done = _propose(fresh, head, token) if create_pr else _commit(fresh, head, license, token)
    added = tuple(one.file for one in fresh)
    return Sent(done.address, added, len(ready) - len(fresh), (*stays, *there), done.unchanged)


def _fresh(ready: Iterable[Outgoing], head: Head, token: Token) -> tuple[list[Outgoing], list[str]]:
    """The runs that the repository lacks, each under a name that is free there; and which are there otherwise."""
    there: dict[str, list[str]] = {}
    for name in head.files:
        if RUN.fullmatch(name):
            there.setdefault(REPLICATE.sub(".json", name), []).append(name)
    fresh: list[Outgoing] = []
    others: list[tuple[Outgoing, list[str]]] = []
    for one in ready:
        rivals = there.get(run_file(one.result["identity"]), [])
        same = next((name for name in rivals if head.holds(name, one.content)), None)
        if same is None:
            others.append((one, rivals))
        elif one.predictions and predictions_file(same) not in head.files:
            fresh.append(replace(one, file=same))
    results = dict(_valid(download_files(head, {name for _, rivals in others for name in rivals}, token=token)))
    notes, taken = [], set(head.files)
    for one, rivals in others:
        like = next((name for name in rivals if name in results and same_run(results[name], one.result)), None)
        if like is not None:
            notes.append(f"{like} is there with the same numbers and predictions under another salt; it stays as it is")
            continue
        number = 1
        while run_file(one.result["identity"], number) in taken:
            number += 1
        taken.add(file := run_file(one.result["identity"], number))
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
                f"{error} You can propose the runs instead: a pull request (create_pr=True, --pr)."
            ) from error
        raise


def _propose(fresh: list[Outgoing], head: Head, token: Token) -> Pushed:
    """Open a pull request, unless one with these very files is open already: a push may have lost the Hub's answer."""
    if not fresh:
        return Pushed(f"{head.address}/commit/{head.commit}", head.commit, unchanged=True)
    files = {name: content for one in fresh for name, content in one.files().items()}
    same = open_pull_request(files, head, token)
    return same or commit_files(head, files, _title(fresh), create_pr=True, token=token)


def _title(fresh: list[Outgoing]) -> str:
    """What a commit is called; the digits stand for its content."""
    digest = hashlib.sha256(b"".join(sorted(hashlib.sha256(one.content).digest() for one in fresh))).hexdigest()[:12]
    return f"Results of {len(fresh)} run{'s' if len(fresh) > 1 else ''} ({digest})" if fresh else "Table of the runs"


def _derived(fresh: list[Outgoing], head: Head, license: str, token: Token) -> dict[str, bytes]:
    """What is made from all runs: those of the repository and those that go up."""
    mine = {one.file: one.result for one in fresh}
    others = [name for name in head.files if RUN.fullmatch(name) and name not in mine]
    brought = download_files(head, [*others, *(name for name in (CARD,) if name in head.files)], token=token)
    found = sorted([*mine.items(), *_valid({name: brought[name] for name in others})], key=lambda pair: pair[0])
    if not found:
        raise ResultError(f"Neither the store nor {head.repo} holds a run; there is nothing to push.")
    return {
        TABLE: parquet_bytes(flat_table(found)),
        EVAL: eval_file(head.repo, found).encode(),
        CARD: card_of(brought[CARD].read_bytes() if CARD in brought else None, head.repo, license, found),
    }


def _valid(brought: Mapping[str, Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, path in brought.items():
        try:
            yield name, parse_result(path.read_bytes())
        except ResultError as error:
            warnings.warn(f"{name} in the repository is not counted: {error}", stacklevel=2)


def pull_results(
    repo: str, store_root: Path | str, *, revision: str | None = None, token: str | bool | None = None
) -> Taken:
    """Bring the runs of a repository, with their predictions, into a store.

    Every file is what the Hub says it holds, every result of the schema, every table of predictions the one that its result
    names. What the store has already is left alone, and other numbers of the same run are kept as a replicate.

    Args:
        repo: org/name.
        store_root: of the store; made if there is none.
        revision: branch, tag, commit or refs/pr/N; by default main.
        token: of the Hub.

    Returns:
        What was added, what was known, and what was left out with the reason.

    Raises:
        ResultError: if the repository cannot be read, or holds no runs.
        IntegrityError: if a file comes with other bytes than the Hub says it holds.

    >>> pull_results("results", "results")
    Traceback (most recent call last):
    medzoo.errors.UsageError: 'results' is no repository; one is written org/name, as in medzoo/results.
    """
    head = repository(repo, revision=revision, token=token)
    runs = sorted((name for name in head.files if RUN.fullmatch(name)), key=lambda name: (replicate_of(name), name))
    if not runs:
        raise ResultError(
            f"{repo} holds no runs (nothing of the form {RUNS}/TASK@VERSION/CHECKPOINT/PROTOCOL/ID.json)."
        )
    store, large = ResultStore(store_root), {}
    for name, file in head.files.items():
        limit = JSON_LIMIT if RUN.fullmatch(name) else PARQUET_LIMIT if PREDICTION.fullmatch(name) else file.size
        if file.size > limit:
            large[name] = f"{name}: It has {file.size:,} bytes; at most {limit:,} are taken."
    runs = [name for name in runs if name not in large]
    files = download_files(head, runs, token=token)
    beside = [predictions_file(name) for name in lacking(store, runs, files)]
    files |= download_files(head, [name for name in beside if name in head.files and name not in large], token=token)
    taken = take(store, runs, files)
    taken.left_out += large.values()
    return taken
