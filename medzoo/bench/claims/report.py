"""The claims of the studies, checked with published numbers and with your own results, as text, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medzoo.bench.claims.from_published import ASSUMED, PublishedDifference, published_differences
from medzoo.bench.claims.from_results import Contrast, OwnDifference, contrasts, own_differences, stored_names
from medzoo.bench.claims.read import Claim
from medzoo.bench.published.read import load_published

MOST_LINES = 30  # of published differences in a terminal; more are counted for each column
ALPHA = 0.05


@dataclass(frozen=True)
class CheckedClaim:
    """A claim with what is known about it.

    Args:
        claim: as data.
        study: title of the study.
        published: from the study's numbers alone.
        own: from stored results.
        contrasts: of the own differences over tasks.
        commands: which would give rows of your own.
    """

    claim: Claim
    study: str
    published: tuple[PublishedDifference, ...]
    own: tuple[OwnDifference, ...]
    contrasts: tuple[Contrast, ...]
    commands: tuple[str, ...]

    @property
    def assumptions(self) -> list[str]:
        """All that its numbers assume."""
        used = {key for one in self.published for key in one.uses}
        return [text for key, text in ASSUMED.items() if key in used]

    @property
    def summary(self) -> str:
        """The published differences in one sentence."""
        rows = self.published
        up = sum(one.delta > 0 for one in rows)
        text = f"published: {up} of {len(rows)} differences are in the claimed direction"
        tested = [one for one in rows if one.p_holm is not None]
        if not tested:
            return f"{text}; no test is possible ({self._reasons()})"
        sure = [one for one in tested if (one.p_holm or 0.0) < ALPHA]
        ahead = sum(one.delta > 0 for one in sure)
        return (
            f"{text}; {ahead} of {len(tested)} tests show it after Holm's correction, {len(sure) - ahead} the opposite"
        )

    def _reasons(self) -> str:
        return "; ".join(dict.fromkeys(one.why_no_test for one in self.published if one.why_no_test)) or "no numbers"

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "name": self.claim.name,
            "study": self.study,
            "statement": self.claim.statement,
            "source": self.claim.source,
            "summary": self.summary,
            "published": [asdict(one) for one in self.published],
            "own": [asdict(one) for one in self.own],
            "contrasts": [asdict(one) for one in self.contrasts],
            "commands": list(self.commands),
            "assumptions": self.assumptions,
            "note": self.claim.note,
        }


def check_claims(claims: Iterable[Claim], results: Path | None = None) -> list[CheckedClaim]:
    """Check claims.

    Args:
        claims: of `load_claims`.
        results: folder of a store with your own results; None without.
    """
    made = []
    named = set() if results is None else stored_names(results)  # read once for all claims
    for claim in claims:
        own = [] if results is None else own_differences(claim, results, named)
        commands = tuple(f"python recipes/benchmark.py recipes/suites/{name}.toml --root DATA" for name in claim.suites)
        study = load_published(claim.study).title
        made.append(
            CheckedClaim(claim, study, tuple(published_differences(claim)), tuple(own), tuple(contrasts(own)), commands)
        )
    return made


def text(checked: Iterable[CheckedClaim]) -> str:
    """Plain text for a terminal.

    Args:
        checked: of `check_claims`.
    """
    return "\n".join(line for one in checked for line in _lines(one))


def markdown(checked: Iterable[CheckedClaim]) -> str:
    """A Markdown page with all differences.

    Args:
        checked: of `check_claims`.
    """
    lines = ["# Claims of the studies", ""]
    for one in checked:
        lines += [f"## {one.claim.name}", "", f"{one.study}: {one.claim.statement} ({one.claim.source})", ""]
        lines += ["**Your results**", "", *(f"- {line}" for line in _own_lines(one)), ""]
        lines += ["**Published numbers**", "", f"{_sentence(one.summary)}", ""]
        head = [
            "table",
            "column",
            "better",
            "than",
            "difference",
            "p (Welch)",
            "p (Holm)",
            "probability of a false claim",
        ]
        lines += ["| " + " | ".join(head) + " |", "| --- | --- | --- | --- | ---: | ---: | ---: | --- |"]
        for row in one.published:
            cells = [row.table, row.column, row.better, row.than, f"{row.delta:+.4f}{_stated(row)}"]
            cells += [_test(row) + f" ({row.why_no_test})" * bool(row.why_no_test), _p(row.p_holm) or "—", _false(row)]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines += ["", *(f"- {note}" for note in _notes(one)), ""]
    return "\n".join(lines)


def _lines(one: CheckedClaim) -> list[str]:
    lines = [f"{one.claim.name} ({one.study})", f"  {one.claim.statement}", "  Your results:"]
    lines += [f"    {line}" for line in _own_lines(one)]
    lines += [f"  {_sentence(one.summary)}"]
    if len(one.published) > MOST_LINES:
        lines += [f"    {line}" for line in _counted(one.published)]
        lines.append("    (--out or --json shows each)")
    else:
        rows = [("", "", "difference", "Welch p", "Holm p", "probability of a false claim")]
        rows += [
            (f"{row.better} > {row.than}", f"{row.column}, {row.table}", f"{row.delta:+.4f}{_stated(row)}",
             _test(row), _p(row.p_holm) or "—", _false(row))
            for row in one.published
        ]  # fmt: skip
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["    " + "  ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, *(f"  - {note}" for note in _notes(one)), ""]


def _own_lines(one: CheckedClaim) -> list[str]:
    if not one.own:
        return ["no rows yet: run", *(f"  {command}" for command in one.commands)]
    lines = []
    for row in one.own:
        span = "" if row.low is None or row.high is None else f" [{row.low:+.4f}, {row.high:+.4f}]"
        p = "" if row.p_holm is None else f", Holm p {_p(row.p_holm)}"
        note = f" ({row.note})" if row.note else ""
        lines.append(
            f"{row.better} against {row.than} on {row.task}, {row.how}: {row.metric} {row.delta:+.4f}{span}{p}: "
            f"{row.verdict}{note}"
        )
    lines += [
        f"{mean.better} against {mean.than}, mean of {mean.tasks} tasks, {mean.how}: {mean.metric} {mean.delta:+.4f} "
        f"[{mean.low:+.4f}, {mean.high:+.4f}], p {_p(mean.p)}: {mean.verdict}"
        for mean in one.contrasts
    ]
    return lines


def _counted(rows: Iterable[PublishedDifference]) -> list[str]:
    """One line for each column."""
    by_column: dict[str, list[float]] = {}
    for row in rows:
        by_column.setdefault(f"{row.column}, {row.table}", []).append(row.delta)
    return [
        f"{column}: {sum(delta > 0 for delta in deltas)} of {len(deltas)} better; mean difference "
        f"{sum(deltas) / len(deltas):+.4f}, from {min(deltas):+.4f} to {max(deltas):+.4f}"
        for column, deltas in by_column.items()
    ]


def _notes(one: CheckedClaim) -> list[str]:
    no_test = dict.fromkeys(row.why_no_test for row in one.published if row.why_no_test)
    no_false: dict[str, list[str]] = {}
    for row in one.published:
        if row.why_not_false:
            no_false.setdefault(row.why_not_false, []).append(row.column)
    cells = dict.fromkeys(f"{row.column}: {note}" for row in one.published for note in row.notes)
    return [
        *(f"No test: {why}." for why in no_test),
        *(
            f"Probability of a false claim not computable on {', '.join(dict.fromkeys(columns))}: {why}."
            for why, columns in no_false.items()
        ),
        *(f"{note}." for note in cells),
        *([f"{_sentence(one.claim.note)}"] if one.claim.note else []),
        *one.assumptions,
    ]


def _stated(row: PublishedDifference) -> str:
    if row.stated is None:
        return ""
    p = "" if row.stated.p is None else f", p {row.stated.p:g}"
    return f" (stated {row.stated.delta:+.4f}{p})"


def _test(row: PublishedDifference) -> str:
    """Welch's p value, and the one that the study prints."""
    return (_p(row.p) or "—") + ("" if row.printed_p is None else f" (printed {row.printed_p:g})")


def _false(row: PublishedDifference) -> str:
    if not row.false:
        return "not computable"
    return "; ".join(f"{_share(one.probability)} ({one.assumption})" for one in row.false)


def _share(value: float) -> str:
    return "<0.001" if value < 0.0005 else ">0.999" if value > 0.9995 else f"{value:.3f}"


def _p(value: float | None) -> str:
    return "" if value is None else "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
