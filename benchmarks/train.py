"""How much time the training loop adds to a step, next to a raw PyTorch loop and to the steps that timm's train.py takes.

    python benchmarks/train.py                      a small network, where the loop shows; one minute on two cores
    python benchmarks/train.py --network resnet18 --size 64 --steps 20
    python benchmarks/train.py --network resnet10t --size 64 --steps 4 --files FOLDER      with images read from PNG files

All three train the same network with the same optimizer on the same batches, which are in memory, in turns and with one thread.
"raw" is forward, backward, clip, step, with the optimizer of the loop (fused AdamW). "timm" is what train.py does at each step: its
own AdamW, it reads the loss, updates its averages and its scheduler. "medzoo" is the loop of the recipes. Times are CPU times of a
step. The differences and ratios are those of the fastest run of each way: other work on a shared machine can only slow a run down.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import AverageMeter, dispatch_clip_grad

from medzoo.training.accelerator import make_accelerator
from medzoo.training.loop import Loop
from medzoo.training.objectives import supervised
from medzoo.training.optimization.plan import TrainingPlan
from medzoo.training.run_state.run_folder import RunFolder

PLAN = TrainingPlan(
    epochs=1, optimizer="adamw", learning_rate=1e-3, weight_decay=0.05, warmup_epochs=0.0, gradient_clip=1.0, seed=0
)
TARGET_MS = 0.3  # above the raw loop, per step


class FromFiles:
    """Batches of image files as timm's train.py makes them (its data set, its transform), or as the recipes do from epoch 2 on."""

    def __init__(self, folder: str, given: argparse.Namespace, *, decoded: bool) -> None:
        self.batch_size, self.steps = given.batch, given.steps
        files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".png", ".jpg"))
        if not files:
            raise SystemExit(f"{folder} holds no PNG or JPEG files.")
        self.files = [files[number % len(files)] for number in range(given.batch * 4)]
        self.make = self._decoded(given.size) if decoded else self._read(given.size)

    def _read(self, size: int) -> Callable[[int], dict[str, Any]]:
        from PIL import Image
        from timm.data import create_transform

        transform = create_transform(size, is_training=True, interpolation="bilinear", color_jitter=0.0)

        def make(number: int) -> dict[str, Any]:
            chosen = [self.files[(number * self.batch_size + row) % len(self.files)] for row in range(self.batch_size)]
            images = torch.stack([transform(Image.open(file).convert("RGB")) for file in chosen])
            return {"image": images, "label": torch.arange(self.batch_size) % 2, "index": range(self.batch_size)}

        return make

    def _decoded(self, size: int) -> Callable[[int], dict[str, Any]]:
        import numpy as np
        from PIL import Image

        from medzoo.data.decode_cache.decoded import Decoded
        from medzoo.data.transforms.apply import Augmentation, InputConvention
        from medzoo.training.inputs.batches import Batches

        images = np.stack([np.asarray(Image.open(file).convert("L").resize((size, size))) for file in self.files])
        names = [file.name for file in self.files]
        rows = Decoded(images, np.arange(len(names)) % 2, names, names, 255.0, "0" * 64)
        law = Augmentation(min_area=0.08, flip=0.5)
        batches = Batches(rows, law, InputConvention(), size=size, batch_size=self.batch_size, seed=0)
        return lambda number: batches[number % len(batches)]

    def __len__(self) -> int:
        return self.steps

    def set_epoch(self, epoch: int) -> None:
        """Every epoch is the same."""

    def from_step(self, first: int, workers: int, target: torch.device | None = None) -> Iterator[dict[str, Any]]:
        """The batches from number `first` on."""
        for number in range(first, self.steps):
            yield self.make(number)


class Ready:
    """Batches in memory, with the methods that the loop calls."""

    def __init__(self, steps: int, batch: int, side: int) -> None:
        torch.manual_seed(0)
        self.batch_size, self.steps = batch, steps
        self.batch = {
            "image": torch.randn(batch, 3, side, side),
            "label": torch.arange(batch) % 2,
            "index": range(batch),
        }

    def __len__(self) -> int:
        return self.steps

    def set_epoch(self, epoch: int) -> None:
        """Every epoch is the same."""

    def from_step(self, first: int, workers: int, target: torch.device | None = None) -> Iterator[dict[str, Any]]:
        """The batches from number `first` on."""
        for _ in range(first, self.steps):
            yield self.batch


def network(name: str) -> torch.nn.Module:
    """The same weights at each call."""
    torch.manual_seed(0)
    if name == "mlp":  # the smallest network that is trained like the others
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
    return timm.create_model(name, num_classes=2)


def optimizer_of(model: torch.nn.Module, *, fused: bool) -> torch.optim.Optimizer:
    """AdamW without weight decay on biases and norms."""
    return create_optimizer_v2(model, "adamw", lr=1e-3, weight_decay=0.05, filter_bias_and_bn=True, fused=fused or None)


def raw(model: torch.nn.Module, batches: Ready, folder: Path) -> None:
    """Forward, backward, clip, step."""
    optimizer, criterion = optimizer_of(model, fused=True), torch.nn.CrossEntropyLoss()
    model.train()
    for batch in batches.from_step(0, 0):
        loss = criterion(model(batch["image"]), batch["label"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def timm_steps(model: torch.nn.Module, batches: Ready, folder: Path) -> None:
    """The work of a step of timm's train.py: its clip, its averages, its scheduler."""
    optimizer, criterion = optimizer_of(model, fused=False), torch.nn.CrossEntropyLoss()
    scheduler = CosineLRScheduler(optimizer, t_initial=len(batches), t_in_epochs=False)
    losses, seconds, last = AverageMeter(), AverageMeter(), time.time()
    model.train()
    for number, batch in enumerate(batches.from_step(0, 0)):
        loss = criterion(model(batch["image"]), batch["label"])
        loss.backward()
        dispatch_clip_grad(model.parameters(), value=1.0, mode="norm")
        optimizer.step()
        optimizer.zero_grad()
        losses.update(loss.item(), batches.batch_size)
        seconds.update(time.time() - last)
        last = time.time()
        scheduler.step_update(number, metric=losses.avg)


def medzoo_loop(model: torch.nn.Module, batches: Ready, folder: Path) -> None:
    """The loop of the recipes."""
    objective = supervised.Objective(model, supervised.Options(), "multiclass")
    run = RunFolder(folder, "finetune", {}, {})
    with run.open():
        Loop(objective, batches, PLAN, run, make_accelerator("fp32", "cpu")).fit()  # type: ignore[arg-type]


WAYS: dict[str, Callable[[torch.nn.Module, Ready, Path], None]] = {
    "raw": raw, "timm": timm_steps, "medzoo": medzoo_loop,
}  # fmt: skip


def main() -> None:
    """Print the time of a step in each way, and the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="mlp", help="mlp, or a network of timm")
    parser.add_argument("--size", type=int, default=16, help="side of the images, pixels")
    parser.add_argument("--batch", type=int, default=16, help="images per step")
    parser.add_argument("--steps", type=int, default=400, help="steps of one run")
    parser.add_argument("--runs", type=int, default=7, help="runs of each way, in turns")
    parser.add_argument(
        "--files", help="folder of image files: timm reads them at each step, medzoo has decoded them once"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    batches = Ready(given.steps, given.batch, given.size)
    of: dict[str, Any] = dict.fromkeys(WAYS, batches)
    if given.files:
        of |= {
            "timm": FromFiles(given.files, given, decoded=False),
            "medzoo": FromFiles(given.files, given, decoded=True),
        }
    network(given.network)(batches.batch["image"])  # imports and first calls are not measured
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.runs + 1):
            for way, train in WAYS.items():
                model = network(given.network)
                model(batches.batch["image"])  # a lazy layer gets its shape
                started = time.process_time()
                train(model, of[way], Path(folder) / f"{way}-{number}")
                if number:  # the first round warms up
                    times[way].append((time.process_time() - started) / given.steps * 1e3)
    fastest = {way: min(values) for way, values in times.items()}
    where = f"{cpu_name()}, torch {torch.__version__}"
    print(f"{where}, {given.network}, {given.size} px, batch {given.batch}, {given.steps} steps, {given.runs} runs")
    for way, value in fastest.items():
        low, median, high = statistics.quantiles(times[way])
        print(
            f"{way:>7}: {value:.3f} ms a step at the fastest (median {median:.3f}, quartiles {low:.3f} to {high:.3f})"
        )
    added, ratio = fastest["medzoo"] - fastest["raw"], fastest["timm"] / fastest["medzoo"]
    if not given.files:
        print(f"medzoo adds {added:.3f} ms to a raw step (target: at most {TARGET_MS})")
    print(f"medzoo takes {ratio:.2f} x as many steps as timm's form in the same time (target: at least 1.0)")


def cpu_name() -> str:
    """The name of the processor, where the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
