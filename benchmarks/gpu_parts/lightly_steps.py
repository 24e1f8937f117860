"""The loops of lightly's examples for SimCLR, DINO and MAE: its heads, losses and masked network, a pass for each view.

They get bf16, channels_last and medzoo's optimizer, and views of noise that are ready: making views costs them nothing.
"""

from __future__ import annotations

import copy
from typing import Any

import torch

from gpu_parts.clock import StepWay
from gpu_parts.lab import Lab
from gpu_parts.steps import network
from medzoo.training.optimization.optimizer import make_optimizer


def way_of(method: str, name: str, lab: Lab, images: int) -> StepWay:
    """The step of a method.

    Args:
        method: "simclr", "dino" or "mae".
        name: of the network in timm.
        lab: of the run.
        images: of a step.
    """
    module = {"simclr": SimCLR, "dino": Dino, "mae": Mae}[method](name, lab)
    module.to(lab.device, memory_format=torch.channels_last).train()
    optimizer = make_optimizer(module, "adamw", 1e-3, 0.05)
    side = 32 if lab.tiny else 224
    views = module.views(images, side, lab)

    def step() -> None:
        with lab.autocast():
            loss = module(views)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return StepWay(step, images, lab.clock, peer=True)


def noise(lab: Lab, images: int, side: int) -> torch.Tensor:
    return torch.randn(images, 3, side, side, device=lab.device).to(memory_format=torch.channels_last)


class SimCLR(torch.nn.Module):
    """examples/pytorch/simclr.py."""

    def __init__(self, name: str, lab: Lab) -> None:
        from lightly.loss import NTXentLoss
        from lightly.models.modules import SimCLRProjectionHead

        super().__init__()
        self.backbone: Any = network(name, lab, classes=0)
        width = self.backbone.num_features
        self.head, self.loss = SimCLRProjectionHead(width, width, 128), NTXentLoss(temperature=0.2)

    def views(self, images: int, side: int, lab: Lab) -> list[torch.Tensor]:
        return [noise(lab, images, side) for _ in range(2)]

    def forward(self, views: list[torch.Tensor]) -> torch.Tensor:
        first, second = (self.head(self.backbone(view).flatten(1)) for view in views)
        return self.loss(first, second)


class Dino(torch.nn.Module):
    """examples/pytorch/dino.py, with a vision transformer and the prototypes of medzoo's default."""

    def __init__(self, name: str, lab: Lab) -> None:
        from lightly.loss import DINOLoss
        from lightly.models.modules import DINOProjectionHead

        super().__init__()
        hidden, bottleneck, prototypes = (16, 8, 32) if lab.tiny else (2048, 256, 65_536)
        self.backbone: Any = network(name, lab, classes=0, dynamic_img_size=True)
        width = self.backbone.num_features
        self.head = DINOProjectionHead(width, hidden, bottleneck, prototypes, freeze_last_layer=1)
        teacher = copy.deepcopy(self.backbone), DINOProjectionHead(width, hidden, bottleneck, prototypes)
        self.teacher = torch.nn.ModuleList(teacher).requires_grad_(False)
        self.loss = DINOLoss(output_dim=prototypes)
        self.small = 2 if lab.tiny else 8

    def views(self, images: int, side: int, lab: Lab) -> list[torch.Tensor]:
        small = 16 if lab.tiny else 96
        return [noise(lab, images, side) for _ in range(2)] + [noise(lab, images, small) for _ in range(self.small)]

    def forward(self, views: list[torch.Tensor]) -> torch.Tensor:
        from lightly.models.utils import update_momentum

        update_momentum(self.backbone, self.teacher[0], m=0.996)
        update_momentum(self.head, self.teacher[1], m=0.996)
        with torch.no_grad():
            teacher = [self.teacher[1](self.teacher[0](view).flatten(1)) for view in views[:2]]
        student = [self.head(self.backbone(view).flatten(1)) for view in views]
        return self.loss(teacher, student, epoch=0)


class Mae(torch.nn.Module):
    """examples/pytorch/mae.py, with the decoder of the paper, as medzoo's."""

    def __init__(self, name: str, lab: Lab) -> None:
        from lightly.models.modules import MAEDecoderTIMM, MaskedVisionTransformerTIMM

        super().__init__()
        vit: Any = network(name, lab, classes=0)
        self.patch, self.sequence = vit.patch_embed.patch_size[0], vit.patch_embed.num_patches + vit.num_prefix_tokens
        self.backbone = MaskedVisionTransformerTIMM(vit=vit)
        width, depth, heads = (16, 1, 2) if lab.tiny else (512, 8, 16)
        self.decoder = MAEDecoderTIMM(
            num_patches=vit.patch_embed.num_patches, patch_size=self.patch, embed_dim=vit.embed_dim,
            decoder_embed_dim=width, decoder_depth=depth, decoder_num_heads=heads, mlp_ratio=4.0,
            proj_drop_rate=0.0, attn_drop_rate=0.0, num_prefix_tokens=vit.num_prefix_tokens,
        )  # fmt: skip
        self.loss = torch.nn.MSELoss()

    def views(self, images: int, side: int, lab: Lab) -> list[torch.Tensor]:
        return [noise(lab, images, side)]

    def forward(self, views: list[torch.Tensor]) -> torch.Tensor:
        from lightly.models import utils

        images = views[0]
        count = len(images)
        keep, masked = utils.random_token_mask(size=(count, self.sequence), mask_ratio=0.75, device=images.device)
        encoded = self.backbone.encode(images=images, idx_keep=keep)
        embedded = self.decoder.embed(encoded)
        tokens = utils.repeat_token(self.decoder.mask_token, (count, self.sequence))
        tokens = utils.set_at_index(tokens, keep, embedded.type_as(tokens))
        decoded = self.decoder.decode(tokens)
        predicted = self.decoder.predict(utils.get_at_index(decoded, masked))
        patches = utils.patchify(images, self.patch)
        return self.loss(predicted, utils.get_at_index(patches, masked - 1))
