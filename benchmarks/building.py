"""The part of benchmarks/data.py that builds decoded stores, and shared helpers."""

from __future__ import annotations

import io
import multiprocessing
import platform
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIDE, SIZE = 1024, 224


def task_of(paths: list[Path]) -> object:
    """The files as a task."""
    from medzoo.data.files.fingerprint import fingerprint
    from medzoo.data.readers.image_file import FileReader
    from medzoo.data.task import Task
    from medzoo.data.task_info import TaskInfo

    names = [path.name for path in paths]
    info = TaskInfo(
        name="benchmark", title="", kind="binary", classes=("no", "yes"), metric="auroc", unit="image", groups="none: copies",
        channels=1, license="", url="", citation="", how="",
    )  # fmt: skip
    columns = {"id": names, "image": names, "label": [n % 2 for n in range(len(names))], "patient_id": names}
    return Task(info, {"train": columns}, FileReader(paths[0].parent), fingerprint(paths[0].parent, [], names))


def in_turns(ways: dict[str, Callable[[], int]], runs: int) -> dict[str, float]:
    """Median CPU milliseconds per image of each way; a way returns the number of its images."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(runs + 1):
        for name, way in ways.items():
            start = time.process_time()
            count = way()
            if turn:  # the first turn is a warm-up
                times[name].append(1000 * (time.process_time() - start) / count)
    return {name: statistics.median(values) for name, values in times.items()}


def bare(path: Path, size: int | None = None) -> tuple[int, ...]:
    """Decode an image, and resize it with Pillow if a size is given."""
    from PIL import Image

    with Image.open(path) as image:
        if size is not None:
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        return np.asarray(image).shape


def walls(ways: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """The shortest wall time of each way, in turns, because other programs can only make it longer."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in times.items()}


def builds(pngs: list[Path], jpegs: list[Path], scratch: Path, runs: int) -> list[list[str]]:
    """Building the store compared with a bare decode loop: CPU time per image on one core, and the gain of more cores."""
    from medzoo.data.decode_cache import decode
    from medzoo.data.decode_cache.cache import decoded

    places = iter(range(10**6))

    def build(paths: list[Path], size: int, workers: int = 1) -> int:
        place = scratch / "stores" / str(next(places))  # removed later, because removal is not part of a build
        decoded(task_of(paths), "train", size=size, cache_dir=place, workers=workers)
        return len(paths)

    def loop(paths: list[Path], size: int | None = None) -> int:
        return sum(len(bare(path, size)) > 0 for path in paths)

    # one core: bare decode, build, and a loop that also resizes
    lines = []
    some = pngs[:24]
    for name, paths, size, target in (
        ("1024 px PNG to 224 px", some, SIZE, 0.9), ("1024 px PNG as it is", some, SIDE, 0.9),
        ("256 px JPEG to 224 px", jpegs, SIZE, None),
    ):  # fmt: skip
        ways = {"bare": lambda paths=paths: loop(paths), "build": lambda paths=paths, size=size: build(paths, size)}
        if size != SIDE:
            ways["resized"] = lambda paths=paths, size=size: loop(paths, size)
        took = in_turns(ways, max(3, runs // 2))
        shutil.rmtree(scratch / "stores")
        ratio = took["bare"] / took["build"]
        judged = ["", ""] if target is None else [f">= {target:g}x", verdict(ratio >= target)]
        lines.append([name, f"{took['bare']:.2f}", f"{took['build']:.2f}", f"{ratio:.2f}x", *judged])
        if "resized" in took:
            cells = [f"{took['resized']:.2f}", f"{took['build']:.2f}", f"{took['resized'] / took['build']:.2f}x"]
            lines.append(["the same, compared with a loop that also resizes", *cells, "", ""])
    # several cores: CPU time of all processes, then wall time
    cores = min(4, decode.usable_cores())
    if cores > 1:
        decode.ALONE_SECONDS = 0.0  # as in a build of hours, where helpers do nearly all of the work
        alone, spent = took_by_all(lambda: build(pngs, SIZE, 1)), took_by_all(lambda: build(pngs, SIZE, cores))
        ratio, serial = sum(alone) / sum(spent), spent[0] / sum(spent)
        lines.append(
            [
                f"{cores} helpers: CPU of all processes", f"{alone[0]:.2f} (1 process)", f"{sum(spent):.2f}", f"{ratio:.2f}x",
                ">= 0.9x", verdict(ratio >= 0.9),
            ]
        )  # fmt: skip
        lines.append(["of that in the parent, which feeds the helpers", "", f"{spent[0]:.2f}", f"{serial:.0%}", "", ""])
        with multiprocessing.get_context("fork").Pool(cores) as pool:
            took = walls(
                {
                    "bare": lambda: loop(pngs), "bares": lambda: pool.map(bare, pngs, chunksize=8),
                    "build": lambda: build(pngs, SIZE, 1), "builds": lambda: build(pngs, SIZE, cores),
                },
                5,
            )  # fmt: skip
        best, ours = took["bare"] / took["bares"], took["build"] / took["builds"]
        lines.append(
            [
                f"gain of {cores} cores in wall time", f"{best:.2f}x", f"{ours:.2f}x", f"{ours / best:.2f}x", ">= 0.9x",
                verdict(ours / best >= 0.9),
            ]
        )  # fmt: skip
    return lines


SMALL = {"32 px colour JPEG": (32, "RGB"), "64 px grey JPEG": (64, "L")}  # as CIFAR-10 and MedNIST


def small_jpegs(pngs: list[Path], count: int) -> dict[str, list[bytes]]:
    """Encoded small images by name, made from large ones, each cut out at another position."""
    from PIL import Image

    encoded: dict[str, list[bytes]] = {name: [] for name in SMALL}
    for number in range(count):
        with Image.open(pngs[number % len(pngs)]) as image:
            left, top = (number * 37) % 512, (number * 91) % 512
            part = image.crop((left, top, left + 512, top + 512))
        for name, (side, mode) in SMALL.items():
            buffer = io.BytesIO()
            part.convert(mode).resize((side, side), Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=90)
            encoded[name].append(buffer.getvalue())
    return encoded


def given_jpegs(folder: Path, count: int) -> dict[str, list[bytes]]:
    """The first encoded images of a folder with train.parquet, named by the folder."""
    import pyarrow.parquet as pq

    cells = pq.ParquetFile(folder / "train.parquet").read_row_group(0, columns=["image"])["image"].to_pylist()[:count]
    return {folder.name: [cell["bytes"] for cell in cells]}


def small_builds(images: dict[str, list[bytes]], scratch: Path, runs: int) -> list[list[str]]:
    """Stores of small JPEGs from a Parquet table compared with a bare decode: CPU time per image on one core."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    from medzoo.data.decode_cache.cache import decoded
    from medzoo.data.task_registry import load_task

    places = iter(range(10**6))
    lines = []
    for name, encoded in images.items():
        # a task of these images, as a Parquet table
        root = scratch / name.replace(" ", "_")
        root.mkdir()
        for split, some in (("train", encoded), ("validation", encoded[:8]), ("test", encoded[:8])):
            labels = [number % 2 for number in range(len(some))]
            pq.write_table(pa.table({"image": some, "label": labels}), root / f"{split}.parquet")
        task = load_task(f"parquet:{root}", groups="none")
        with Image.open(io.BytesIO(encoded[0])) as image:
            side = max(image.size)

        def bare(size: int | None = None, encoded: list[bytes] = encoded) -> int:
            for data in encoded:
                with Image.open(io.BytesIO(data)) as image:
                    np.asarray(image if size is None else image.resize((size, size), Image.Resampling.BILINEAR))
            return len(encoded)

        def build(size: int, task: object = task) -> int:
            decoded(task, "train", size=size, cache_dir=scratch / "small" / str(next(places)), workers=1)
            return len(task.column("train", "id"))

        # three sizes: as stored, half, double
        for size in (side, side // 2, 2 * side):
            ways = {"bare": bare, "build": lambda size=size: build(size)}
            if size != side:
                ways["resized"] = lambda size=size: bare(size)
            took = in_turns(ways, runs)
            shutil.rmtree(scratch / "small")
            baseline = took.get("resized", took["bare"])
            ratio = baseline / took["build"]
            what = "as it is" if size == side else f"to {size} px, compared with a loop that also resizes"
            cells = [f"{baseline:.3f}", f"{took['build']:.3f}", f"{ratio:.2f}x", ">= 0.6x", verdict(ratio >= 0.6)]
            lines.append([f"{len(encoded):,} {name} in Parquet, {what}", *cells])
    return lines


def cpu_name() -> str:
    """The system's name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def took_by_all(way: Callable[[], int], runs: int = 3) -> tuple[float, float]:
    """Median CPU milliseconds per image of this process, and of its children."""
    import resource

    own, children = [], []
    for _ in range(runs):
        before = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        count = way()
        after = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        spent = [a.ru_utime + a.ru_stime - b.ru_utime - b.ru_stime for a, b in zip(after, before, strict=True)]
        own.append(1000 * spent[0] / count)
        children.append(1000 * spent[1] / count)
    return statistics.median(own), statistics.median(children)


def verdict(good: bool) -> str:
    """PASS or FAIL."""
    return "PASS" if good else "FAIL"


def table(head: list[str], lines: list[list[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *lines)] + [""]
