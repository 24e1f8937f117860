"""CPU time to read, crop and decode images, from the second epoch on: medzoo compared with torchvision and Pillow.

    python benchmarks/data.py --data FOLDER_OF_PNGS          for example 1024 px radiographs of ChestX-ray14
    python benchmarks/data.py                                synthetic ones of that size
    python benchmarks/data.py --small FOLDER [FOLDER]        your own small JPEGs: folders with train.parquet
    python benchmarks/data.py --out benchmarks/results/data.md

Everything runs on one core, all ways in turns; the value is the median CPU time per image. On a shared machine only the ratios are
reliable. The view is that of fine-tuning: random resized crop to 224 px, flip, normalised, three channels.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from building import (
    SIDE,
    SIZE,
    builds,
    cpu_name,
    given_jpegs,
    in_turns,
    small_builds,
    small_jpegs,
    table,
    task_of,
    verdict,
)

if TYPE_CHECKING:
    from medzoo.data.decode_cache.rows import Rows

BATCH = 64
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def draw(folder: Path, count: int) -> None:
    """Radiograph-like PNGs: a bright chest with two dark lungs, ribs, and noise that PNG cannot compress."""
    from PIL import Image

    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    for number in range(count):
        rng = np.random.default_rng(number)
        image = 190 - 90 * (x**2 + y**2)
        for middle in (-0.4, 0.4):
            image -= 90 * np.exp(-(((x - middle) / 0.25) ** 2) - ((y / 0.55) ** 2) ** 2)
        image += 12 * np.sin(26 * y + 3 * x**2 + rng.uniform(0, 6)) + rng.normal(0, 4, image.shape)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")


def gather(data: Path | None, scratch: Path, count: int) -> tuple[list[Path], list[Path]]:
    """`count` grey PNGs of 1024 px (repeated under other names if there are fewer), and JPEGs of 256 px of them."""
    from PIL import Image

    given, folder, small = scratch / "given", scratch / "png", scratch / "jpeg"
    for place in (given, folder, small):
        place.mkdir()
    if data is None:
        draw(given, 8)
    sources = [path for path in sorted((data or given).rglob("*.png")) if Image.open(path).mode == "L"][:count]
    for number in range(count):
        name = f"{number:04d}"
        shutil.copy(sources[number % len(sources)], folder / f"{name}.png")
        with Image.open(folder / f"{name}.png") as image:
            image.resize((256, 256), Image.Resampling.BILINEAR).save(small / f"{name}.jpg", quality=95)
    return sorted(folder.iterdir()), sorted(small.iterdir())


def torchvision_way(paths: list[Path], convert: str | None) -> Callable[[], int]:
    """Transforms of torchvision (version 1) from files, as in the studies, stacked to batches of the same size."""
    import torch
    from PIL import Image
    from torchvision import transforms as tv

    steps = [tv.RandomResizedCrop(SIZE, scale=(0.35, 1.0)), tv.RandomHorizontalFlip(), tv.ToTensor()]
    if convert is None:
        steps.append(tv.Lambda(lambda image: image.expand(3, -1, -1)))
    transform = tv.Compose([*steps, tv.Normalize(MEAN, STD)])

    def way() -> int:
        views = []
        for path in paths:
            with Image.open(path) as image:
                views.append(transform(image if convert is None else image.convert(convert)))
        torch.stack(views)
        return len(paths)

    return way


def large_store(scratch: Path) -> Rows:
    """4,096 rows of 224 px in five parts, 200 MB: larger than a processor's cache."""
    from medzoo.data.decode_cache import store as row_store
    from medzoo.data.decode_cache.rows import DecodedRow

    store = row_store.RowStore(scratch / "large", "noise", "0" * 64, SIZE, False, {})
    rng, keys = np.random.default_rng(0), [str(number) for number in range(4096)]
    for first in range(0, len(keys), 1000):
        with row_store.Writer(store) as writer:
            for key in keys[first : first + 1000]:
                writer.add(key, DecodedRow(rng.integers(0, 256, (SIZE, SIZE), np.uint8)))
    return store.find(keys).images()


def epochs(pngs: list[Path], jpegs: list[Path], scratch: Path, runs: int) -> tuple[list[list[str]], object]:
    """The time per image of the second epoch: from the store, and from files with torchvision."""
    import torch

    from medzoo.data.decode_cache.cache import decoded
    from medzoo.data.transforms.apply import Augmentation, InputConvention
    from medzoo.training.inputs.batches import Batches

    rows = decoded(task_of(pngs), "train", size=SIZE)
    batches = Batches(
        rows, Augmentation(min_area=0.35, flip=0.5), InputConvention(MEAN, STD), size=SIZE, batch_size=BATCH, seed=0
    )

    def from_store() -> int:
        for _ in range(4):
            for batch in batches.from_step(0, 0):
                assert batch["image"].shape == (BATCH, 3, SIZE, SIZE)
        return 4 * len(batches) * BATCH

    many = large_store(scratch)

    def read() -> int:
        for chosen in torch.randperm(len(many)).view(-1, BATCH).numpy():
            many[chosen]
        return len(many)

    # all ways in turns, then one line each with its target
    took = in_turns(
        {
            "medzoo, from the store": from_store, "store read alone": read,
            "torchvision v1, from 1024 px PNG, grey": torchvision_way(pngs[:BATCH], None),
            "torchvision v1, from 1024 px PNG, as RGB": torchvision_way(pngs[:BATCH], "RGB"),
            "torchvision v1, from 256 px JPEG, grey": torchvision_way(jpegs[:BATCH], None),
            "torchvision v1, from 256 px JPEG, as RGB": torchvision_way(jpegs[:BATCH], "RGB"),
        },
        runs,
    )  # fmt: skip
    ours = took["medzoo, from the store"]
    targets = {"1024": 15.0, "256": 2.0}
    lines = []
    for name, value in took.items():
        target = next((value for word, value in targets.items() if word in name), None)
        if target is not None:
            ratio = value / ours
            lines.append([name, f"{value:.3f}", f"{ratio:.1f}x", f">= {target:g}x", verdict(ratio >= target)])
        elif "read" in name:
            lines.append([name, f"{value:.4f}", "", "<= 0.02 ms", verdict(value <= 0.02)])
        else:
            lines.append([name, f"{value:.3f}", "1x", "", ""])
    return lines, rows


def crops(rows: object, runs: int) -> list[list[str]]:
    """The crop only, from 256 px in memory: both implementations, and torchvision image by image."""
    import torch
    from torchvision.transforms.v2 import functional as tv

    from medzoo.data.rng import uniform
    from medzoo.data.transforms.apply import to_unit, whole
    from medzoo.data.transforms.random_params import CROP_TRIES, crop_boxes
    from medzoo.data.transforms.resample import apply_taps, resize_taps
    from medzoo.training.inputs.batches import AT_ONCE

    unit = whole(to_unit(rows.images[np.arange(BATCH) % len(rows.ids)], rows.scale), 256)
    boxes = crop_boxes(uniform("view0", 0, 0, np.arange(BATCH), 2 * CROP_TRIES + 2), 256, 256, 0.35, 4 / 3)
    sides = torch.from_numpy(boxes).unbind(1)

    def ours(form: str, at_once: int) -> torch.Tensor:
        parts = []
        for first in range(0, BATCH, at_once):
            top, left, height, width = (side[first : first + at_once] for side in sides)
            taps = resize_taps(top, height, 256, SIZE), resize_taps(left, width, 256, SIZE)
            parts.append(apply_taps(unit[first : first + at_once], *taps, form))
        return torch.cat(parts)

    def theirs() -> torch.Tensor:
        pairs = zip(unit, boxes.tolist(), strict=True)
        return torch.stack([tv.resized_crop(image, *box, [SIZE, SIZE], antialias=True) for image, box in pairs])

    names = {
        "sums of rows (the CPU's form)": lambda: ours("taps", AT_ONCE),
        "matrix products (the device's)": lambda: ours("matmul", BATCH),
        "torchvision v2, image by image": theirs,
    }  # fmt: skip
    took = in_turns({name: (lambda way=way: len(way())) for name, way in names.items()}, runs)
    expected, lines = theirs(), []
    for name, way in names.items():
        error = float((way() - expected).abs().max())
        cells = ["", "", ""] if way is theirs else [f"{error:.1e}", "<= 1e-3", verdict(error <= 1e-3)]
        lines.append([name, f"{took[name]:.3f}", *cells])
    return lines


def main() -> None:
    """Measure and print."""
    import PIL
    import torch
    import torchvision

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder with grey 1024 px PNGs; synthetic ones by default")
    parser.add_argument("--small", type=Path, nargs="+", help="folders with train.parquet; synthetic images by default")
    parser.add_argument("--images", type=int, default=96, help="files in the store")
    parser.add_argument("--runs", type=int, default=9, help="number of turns; the median is reported")
    parser.add_argument("--out", type=Path, help="a Markdown file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=UserWarning)
    with tempfile.TemporaryDirectory() as folder:
        import os

        os.environ["MEDZOO_HOME"] = str(Path(folder) / "home")
        pngs, jpegs = gather(options.data, Path(folder), max(BATCH, options.images))
        first, rows = epochs(pngs, jpegs, Path(folder), options.runs)
        second, third = crops(rows, options.runs), builds(pngs, jpegs, Path(folder), options.runs)
        small = small_jpegs(pngs, 2000) if options.small is None else {}
        for place in options.small or ():
            small |= given_jpegs(place, 2000)
        fourth = small_builds(small, Path(folder), options.runs)
    kind = "synthetic images" if options.data is None else "given images, `--data FOLDER`"
    text = [
        "# Data: CPU milliseconds per image, one core", "",
        f"`python benchmarks/data.py --out benchmarks/results/data.md`, on {kind}; the ratios count, not the milliseconds.", "",
        "From the second epoch on: random resized crop to 224 px, flip, normalised, three channels. Grey keeps one channel up to "
        "the tensor; the studies' code uses RGB.", "",
        *table(["way", "ms", "medzoo is faster by", "target", ""], first),
        "The crop only, 256 px to 224 px, 64 images in memory; the largest difference from torchvision in units of the range.", "",
        *table(["form", "ms", "difference", "target", ""], second),
        "Building the store, compared with a loop of `np.asarray(Image.open(path))`. A build also resizes, hashes and "
        "writes; the comparison with a loop that also resizes (with Pillow) shows the share of resizing.", "",
        *table(["what", "bare decode", "build", "build's rate of bare", "target", ""], third),
        "Building the store of small JPEGs from a Parquet table, compared with a loop of `np.asarray(Image.open(...))` over the "
        "same bytes.", "",
        *table(["what", "bare decode", "build", "build's rate", "target", ""], fourth),
        f"{cpu_name()}; torch {torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__}, Python "
        f"{platform.python_version()}, {platform.machine()}, {multiprocessing.cpu_count()} cores.", "",
    ]  # fmt: skip
    print("\n".join(text))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
