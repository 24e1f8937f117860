"""The smallest difference that a column can show, and what a smaller one would need."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

from medzoo.bench.statistics.crossed import Estimate, t_quantile
from medzoo.progress import counted

POWER, LEVEL = 0.8, 0.95


@dataclass(frozen=True)
class Resolution:
    """What differences a comparison can show.

    Args:
        detectable: the smallest difference that is found significant in 80 % of repetitions.
        runs_needed: runs of each checkpoint for `target`; None if no number of runs suffices.
        patients_needed: test patients for `target`; None if no number of patients suffices.
        target: the difference that is asked for.
    """

    detectable: float
    runs_needed: int | None
    patients_needed: int | None
    target: float

    @property
    def worded(self) -> str:
        """Such as "smallest difference that it can show (power 80 %): 0.040; 0.01 would need 9,915 patients"."""
        text = f"smallest difference that it can show (power {100 * POWER:g} %): {self.detectable:.3f}"
        if self.detectable <= self.target:
            return text
        ways = [counted(self.runs_needed, "seed")] if self.runs_needed is not None else []
        ways += [counted(self.patients_needed, "patient")] if self.patients_needed is not None else []
        needs = (
            f"would need {' or '.join(ways)}"
            if ways
            else "is out of reach with more seeds alone, and with more patients alone"
        )
        return f"{text}; {self.target:g} {needs}"


def resolution(difference: Estimate, runs: int, patients: int, target: float = 0.01) -> Resolution:
    """The resolution of a comparison, from the variance of a difference that was measured or assumed.

    Args:
        difference: of two cells.
        runs: of each cell.
        patients: of the test split.
        target: the difference of interest.

    Source: the variance of a mean over readers and cases, Gallas 2006 (doi:10.1016/j.acra.2005.11.030).

    >>> found = resolution(Estimate(0.0, 0.004, 99.0, 1e-5, 1e-5, 2e-5), runs=5, patients=400)
    >>> round(found.detectable, 4), found.runs_needed, found.patients_needed
    (0.0113, 13, 534)
    """
    reach = t_quantile(LEVEL, difference.df) + t_quantile(2 * POWER - 1, difference.df)
    allowed = (target / reach) ** 2
    shared, seeds = difference.patient_variance, difference.run_variance / runs
    own = max(difference.se**2 - shared, 0.0)  # falls with the number of runs
    of_runs = None if shared >= allowed else max(1, ceil(runs * own / (allowed - shared)))
    of_patients = None if seeds >= allowed else max(2, ceil(patients * (difference.se**2 - seeds) / (allowed - seeds)))
    return Resolution(reach * difference.se, of_runs, of_patients, target)


def planned(
    positives: int, negatives: int, runs: int, *, auroc: float = 0.85, correlation: float = 0.6, run_sd: float = 0.01
) -> Estimate:
    """The variance of a difference of two AUROCs before anything runs.

    Args:
        positives: patients with a positive image.
        negatives: the other patients.
        runs: of each checkpoint.
        auroc: expected of both.
        correlation: expected between the two checkpoints on the same patients.
        run_sd: expected standard deviation over seeds.

    Source: Hanley and McNeil 1982 (doi:10.1148/radiology.143.1.7063747).

    >>> round(planned(390, 234, runs=5).se, 4)
    0.0147
    """
    first, second = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    top = auroc * (1 - auroc) + (positives - 1) * (first - auroc**2) + (negatives - 1) * (second - auroc**2)
    one = top / (positives * negatives)
    shared, seeds = 2 * one * (1 - correlation), 2 * run_sd**2
    variance = shared + seeds / runs
    cases = max(min(positives, negatives) - 1, 1)
    spread = shared**2 / cases + ((seeds / runs) ** 2 / (runs - 1) if runs > 1 else 0.0)
    return Estimate(0.0, sqrt(variance), variance**2 / spread, seeds, shared, shared)
