"""Read images in worker threads: a bounded queue, results in the order of the inputs, one error an image."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medzoo.data.decode_cache.malloc import keep_memory
from medzoo.data.decode_cache.rows import to_row
from medzoo.data.images.frame_count import frame_keys
from medzoo.data.images.frame_key import split_key
from medzoo.data.images.read import Pixels, to_pixels
from medzoo.data.images.sniff import kind_of
from medzoo.data.images.volume_cache import read_cached
from medzoo.data.patient_ids import same_form
from medzoo.data.transforms.apply import normalise, to_unit
from medzoo.errors import ImageError, MedzooError, MissingExtraError
from medzoo.training.inputs.input_pixels import input_pixels, read_scaled
from medzoo.training.inputs.input_transform import Transform
from medzoo.training.predict.inputs import ImageItem
from medzoo.training.predict.overlay import displayed

SEGMENTATION = "SEG"  # the modality of a DICOM object whose pixels are labels
NOT_IMAGES = ("dicom-without-pixels", "dicom-segmentation")  # DICOM objects that a folder of images may contain


@dataclass(frozen=True)
class Ready:
    """An image as the network's input.

    Args:
        item: what was read.
        tensor: (channels, side, side), normalised.
        patient_id: from the table or the header; None if unknown.
        shape: height and width of the image in its file, pixels.
        pixel_mm2: area of one of its pixels; None if unknown.
        picture: uint8 RGB for people, where something is drawn on it.
    """

    item: ImageItem
    tensor: torch.Tensor
    patient_id: str | None
    shape: tuple[int, int] = (0, 0)
    pixel_mm2: float | None = None
    picture: np.ndarray | None = None


@dataclass(frozen=True)
class Failed:
    """An image without a prediction.

    Args:
        item: what could not be read.
        code: of the error.
        reason: its message.
    """

    item: ImageItem
    code: str
    reason: str

    @property
    def not_an_image(self) -> bool:
        """Whether it is a DICOM object without an image that medzoo found in a folder, and is skipped there."""
        return self.item.found and self.code in NOT_IMAGES


@dataclass(frozen=True)
class Several:
    """A file that has more than one image.

    Args:
        items: one an image.
    """

    items: list[ImageItem]


@dataclass(frozen=True)
class Decoder:
    """ImageItem → input of the network, with the pixels that a training run stores: its test gives the same numbers.

    Args:
        transform: of the checkpoint, with the user's window.
        side: of the result, pixels.
        pictures: whether to keep a picture for people.
    """

    transform: Transform
    side: int
    pictures: bool = False

    def __call__(self, item: ImageItem) -> Ready | Failed | Several:
        """One item; every error about the image becomes a `Failed`."""
        try:
            return self._read(item)
        except MissingExtraError:
            raise  # about this machine, not about the image
        except MedzooError as error:
            return Failed(item, error.code, str(error))

    def _read(self, item: ImageItem) -> Ready | Several:
        window, hu = self.transform.window, self.transform.clip if self.transform.unscaled_hu else None
        if item.source is None:
            raise ImageError(f"{item.key or item.path}: the cell of the image is empty.", code="image-cell-empty")
        if isinstance(item.source, Path):
            try:
                path, frame = item.source, item.frame
                pixels = read_scaled(lambda chosen: read_cached(path, window=chosen, frame=frame), window, hu)
            except ImageError as error:
                if item.frame is None:
                    _refuse_segmentation(item.source)
                if error.code != "frame-required" or item.frame is not None:
                    raise
                return Several([_frame_of(item, end) for end in frame_keys(item.source)])
            if item.frame is None and pixels.modality == SEGMENTATION:
                raise _is_segmentation(item.source)
        else:
            pixels = read_scaled(lambda chosen: to_pixels(item.source, window=chosen), window, hu)
        _refuse_other_unit(pixels, self.transform, item.key or item.path)
        # the window is applied already; a rule must not be fitted a second time
        plain = self.transform if window is None else replace(self.transform, window=None, clip=None)
        ready = input_pixels(pixels, clip=plain.clip, rule=plain.rule)
        row = to_row(ready, self.side)
        unit = to_unit(row[None], 255 if row.dtype == np.uint8 else 65535, plain.rule)
        patient = item.patient_id or (same_form(pixels.patient_id) if pixels.patient_id else None)
        picture = displayed(pixels, plain.clip) if self.pictures else None
        height, width = pixels.array.shape[:2]
        tensor = normalise(unit, plain.convention)[0]
        return Ready(item, tensor, patient, (height, width), pixels.pixel_mm2, picture)


def _frame_of(item: ImageItem, end: str) -> ImageItem:
    return replace(item, frame=split_key(f"x{end}")[1], key=f"{item.path}{end}")


def _refuse_segmentation(path: Path) -> None:
    """Refuse a DICOM segmentation that could not be read as one image. Other errors are reported by the reader."""
    try:
        with path.open("rb") as file:
            if kind_of(file.read(512)) != "DICOM":
                return
            from pydicom import dcmread

            file.seek(0)
            header = dcmread(file, specific_tags=["Modality"], stop_before_pixels=True, force=True)
            modality = header.get("Modality")
    except Exception:  # a damaged header raises anything
        return
    if modality == SEGMENTATION:
        raise _is_segmentation(path)


def _is_segmentation(path: Path) -> ImageError:
    return ImageError(f"{path}: is a segmentation (labels of pixels), not an image.", code="dicom-segmentation")


def _refuse_other_unit(pixels: Pixels, transform: Transform, where: str) -> None:
    """Refuse a colour image for a network whose input convention is in HU."""
    if transform.clip is not None and transform.window is None and pixels.unit == "rgb":
        low, high = transform.clip
        raise ImageError(
            f"{where}: is a colour image, but the network's input is CT from {low:g} to {high:g} HU. If it was fine-tuned on "
            "colour images, give the range of their values: window=(0, 255), or --window 0:255.",
            code="window-needs-hu",
        )


@contextmanager
def worker_pool(workers: int) -> Iterator[ThreadPoolExecutor | None]:
    """Threads in which torch computes with one thread each; the number of threads of the caller stays the same.

    Args:
        workers: number of threads; 0 gives None.
    """
    if not workers:
        yield None
        return
    keep_memory()
    before, together = torch.get_num_threads(), threading.Barrier(workers + 1)

    def start() -> None:
        torch.get_num_threads()  # the first call in a thread sets its number to the global one
        torch.set_num_threads(1)
        together.wait()

    pool = ThreadPoolExecutor(workers, "medzoo-read")
    try:
        for _ in range(workers):
            pool.submit(start)
        together.wait()
        torch.set_num_threads(before)  # MKL has one number for all threads
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


Outcome = Ready | Failed | Several


def decoded(
    items: Iterable[ImageItem],
    decode: Callable[[ImageItem], Outcome],
    pool: ThreadPoolExecutor | None,
    ahead: int,
    grow: Callable[[int], Any] = lambda count: None,
) -> Iterator[Ready | Failed]:
    """The images of all items, in order; a file with several images gives all of them.

    Args:
        items: the inputs.
        decode: reads one.
        pool: of the worker threads; None reads in this thread.
        ahead: results that are kept in the queue.
        grow: called with the number of further images of a file.
    """
    for result in _in_order(iter(items), decode, pool, ahead):
        if isinstance(result, Several):
            grow(len(result.items) - 1)
            yield from decoded(result.items, decode, pool, ahead)
        else:
            yield result


def _in_order(
    items: Iterator[ImageItem], decode: Callable[[ImageItem], Outcome], pool: ThreadPoolExecutor | None, ahead: int
) -> Iterator[Outcome]:
    if pool is None:
        yield from map(decode, items)
        return
    waiting: deque[Future[Outcome]] = deque()
    for item in items:
        waiting.append(pool.submit(decode, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
