r"""Fit a probe on a checkpoint's frozen network, to measure how well its features fit a task without fine-tuning.

    accelerate launch recipes/probe.py --checkpoint resnet50-imagenet --task pneumoniamnist
    python recipes/probe.py --checkpoint vit_base-mae-imagenet --accept-license --task pneumoniamnist --probe attentive
    python recipes/probe.py --checkpoint resnet50-imagenet --task knee --root KNEE --probe ridge
    python recipes/probe.py --checkpoint vit_small-imagenet --task busi_seg --root BUSI --probe dense
    python recipes/probe.py --checkpoint vit_base-dinov2-lvd142m --task isic --root ISIC --probe head_grid \
        --protocol dinov2_linear
    python recipes/probe.py --checkpoint resnet50-imagenet --task pneumoniamnist --per-class 5 --draws 10

Which probe to use:
- linear (the default): a logistic regression on pooled features; solved exactly, so that no learning rate decides.
- knn: nothing is fitted, so it also works with few images; it shows which images the network places near each other.
- ridge: for labels that are numbers. The other probes need classes.
- attentive: 32 learned queries pool the tokens of the last layer before a linear classifier. Use it in addition to linear
  where a checkpoint comes from masked images (MAE, SimMIM, GMML): their pooled features hide what their tokens know.
- head_grid: DINOv2's linear evaluation, to compare with its published numbers.
- dense, dense_knn: for masks: logistic regression on pixels, with tokens enlarged to the mask, or neighbours of patch tokens.
  Their masks are nearly as coarse as the patches, so use them to compare encoders, and recipes/finetune.py for good masks.
  Where structures are thinner than a patch (vessels), give a larger --size, and compare the pixel AUROC rather than Dice.

Settings (penalty, neighbours, learning rate) are selected on validation, and the test split is used once. --per-class 5
trains on five images of each class (few-shot); --draws 10 repeats that with ten random parts, the same for every
checkpoint, and prints their mean. What to expect: features are computed once for a set of weights and kept; each further
seed or probe of the task then takes seconds. Tokens need much more disk than pooled features: their size is printed first,
and --token-gb limits it.
"""

from medzoo.bench.cell_options import (
    NOT_IN_A_PROBE,
    PROTOCOL_ONLY,
    CellOptions,
    ProbeOptions,
    cell_defaults,
    probe_named,
)
from medzoo.bench.run import CellRun
from medzoo.bench.suites.repeats import RepeatOptions, repeated, summary
from medzoo.recipe_args import parse, run_main
from medzoo.training.options.protocol_options import PROBES


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
                cell.train()  # the probe on the frozen network; its setting is chosen on validation
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
