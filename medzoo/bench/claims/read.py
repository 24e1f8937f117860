"""The claims of the studies as data: recipes/published/claims.toml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medzoo import paths
from medzoo.bench.published.read import load_published
from medzoo.bench.suites.read import list_suites
from medzoo.closed_schema import parse
from medzoo.errors import UnknownNameError, UsageError
from medzoo.training.options.fields import option
from medzoo.training.options.toml_files import read_toml


@dataclass(frozen=True)
class Stated:
    """A difference that an abstract prints.

    Args:
        column: of the study's table.
        delta: as printed, on medzoo's scale.
        table: of the study; None for all tables of the claim.
        row: the pre-training that is claimed to be better; None for all.
        p: as printed.
    """

    column: str
    delta: float
    table: str | None = None
    row: str | None = None
    p: float | None = option("as printed", None, least=0, most=1)


@dataclass(frozen=True)
class Claim:
    """A claim of an abstract, as pairs of rows in the study's published tables.

    Args:
        name: one word.
        study: in recipes/published/.
        statement: the claim in one sentence.
        source: its address.
        tables: of the study.
        pairs: a pre-training that is claimed to be better, and the one it is compared with.
        suites: which would give rows of your own.
        columns: of the tables; empty for all.
        stated: differences that the abstract prints.
        assumed_runs: number of runs, where the study does not publish it.
        note: what a reader should know.
    """

    name: str
    study: str
    statement: str
    source: str
    tables: tuple[str, ...]
    pairs: tuple[tuple[str, ...], ...]
    suites: tuple[str, ...]
    columns: tuple[str, ...] = ()
    stated: tuple[Stated, ...] = ()
    assumed_runs: int | None = option("where the study does not publish it", None, least=2)
    note: str = ""


@dataclass(frozen=True)
class _ClaimsFile:
    """The content of the file."""

    claims: tuple[Claim, ...]


def load_claims(file: Path | None = None) -> tuple[Claim, ...]:
    """All claims; every name in them is checked.

    Args:
        file: of claims; by default those that ship with medzoo.

    Raises:
        UsageError: for an unknown key, study, table, row, column or suite.

    >>> [claim.name for claim in load_claims() if claim.study == "juodelyte2023"]
    ['imagenet-or-radimagenet', 'radimagenet-gain']
    """
    path = file or paths.data_dir("recipes") / "published" / "claims.toml"
    claims = parse(_ClaimsFile, read_toml(path, "The claims"), str(path), UsageError).claims
    names = [claim.name for claim in claims]
    for claim in claims:
        where = f"{path}: claim {claim.name!r}"
        if names.count(claim.name) > 1:
            raise UsageError(f"{where} occurs twice.", code="claim-twice")
        _check(claim, where)
    return claims


def choose(claims: tuple[Claim, ...], names: list[str] | None) -> tuple[Claim, ...]:
    """The claims with these names; all of them without names.

    Args:
        claims: to choose from.
        names: of claims, or of studies.

    Raises:
        UnknownNameError: for a name of neither.
    """
    known = [*(claim.name for claim in claims), *dict.fromkeys(claim.study for claim in claims)]
    for name in names or []:
        if name not in known:
            raise UnknownNameError("claim", name, known, f"Known: {', '.join(known)}.")
    return tuple(claim for claim in claims if not names or claim.name in names or claim.study in names)


def _check(claim: Claim, where: str) -> None:
    study = load_published(claim.study)
    tables = {table.name: table for table in study.tables}
    rows = [row.name for row in study.checkpoints]
    columns = [column.name for name in claim.tables if name in tables for column in tables[name].columns]
    wrong = [f"table {name!r}" for name in claim.tables if name not in tables]
    wrong += [f"row {name!r}" for pair in claim.pairs for name in pair if name not in rows]
    wrong += [f"column {name!r}" for name in claim.columns if name not in columns]
    wrong += [f"column {one.column!r}" for one in claim.stated if one.column not in columns]
    wrong += [f"suite {name!r}" for name in claim.suites if name not in list_suites()]
    if wrong:
        raise UsageError(f"{where}: unknown {', '.join(wrong)}.", code="claim-name-unknown")
    if any(len(pair) != 2 for pair in claim.pairs):
        raise UsageError(f'{where}: a pair has two rows: ["better", "than"].', code="claim-pair-invalid")
