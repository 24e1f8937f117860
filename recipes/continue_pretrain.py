r"""Continue the pre-training of any checkpoint on other images; the result's lineage lists every step.

    accelerate launch recipes/continue_pretrain.py --checkpoint resnet50-imagenet --method simclr --task folder:CT \
        --groups patient --epochs 10 --out runs/ct
    python recipes/continue_pretrain.py --checkpoint demo/resnet18-phantom_natural --hub demo/hub --method simclr \
        --task phantom_ct --size 48 --out runs/natural_ct

Objectives and options are those of recipes/pretrain.py, with --checkpoint (a name, hf-hub:org/name, or a folder) instead
of --architecture. Input convention and architecture come from the checkpoint. It takes as long as pre-training.
"""

import sys

from medzoo.errors import UsageError
from medzoo.recipe_args import parse, peek, run_main
from medzoo.training.objectives import method
from medzoo.training.options.pretrain_protocol import with_protocol
from medzoo.training.pretrain import default_words, pretrain
from medzoo.training.pretrain_options import NOT_FROM_CHECKPOINT, PretrainOptions


def main() -> None:
    """Parse the options (including those of the method), train, print where the checkpoint is."""
    given = with_protocol(sys.argv[1:], peek(sys.argv[1:], "protocol"))
    chosen = peek(given, "method")
    types = [PretrainOptions, method(chosen).Options] if chosen else [PretrainOptions]
    options, *method_options = parse(
        types, __doc__, given, without=NOT_FROM_CHECKPOINT, defaults=lambda _: default_words()
    )
    if not options.checkpoint:
        raise UsageError(
            "--checkpoint is missing. To start from random weights, use recipes/pretrain.py.", code="checkpoint-missing"
        )
    folder = pretrain(options, *method_options)
    print(f"checkpoint {folder / 'checkpoint'}  (load it: medzoo.load({str(folder)!r}))")


if __name__ == "__main__":
    run_main(main)
