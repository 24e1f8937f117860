"""Fit a probe on a checkpoint's frozen features, to measure how well they fit a task without fine-tuning.

    accelerate launch recipes/probe.py --checkpoint resnet50-radimagenet --task pneumoniamnist
    python recipes/probe.py --checkpoint resnet50-radimagenet --task knee --probe ridge
    python recipes/probe.py --checkpoint org/my-net --hub STICK --task parquet:DATA --groups patient_id
    python recipes/probe.py --checkpoint resnet50-radimagenet --task pneumoniamnist --per-class 5 --draws 10

--probe chooses a logistic regression (linear), the vote of the nearest neighbours (knn), or a ridge regression (ridge), which
also fits numbers. Features are computed once for a set of weights and cached. The penalty, or the number of neighbours, is
selected on validation, and the test split is used once. --per-class 5 trains on five images of each class (few-shot);
--draws 10 repeats that with ten random parts, the same for every checkpoint, and prints their mean. What to expect: once the
features are cached, each further seed or task takes seconds.
"""

from medzoo.bench.cell_options import (
    NOT_IN_A_PROBE,
    PROBES,
    PROTOCOL_ONLY,
    CellOptions,
    ProbeOptions,
    cell_defaults,
    probe_named,
)
from medzoo.bench.run import CellRun
from medzoo.bench.suites.repeats import RepeatOptions, repeated, summary
from medzoo.recipe_args import parse, run_main


def main() -> None:
    """Open, load, train, evaluate, store; then print where everything is."""
    options, head, repeats = parse(
        [CellOptions, ProbeOptions, RepeatOptions],
        __doc__,
        mode=PROBES,
        without=NOT_IN_A_PROBE | PROTOCOL_ONLY,
        defaults=lambda typed: cell_defaults(probe_named(typed("probe")), typed("protocol"), typed("task")),
    )
    outcomes = []
    for one in repeated(options, repeats):  # one run, or one for each of --folds or --draws
        cell = CellRun(one, head.probe)  # open: the task with its splits and labels, checked, and the protocol
        cell.load()  # the checkpoint, verified; the run folder follows from both
        if cell.stored() is None:  # a run that has ended is not made again
            with cell.running():  # a signal saves the state, and the same command continues
                cell.train()  # the probe on frozen features; its one setting is chosen on validation
                cell.evaluate()  # the test split, once
                cell.store()  # the result with its predictions
        print(cell.outcome)
        outcomes.append(cell.outcome)
    if len(outcomes) > 1:
        print(summary(outcomes))
    for outcome in outcomes:
        outcome.raise_if_diverged()


if __name__ == "__main__":
    run_main(main)
