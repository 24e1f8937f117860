"""Compare two checkpoints on a task: what their layers represent, which images both get right, their weights, ...

    python recipes/compare.py --checkpoints resnet50-imagenet resnet50-barlowtwins-imagenet --task pneumoniamnist
    python recipes/compare.py --checkpoints resnet18-random runs/pneumoniamnist/resnet18-random/RUN --task pneumoniamnist
    python recipes/compare.py --checkpoints A B --task T --only representation --setting juodelyte2023
    python recipes/compare.py --checkpoints A B --task folder:SCANS --only predictions weights

A checkpoint can be the run folder of a fine-tuning: compare it with the checkpoint that it started from to see what the
training changed. Each analysis answers one question in one sentence, computed from its rows, and shows the figure and the
table; similarities have two references: two networks with random weights, and wrong pairs of images. Analyses of predictions
read the runs in the store (--results) and need no images and no GPU.

What to expect: RESULTS/analyses/report/report.html (or --out), one page without network, next to the rows of each analysis
(CSV, Markdown) and its figure (SVG, PNG). Rows are kept in the store, so that the same command is quick and `medzoo table
RESULTS` shows them in tabs. Nearly all of the time are forward passes: two ResNet-50 on 1,000 images at 224 px need four
(two for the references) of each image, minutes on a CPU with 16 cores and seconds on a GPU. --images 200 is a quick look.
"""

from medzoo.analysis.comparison.compare import compare_checkpoints
from medzoo.analysis.comparison.options import analysis_options, by_analysis, command_of
from medzoo.analysis.comparison.report import write_report
from medzoo.analysis.inputs.options import CompareOptions
from medzoo.recipe_args import parse, run_main


def main() -> None:
    """Open what is compared, make each analysis that is not in the store, write the report."""
    options, *chosen = parse([CompareOptions, *analysis_options().values()], __doc__)
    outcome = compare_checkpoints(options, by_analysis(chosen))  # opens, analyses and stores
    print(write_report(outcome, options.report_folder, command_of(options, chosen)))


if __name__ == "__main__":
    run_main(main)
