"""Decode the images of a split to rows, in order, on all cores.

This process works alone for the first second, which is enough for small sets. Then threads continue, or processes if the
reader says that each key is a separate file (`apart`): some decoders, such as DICOM decoders, hold Python's lock. The
rows do not depend on this.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.cores import usable_cores
from medzoo.data.decode_cache.malloc import keep_memory
from medzoo.data.decode_cache.rows import DecodedRow, to_mask_row, to_row
from medzoo.errors import ImageError, WorkerError

if TYPE_CHECKING:
    from medzoo.data.task import Task

ALONE_SECONDS = 1.0  # less work than this is faster without workers
CHUNK_SECONDS, CHUNK_ROWS = 0.25, 64  # work per call of a worker process
THREAD_SECONDS = 0.01  # per call of a thread: small images share the cost of a call, slices of one volume stay together


def decode_one(task: Task, split: str, index: int, size: int, masks: bool) -> DecodedRow:
    """Decode one image, and its mask where the task has masks, to a stored row.

    Args:
        task: the task of the image.
        split: of the image.
        index: in the split.
        size: side of the row, pixels.
        masks: whether to read the mask too.

    Raises:
        ImageError: if the image cannot be read, or its mask has another size or type; both are named.

    >>> from medzoo.data.task_registry import load_task
    >>> decode_one(load_task("phantom_oct"), "test", 0, 32, True).mask.shape
    (32, 32)
    """
    pixels, _ = task.read(split, index)
    if not masks:
        return DecodedRow(to_row(pixels, size))
    mask = task.read_mask(split, index)
    if mask.shape != pixels.array.shape[:2] or mask.dtype != np.uint8:
        image, marked = (task.tables[split][name][index].as_py() for name in ("image", "mask"))
        raise ImageError(
            f"{task.name}, {split}: the mask {marked} is {mask.shape} of {mask.dtype}, but its image {image} is "
            f"{pixels.array.shape[:2]}. A mask must be uint8 and have the size of its image. Check that they are a pair.",
            code="mask-size-mismatch",
        )
    return DecodedRow(to_row(pixels, size), to_mask_row(mask, size))


def decode_rows(
    task: Task, split: str, positions: Sequence[int], size: int, *, masks: bool = False, workers: int | None = None
) -> Generator[DecodedRow]:
    """Decode rows of a split, in the order of the positions.

    Args:
        task: the task of the images.
        split: of the images.
        positions: in the split.
        size: side of the rows, pixels.
        masks: whether to read masks too.
        workers: cores to use; by default all that this process may use. 1 uses this process only.

    Raises:
        ImageError: if an image cannot be read.
        WorkerError: if a worker process was killed.
    """
    keep_memory()
    workers = usable_cores() if workers is None else workers
    start, number = time.monotonic(), 0
    with _one_thread_each():
        while number < len(positions):
            yield decode_one(task, split, positions[number], size, masks)
            number += 1
            each = (time.monotonic() - start) / number
            if workers > 1 and each * number >= ALONE_SECONDS and each * (len(positions) - number) >= ALONE_SECONDS:
                break
        remaining = positions[number:]
        if remaining:
            yield from _decode_parallel(task, split, remaining, size, masks, workers, each)


def _decode_parallel(
    task: Task, split: str, positions: Sequence[int], size: int, masks: bool, workers: int, each: float
) -> Iterator[DecodedRow]:
    """Decode rows with worker processes or threads; `each` is the time per row in seconds."""
    # Worker processes are forked, because spawn cannot import a notebook or a script without a main guard again.
    use_processes = bool(getattr(task.reader, "apart", False)) and sys.platform == "linux"
    pool: Executor
    rows = max(1, min(CHUNK_ROWS, round((CHUNK_SECONDS if use_processes else THREAD_SECONDS) / max(each, 1e-9))))
    if use_processes:
        # The children inherit the task unchanged, which is safe for readers whose keys are separate files.
        context = multiprocessing.get_context("fork")
        job = (task, split, size, masks, os.getpid())
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=job)
        decode_chunk: Callable[[Sequence[int]], list[DecodedRow | None]] = _rows_in_worker
        chunks: Iterator[Sequence[int]] = iter(_chunks(task, split, positions, rows))
    else:
        pool = ThreadPoolExecutor(workers)
        decode_chunk = partial(_rows_of, task, split, size, masks)
        chunks = iter([positions[first : first + rows] for first in range(0, len(positions), rows)])

    # Keep two chunks per worker in the queue, and yield rows in order.
    waiting: deque[tuple[Sequence[int], Future[list[DecodedRow | None]]]] = deque()
    try:
        while True:
            for chunk in chunks:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # about a fork in a process with threads
                    waiting.append((chunk, pool.submit(decode_chunk, chunk)))
                if len(waiting) >= 2 * workers:
                    break
            if not waiting:
                return
            chunk, future = waiting.popleft()
            for index, row in zip(chunk, future.result(), strict=True):
                # A row that failed in a worker is decoded again here, to raise its complete error here.
                yield decode_one(task, split, index, size, masks) if row is None else row
    except BrokenProcessPool as error:
        raise WorkerError(
            "A process that decodes images was killed; the usual cause is too little memory. The decoded rows are saved. Run "
            "the same command again, with more memory or on fewer cores (taskset -c 0-3 ...).",
            code="decode-worker-killed",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _chunks(task: Task, split: str, positions: Sequence[int], length: int) -> list[list[int]]:
    """Consecutive rows in chunks of about this length; slices of one file stay together, so that it is read once."""
    keys = task.column(split, "image")
    chunks: list[list[int]] = []
    file = None
    for index in positions:
        path = str(keys[index]).partition("#")[0]
        if not chunks or (len(chunks[-1]) >= length and path != file):
            chunks.append([])
        chunks[-1].append(index)
        file = path
    return chunks


_job: tuple[Any, ...] = ()


def _start_worker(task: Task, split: str, size: int, masks: bool, parent: int) -> None:
    """Set up a worker process: one thread, Ctrl-C ignored (the parent handles it), and it ends with its parent."""
    global _job
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a killed parent cannot stop its workers
    if os.getppid() != parent:
        os._exit(1)
    _job = (task, split, size, masks)


def _rows_in_worker(positions: Sequence[int]) -> list[DecodedRow | None]:
    """`_rows_of` in a worker process."""
    task, split, size, masks = _job
    return _rows_of(task, split, size, masks, positions)


def _rows_of(task: Task, split: str, size: int, masks: bool, positions: Sequence[int]) -> list[DecodedRow | None]:
    """Decode rows; None for a row that fails."""
    rows: list[DecodedRow | None] = []
    for index in positions:
        try:
            rows.append(decode_one(task, split, index, size, masks))
        except Exception:  # the parent decodes it again and raises the error
            rows.append(None)
    return rows


_lock, _users, _threads_before = threading.Lock(), 0, 1


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Limit torch to one thread per worker while rows are decoded; several builders in a process share the setting."""
    global _users, _threads_before
    import torch

    with _lock:
        if _users == 0:
            _threads_before = torch.get_num_threads()
        _users += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                torch.set_num_threads(_threads_before)
