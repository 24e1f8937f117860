"""Stored results: the table, and `medzoo results list|check|import|export|push|pull`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from medzoo.commands.common import AsJson, Hub, Private, check_file, print_json
from medzoo.errors import UsageError
from medzoo.training.options.shared import check_place

Store = Annotated[Path, typer.Argument(help="a store of results (the folder that runs wrote with --results)")]
To = Annotated[Path, typer.Option("--to", help="the store they go to; made if there is none")]
Repo = Annotated[str, typer.Argument(help="data set repository on the Hub, org/name")]


def table(
    results: Annotated[Path, typer.Argument(help="a store of results (the folder that runs wrote with --results)")],
    out: Annotated[
        Path | None,
        typer.Option(help="folder for table.md, table.html and table.png; by default the table is only printed"),
    ] = None,
    title: Annotated[str | None, typer.Option(help="above the table; by default Results")] = None,
    checkpoints: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoints",
            "--checkpoint",
            help="a row: a name, folder, run folder or org/name; repeat in the order of the rows; by default all",
        ),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--tasks", "--task", help="a column; repeat in the order of the columns; by default all"),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="shown instead of the tasks' own: auroc, auprc, accuracy, brier, ...")
    ] = None,
    hub: Hub = None,
) -> None:
    """Build the table from stored results: a row for each checkpoint, a column for each task.

    Example: medzoo table results --out tables --checkpoints resnet50-imagenet --checkpoints runs/mine
    """
    from medzoo.bench.table.table import table as build

    if not results.is_dir():
        raise UsageError(f"{results} is no folder; name a store of results.")
    if out is not None:
        check_place(str(out), "--out")
    made = build(results, title=title, checkpoints=checkpoints, tasks=tasks, metric=metric, hub=hub)
    print(made.to_text())
    if out is not None:
        for path in made.write(out).values():
            print(path)


def list_(
    store: Store = Path("results"),
    task: Annotated[str, typer.Option(help="only these tasks; a pattern, as all of these options")] = "*",
    checkpoint: Annotated[str, typer.Option(help="only these checkpoints")] = "*",
    protocol: Annotated[str, typer.Option(help="only these protocols")] = "*",
    status: Annotated[str, typer.Option(help="ok, diverged or failed")] = "*",
    replicates: Annotated[bool, typer.Option("--replicates", help="also second runs of one identity")] = False,
    as_json: AsJson = False,
) -> None:
    """List the runs of a store, one a line, with their main metric.

    Example: `medzoo results list results --task "phantom_*" --checkpoint "resnet18-*"`
    """
    from fnmatch import fnmatchcase

    from medzoo.bench.results.store import ResultStore, headline_value

    if not store.is_dir():
        raise UsageError(f"{store} is no folder; name a store of results.")
    wanted = {"task": task, "checkpoint": checkpoint, "protocol": protocol, "status": status}
    rows: list[dict[str, Any]] = []
    for path, result in ResultStore(store).all(replicates=replicates):
        identity = result["identity"]
        row = {
            "task": identity["task"]["id"], "version": identity["task"]["version"], "checkpoint": identity["checkpoint"]["id"],
            "protocol": identity["protocol"]["id"], "mode": identity["protocol"]["mode"],
            "fraction": identity["protocol"]["label_fraction"], "seed": identity["seed"], "fold": identity["fold"],
            "status": result["status"], "metric": result["metric"], "value": headline_value(result),
            "reported": result["provenance"]["origin"] == "reported", "run_id": result["run_id"], "file": str(path),
        }  # fmt: skip
        if all(fnmatchcase(str(row[key]), pattern) for key, pattern in wanted.items()):
            rows.append(row)
    if as_json:
        return print_json(rows)
    lines = [
        (
            f"{row['task']}@{row['version']}", row["checkpoint"],
            f"{row['protocol']} {row['mode']}" + ("" if row["fraction"] == 1 else f" {row['fraction']:g}"),
            f"seed {row['seed']}" + ("" if row["fold"] is None else f" fold {row['fold']}"),
            _worded(row),
            row["run_id"][:16] + ("  (reported)" if row["reported"] else ""),
        )
        for row in rows
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())
    print(f"{_runs(len(rows))} in {store}")
    return None


def _worded(row: dict[str, Any]) -> str:
    """A value; "undefined" where a run that ended well has none; else the status."""
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
        Path | None, typer.Option(help="the repository as it is, as a folder: then nothing may be missing or changed")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge contributed results on their data alone; exit 1 with what speaks against taking them.

    Form and place of every file, a known task and checkpoint, declared training data, every number computed again from the
    predictions, and nothing of the repository removed or changed. A store is judged as it would go up.

    Example: medzoo results check results; medzoo results check --repo medzoo/results --pr 3
    """
    from medzoo.bench.review.review import review, review_pull_request, review_store

    if (repo is None) != (pr is None) or (folder is None) == (repo is None):
        raise UsageError("Name a folder, or a pull request: --repo ORG/NAME --pr NUMBER.")
    stays: list[str] = []
    if repo is not None and pr is not None:
        found = review_pull_request(repo, pr)
    elif folder is not None and not (folder / "runs").exists() and any(folder.glob("*@*/*/*/*.json")):
        found, stays = review_store(folder, base=base)
    else:
        found = review(Path(str(folder)), base=base)
    if as_json:
        print_json([finding.to_dict() for finding in found])
    else:
        print(*(f"stays here: {line}\n" for line in stays), sep="", end="")
        print("\n".join(map(str, found)) or "nothing speaks against taking it")
    raise typer.Exit(1 if found else 0)


def import_(
    source: Annotated[
        Path, typer.Argument(help="a store, a folder with runs/ and predictions/, or a .parquet of `export`")
    ],
    to: To = Path("results"),
) -> None:
    """Put results from elsewhere into a store: each checked, and none counted twice. Exit 1 if something was left out.

    Example: medzoo results import colleague/results --to results
    """
    from medzoo.bench.sharing.import_runs import import_results

    _told(import_results(source, to), to)


def export(
    store: Store = Path("results"),
    out: Annotated[Path, typer.Option(help="a .parquet file (`import` reads it), or .csv for spreadsheets")] = Path(
        "results.parquet"
    ),
    replicates: Annotated[bool, typer.Option("--replicates", help="also second runs of one identity")] = False,
) -> None:
    """Write results as one flat table: a row for each run and metric.

    Example: medzoo results export results --out results.csv
    """
    from medzoo.bench.results.store import ResultStore
    from medzoo.bench.sharing.flat_table import export as write
    from medzoo.bench.sharing.layout import replicate_of, run_file
    from medzoo.errors import ResultError

    check_file(out, "--out")
    found = ResultStore(store).all(replicates=replicates) if store.is_dir() else []
    if not found:
        raise ResultError(f"{store} holds no results to export.")
    rows = write(((run_file(row["identity"], replicate_of(path.name)), row) for path, row in found), out)
    print(f"{out}: {_runs(len(found))}, {rows} rows")


def push(
    store: Store,
    repo: Repo,
    salt_file: Annotated[
        Path | None,
        typer.Option(help="file with your secret salt; by default one beside the store, drawn on first use"),
    ] = None,
    private: Private = None,
    license: Annotated[str, typer.Option(help="of the results, for the card of a new repository")] = "unknown",
    pr: Annotated[bool, typer.Option("--pr", help="open a pull request instead of committing")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only check, and show what would go up")] = False,
) -> None:
    """Put the runs of a store into a data set repository, in one commit; the same again changes nothing.

    With the runs go their predictions. Ids of images and patients are hashed with a secret salt, which stays on this machine:
    keep the file STORE.salt, or later runs cannot be compared with these case by case (one --salt-file serves several stores).
    Labels stay here where the terms of a data set demand it (`medzoo tasks info NAME`: labels_stay). Of your own data labels and
    probabilities go up as they are: whether that is allowed is for you to know.

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
        drawn = not salt_path(store).is_file()
        salt = store_salt(store)
        if drawn:
            print(f"drew a secret salt: keep {salt_path(store)}, and keep it to yourself")
    sent = push_results(
        store, repo, salt=salt, private=private, create_pr=pr, dry_run=dry_run, license=license
    )  # fmt: skip
    for name in sent.added:
        print(f"{'would go up' if dry_run else 'went up'}: {name}")
    for note in sent.notes:
        print(f"note: {note}")
    print(f"{_runs(len(sent.added))} {'to add' if dry_run else 'added'}, {sent.known} known")
    print(f"{sent.address}{' (nothing was written)' if sent.unchanged or dry_run else ''}")


def pull(
    repo: Repo,
    to: To = Path("results"),
    revision: Annotated[str | None, typer.Option(help="branch, tag, commit or refs/pr/N; by default main")] = None,
) -> None:
    """Bring the runs of a repository into a store, with their predictions. Exit 1 if something was left out.

    Example: medzoo results pull medzoo/results --to results; medzoo table results
    """
    from medzoo.bench.sharing.push_pull import pull_results

    _told(pull_results(repo, to, revision=revision), to)


def _told(taken: Any, to: Path) -> None:  # noqa: ANN401 - Taken; its module is imported only when needed
    for line in taken.left_out:
        print(f"left out: {line}")
    print(f"{taken} in {to}")
    if taken.left_out:
        raise typer.Exit(1)


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
