"""The variance of a mean over runs that all read the same patients: runs are readers, patients are cases."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from medzoo.errors import MissingExtraError


@dataclass(frozen=True)
class Estimate:
    """A mean over runs with its standard error.

    Args:
        mean: over the runs.
        se: standard error, of patients and runs together.
        df: degrees of freedom of the t distribution.
        run_variance: variance of one run around the mean that is not from the patients (seeds); 0 for one run.
        patient_variance: the part of se² that more runs do not reduce.
        single_variance: variance of one run from the patients.
    """

    mean: float
    se: float
    df: float
    run_variance: float
    patient_variance: float
    single_variance: float


def estimate(values: np.ndarray, vectors: np.ndarray, cases_df: float) -> Estimate:
    """The mean over runs and its standard error in closed form.

    The products of the patients' influences give the covariance of the runs that is due to the patients. What the runs differ in
    beyond that is the variance of the seeds.

    Args:
        values: (S,) the metric of each run, or its differences.
        vectors: (S, P) influences of the patients.
        cases_df: degrees of freedom of the patients' part.

    Source: Obuchowski 1997 (doi:10.2307/2533958) for patients with several images; Gallas 2006
    (doi:10.1016/j.acra.2005.11.030) for several readers; Satterthwaite 1946 (doi:10.2307/3002019).

    >>> flat = estimate(np.array([0.5]), np.array([[0.1, -0.1]]), 1.0)
    >>> flat.mean, round(flat.se, 3)
    (0.5, 0.2)
    """
    runs, patients = vectors.shape
    covariance = vectors @ vectors.T * (patients / max(patients - 1, 1))
    single, common = float(np.trace(covariance)) / runs, float(covariance.mean())
    if runs == 1:
        return Estimate(float(values[0]), sqrt(max(common, 0.0)), max(cases_df, 1.0), 0.0, common, single)
    shared = (runs * common - single) / (runs - 1)  # the mean of the entries off the diagonal
    between, within = float(values.var(ddof=1)), single - shared
    seeds = max(between - within, 0.0)
    variance = seeds / runs + common
    patient_part = max(shared, 0.0)
    run_part = max(variance - patient_part, 0.0)
    spread = run_part**2 / (runs - 1) + patient_part**2 / max(cases_df, 1.0)
    least = min(runs - 1.0, max(cases_df, 1.0))  # Satterthwaite's formula gives no less, apart from rounding
    df = max(variance**2 / spread, least) if spread > 0 else least
    return Estimate(float(values.mean()), sqrt(max(variance, 0.0)), df, seeds, patient_part, single)


def t_quantile(level: float, df: float) -> float:
    """How many standard errors a two-sided interval of a t distribution reaches.

    Args:
        level: of the interval.
        df: degrees of freedom.

    >>> round(t_quantile(0.95, 4), 3)
    2.776
    """
    return float(special_functions().stdtrit(df, (1 + level) / 2))


def t_tail(t: float, df: float) -> float:
    """The probability of a larger value of a t distribution.

    Args:
        t: value.
        df: degrees of freedom.

    >>> round(t_tail(2.776, 4), 3)
    0.025
    """
    return float(special_functions().stdtr(df, -t))


def special_functions() -> Any:  # noqa: ANN401 - a module
    """scipy.special, imported when it is needed."""
    try:
        from scipy import special
    except ImportError as error:
        raise MissingExtraError("scipy", "recipes", "Statistics") from error
    return special
