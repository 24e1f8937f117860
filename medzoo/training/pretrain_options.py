"""The options of pre-training and of continued pre-training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medzoo.data.images.ct_windows import parse_windows
from medzoo.data.task_registry import task_info
from medzoo.errors import UsageError
from medzoo.training.objectives import list_methods
from medzoo.training.objectives import method as find_method
from medzoo.training.options.names import LONGEST_NAME
from medzoo.training.options.pretrain_protocol import list_pretrain_protocols, pretrain_protocol_file
from medzoo.training.options.shared import (
    DATA,
    DEVICE,
    OUTPUT,
    RUN,
    TRAINING,
    SharedOptions,
    check_folder,
    check_place,
    check_terms,
    option,
)
from medzoo.training.options.trainer import TrainerOptions
from medzoo.training.run_state.tracker import check_tracker
from medzoo.zoo.registry.hints import refuse_unknown_architecture

# Options that a start from random weights, or from a checkpoint, does not use, with the reason.
NOT_FROM_RANDOM = {
    "checkpoint": "it starts from random weights; recipes/continue_pretrain.py continues from a checkpoint",
    "hub": "it starts from random weights, which are not in a hub",
    "gram_weight": "it starts from random weights, which cannot be an anchor",
    "gram_start": "it starts from random weights, which cannot be an anchor",
    "accept_license": "it starts from random weights, which have no licence",
}
# Options that can change the weights, except the seed, the data and those with a default of the recipe's own.
CHANGE_WEIGHTS = (
    "method", "optimizer", "weight_decay", "warmup_epochs", "gradient_clip", "final_weight_decay", "final_learning_rate",
    "stored_size", "gram_weight", "gram_start", "input_rule", "recompute", "ct_windows", "ct_window_jitter",
)  # fmt: skip
NOT_FROM_CHECKPOINT = {"architecture": "the checkpoint has one; recipes/pretrain.py starts from random weights"}


@dataclass(kw_only=True)
class PretrainOptions(SharedOptions, TrainerOptions):
    """Options of pre-training and continued pre-training."""

    method: str = option(
        f"objective: {' or '.join(list_methods())}; `--method NAME --help` shows the options that it adds",
        "",
        section=RUN,
        metavar="NAME",
        required=True,
    )
    protocol: str | None = option(
        "settings of a study, or defaults for a method; typed options win: "
        f"{', '.join(list_pretrain_protocols())}, or a .toml file",
        section=RUN,
        metavar="NAME",
    )
    architecture: str | None = option(
        "architecture to start with random weights, for example resnet50", section=RUN, metavar="NAME", required=True
    )
    checkpoint: str | None = option(
        "checkpoint to continue from: a name, hf-hub:org/name, or a folder",
        section=RUN,
        metavar="NAME",
        required=True,
    )
    name: str | None = option(
        "name of the result", section=OUTPUT, metavar="NAME", shown="base, method and data joined"
    )
    data_name: str | None = option(
        "short name of the data in the result's name", section=OUTPUT, metavar="NAME", shown="from --task"
    )
    license: str = option(
        "licence of the result (an SPDX id); a push needs it", "unknown", section=OUTPUT, metavar="ID"
    )
    optimizer: str = option("optimizer, by timm's name", "adamw", section=TRAINING, metavar="NAME")
    weight_decay: float = option(
        "weight decay, not applied to biases and norms", 0.05, section=TRAINING, metavar="X", least=0
    )
    final_weight_decay: float | None = option(
        "weight decay of the last step, reached along half a cosine",
        section=TRAINING,
        metavar="X",
        least=0,
        shown="constant",
        unused=None,
    )
    final_learning_rate: float = option(
        "learning rate at the end of the cosine", 0.0, section=TRAINING, metavar="LR", least=0, unused=0.0
    )
    stored_size: int | None = option(
        "side to which the images are resized once, before views are cropped from them; larger keeps more detail",
        section=DATA,
        metavar="PX",
        least=8,
        most=4096,
        shown="--size",
        unused=None,
    )
    warmup_epochs: float = option("epochs of linear warm-up", 1.0, section=TRAINING, metavar="N", least=0)
    gradient_clip: float = option(
        "largest norm of the gradient, 0 for none", 1.0, section=TRAINING, metavar="X", least=0
    )
    input_rule: Literal["unit", "per_image_minmax"] | None = option(
        "what is scaled to [0, 1]: the range of the pixels' type (unit), or that of each image, as RadNet does",
        section=TRAINING,
        shown="unit; that of the checkpoint, if there is one",
        unused=None,
    )
    ct_windows: str | None = option(
        "for CT in HU: windows of which one is drawn for each view, for example lung,mediastinum,bone or -160:240; measurements of "
        "the features use the first one",
        section=DATA,
        metavar="NAMES",
        unused=None,
    )
    ct_window_jitter: float | None = option(
        "with --ct-windows: share by which the width of a window changes at random; its middle moves by half of it",
        section=DATA,
        metavar="SHARE",
        least=0,
        most=0.9,
        shown="0.2",
        unused=None,
    )
    watch: str | None = option(
        "task whose kNN and linear probes are logged while the network trains (their macro AUROC on its validation split)",
        section=OUTPUT,
        metavar="TASK",
        shown="none",
    )
    watch_root: str | None = option("folder of that data set, where the task needs one", section=OUTPUT, metavar="DIR")
    watch_every: int = option(
        "epochs between two measurements of the features; 0: so many that they take about 5 % of the time",
        0,
        section=OUTPUT,
        metavar="N",
        least=0,
        most=100_000,
    )
    gram_weight: float = option(
        "weight of Gram anchoring: keeps the similarities between patches near those of the checkpoint; 0 is off",
        0.0,
        section=TRAINING,
        metavar="X",
        least=0,
        unused=0.0,
    )
    gram_start: float = option(
        "share of the training after which Gram anchoring begins",
        0.0,
        section=TRAINING,
        metavar="SHARE",
        least=0,
        most=0.99,
        unused=0.0,
    )
    recompute: bool = option(
        "compute the layers again in the backward pass (gradient checkpointing): less memory, about a third more time",
        False,
        section=DEVICE,
        unused=False,
    )
    out: str = option("folder of the run", "", section=OUTPUT, metavar="DIR", required=True)

    def check(self) -> None:
        """Refuse options that cannot run, before anything is loaded."""
        super().check()
        if not self.method:
            raise UsageError(f"--method is missing: {' or '.join(list_methods())}.", code="method-missing")
        find_method(self.method)
        if self.protocol is not None:
            pretrain_protocol_file(self.protocol)
        if bool(self.architecture) == bool(self.checkpoint):
            raise UsageError(
                "Give either --architecture (random weights) or --checkpoint (continue from it).",
                code="architecture-or-checkpoint",
            )
        if self.architecture:
            refuse_unknown_architecture(self.architecture)
        if self.watch is not None:
            task_info(self.watch)
            check_folder(self.watch_root, "--watch-root")
        elif self.watch_root is not None:
            raise UsageError(
                "--watch-root without --watch has no effect. Add --watch, or remove it.",
                code="watch-root-without-watch",
            )
        if self.gram_start and not self.gram_weight:
            raise UsageError("--gram-start without --gram-weight has no effect.", code="gram-start-without-weight")
        if self.ct_windows is not None:
            parse_windows(self.ct_windows)
        elif self.ct_window_jitter is not None:
            raise UsageError(
                "--ct-window-jitter without --ct-windows has no effect. Add --ct-windows, or remove it.",
                code="jitter-without-ct-windows",
            )
        if self.architecture and self.gram_weight:
            raise UsageError(
                "--gram-weight keeps a network near the checkpoint that it continues from, and this training starts from "
                "random weights. Use recipes/continue_pretrain.py, or leave out --gram-weight.",
                code="gram-without-checkpoint",
            )
        if self.final_weight_decay and not self.weight_decay:  # the optimizer decides at the start which weights decay
            raise UsageError(
                f"--weight-decay 0 with --final-weight-decay {self.final_weight_decay} would never decay a weight. Give a small "
                "--weight-decay above 0 for the start, such as 1e-8.",
                code="weight-decay-starts-at-zero",
            )
        if not self.out:
            raise UsageError("--out is missing: the folder of the run.", code="out-missing")
        check_place(self.out, "--out")
        check_terms(self.license)
        check_tracker(self.tracker)
        from medzoo.zoo.folder.card_fields import CARD_NAME

        if self.name and not CARD_NAME.fullmatch(self.name):
            raise UsageError(
                f"--name is {self.name!r:.200}; use letters, digits and . _ - (at most {LONGEST_NAME}, no slash).",
                code="checkpoint-name-invalid",
            )
        from medzoo.training.optimization.optimizer import check_optimizer

        check_optimizer(self.optimizer)
