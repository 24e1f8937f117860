"""Fine-tuning from files: medzoo's decoded store, on the device and on the host, and a JPEG loader as timm's train.py makes it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu_parts.clock import Way
from gpu_parts.lab import Lab
from gpu_parts.loops import LoopWay, Ready
from gpu_parts.steps import BATCH, batch_of, objective_of, timm_way
from gpu_parts.turns import Builder, measure, seconds_of
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.decode_cache.device import Placing, place
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.training.inputs.batches import Batches

DRAWN, SIDE, STORED = 512, 512, 224  # different files, pixels of a file, pixels of a decoded row
COPIES = 32  # names of each file: an epoch has more batches than a window and those that workers have ready
NETWORKS = ("resnet50", "vit_base_patch16_224")
LOSS = 3.0  # per cent
READY = 2  # batches that a worker prepares ahead
AREA = 0.35  # smallest share of a crop, in all ways


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def draw_files(folder: Path, lab: Lab) -> list[Path]:
    """Grey JPEG files of blurred noise in two folders, one for each class, as timm reads them; most are links."""
    from PIL import Image

    drawn, copies, side = (4, 2, 48) if lab.tiny else (DRAWN, COPIES, SIDE)
    rng, files = np.random.default_rng(0), []
    for label in ("no", "yes"):
        (folder / label).mkdir(parents=True)
    for number in range(drawn):
        coarse = Image.fromarray(rng.integers(0, 256, (side // 8, side // 8), np.uint8))
        first = folder / ("no", "yes")[number % 2] / f"{number:05d}-0.jpg"
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(first, quality=92)
        for copy in range(copies):
            path = first.with_name(f"{number:05d}-{copy}.jpg")
            if copy:
                try:
                    os.link(first, path)
                except OSError:  # a file system without links
                    shutil.copy(first, path)
            files.append(path)
    return files


def build_store(folder: Path, files: list[Path], lab: Lab) -> Decoded:
    """The decoded rows of these files in a store, made by medzoo on all cores."""
    from medzoo.data.decode_cache.cache import decoded
    from medzoo.data.files.fingerprint import fingerprint
    from medzoo.data.readers.image_file import FileReader
    from medzoo.data.task import Task
    from medzoo.data.task_info import TaskInfo

    names = [str(path.relative_to(folder)) for path in files]
    labels = [int(path.parent.name == "yes") for path in files]
    info = TaskInfo(
        name="benchmark", title="", kind="binary", classes=("no", "yes"), metric="auroc", unit="image", groups="none: copies",
        channels=1, license="", url="", citation="", how="",
    )  # fmt: skip
    columns = {"id": names, "image": names, "label": labels, "patient_id": names}
    task = Task(info, {"train": columns}, FileReader(folder), fingerprint(folder, [], names))
    size = 32 if lab.tiny else STORED
    return decoded(task, "train", size=size, cache_dir=lab.folder / "store", progress=False)


def timm_batches(folder: Path, lab: Lab, images: int, workers: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The batches of timm's loader, without end: Pillow in worker processes, bytes to the device, normalised there."""
    from timm.data import ImageDataset, create_loader

    # the prefetcher needs an accelerator; without it, images are normalised by the workers
    loader = create_loader(
        ImageDataset(str(folder)), input_size=(3, 32, 32) if lab.tiny else (3, STORED, STORED), batch_size=images,
        is_training=True, scale=(AREA, 1.0), color_jitter=None, num_workers=workers, pin_memory=lab.is_cuda,
        use_prefetcher=lab.is_cuda, device=lab.device, persistent_workers=workers > 0,
    )  # fmt: skip
    while True:
        for given, label in loader:
            yield given.to(lab.device, memory_format=torch.channels_last), label.to(lab.device)


def ways_of(lab: Lab, name: str, rows: Decoded, files: Path) -> Mapping[str, Builder]:
    """The ways of a network: without images to make, from the store, and from files."""
    images, workers = lab.images(BATCH), 1 if lab.tiny else max(1, min(16, cores()))

    def full(placing: Placing, workers: int = 0) -> Way:
        data = place(rows, lab.device, placing)
        size = 32 if lab.tiny else STORED
        law = Augmentation(min_area=AREA, flip=0.5)
        batches = Batches(data, law, InputConvention(), size=size, batch_size=images, seed=0)
        return LoopWay(objective_of(name, lab), batches, lab, workers=workers, drain=READY * workers)

    def ready() -> Way:
        return LoopWay(objective_of(name, lab), Ready(batch_of(lab, images), images), lab)

    def theirs() -> Way:
        batches = timm_batches(files, lab, images, 0 if lab.tiny else workers)
        drain = 0 if lab.tiny else READY * workers
        return timm_way(name, lab, partial(next, batches), compiled=False, images=images, drain=drain)

    ways: dict[str, Builder] = {"compute only": ready, "store on the device": partial(full, "always")}
    if name == NETWORKS[0]:
        ways |= {"timm, JPEG files": theirs, f"store on the host, {workers} workers": partial(full, "never", workers)}
    return ways


def part(lab: Lab) -> None:
    """Draw files, decode them, and train from them."""
    folder = lab.folder / "jpeg"
    files = draw_files(folder, lab)
    made: dict[str, Any] = {}
    seconds = seconds_of(lambda: made.update(rows=build_store(folder, files, lab)), lab, 1, warm=False)
    table = lab.table(
        f"From files: {len(files)} grey JPEG of {SIDE} px, batch {lab.images(BATCH)}, bf16, eager",
        ["network", "way", "images/s", "lowest to highest", "ms a step", "data cost, %", "busy cores"],
        f"medzoo decoded the files once, in {seconds:.1f} s on {cores()} cores ({len(files) / seconds:,.0f} images/s, "
        "with the start of the processes). Crops and flips are drawn anew in every step. `data cost` is 1 - images/s of the way / "
        "images/s of `compute only`. `timm, JPEG files` decodes with Pillow in as many workers, and is the step of train.py.",
    )  # fmt: skip
    for position, name in enumerate(NETWORKS):
        found = measure(
            ways_of(lab, name, made["rows"], folder), lab, lab.left / (len(NETWORKS) - position), f"{name} from files"
        )
        alone = found.get("compute only")
        for way, one in found.items():
            cost: str | float = "" if alone is None or way == "compute only" else 100 * (1 - one.rate / alone.rate)
            busy: str | float = "" if one.cores is None else one.cores
            table.rows.append(
                [name, way, one.rate, f"{one.spread[0]:,.0f} to {one.spread[1]:,.0f}", one.step_ms, cost, busy]
            )
        held = found.get("store on the device")
        value = None if alone is None or held is None else 100 * (1 - held.rate / alone.rate)
        lab.target(f"data cost, {name}, store on the device", LOSS, value, " %", most=True)
