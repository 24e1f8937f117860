"""SimCLR steps next to the example of lightly, and the memory of the contrastive loss at a large batch.

    python benchmarks/pretrain.py --images cifar10/train.parquet      steps of that example: ResNet-18, 32 px
    python benchmarks/pretrain.py --images FOLDER --size 128 --batch 64
    python benchmarks/pretrain.py --loss                      memory and time of NT-Xent at batch 4096 only

FOLDER holds image files (PNG or JPEG), or a Parquet file has them in its column "image"; without either, noise is written as PNG.
Both ways train the same network with the same optimizer, temperature and number of images per step, in turns, with one thread.
"lightly" is the loop of its SimCLR example: its transform on Pillow images, two forward passes, its head and its loss. "medzoo" is
the recipe from the second epoch on, when the images are decoded. Times are CPU times of a step; ratios are those of the fastest run
of each way, since other work on a shared machine can only slow a run down. It needs the extra [pretrain].
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

SUFFIXES = (".png", ".jpg", ".jpeg")
TARGET_RATIO, TARGET_BYTES = 1.5, 10**9
LOSS_BATCH, WIDTH = 4096, 128


def image_files(folder: str | None, count: int, side: int, temporary: Path) -> list[Path]:
    """Image files of a folder, or noise as PNG files."""
    from PIL import Image

    if folder is not None and folder.endswith(".parquet"):
        import pyarrow.parquet as pq

        rows = pq.ParquetFile(folder).read_row_group(0, ["image"]).column("image").slice(0, count)
        files = [temporary / f"{number}.img" for number in range(len(rows))]
        for file, row in zip(files, rows, strict=True):
            file.write_bytes(row.as_py()["bytes"])
        return files
    if folder is not None:
        found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)[:count]
        if not found:
            raise SystemExit(f"{folder} holds no image files ({', '.join(SUFFIXES)}).")
        return found
    draw = np.random.default_rng(0)
    files = []
    for number in range(count):
        coarse = Image.fromarray(draw.integers(0, 255, (16, 16), dtype=np.uint8)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        files.append(temporary / f"{number}.png")
        coarse.save(files[-1])
    return files


class Lightly:
    """The loop of lightly's SimCLR example, on the same files."""

    def __init__(self, files: list[Path], given: argparse.Namespace) -> None:
        from lightly.loss import NTXentLoss
        from lightly.models.modules import SimCLRProjectionHead
        from lightly.transforms.simclr_transform import SimCLRTransform
        from PIL import Image

        torch.manual_seed(0)
        self.backbone = timm.create_model(given.network, num_classes=0)
        width = self.backbone.num_features
        self.head = SimCLRProjectionHead(width, width, WIDTH)
        self.loss = NTXentLoss(temperature=0.2)
        self.transform = SimCLRTransform(input_size=given.size, cj_prob=0.8, cj_hue=0.0)
        parameters = [*self.backbone.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.05)
        self.files, self.batch, self.open = files, given.batch, Image.open
        self.backbone.train()
        self.head.train()

    def views(self, number: int) -> list[torch.Tensor]:
        """Two views of a batch."""
        chosen = [self.files[(number * self.batch + row) % len(self.files)] for row in range(self.batch)]
        pairs = [self.transform(self.open(file).convert("RGB")) for file in chosen]
        return [torch.stack(view) for view in zip(*pairs, strict=True)]

    def step(self, number: int) -> None:
        """One step."""
        first, second = (self.head(self.backbone(view).flatten(1)) for view in self.views(number))
        self.loss(first, second).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class Ours:
    """The recipe's loop, on the decoded files."""

    def __init__(self, files: list[Path], given: argparse.Namespace, folder: Path) -> None:
        from PIL import Image

        from medzoo.data.decode_cache.decoded import Decoded
        from medzoo.data.transforms.apply import InputConvention
        from medzoo.training.accelerator import make_accelerator
        from medzoo.training.inputs.batches import Batches
        from medzoo.training.loop import Loop
        from medzoo.training.objectives import simclr
        from medzoo.training.optimization.plan import TrainingPlan
        from medzoo.training.run_state.run_folder import RunFolder

        torch.manual_seed(0)
        backbone = timm.create_model(given.network, num_classes=0)
        images = np.stack(
            [np.asarray(Image.open(file).convert("L").resize((given.size, given.size))) for file in files]
        )
        names = [file.name for file in files]
        rows = Decoded(images, np.zeros(len(files), np.int64), names, names, 255.0, "0" * 64)
        options = simclr.Options(projection=WIDTH)
        self.batches = Batches(
            rows, simclr.views(options), InputConvention(), size=given.size, batch_size=given.batch, seed=0
        )
        plan = TrainingPlan(10**6, "adamw", 1e-3, 0.05, 0.0, 0.0, 0)
        objective = simclr.Objective(backbone, options, "unlabelled")
        self.loop = Loop(
            objective, self.batches, plan, RunFolder(folder, "pretrain", {}, {}), make_accelerator("fp32", "cpu")
        )
        # no run folder is open, so nothing is logged
        self.loop._log = lambda *given: None  # type: ignore[method-assign]
        self.loop.restore()

    def views(self, number: int) -> Any:
        """Two views of a batch."""
        return self.batches[number % len(self.batches)]

    def step(self, number: int) -> None:
        """One step."""
        self.loop.train_next()


def cpu_ms(work: Any, first: int, steps: int) -> float:
    """CPU milliseconds of a call."""
    began = time.process_time()
    for number in range(first, first + steps):
        work(number)
    return 1000 * (time.process_time() - began) / steps


def compare(given: argparse.Namespace) -> None:
    """Print the times of steps and of views, and their ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = image_files(given.images, max(given.batch * 4, 256), given.stored, folder)
        ways = {"lightly": Lightly(files, given), "medzoo": Ours(files, given, folder / "run")}
        times: dict[str, dict[str, list[float]]] = {way: {"step": [], "views": []} for way in ways}
        for number in range(given.runs + 1):
            for way, one in ways.items():
                for part, work in (("step", one.step), ("views", one.views)):
                    spent = cpu_ms(work, number * given.steps, given.steps)
                    if number:  # the first run warms up
                        times[way][part].append(spent)
    print(
        f"{given.network}, {given.size} px, {given.batch} images x 2 views, {len(files)} files of {given.images or 'noise'}"
    )
    print("way       step, fastest (median) ms    views, fastest (median) ms")
    for way, parts in times.items():
        cells = [f"{min(spent):9.1f} ({statistics.median(spent):9.1f})" for spent in parts.values()]
        print(f"{way:9} {cells[0]:>25} {cells[1]:>29}")
    for part in ("step", "views"):
        ratio = min(times["lightly"][part]) / min(times["medzoo"][part])
        goal = f"; target {TARGET_RATIO}" if part == "step" else ""
        print(f"medzoo makes {ratio:.2f} x as many {part}s{goal}".replace("viewss", "views"))


LOSS = """
import sys, time, torch
torch.set_num_threads(1)
rows = [torch.randn({batch}, {width}, requires_grad=True) for _ in range(2)]
if sys.argv[1] == "medzoo":
    from medzoo.training.objectives.simclr import nt_xent
    loss = lambda: nt_xent(*rows, 0.2)
else:
    from lightly.loss import NTXentLoss
    theirs = NTXentLoss(temperature=0.2)
    loss = lambda: theirs(*rows)
def peak():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return 1024 * int(lines["VmHWM"].split()[0])
open("/proc/self/clear_refs", "w").write("5")  # the peak starts again
before = peak()
began = time.process_time()
value = loss()
value.backward()
print(float(value), peak() - before, time.process_time() - began)
"""


def loss_memory() -> None:
    """Print the memory and the time of the loss at batch 4096, each way in a process of its own; the peak is Linux's."""
    print(
        f"NT-Xent, {LOSS_BATCH} images x 2 views, {WIDTH} features, forward and backward; target {TARGET_BYTES / 1e9:.0f} GB"
    )
    for way in ("lightly", "medzoo"):
        text = LOSS.format(batch=LOSS_BATCH, width=WIDTH)
        made = subprocess.run(
            [sys.executable, "-c", text, way], capture_output=True, text=True, check=True
        ).stdout.split()
        print(f"{way:9} {float(made[1]) / 1e9:.2f} GB, {float(made[2]):.1f} s CPU, loss {float(made[0]):.4f}")


def main() -> None:
    """Print the comparison, or the memory of the loss."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", help="folder of image files, or a Parquet file; by default noise")
    parser.add_argument("--network", default="resnet18", help="a network of timm")
    parser.add_argument("--size", type=int, default=32, help="side of the views, pixels")
    parser.add_argument("--stored", type=int, default=32, help="side of the files of noise, pixels")
    parser.add_argument("--batch", type=int, default=64, help="images per step")
    parser.add_argument("--steps", type=int, default=4, help="steps of one run")
    parser.add_argument("--runs", type=int, default=7, help="runs of each way, in turns")
    parser.add_argument("--loss", action="store_true", help="only the memory of the loss")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{platform.processor() or platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
    )
    if not given.loss:
        compare(given)
    loss_memory()


if __name__ == "__main__":
    main()
