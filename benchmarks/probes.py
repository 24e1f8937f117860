"""How fast the probes of frozen features are next to scikit-learn and next to one module per head, and whether they agree.

    python benchmarks/probes.py --out benchmarks/results/probes.md

The ratios count: CPU time of the whole process, both sides in turn in one process, the median of the runs. Features are drawn
with principal variances that fall as 1/rank, as those of trained networks, or independent. Probes: 9 strengths x 5 resamples of
1,000 rows, 512 features, 5 classes that overlap.
"""

import argparse
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from medzoo.training.probe import fit_probe
from medzoo.training.probes.head_grid import LEARNING_RATES, batch_rows, first_weights, fit_head_grid
from medzoo.training.probes.knn import vote
from medzoo.training.probes.logistic import Problem, fit_logistic, polish

STRENGTHS = [10.0**power for power in range(-4, 5)]
PROTOCOL = [10.0**power for power in range(-4, 3)]  # those of the medzoo protocol


def median_seconds(runs: int, *calls: Callable[[], object]) -> list[float]:
    """Median CPU seconds of each call; the calls take turns, after one of each that is not counted."""
    for call in calls:
        call()  # first calls import modules: torch's optimizers for seconds
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(runs):
        for call, mine in zip(calls, times, strict=True):
            start = time.process_time()
            call()
            mine.append(time.process_time() - start)
    return [statistics.median(mine) for mine in times]


def drawn(rows: int, width: int, classes: int, decay: float) -> tuple[np.ndarray, np.ndarray]:
    """Features with principal deviations rank ** -decay, and classes that a noisy linear rule gives."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(rows, width))
    logits = 0.15 * hidden @ rng.normal(size=(width, classes))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    rotation = np.linalg.qr(rng.normal(size=(width, width)))[0]
    return (hidden * np.arange(1, width + 1) ** -decay @ rotation).astype(np.float32), labels


def regressions(runs: int, decay: float) -> str:
    """45 logistic regressions next to a loop of scikit-learn; both against the optimum to seven digits."""
    features, labels = drawn(2_000, 512, 5, decay)
    rng = np.random.default_rng(1)
    masks = [np.isin(np.arange(2_000), rng.permutation(2_000)[:1_000]) for _ in range(5)]
    problems = [Problem(strength, mask) for mask in masks for strength in STRENGTHS]
    ask = {"kind": "multiclass", "classes": 5}

    def ours() -> list[np.ndarray]:
        models = fit_logistic(features, labels, problems, **ask)
        found = []
        for first in range(0, len(models), len(STRENGTHS)):  # models of the same rows share the standardised features
            rows = models[first].standardise(torch.from_numpy(features), torch.float32)
            same = models[first : first + len(STRENGTHS)]
            found += [model.from_standardised(rows).numpy().argmax(1) for model in same]
        return found

    def theirs() -> list[np.ndarray]:
        found = []
        for mask in masks:
            mean, scale = features[mask].mean(0), features[mask].std(0)
            rows = (features - mean) / scale
            for strength in STRENGTHS:
                model = LogisticRegression(C=strength, max_iter=2000).fit(rows[mask], labels[mask])
                found.append(model.predict(rows))
        return found

    exact = polish(fit_logistic(features, labels, problems, **ask), features, labels, problems, **ask)
    best = [model.probabilities(features).numpy().argmax(1) for model in exact]

    def flips(found: list[np.ndarray]) -> float:
        return 100 * float(
            np.mean([(a != b)[~mask.rows].mean() for a, b, mask in zip(found, best, problems, strict=True)])
        )

    one, other = median_seconds(runs, ours, theirs)
    name = "variances 1/rank" if decay else "independent features"
    return (
        f"| 45 logistic regressions, {name} | {one:.2f} | {other:.2f} | {other / one:.1f}x | "
        f"flipped predictions {flips(ours()):.2f} % (scikit-learn {flips(theirs()):.2f} %) |"
    )


def whole_task(runs: int) -> str:
    """A probe of an embedded task: 5,000 x 512, the strengths of the protocol, 5 seeds, fractions 1, 0.1 and 0.01."""
    features, labels = drawn(5_000, 512, 5, 0.5)
    rng = np.random.default_rng(1)
    draws = [np.isin(np.arange(5_000), rng.permutation(5_000)[:count]) for count in (500, 50) for _ in range(5)]
    rows = [None, *draws]  # all seeds share the whole training split
    problems = [Problem(strength, mask) for mask in rows for strength in PROTOCOL]
    one = median_seconds(runs, lambda: fit_logistic(features, labels, problems, kind="multiclass", classes=5))[0]
    return f"| probe of a task, 5,000 x 512, 7 C, 5 seeds, 3 fractions | {one:.2f} | | | target 2 s |"


def suite_task(runs: int) -> str:
    """The same task as a suite fits it: seeds share a solution; C is selected on validation and its solution polished."""
    features, labels = drawn(6_000, 512, 5, 0.5)
    validation = features[5_000:], labels[5_000:]

    def ours() -> list[float]:
        splits = [(features[:count], labels[:count]) for count in (5_000, 500, 50)]
        return [
            fit_probe(split, validation, kind="multiclass", classes=5, regularisation=PROTOCOL, score=accuracy).score
            for split in splits
        ]

    one = median_seconds(runs, ours)[0]
    return f"| the same with selection and a polished solution; all seeds share them | {one:.2f} | | | target 2 s |"


def accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The share of right predictions."""
    return float((probabilities.argmax(1) == labels).mean())


def nearest(runs: int) -> str:
    """K = 20 nearest neighbours of 1,000 in 5,000 rows of width 512, next to a ball tree."""
    features, labels = drawn(6_000, 512, 5, 0.5)
    train, test = features[:5_000], features[5_000:]

    def ours() -> np.ndarray:
        return vote(
            train, labels[:5_000], test, kind="multiclass", classes=5, counts=[20], cosine=False, temperature=None
        )[20].numpy()

    def theirs() -> np.ndarray:
        model = KNeighborsClassifier(20, algorithm="ball_tree").fit(train, labels[:5_000])
        return model.predict_proba(test)

    one, other = median_seconds(runs, ours, theirs)
    difference = np.abs(ours() - theirs()).max()
    return f"| 20 neighbours, ball tree | {one:.3f} | {other:.2f} | {other / one:.0f}x | largest difference {difference:.0e} |"


def heads(runs: int) -> str:
    """52 linear heads (13 learning rates x 4 inputs) next to one module per head."""
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(2_000, width)).astype(np.float32) for width in (384, 768, 384, 768)]
    labels, steps = rng.integers(0, 10, 2_000), 100

    def ours() -> list[torch.Tensor]:
        found = fit_head_grid(parts, labels, kind="multiclass", classes=10, steps=steps, batch_size=128)
        return [head.weight for head in found]

    def theirs() -> list[torch.Tensor]:
        heads, groups = [], []
        for number, part in enumerate(parts):
            for rate in LEARNING_RATES:
                head = torch.nn.Linear(part.shape[1], 10)
                head.weight.data = first_weights(0, number, 10, part.shape[1], 1)[0].clone()
                head.bias.data.zero_()
                heads.append((number, head))
                groups.append({"params": head.parameters(), "lr": rate})
        optimizer = torch.optim.SGD(groups, momentum=0.9)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=0)
        for step in range(steps):
            rows = batch_rows(0, step, 128, 2_000)
            target = torch.from_numpy(labels[rows])
            # as DINOv2's linear.py: each head gathers its own input
            outputs = [head(torch.from_numpy(parts[number][rows])) for number, head in heads]
            loss = sum(torch.nn.functional.cross_entropy(scores, target) for scores in outputs)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return [head.weight.detach() for _, head in heads]

    one, other = median_seconds(runs, ours, theirs)
    difference = max(float((a - b).abs().max()) for a, b in zip(ours(), theirs(), strict=True))
    ratio = f"{one:.2f} | {other:.2f} | {other / one:.1f}x"
    return f"| 52 linear heads, one module per head | {ratio} | largest difference of weights {difference:.0e} |"


def processor() -> str:
    """The CPU's name and its vector instructions as torch uses them."""
    path = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in path.read_text().splitlines() if "model name" in line]
        if path.exists()
        else []
    )
    return f"{names[0] if names else platform.processor()}, {torch.backends.cpu.get_cpu_capability()}"


def main() -> None:
    """Print the table, and write it to --out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    head = f"{processor()}, {options.threads} thread(s), torch {torch.__version__}, scikit-learn {sklearn.__version__}."
    lines = [
        "# Probes of frozen features: CPU seconds, all threads",
        "",
        "`python benchmarks/probes.py`; the ratios count.",
        "",
        head,
        "",
    ]
    lines += ["| what | medzoo s | other s | ratio | agreement |", "|---|---|---|---|---|"]
    for row in (
        lambda: regressions(options.runs, 0.5), lambda: regressions(options.runs, 0.0),
        lambda: whole_task(options.runs), lambda: suite_task(options.runs), lambda: nearest(options.runs),
        lambda: heads(options.runs),
    ):  # fmt: skip
        lines.append(row())
        print(lines[-1], flush=True)
    print(head)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
