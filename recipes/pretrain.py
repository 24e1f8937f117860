r"""Pre-train a network from random weights with an objective, and write a checkpoint folder.

    accelerate launch recipes/pretrain.py --method simclr --architecture resnet18 --task phantom_ct --size 48 \
        --epochs 10 --out runs/ct
    accelerate launch recipes/pretrain.py --method supervised --architecture resnet50 --task folder:IMAGES --out runs/mine

`--protocol pretrain_...` takes the settings of a study, or defaults for a method, from recipes/protocols; typed options win.
`--task mix:FILE.toml` mixes several data sets by weights, and `--task shards:FOLDER` streams images.

From a wheel: `accelerate launch -m medzoo.recipes.pretrain ...`. Each method adds its own options: `--method simclr --help`.
`medzoo.load`, timm (`local-dir:`) and transformers read OUT/checkpoint, which has a card. A supervised method only logs the
validation accuracy; the last epoch is kept. The first command takes one to two minutes on 2 cores.
"""

import sys

from medzoo.errors import UsageError
from medzoo.recipe_args import parse, peek, run_main
from medzoo.training.objectives import method
from medzoo.training.options.pretrain_protocol import with_protocol
from medzoo.training.pretrain import default_words, pretrain
from medzoo.training.pretrain_options import NOT_FROM_RANDOM, PretrainOptions


def main() -> None:
    """Parse the options (including those of the method), train, print where the checkpoint is."""
    given = with_protocol(sys.argv[1:], peek(sys.argv[1:], "protocol"))
    chosen = peek(given, "method")
    types = [PretrainOptions, method(chosen).Options] if chosen else [PretrainOptions]
    options, *method_options = parse(types, __doc__, given, without=NOT_FROM_RANDOM, defaults=lambda _: default_words())
    if not options.architecture:
        raise UsageError(
            "--architecture is missing. To continue from a checkpoint, use recipes/continue_pretrain.py.",
            code="architecture-missing",
        )
    folder = pretrain(options, *method_options)
    print(f"checkpoint {folder / 'checkpoint'}  (load it: medzoo.load({str(folder)!r}))")


if __name__ == "__main__":
    run_main(main)
