"""Stored results (`medzoo results list|check|import|export|push|pull`), and how far a suite is (`medzoo status`)."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from medzoo.commands.common import AsJson, Private, check_file, print_json
from medzoo.commands.terminal import completion
from medzoo.errors import UsageError

Store = Annotated[Path, typer.Argument(help="a store of results (the folder that runs wrote with --results)")]
To = Annotated[Path, typer.Option("--to", help="target store; created if it does not exist")]
Repo = Annotated[str, typer.Argument(help="data set repository on the Hub, org/name")]


def list_(
    store: Store = Path("results"),
    task: Annotated[str, typer.Option(help="only these tasks; a pattern", autocompletion=completion.tasks)] = "*",
    checkpoint: Annotated[
        str, typer.Option(help="only these checkpoints; a pattern", autocompletion=completion.checkpoints)
    ] = "*",
    protocol: Annotated[
        str, typer.Option(help="only these protocols; a pattern", autocompletion=completion.protocols)
    ] = "*",
    status: Annotated[
        str, typer.Option(help="ok, diverged or failed; a pattern", autocompletion=completion.statuses)
    ] = "*",
    replicates: Annotated[bool, typer.Option("--replicates", help="include second runs of one identity")] = False,
    as_json: AsJson = False,
) -> None:
    """List the runs of a store, one on each line, with their main metric.

    Example: `medzoo results list results --task "phantom_*" --checkpoint "resnet18-*"`
    """
    from fnmatch import fnmatchcase

    from medzoo.bench.results.store import ResultStore, headline_value

    if not store.is_dir():
        raise UsageError(f"{store} is not a folder. Give a store of results.", code="not-a-folder")
    patterns = {"task": task, "checkpoint": checkpoint, "protocol": protocol, "status": status}

    # the facts of each run that matches the patterns
    rows: list[dict[str, Any]] = []
    for path, result in ResultStore(store).all(replicates=replicates):
        identity = result["identity"]
        row = {
            "task": identity["task"]["id"], "version": identity["task"]["version"], "checkpoint": identity["checkpoint"]["id"],
            "protocol": identity["protocol"]["id"], "mode": identity["protocol"]["mode"],
            "fraction": identity["protocol"]["label_fraction"],
            **{key: identity.get("training_part", {}).get(key) for key in ("per_class", "draw")},
            "seed": identity["seed"], "fold": identity["fold"],
            "status": result["status"], "metric": result["metric"], "value": headline_value(result),
            "reported": result["provenance"]["origin"] == "reported", "run_id": result["run_id"], "file": str(path),
        }  # fmt: skip
        if all(fnmatchcase(str(row[key]), pattern) for key, pattern in patterns.items()):
            rows.append(row)
    if as_json:
        return print_json(rows)

    # aligned lines
    lines = [
        (
            f"{row['task']}@{row['version']}",
            row["checkpoint"],
            f"{row['protocol']} {row['mode']}"
            + ("" if row["fraction"] == 1 else f" {row['fraction']:g}")
            + ("" if row["per_class"] is None else f" {row['per_class']} per class"),
            f"seed {row['seed']}" + "".join(f" {key} {row[key]}" for key in ("fold", "draw") if row[key] is not None),
            _worded(row),
            row["run_id"][:16] + ("  (reported)" if row["reported"] else ""),
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())
    print(f"{_runs(len(rows))} in {store}")
    return None


def _worded(row: dict[str, Any]) -> str:
    """The value; "undefined" for a run with status ok but without a value; else the status."""
    if row["value"] is not None:
        return f"{row['metric']} {row['value']:.4f}"
    return f"{row['metric']} undefined" if row["status"] == "ok" else str(row["status"])


def check(
    folder: Annotated[
        Path | None, typer.Argument(help="a folder with runs/ and predictions/, one run in it, or a store")
    ] = None,
    repo: Annotated[str | None, typer.Option(help="data set repository of a pull request, org/name")] = None,
    pr: Annotated[int | None, typer.Option(help="number of the pull request")] = None,
    base: Annotated[
        Path | None,
        typer.Option(
            help="folder with the current content of the repository, of which nothing may be missing or changed"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Review contributed results without running anything from them; print the problems, and exit 1 if there are any.

    Checked are: format and path of every file, a known task and checkpoint, declared training data, every number against the
    predictions, and that no file of the repository was removed or changed. A store is checked in the form of its upload.

    Example: medzoo results check results; medzoo results check --repo medzoo/results --pr 3
    """
    from medzoo.bench.review.review import review, review_pull_request, review_store

    if (repo is None) != (pr is None) or (folder is None) == (repo is None):
        raise UsageError(
            "Give either a folder or a pull request (--repo ORG/NAME --pr NUMBER).", code="folder-or-pull-request"
        )
    stays: list[str] = []
    if repo is not None and pr is not None:
        findings = review_pull_request(repo, pr)
    elif folder is not None and not (folder / "runs").exists() and any(folder.glob("*@*/*/*/*.json")):
        findings, stays = review_store(folder, base=base)
    else:
        findings = review(Path(str(folder)), base=base)
    if as_json:
        print_json([finding.to_dict() for finding in findings])
    else:
        print(*(f"not uploaded: {line}\n" for line in stays), sep="", end="")
        print("\n".join(map(str, findings)) or "no problems found")
    raise typer.Exit(1 if findings else 0)


def import_(
    source: Annotated[
        Path, typer.Argument(help="a store, a folder with runs/ and predictions/, or a .parquet of `export`")
    ],
    to: To = Path("results"),
) -> None:
    """Import results into a store: each is checked, and none is counted twice. Exit 1 if a result was rejected.

    Example: medzoo results import colleague/results --to results
    """
    from medzoo.bench.sharing.import_runs import import_results

    _report(import_results(source, to), to)


def export(
    store: Store = Path("results"),
    out: Annotated[Path, typer.Option(help="a .parquet file (`import` reads it), or .csv for spreadsheets")] = Path(
        "results.parquet"
    ),
    replicates: Annotated[bool, typer.Option("--replicates", help="include second runs of one identity")] = False,
) -> None:
    """Write results as one flat table: one row for each run and metric.

    Example: medzoo results export results --out results.csv
    """
    from medzoo.bench.results.store import ResultStore
    from medzoo.bench.sharing.flat_table import export as write
    from medzoo.bench.sharing.layout import replicate_of, run_file
    from medzoo.errors import ResultError

    check_file(out, "--out")
    results = ResultStore(store).all(replicates=replicates) if store.is_dir() else []
    if not results:
        raise ResultError(f"{store} has no results to export.", code="store-empty")
    rows = write(((run_file(row["identity"], replicate_of(path.name)), row) for path, row in results), out)
    print(f"{out}: {_runs(len(results))}, {rows} rows")


def push(
    store: Store,
    repo: Repo,
    salt_file: Annotated[
        Path | None,
        typer.Option(help="file with your secret salt; by default STORE.salt, created on first use"),
    ] = None,
    private: Private = None,
    license: Annotated[str, typer.Option(help="licence of the results, for the card of a new repository")] = "unknown",
    pr: Annotated[bool, typer.Option("--pr", help="open a pull request instead of committing")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check only, and list the runs to upload")] = False,
) -> None:
    """Push the runs of a store to a data set repository, in one commit. Repeating it changes nothing.

    The predictions of the runs are uploaded too. Ids of images and patients are hashed with a secret salt, which is not uploaded.
    Keep the file STORE.salt: without it, later runs cannot be compared with these case by case. (Several stores can share one
    --salt-file.) Labels are not uploaded if the terms of a data set forbid it (`medzoo tasks info NAME`: labels_stay). Labels and
    probabilities of your own data are uploaded unchanged: check that you are allowed to publish them.

    Example: medzoo results push results lab/results --dry-run; medzoo results push results medzoo/results --pr
    """
    import secrets

    from medzoo.bench.sharing.pseudonymize import read_salt, salt_path, store_salt
    from medzoo.bench.sharing.push_pull import push_results

    if salt_file is not None:
        salt = read_salt(salt_file)
    elif dry_run and not salt_path(store).is_file():
        salt = secrets.token_hex(32)  # a dry run writes nothing
    else:
        created = not salt_path(store).is_file()
        salt = store_salt(store)
        if created:
            print(f"created a secret salt: keep {salt_path(store)}, and do not publish it")
    sent = push_results(store, repo, salt=salt, private=private, create_pr=pr, dry_run=dry_run, license=license)
    for name in sent.added:
        print(f"{'to upload' if dry_run else 'uploaded'}: {name}")
    for note in sent.notes:
        print(f"note: {note}")
    print(f"{_runs(len(sent.added))} {'to add' if dry_run else 'added'}, {sent.known} known")
    print(f"{sent.address}{' (nothing was written)' if sent.unchanged or dry_run else ''}")


def pull(
    repo: Repo,
    to: To = Path("results"),
    revision: Annotated[str | None, typer.Option(help="branch, tag, commit or refs/pr/N; by default main")] = None,
) -> None:
    """Download the runs of a repository, with their predictions, into a store. Exit 1 if a run was rejected.

    Example: medzoo results pull medzoo/results --to results; medzoo table results
    """
    from medzoo.bench.sharing.push_pull import pull_results

    _report(pull_results(repo, to, revision=revision), to)


def _report(taken: Any, to: Path) -> None:  # noqa: ANN401 - Taken; its module is imported only when needed
    for line in taken.left_out:
        print(f"rejected: {line}")
    print(f"{taken} in {to}")
    if taken.left_out:
        raise typer.Exit(1)


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def status(
    out: Annotated[Path, typer.Argument(help="folder of a suite (--out of recipes/benchmark.py)")],
    watch: Annotated[
        float, typer.Option(min=0, max=86_400, help="print again every N seconds until all runs are over; 0: once")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Show how far a suite is: runs that are done, running, stale, failed or waiting, its workers, and the time left.

    Example: medzoo status runs/real_small --watch 30
    """
    from medzoo.bench.campaign.status import STATES, campaign_state

    while True:
        state = campaign_state(out)
        if as_json:
            print_json({**asdict(state), "counts": {name: state.count(name) for name in STATES}})
        else:
            print(state, flush=True)
        if not watch or state.count("done") + state.count("failed") == len(state.runs):
            return
        time.sleep(watch)
