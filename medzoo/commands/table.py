"""`medzoo table`: stored results as a table, alone or in the rows and columns of a suite."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medzoo.commands.common import Hub
from medzoo.commands.terminal import completion
from medzoo.errors import MedzooError, UsageError

if TYPE_CHECKING:
    from medzoo.bench.table.table import Table


def table(
    results: Annotated[
        Path | None,
        typer.Argument(
            help="a store of results (the folder that runs wrote with --results); not needed with --suite",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="folder for table.md, .html, .png, .csv, .tex and .parquet; by default the table is only printed"
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            help="name of a suite, or its .toml file: its rows and columns, with the numbers that its study published",
            autocompletion=completion.suites,
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="title of the table; by default that of the suite, or Results")
    ] = None,
    checkpoints: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoints",
            "--checkpoint",
            help="a row: a name, folder, run folder or org/name; repeat for more rows, in their order; by default all",
            autocompletion=completion.checkpoints,
        ),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--tasks",
            "--task",
            help="a column; repeat for more columns, in their order; by default all",
            autocompletion=completion.tasks,
        ),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="shown instead of the tasks' own: auroc, auprc, accuracy, brier, ...")
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            help="a row: all others are compared with it, on the same patients", autocompletion=completion.checkpoints
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="largest difference that does not matter, chosen before the runs: smaller ones are equivalent"
        ),
    ] = None,
    statistics: Annotated[
        bool, typer.Option("--statistics/--no-statistics", help="read the predictions, for intervals and comparisons")
    ] = True,
    study_tests: Annotated[
        bool,
        typer.Option(
            "--study-tests",
            help="also print the tests of the studies (Welch, Student, population sd; uncorrected) against the control",
        ),
    ] = False,
    duplicates: Annotated[
        list[Path] | None,
        typer.Option(
            help="report of `medzoo tasks duplicates TASK --against DATA --json`, for the marks of values whose test images were "
            "in the pre-training; repeat for more"
        ),
    ] = None,
    update: Annotated[
        list[Path] | None, typer.Option(help="a Markdown file whose tables are made again; repeat for more files")
    ] = None,
    check: Annotated[
        list[Path] | None,
        typer.Option(help="a Markdown file; exit 1 if its tables are not those of the results; repeat for more files"),
    ] = None,
    hub: Hub = None,
) -> None:
    """Build a table from stored results: one row for each checkpoint, one column for each task.

    Each value is the mean over seeds with a 95 % interval for other patients and other seeds. With --control, ▲ and ▼ mark
    checkpoints that are better or worse, with Holm's correction for all comparisons of the table.

    With --suite, the table has the rows and columns of a suite, and next to them the numbers that its study published, marked
    (reported). They are never part of a mean, a test or a rank. Without RESULTS, only these numbers are shown.

    A Markdown file, such as a README, can have tables: between the line `<!-- medzoo table RESULTS --control NAME -->`, with
    any options of this command, and the line `<!-- end of medzoo table -->`. --update makes them again; --check compares.

    Example: medzoo table results --control resnet50-imagenet --margin 0.01 --out tables; medzoo table --suite juodelyte2023
    """
    if update or check:
        return _files(update or [], check or [])
    if results is None and suite is None:
        raise UsageError(
            "Give a store of results (medzoo table results), or a suite (medzoo table --suite juodelyte2023).",
            code="results-or-suite",
        )
    if results is not None and not results.is_dir():
        raise UsageError(f"{results} is not a folder. Give a store of results.", code="not-a-folder")
    if out is not None:
        from medzoo.training.options.shared import check_place

        check_place(str(out), "--out")
    made, chosen = _made(
        results, suite, title, checkpoints, tasks, metric, control, margin, statistics, duplicates or [], hub
    )
    from medzoo.progress import output_width

    print(made.to_text(output_width()))
    page = None
    if study_tests:
        from medzoo.bench.table.build import control_place
        from medzoo.bench.table.reported.study_tests import markdown, text
        from medzoo.bench.table.reported.study_tests import study_tests as tests_of

        place = control_place(chosen, None, made.rows)
        if place is None:
            raise UsageError("--study-tests needs --control NAME, a row of the table.", code="study-tests-control")
        tests, label = tests_of(made, place), made.rows[place].label
        print(text(tests, label))
        page = markdown(tests, label)
    if out is not None:
        for path in made.write(out).values():
            print(path)
        if page is not None:
            from medzoo import store

            store.write_text(out / "study_tests.md", page)
            print(out / "study_tests.md")
    return None


def _files(update: list[Path], check: list[Path]) -> None:
    """Make the tables of Markdown files again, or compare them."""
    from medzoo import store
    from medzoo.bench.table.formats.markdown_blocks import differing_lines, file_text, with_tables

    differing = []
    for path in dict.fromkeys([*update, *check]):
        text = file_text(path)
        with contextlib.chdir(path.resolve().parent):  # paths in the file are relative to it
            try:
                made = with_tables(text, str(path), _block)
            except MedzooError as error:
                error.args = (f"{path}: {error}",)
                raise
        lines = differing_lines(text, made, str(path))
        if path not in update:
            differing += lines
            print(f"{path}: {f'{len(lines)} lines differ' if lines else 'the tables are those of the results'}")
        elif text == made:
            print(f"{path} (unchanged)")
        else:
            store.write_text(path, made)
            print(path)
    if differing:
        print("\n".join(differing))
        raise typer.Exit(1)


def _block(arguments: Sequence[str]) -> str:
    """The table in a Markdown file, by the arguments of its command."""
    from medzoo.bench.table.formats.text import excerpt

    alone = typer.Typer()
    alone.command()(table)
    try:
        given = dict(typer.main.get_command(alone).make_context("medzoo table", list(arguments)).params)
    except Exception as error:
        # click's errors have it; their module depends on the version of typer
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        raise UsageError(f"medzoo table {shlex.join(arguments)}: {message()}", code="table-block-broken") from error
    for name in ("out", "update", "check", "study_tests"):
        if given.pop(name):
            raise UsageError(
                f"medzoo table {shlex.join(arguments)}: --{name.replace('_', '-')} cannot be used in a file.",
                code="table-block-broken",
            )
    given["duplicates"] = given["duplicates"] or []
    if given["results"] is None and given["suite"] is None:
        raise UsageError(f"medzoo table {shlex.join(arguments)}: no results and no suite.", code="table-block-broken")
    made, _ = _made(**given)
    return excerpt(made)


def _made(
    results: Path | None,
    suite: str | None,
    title: str | None,
    checkpoints: list[str] | None,
    tasks: list[str] | None,
    metric: str | None,
    control: str | None,
    margin: float | None,
    statistics: bool,
    duplicates: list[Path],
    hub: Path | None,
) -> tuple[Table, str | None]:
    """The table, and its control."""
    from medzoo.bench.suite_table import named_table
    from medzoo.bench.table.table import table as build

    if suite is None and results is not None:
        made = build(
            results, title=title, checkpoints=checkpoints, tasks=tasks, metric=metric, hub=hub, control=control,
            margin=margin, statistics=statistics, duplicates=duplicates,
        )  # fmt: skip
        return made, control
    if checkpoints or tasks:
        raise UsageError(
            "--suite chooses rows and columns; leave out --checkpoints and --tasks.", code="suite-with-rows-or-columns"
        )
    from medzoo.bench.suites.read import load_suite

    loaded = load_suite(str(suite))
    made = named_table(
        loaded,
        results,
        title=title,
        metric=metric,
        control=control,
        margin=margin,
        statistics=statistics,
        hub=hub,
        duplicates=duplicates,
    )
    return made, control or loaded.control
