"""Detection rates for changed copies of real images, and the time of the search.

    python benchmarks/duplicates.py --data FOLDER --images 100000 --out benchmarks/results/duplicates.md
    python benchmarks/duplicates.py --images 30000     # only time, on random hashes

Some images of each data set are copied with one change each. A copy is found if it is in a group with its original. False pairs are
pairs of different images of the set in one group; only a visual check can show whether they are copies of each other.
"""

from __future__ import annotations

import argparse
import io
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SETS = {
    "films, 256 px (ChestX-ray14)": ("parquet:nih_cxr14_621_256", None),
    "ultrasound, 224 px (BUSI)": ("parquet:busi_224", None),
    "six kinds, 64 px (Medical MNIST)": ("parquet:medical_mnist_64", "none"),
    "films, 28 px (PneumoniaMNIST)": ("pneumoniamnist", None),
}
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def resized(image: np.ndarray, height: float, width: float) -> np.ndarray:
    """Resized by factors of height and width."""
    size = max(1, round(image.shape[1] * width)), max(1, round(image.shape[0] * height))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Compressed as JPEG and decoded again."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("L"))


def gamma(image: np.ndarray, power: float) -> np.ndarray:
    """With a gamma correction."""
    return np.rint(255 * (image / 255) ** power).astype(np.uint8)


def cropped(image: np.ndarray, share: float) -> np.ndarray:
    """Without a share of each side."""
    top, left = round(image.shape[0] * share), round(image.shape[1] * share)
    return image[top : image.shape[0] - top, left : image.shape[1] - left]


def padded(image: np.ndarray) -> np.ndarray:
    """In the middle of a black square of 1.3 times its longer side."""
    side = round(1.3 * max(image.shape))
    square = np.zeros((side, side), np.uint8)
    top, left = (side - image.shape[0]) // 2, (side - image.shape[1]) // 2
    square[top : top + image.shape[0], left : left + image.shape[1]] = image
    return square


def windowed(image: np.ndarray) -> np.ndarray:
    """Clipped to the middle of its grey values, as by another display window."""
    low, high = np.percentile(image, (10, 90))
    return np.rint(np.clip((image - low) / max(high - low, 1), 0, 1) * 255).astype(np.uint8)


def marked(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With text-like noise in a corner: an eighth of the height, a quarter of the width."""
    image = image.copy()
    corner = image[: image.shape[0] // 8, : image.shape[1] // 4]
    corner[...] = np.where(rng.random(corner.shape) > 0.5, 255, 0)
    return image


CHANGES: dict[str, Change] = {
    "half size": lambda image, rng: resized(image, 0.5, 0.5),
    "1.2 x 1.6 size": lambda image, rng: resized(image, 1.2, 1.6),
    "JPEG quality 30": lambda image, rng: jpeg(image, 30),
    "gamma 1.8": lambda image, rng: gamma(image, 1.8),
    "gamma 0.5": lambda image, rng: gamma(image, 0.5),
    "equalised": lambda image, rng: np.asarray(ImageOps.equalize(Image.fromarray(image))),
    "window of the middle 80 %": lambda image, rng: windowed(image),
    "noise, sd 8": lambda image, rng: np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8),
    "mirrored": lambda image, rng: np.ascontiguousarray(image[:, ::-1]),
    "inverted": lambda image, rng: 255 - image,
    "2 % cut off each side": lambda image, rng: cropped(image, 0.02),
    "5 % cut off each side": lambda image, rng: cropped(image, 0.05),
    "10 % cut off each side": lambda image, rng: cropped(image, 0.10),
    "black square around it": lambda image, rng: padded(image),
    "letters burnt in": marked,
    "half size, mirrored, inverted, JPEG": lambda image, rng: jpeg(255 - resized(image, 0.5, 0.5)[:, ::-1], 60),
    "turned by 90 degrees": lambda image, rng: np.rot90(image).copy(),
    "turned by 3 degrees": lambda image, rng: np.asarray(Image.fromarray(image).rotate(3, Image.Resampling.BILINEAR)),
}


def images_of(name: str, groups: str | None, data: Path, count: int) -> list[np.ndarray]:
    """Grey training images of a data set, equally spaced."""
    from medzoo.data.images.pixels import with_channels
    from medzoo.data.task_registry import load_task

    prefix, colon, path = name.partition(":")
    task = load_task(f"{prefix}:{data / path}", groups=groups) if colon else load_task(name, root=data / "medmnist")
    rows = task.tables["train"].num_rows
    chosen = np.linspace(0, rows - 1, min(count, rows)).astype(int)
    return [with_channels(task.read("train", int(row))[0], 1).array for row in chosen]


def recall(images: list[np.ndarray], changes: dict[str, Change] | None = None) -> tuple[dict[str, float], int]:
    """The share of copies that are found for each change, and the number of pairs of different images in one group."""
    from medzoo.data.duplicates.index import HashIndex
    from medzoo.data.duplicates.perceptual_hash import hash_image
    from medzoo.data.duplicates.search import find_duplicates
    from medzoo.data.images.pixels import Pixels

    rng = np.random.default_rng(0)

    def index(arrays: list[np.ndarray], name: str) -> HashIndex:
        hashes = [hash_image(Pixels(array, (0.0, 255.0), "grey")) for array in arrays]
        return HashIndex(
            name, "", [str(n) for n in range(len(arrays))], ["train"] * len(arrays), [None] * len(arrays),
            [one.pixels for one in hashes], np.concatenate([one.codes for one in hashes]),
            np.repeat(np.arange(len(arrays)), [len(one.codes) for one in hashes]),
            np.concatenate([one.mirrored for one in hashes]), np.concatenate([one.thumbs for one in hashes]),
        )  # fmt: skip

    originals = index(images, "originals")
    shares = {}
    for name, change in (CHANGES if changes is None else changes).items():
        copies = index([change(image, rng) for image in images], "copies")
        report = find_duplicates(originals, copies, progress=False)
        matched = set()
        for group in report.groups:
            first, second = (
                {member.id for member in group.members if member.task == side} for side in ("originals", "copies")
            )
            matched |= first & second
        shares[name] = len(matched) / len(images)
    alone = find_duplicates(originals, progress=False)
    return shares, sum(len(group.members) * (len(group.members) - 1) // 2 for group in alone.groups)


def time_of_search(count: int) -> tuple[float, float]:
    """Seconds and CPU seconds to compare the hashes of this many random images with each other."""
    from medzoo.data.duplicates.index import HashIndex
    from medzoo.data.duplicates.search import find_duplicates

    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (3 * count, 32), dtype=np.uint8)
    index = HashIndex(
        "drawn", "", [str(n) for n in range(count)], ["train"] * count, [None] * count,
        [rng.bytes(32) for _ in range(count)], codes, np.repeat(np.arange(count), 3), codes[::-1].copy(),
        np.zeros((3 * count, 32, 32), np.uint8),
    )  # fmt: skip
    start, clock = time.perf_counter(), time.process_time()
    find_duplicates(index, progress=None)
    return time.perf_counter() - start, time.process_time() - clock


def time_of_hash(image: np.ndarray, runs: int = 50) -> float:
    """CPU milliseconds to hash one decoded image."""
    from medzoo.data.duplicates.perceptual_hash import hash_image
    from medzoo.data.images.pixels import Pixels

    pixels = Pixels(image, (0.0, 255.0), "grey")
    hash_image(pixels)
    start = time.process_time()
    for _ in range(runs):
        hash_image(pixels)
    return 1000 * (time.process_time() - start) / runs


def main() -> None:
    """Measure and print."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the real images (CONTRIBUTING.md)")
    parser.add_argument("--copies", type=int, default=300, help="images of each set")
    parser.add_argument("--images", type=int, default=0, help="time a search among this many random hashes")
    parser.add_argument("--out", type=Path, help="Markdown file")
    options = parser.parse_args()
    lines = [
        "# Copies that are found", "",
        "`python benchmarks/duplicates.py --data FOLDER --images 100000 --out benchmarks/results/duplicates.md`; the shares do not "
        "depend on the machine, the times do.",
    ]  # fmt: skip
    if options.data:
        columns, false = {}, {}
        for title, (name, groups) in SETS.items():
            images = images_of(name, groups, options.data, options.copies)
            columns[title], pairs = recall(images)
            false[title] = f"{pairs} of {len(images) * (len(images) - 1) // 2:,}"
        lines += [
            "", f"Share of {options.copies} copies that are in a group with their original (`medzoo tasks duplicates`, 32 of 256 "
            "bits, confirmed by small images).",
            "", "| change | " + " | ".join(SETS) + " |", "|---|" + "---|" * len(SETS),
        ]  # fmt: skip
        lines += [
            f"| {name} | " + " | ".join(f"{100 * columns[title][name]:.0f} %" for title in SETS) + " |"
            for name in CHANGES
        ]
        lines.append("| pairs of different images in one group | " + " | ".join(false[title] for title in SETS) + " |")
    if options.images:
        seconds, cpu = time_of_search(options.images)
        side = np.random.default_rng(0).integers(0, 256, (1024, 1024), dtype=np.uint8)
        lines += [
            "", "## Time", "",
            f"Comparing {options.images:,} images with each other, three hashes each and the mirrored ones: {cpu:.0f} s of CPU "
            f"({seconds:.0f} s of wall time, with other programs running; {torch.get_num_threads()} threads, "
            f"{torch.cuda.device_count()} GPUs, torch "
            f"{torch.__version__}, {platform.machine()}).",
            f"Hashing one decoded image: {time_of_hash(side):.1f} ms of CPU at 1024 px, {time_of_hash(side[:256, :256]):.1f} ms "
            "at 256 px.",
        ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)


if __name__ == "__main__":
    main()
