"""Fit a linear probe on a checkpoint's frozen features, to measure how well they fit a task without fine-tuning.

    accelerate launch recipes/probe.py --checkpoint resnet50-radimagenet --task pneumoniamnist
    python recipes/probe.py --checkpoint org/my-net --hub STICK --task parquet:DATA --groups patient_id

Features are computed once for a set of weights and cached. The L2 penalty is selected on validation, and the test split is
used once. What to expect: once the features are cached, each further seed or task takes seconds.
"""

from medzoo.bench.cell_options import NOT_IN_A_PROBE, PROTOCOL_ONLY, CellOptions, cell_defaults
from medzoo.bench.run import run_cell
from medzoo.recipe_args import parse, run_main


def main() -> None:
    """Parse the options, run the cell, print where the result is."""
    (options,) = parse(
        [CellOptions],
        __doc__,
        mode="linear",
        without=NOT_IN_A_PROBE | PROTOCOL_ONLY,
        defaults=lambda typed: cell_defaults("linear", typed("protocol")),
    )
    outcome = run_cell(options, mode="linear")
    print(outcome)
    outcome.raise_if_diverged()


if __name__ == "__main__":
    run_main(main)
