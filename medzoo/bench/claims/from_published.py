"""What the published numbers alone say about a claim: differences, tests over runs, and the probability that it is false."""

from __future__ import annotations

from dataclasses import dataclass, replace

from medzoo.bench.claims.false_claims import congruence_range, false_accuracy_claim, false_auroc_claim
from medzoo.bench.claims.read import Claim, Stated
from medzoo.bench.metrics import metric
from medzoo.bench.published.read import load_published
from medzoo.bench.published.schema import PublishedColumn, PublishedTable, Value
from medzoo.bench.statistics.hypothesis_tests import TTest, holm, welch, welch_of_summaries

CORRELATION = 0.6  # between the AUROCs of two checkpoints on the same images, as assumed before runs in a suite's plan
ASSUMED = {
    "runs": "Welch's test compares runs only: it ignores that runs share test images (and folds training images).",
    "holm": "Holm's correction is over all tests of one claim.",
    "flat": "Probability that a claim is false: posterior with a flat prior, from the published means and the number of test "
    "images; images count as independent, although images of one patient are not; the spread over runs is not in it.",
    "accuracy": "Accuracies: the share of images that both get right is not published. Shown for independent errors and for the "
    "largest possible share.",
    "auroc": f"AUROC: normal approximation of Hanley and McNeil; the correlation of the two is not published. Shown for 0 and "
    f"{CORRELATION:g}.",
    "folds": "Folds: their test sets are taken as disjoint, of the size of the study's present folds.",
}


@dataclass(frozen=True)
class FalseClaim:
    """The probability that a difference is not in the claimed direction.

    Args:
        assumption: that it depends on.
        probability: between 0 and 1.
    """

    assumption: str
    probability: float


@dataclass(frozen=True)
class PublishedDifference:
    """A pair of published rows on one data set.

    Args:
        table: of the study.
        column: its label.
        better: row that is claimed to be better.
        than: the other row.
        metric: name.
        delta: of the means; positive if the first is better.
        runs: numbers of runs; None where they are not published.
        p: of Welch's test, two-sided; None without a test.
        p_holm: in the family of the claim.
        why_no_test: the reason.
        test_images: of the test split, if known.
        false: probabilities that the claim is false; empty if they cannot be computed.
        why_not_false: the reason.
        stated: the difference that the abstract prints.
        printed_p: the p value that the study prints.
        uses: keys of the assumptions.
        notes: of the two cells.
    """

    table: str
    column: str
    better: str
    than: str
    metric: str
    delta: float
    runs: tuple[int | None, int | None]
    p: float | None = None
    p_holm: float | None = None
    why_no_test: str = ""
    test_images: int | None = None
    false: tuple[FalseClaim, ...] = ()
    why_not_false: str = ""
    stated: Stated | None = None
    printed_p: float | None = None
    uses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def published_differences(claim: Claim) -> list[PublishedDifference]:
    """All pairs of a claim on all of its columns, with Holm's correction over their tests.

    Args:
        claim: to check.
    """
    study = load_published(claim.study)
    found = []
    for table in study.tables:
        if table.name not in claim.tables:
            continue
        for column in table.columns:
            if claim.columns and column.name not in claim.columns:
                continue
            for better, than in claim.pairs:
                cells = table.find(better, column.name), table.find(than, column.name)
                if cells[0] is None or cells[1] is None:
                    continue
                first, second = (table.value(cell) for cell in cells if cell is not None)
                names = [study.row(name).title or name for name in (better, than)]
                printed = [t.p for t in table.tests if (t.row, t.against, t.column) == (better, than, column.name)]
                one = _difference(claim, table, column, (better, than), first, second)
                found.append(
                    replace(
                        one,
                        better=names[0],
                        than=names[1],
                        printed_p=printed[0] if printed else None,
                        notes=tuple(f"{c.row}: {c.note}" for c in cells if c is not None and c.note),
                    )
                )
    tested = [place for place, one in enumerate(found) if one.p is not None]
    for place, p in zip(tested, holm([found[place].p or 0.0 for place in tested]), strict=True):
        found[place] = replace(found[place], p_holm=p)
    return found


def _difference(
    claim: Claim,
    table: PublishedTable,
    column: PublishedColumn,
    pair: tuple[str, str],
    first: Value,
    second: Value,
) -> PublishedDifference:
    sign = 1 if metric(column.metric).higher_is_better else -1
    first, second = (_with_runs(value, claim.assumed_runs) for value in (first, second))
    test, why = _test(first, second)
    false, why_not, uses = _false(table, column, first.mean, second.mean)
    return PublishedDifference(
        table.title,
        column.label,
        *pair,
        column.metric,
        sign * (first.mean - second.mean),
        (first.n, second.n),
        p=None if test is None else test.p,
        why_no_test=why,
        test_images=column.test_images,
        false=false,
        why_not_false=why_not,
        stated=_stated(claim, table, column, pair[0]),
        uses=(*(("runs", "holm") if test else ()), *uses),
    )


def _with_runs(value: Value, assumed: int | None) -> Value:
    return replace(value, n=assumed) if value.n is None and value.sd is not None and assumed else value


def _test(first: Value, second: Value) -> tuple[TTest | None, str]:
    if len(first.runs) > 1 and len(second.runs) > 1:
        return welch(first.runs, second.runs), ""
    if first.sd is None or second.sd is None:
        return None, "neither runs nor standard deviations are published"
    if first.n is None or second.n is None:
        return None, "the number of runs is not published"
    if first.sample_sd is None or second.sample_sd is None:
        return None, "the kind of standard deviation is not known"
    return welch_of_summaries((first.mean, first.sample_sd, first.n), (second.mean, second.sample_sd, second.n)), ""


def _false(
    table: PublishedTable, column: PublishedColumn, first: float, second: float
) -> tuple[tuple[FalseClaim, ...], str, tuple[str, ...]]:
    """The probabilities, or the reason why there are none, and the assumptions."""
    if not metric(column.metric).higher_is_better:
        return (), f"there is no formula for {metric(column.metric).title}", ()
    if column.metric == "accuracy":
        if column.test_images is None:
            return (), "the number of test images is not published", ()
        low, high = congruence_range(first, second)
        shares = {"independent errors": max(low, first * second), "largest possible agreement": high}
        made = tuple(
            FalseClaim(words, false_accuracy_claim(first, second, column.test_images, share))
            for words, share in shares.items()
        )
        return made, "", ("flat", "accuracy")
    if column.metric == "auroc":
        if column.labels > 1:
            return (), f"a mean over {column.labels} labels needs the AUROC of each and their correlations", ()
        if column.test_images is None or column.test_positives is None:
            return (), "the numbers of positive and negative test images are not published", ()
        folds = len(table.names_of_runs) if table.repeats == "fold" else 1
        negatives = column.test_images - column.test_positives
        made = tuple(
            FalseClaim(
                f"correlation {r:g}", false_auroc_claim(first, second, column.test_positives, negatives, r, folds)
            )
            for r in (0.0, CORRELATION)
        )
        return made, "", ("flat", "auroc", *(("folds",) if folds > 1 else ()))
    return (), "the standard deviation over test images is not published", ()


def _stated(claim: Claim, table: PublishedTable, column: PublishedColumn, row: str) -> Stated | None:
    return next(
        (
            one
            for one in claim.stated
            if one.column == column.name and one.table in (None, table.name) and one.row in (None, row)
        ),
        None,
    )
