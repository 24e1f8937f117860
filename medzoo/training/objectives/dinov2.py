"""DINOv2: DINO on class tokens, the loss of iBOT on masked patches, and a term that spreads the features of a batch.

Source: Oquab et al. 2023, https://arxiv.org/abs/2304.07193, with centering instead of Sinkhorn-Knopp. The spread (KoLeo) is over
the images of all processes; the paper computes it in each process. An image is masked with a probability, not exactly half of a
batch. The temperature of the teacher rises in each step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from medzoo.errors import UsageError
from medzoo.training.distributed import gathered
from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.distillation import TokenCentre, entropies, scalars
from medzoo.training.pretraining.loss_precision import no_autocast
from medzoo.training.pretraining.masking.block_masks import NUMBERS, block_masks
from medzoo.training.pretraining.masking.masks import spread
from medzoo.training.pretraining.masking.patch_loss import MaskedPatches, patch_loss
from medzoo.training.pretraining.masking.vit_tokens import masked_tokens
from medzoo.training.pretraining.measures import feature_std
from medzoo.training.pretraining.requirements import needs_images, needs_lightly, plain_vit
from medzoo.training.pretraining.self_distillation import DistillationOptions, SelfDistillation
from medzoo.training.pretraining.small_views import (
    LARGE_VIEWS,
    SmallViewOptions,
    cut,
    in_groups,
    needs_small_views,
    patch_side,
)
from medzoo.training.trainable import in_full

SUPERVISED = False


@dataclass(frozen=True)
class Options(SmallViewOptions, DistillationOptions):
    """Options of DINOv2."""

    patch_weight: float = option("weight of the loss on masked patches", 1.0, metavar="X", least=0)
    spread_weight: float = option("weight of the spread of the features (KoLeo)", 0.1, metavar="X", least=0)
    masked: float = option("probability that a large view is masked", 0.5, metavar="P", least=0, most=1)
    least_masked: float = option("smallest share of masked patches", 0.1, metavar="SHARE", least=0, most=1)
    most_masked: float = option("largest share of masked patches", 0.5, metavar="SHARE", least=0, most=1)
    prototypes: int = option(
        "prototypes of class tokens, and as many of patches", 65_536, metavar="N", least=2, most=1_048_576
    )
    hidden: int = option("width of the hidden layers of the heads", 2048, metavar="N", least=1, most=65_536)
    bottleneck: int = option("width of the heads before the prototypes", 256, metavar="N", least=1, most=65_536)
    momentum: float = option("momentum of the teacher at the start; it rises to 1", 0.992, metavar="M", least=0, most=1)
    center_momentum: float = option("momentum of the centers", 0.9, metavar="M", least=0, most=1)
    small_side: float = option(
        "side of a small view as a share of --size (112 of 224 px; the paper has 98)",
        0.5,
        metavar="SHARE",
        above=0,
        most=1,
    )
    min_area: float = option("smallest share of the image in a large view", 0.32, metavar="SHARE", above=0, most=1)
    small_area: float = option("largest share of the image in a small view", 0.32, metavar="SHARE", above=0.05, most=1)


def views(options: Options) -> list[View]:
    """Two large views and the small ones."""
    return options.views()


def check(backbone: nn.Module, options: Options, size: int, batch_size: int) -> None:
    """A plain vision transformer, views with several patches, and two images whose features can be spread."""
    needs_lightly("dinov2")
    plain_vit("dinov2", backbone)
    needs_images("dinov2", batch_size, 2, "the features of a batch are spread")
    needs_small_views("dinov2", backbone, views(options)[-1].side(size))
    if size < 2 * patch_side(backbone):
        raise UsageError(
            f"Views of {size} px have one patch, and method dinov2 masks some of several. Choose a larger --size.",
            code="view-too-small",
        )
    if options.least_masked > options.most_masked:
        raise UsageError(
            f"--least-masked {options.least_masked} is larger than --most-masked {options.most_masked}.",
            code="mask-shares-exchanged",
        )


class Objective(SelfDistillation):
    """A headless vision transformer with a head for class tokens and one for patches, and the teacher of all three.

    Args:
        backbone: a plain vision transformer of timm.
        options: see Options.
        kind: not used, because DINOv2 uses no labels.
    """

    masks_images = True

    def __init__(self, backbone: nn.Module, options: Options, kind: str) -> None:
        from lightly.loss import DINOLoss, KoLeoLoss

        super().__init__(backbone, options, heads=2)
        self.options = options
        self.mask_token = nn.Parameter(torch.zeros(int(backbone.num_features)))  # type: ignore[arg-type]
        # two centers, means over the teacher's outputs of all processes
        self.loss = DINOLoss(
            options.prototypes, student_temp=options.temperature, center_momentum=options.center_momentum
        )
        self.patch_centre = TokenCentre(options.prototypes, options.center_momentum)
        self.spread = KoLeoLoss()

    def compiled_modules(self) -> list[nn.Module]:
        """Those of self-distillation, without the heads of patches: the number of masked patches differs from step to step."""
        of_patches = self.heads[1], self.teacher.parts()[2]
        return [module for module in super().compiled_modules() if module not in of_patches]

    def masks(self, batch: dict[str, Any], step: int) -> torch.Tensor:
        """The masks of both large views, (2 * N, rows, columns) bool on the CPU."""
        options = self.options
        rows, columns = (side // self.patch for side in batch["views"][0].shape[-2:])
        shares = {"probability": options.masked, "least": options.least_masked, "most": options.most_masked}
        streams = [f"mask{number}" for number in range(LARGE_VIEWS)]
        numbers = [self.random_numbers(batch, step, stream, NUMBERS) for stream in streams]
        return block_masks(torch.cat(numbers), (rows, columns), **shares)

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with "views", first the two large ones, each (N,C,H,W), and "index"."""
        options, temperature = self.options, self.temperature_at(step)
        given = [cut(view, self.patch) for view in batch["views"]]
        large = torch.cat(given[:LARGE_VIEWS])
        patches = MaskedPatches.of(self.masks(batch, step), large.device)

        # the teacher sees the large views without a mask
        with torch.no_grad():
            network, head, patch_head = self.teacher.parts()
            pooled, tokens = masked_tokens(network, large)
            teacher = in_full(head(pooled))
            teacher_patches = in_full(patch_head(tokens.flatten(0, 1)[patches.positions]))

        # the student sees the masked large views, and the small ones
        pooled, tokens = masked_tokens(self.backbone, large, patches.mask, self.mask_token)
        student_patches = in_full(self.heads[1](tokens.flatten(0, 1)[patches.positions]))
        small = [in_groups(self.backbone, given[LARGE_VIEWS:])] if len(given) > LARGE_VIEWS else []
        student = in_full(self.heads[0](torch.cat([pooled, *small]))).chunk(len(given))

        # each image counts equally in the first two, so their mean over the processes is the loss of the whole batch
        with no_autocast(teacher):
            watched = entropies((teacher - self.loss.center[0]) / temperature)
            classes = self.loss(list(teacher.chunk(LARGE_VIEWS)), list(student), teacher_temp=temperature)
            masked = patch_loss(
                (teacher_patches - self.patch_centre.value) / temperature, student_patches, patches.weights,
                images=len(large), temperature=options.temperature,
            )  # fmt: skip
            rows = [gathered(part) for part in in_full(pooled).chunk(LARGE_VIEWS)]
            spread = sum((self.spread(part) for part in rows), start=torch.zeros_like(classes))
        self.patch_centre.update(teacher_patches)
        logged = {"class_loss": classes.detach(), "patch_loss": masked.detach(), "spread_loss": spread.detach()}
        logged |= scalars(classes, teacher_momentum=self.momentum_at(step), teacher_temperature=temperature)
        loss = classes + options.patch_weight * masked + options.spread_weight * spread
        return {"loss": loss, **logged, **watched, "feature_std": feature_std(rows[0])}

    def pictures(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The views; masked patches of the large ones are 0."""
        shown = super().pictures(batch, step)
        for number, mask in enumerate(self.masks(batch, step).chunk(LARGE_VIEWS)):
            images = cut(shown[f"view {number}"], self.patch)
            pixels = spread(mask.to(images.device), images.shape[-2], images.shape[-1])
            shown[f"view {number}"] = images.masked_fill(pixels[:, None], 0.0)
        return shown
