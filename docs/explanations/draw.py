"""Draw the pictures of these pages; every number in them is computed here.

    python docs/explanations/draw.py            # half a minute on one core
    python docs/explanations/draw.py overlap    # one picture

The same versions of matplotlib and numpy write the same bytes: the files have no dates, and their identifiers come from a fixed
salt.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy.stats import norm

from medzoo.bench import stats
from medzoo.bench.statistics.closed_form import contributions
from medzoo.bench.statistics.crossed import estimate, t_quantile
from medzoo.bench.statistics.resolution import planned, resolution

FOLDER = Path(__file__).parent
BLUE, ORANGE, GREY = "#1f5fa8", "#c4590e", "#666666"
SETTINGS = {
    "svg.hashsalt": "medzoo", "svg.fonttype": "path", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
    "figure.facecolor": "white", "axes.edgecolor": GREY, "axes.linewidth": 0.8, "legend.frameon": False,
}  # fmt: skip


@dataclass(frozen=True)
class SimulatedStudy:
    """A study whose true AUROC is known: half of the patients are positive, and each has several images.

    Args:
        patients: in the test split.
        images: of each patient.
        separation: of the classes, in standard deviations of a score.
        shared: share of a score's variance that the images of a patient have in common.
        run_sd: standard deviation of the separation over runs.
    """

    patients: int = 100
    images: int = 3
    separation: float = 1.5
    shared: float = 0.5
    run_sd: float = 0.2

    @property
    def groups(self) -> np.ndarray:
        """The patient of each image."""
        return np.repeat(np.arange(self.patients), self.images)

    @property
    def labels(self) -> np.ndarray:
        """The label of each image."""
        return self.groups % 2

    @property
    def truth(self) -> float:
        """The AUROC of an average run on all patients of the world: the mean of Φ(s / √2) over s, which has this closed form."""
        return float(norm.cdf(self.separation / np.sqrt(2 + self.run_sd**2)))

    def scores(self, rng: np.random.Generator, runs: int, common: np.ndarray | None = None) -> np.ndarray:
        """The scores of some runs on new patients: 70 % of the noise is the same for all runs.

        Args:
            rng: of the study.
            runs: number of runs.
            common: noise that another checkpoint has too; None draws it.
        """
        common = self.noise(rng) if common is None else common
        separations = self.separation + self.run_sd * rng.normal(size=(runs, 1))
        own = np.stack([self.noise(rng) for _ in range(runs)])
        return separations * self.labels + 0.7**0.5 * common + 0.3**0.5 * own

    def noise(self, rng: np.random.Generator) -> np.ndarray:
        """Noise of images with variance 1, a part of which is shared by the images of a patient."""
        patient = rng.normal(size=self.patients)[self.groups]
        return self.shared**0.5 * patient + (1 - self.shared) ** 0.5 * rng.normal(size=len(self.groups))


def coverage(study: SimulatedStudy, runs: int, repetitions: int = 1000) -> dict[str, float]:
    """How often intervals of 95 % contain the true AUROC, by several ways to compute them: those for one run, or for several."""
    rng = np.random.default_rng(1)
    hits: dict[str, list[bool]] = {}
    labels, patients, each_image = study.labels, study.groups, np.arange(len(study.labels))
    for seed in range(repetitions):
        scores = study.scores(rng, runs)
        if runs == 1:
            found = {
                "bootstrap of images": ends(stats.bootstrap(labels, scores, each_image, draws=300, seed=seed)),
                "bootstrap of patients": ends(stats.bootstrap(labels, scores, patients, draws=300, seed=seed)),
            }
        else:
            values = contributions(labels, scores, patients, "auroc").values
            mean, sd = values.mean(), values.std(ddof=1)
            reach = t_quantile(0.95, runs - 1) * sd / np.sqrt(runs)
            found = {
                "mean ± sd over seeds": (mean - sd, mean + sd),
                "mean ± t · sd / √n over seeds": (mean - reach, mean + reach),
                "bootstrap of patients and runs": ends(stats.bootstrap(labels, scores, patients, draws=300, seed=seed)),
                "closed form (medzoo)": ends(stats.interval(labels, scores, patients)),
            }
        for way, (low, high) in found.items():
            hits.setdefault(way, []).append(low <= study.truth <= high)
    return {way: float(np.mean(found)) for way, found in hits.items()}


def ends(found: stats.Interval) -> tuple[float, float]:
    """The two ends of an interval that exists."""
    assert found.low is not None and found.high is not None
    return found.low, found.high


def draw_overlap() -> Figure:
    """Two intervals that overlap, and the difference on the same patients, which excludes zero."""
    study, better = (SimulatedStudy(200, 2, separation, run_sd=0.05) for separation in (1.5, 1.8))
    rng = np.random.default_rng(0)
    common = study.noise(rng)
    a, b = better.scores(rng, 5, common), study.scores(rng, 5, common)
    found = stats.compare(study.labels, a, b, study.groups)
    assert found.low is not None and found.high is not None
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.2), width_ratios=(3, 2), layout="constrained")
    for row, (scores, colour) in enumerate(((b, GREY), (a, BLUE))):
        one = stats.interval(study.labels, scores, study.groups)
        left.plot(ends(one), (row, row), color=colour, linewidth=3, solid_capstyle="butt")
        left.plot(one.mean, row, "o", color=colour, markersize=8)
        left.text(one.mean, row + 0.18, f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]", ha="center", color=colour)
    left.set(
        yticks=(0, 1), yticklabels=("checkpoint B", "checkpoint A"), ylim=(-0.5, 1.6), xlabel="AUROC, 95 % intervals"
    )
    right.axvline(0, color=GREY, linestyle="--", linewidth=1)
    right.plot((found.low, found.high), (0, 0), color=ORANGE, linewidth=3, solid_capstyle="butt")
    right.plot(found.delta, 0, "o", color=ORANGE, markersize=8)
    right.text(
        found.delta, 0.18, f"{found.delta:+.3f} [{found.low:+.3f}, {found.high:+.3f}]", ha="center", color=ORANGE
    )
    right.set(yticks=(), ylim=(-0.5, 1.6), xlabel="A minus B on the same patients", xlim=(-0.01, found.high + 0.01))
    return figure


def draw_coverage() -> Figure:
    """How often each way of computing an interval covers the truth, for one, three and ten runs."""
    results = {runs: coverage(SimulatedStudy(), runs) for runs in (1, 3, 10)}
    order = [*results[1], *results[10]][::-1]
    blank = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}
    figure, axes = plt.subplots(figsize=(7.2, 3.2), layout="constrained")
    axes.axvline(95, color=GREY, linestyle="--", linewidth=1)
    places = zip(results.items(), (GREY, ORANGE, BLUE), (0.0, 0.14, -0.14), strict=True)
    for (runs, found), colour, shift in places:
        rows = np.array([order.index(way) for way in found]) + shift
        points = [100 * value for value in found.values()]
        axes.hlines(rows, 0, points, color=colour, linewidth=1, alpha=0.4)
        axes.plot(points, rows, "o", color=colour, label=f"{runs} run{'s' * (runs > 1)}")
        for row, value in zip(rows, points, strict=True):
            axes.text(value + 1.5, row, f"{value:.0f}", va="center", color=colour, fontsize=8, bbox=blank)
    axes.set(
        yticks=range(len(order)),
        yticklabels=order,
        xlim=(0, 104),
        xlabel="% of 95 % intervals that contain the true AUROC",
    )
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def draw_runs() -> Figure:
    """The standard error of a mean over more and more runs: the part of the patients remains."""
    study, rng = SimulatedStudy(), np.random.default_rng(2)
    counts = (2, 3, 5, 10, 20, 40)
    scores = [study.scores(rng, 40) for _ in range(60)]
    figure, axes = plt.subplots(figsize=(7.2, 2.8), layout="constrained")
    total, patients, over_seeds = [], [], []
    for count in counts:
        cells = [contributions(study.labels, one[:count], study.groups, "auroc") for one in scores]
        found = [estimate(cell.values, cell.vectors, cell.cases_df) for cell in cells]
        total.append(np.mean([one.se**2 for one in found]) ** 0.5)
        patients.append(np.mean([one.patient_variance for one in found]) ** 0.5)
        over_seeds.append(np.mean([cell.values.var(ddof=1) / count for cell in cells]) ** 0.5)
    axes.plot(counts, total, "o-", color=BLUE, label="standard error for other patients and other runs")
    axes.plot(counts, patients, "--", color=GREY, label="part of the patients")
    axes.plot(counts, over_seeds, "o-", color=ORANGE, label="sd over seeds / √n")
    axes.set(
        xscale="log", xticks=counts, xticklabels=counts, ylim=(0, None), xlabel="runs", ylabel="standard error of AUROC"
    )
    axes.minorticks_off()
    axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.5), fontsize=9)
    return figure


def draw_resolution() -> Figure:
    """The smallest difference that a comparison of two checkpoints shows, by numbers of patients and of runs."""
    patients = np.unique(np.geomspace(40, 3000, 50).astype(int))
    figure, axes = plt.subplots(figsize=(7.2, 3.0), layout="constrained")
    for runs, colour in ((3, ORANGE), (5, GREY), (20, BLUE)):
        found = []
        for count in patients.tolist():
            plan = planned(count // 2, count - count // 2, runs)
            found.append(resolution(plan, runs, count).detectable)
        axes.plot(patients, found, color=colour, label=f"{runs} runs of each")
    axes.axhline(0.01, color=GREY, linestyle=":", linewidth=1)
    ticks = (50, 100, 200, 500, 1000, 2000, 3000)
    axes.set(xscale="log", yscale="log", xlabel="test patients, half of them positive", ylabel="difference of AUROC")
    axes.set(
        xticks=ticks,
        xticklabels=[f"{tick:,}" for tick in ticks],
        yticks=(0.005, 0.01, 0.02, 0.05, 0.1),
        ylim=(0.003, 0.2),
    )
    axes.set_yticklabels(["0.005", "0.01", "0.02", "0.05", "0.1"])
    axes.minorticks_off()
    axes.legend()
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    "overlap": draw_overlap,
    "coverage": draw_coverage,
    "runs": draw_runs,
    "resolution": draw_resolution,
}


def main() -> None:
    """Draw the pictures that are named, or all of them."""
    for name in sys.argv[1:] or PICTURES:
        with mpl.rc_context(SETTINGS):
            figure = PICTURES[name]()
            figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None, "Creator": None})
            plt.close(figure)
        print(f"{name}.svg: {(FOLDER / f'{name}.svg').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
