"""Fine-tune all layers of a checkpoint on a classification or segmentation task, test once, and save result and checkpoint.

    accelerate launch recipes/finetune.py --checkpoint resnet18_cifar-random --task pneumoniamnist --size 28 --epochs 5
    accelerate launch recipes/finetune.py --checkpoint resnet50-imagenet --task folder:IMAGES --groups patient --seed 1
    accelerate launch recipes/finetune.py --checkpoint resnet50-imagenet --task drive --root DRIVE --size 512 --batch-size 4
    accelerate launch recipes/finetune.py --checkpoint resnet50-imagenet --task folder:IMAGES --groups patient --folds all

From a wheel: `accelerate launch -m medzoo.recipes.finetune ...`. Options can be in a file: --config FILE.toml.
The epoch is selected on validation, and the test split is used once. The same command continues a stopped run, with the
same result bit for bit. --folds all runs every fold of a cross-validation by patient, and prints their mean.
What to expect: the first command gives a test AUROC near 0.96 in about 4 minutes on 2 CPU cores with bf16 instructions,
in about 10 on cores without (AVX2), which compute in fp32. It downloads pneumoniamnist.npz (4 MB),
or reads it from --root FOLDER. For a segmentation, the checkpoint is the encoder, and the protocol's `decoder` follows it:
medzoo.segmenter(RUN_FOLDER) gives the trained network, and medzoo.load(RUN_FOLDER) its encoder. Put a plain U-Net with fresh
weights in the same table: --checkpoint unet-scratch.
"""

from medzoo.bench.cell_options import IN_A_PROBE_ONLY, PROTOCOL_ONLY, CellOptions, cell_defaults
from medzoo.bench.run import CellRun
from medzoo.bench.suites.repeats import RepeatOptions, repeated, summary
from medzoo.recipe_args import parse, run_main


def main() -> None:
    """Open, load, train, evaluate, store; then print where everything is."""
    options, repeats = parse(
        [CellOptions, RepeatOptions],
        __doc__,
        mode="finetune",
        without=PROTOCOL_ONLY | IN_A_PROBE_ONLY,
        defaults=lambda typed: cell_defaults("finetune", typed("protocol"), typed("task")),
    )
    outcomes = []
    for one in repeated(options, repeats):  # one run, or one for each of --folds or --draws
        cell = CellRun(one, "finetune")  # open: the task with its splits and labels, checked, and the protocol
        cell.load()  # the checkpoint, verified; the run folder follows from both
        if options.replay:
            print(cell.replay())
            return
        if cell.stored() is None:  # a run that has ended is not made again
            with cell.running():  # a signal saves the state, and the same command continues
                cell.train()  # all layers; the epoch is chosen on validation
                cell.evaluate()  # the test split, once
                cell.store()  # the result with its predictions, and the trained checkpoint
        print(cell.outcome)
        outcomes.append(cell.outcome)
    if len(outcomes) > 1:
        print(summary(outcomes))
    for outcome in outcomes:
        outcome.raise_if_diverged()


if __name__ == "__main__":
    run_main(main)
