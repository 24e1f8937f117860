"""Images of a split decoded to rows, in order, on all cores.

The first second is spent in this process: small sets need no more. What is left goes to threads, or to processes where a
reader says that each key is a file of its own (`apart`), since some decoders (DICOM's) hold Python's lock. Rows are the same
whoever makes them.
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
from medzoo.data.decode_cache.rows import DecodedRow, to_mask_row, to_row
from medzoo.data.malloc import keep_memory
from medzoo.errors import ImageError, WorkerError

if TYPE_CHECKING:
    from medzoo.data.task import Task

ALONE_SECONDS = 1.0  # of work that is not worth the start of helpers
CHUNK_SECONDS, CHUNK_ROWS = 0.25, 64  # of work handed over at once to a process
# and to a thread: small images share the cost of handing over, slices of one volume stay close together
THREAD_SECONDS = 0.01


def decode_one(task: Task, split: str, index: int, size: int, masks: bool) -> DecodedRow:
    """One image, and its mask where the task has masks, as a stored row.

    Args:
        task: whose image it is.
        split: of the image.
        index: in the split.
        size: side of the row, pixels.
        masks: whether the mask is read too.

    Raises:
        ImageError: if the image cannot be read, or its mask does not lie on it; both are named.

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
            f"{task.name}, {split}: the mask {marked} is {mask.shape} of {mask.dtype}, and its image {image} is "
            f"{pixels.array.shape[:2]}; a mask is uint8 and has the size of its image. Give the pair that belongs together."
        )
    return DecodedRow(to_row(pixels, size), to_mask_row(mask, size))


def decode_rows(
    task: Task, split: str, wanted: Sequence[int], size: int, *, masks: bool = False, workers: int | None = None
) -> Generator[DecodedRow]:
    """Rows of a split, in the order asked for.

    Args:
        task: whose images are read.
        split: of the images.
        wanted: positions in the split.
        size: side of the rows, pixels.
        masks: whether masks are read too.
        workers: cores to use; by default all that this process may use. 1 stays in this process.

    Raises:
        ImageError: if an image cannot be read.
        WorkerError: if a helper process was ended from outside.
    """
    keep_memory()
    workers = usable_cores() if workers is None else workers
    start, number = time.monotonic(), 0
    with _one_thread_each():
        while number < len(wanted):
            yield decode_one(task, split, wanted[number], size, masks)
            number += 1
            each = (time.monotonic() - start) / number
            if workers > 1 and each * number >= ALONE_SECONDS and each * (len(wanted) - number) >= ALONE_SECONDS:
                break
        left = wanted[number:]
        if left:
            yield from _with_help(task, split, left, size, masks, workers, each)


def _with_help(
    task: Task, split: str, wanted: Sequence[int], size: int, masks: bool, workers: int, each: float
) -> Iterator[DecodedRow]:
    # fork and not spawn: a notebook or a script without a main guard cannot be imported again
    apart = bool(getattr(task.reader, "apart", False)) and sys.platform == "linux"
    pool: Executor
    rows = max(1, min(CHUNK_ROWS, round((CHUNK_SECONDS if apart else THREAD_SECONDS) / max(each, 1e-9))))
    if apart:
        # the children inherit the task as it is; only readers whose keys are files of their own are used so
        context = multiprocessing.get_context("fork")
        given = (task, split, size, masks, os.getpid())
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_enter, initargs=given)
        each_call: Callable[[Sequence[int]], list[DecodedRow | None]] = _chunk
        chunks: Iterator[Sequence[int]] = iter(_chunks(task, split, wanted, rows))
    else:
        pool = ThreadPoolExecutor(workers)
        each_call = partial(_rows_of, task, split, size, masks)
        chunks = iter([wanted[first : first + rows] for first in range(0, len(wanted), rows)])

    waiting: deque[tuple[Sequence[int], Future[list[DecodedRow | None]]]] = deque()
    try:
        while True:
            for chunk in chunks:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
                    waiting.append((chunk, pool.submit(each_call, chunk)))
                if len(waiting) >= 2 * workers:
                    break
            if not waiting:
                return
            chunk, future = waiting.popleft()
            for index, row in zip(chunk, future.result(), strict=True):
                # a row that a helper could not make is made here, so that its error is raised here, whole
                yield decode_one(task, split, index, size, masks) if row is None else row
    except BrokenProcessPool as error:
        raise WorkerError(
            "A process that decodes images was ended from outside; too little memory is the usual cause. What was decoded is "
            "kept: do the same again, with more memory or on fewer cores (taskset -c 0-3 ...)."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _chunks(task: Task, split: str, wanted: Sequence[int], length: int) -> list[list[int]]:
    """Consecutive rows of about a length; those of one file (slices of a volume) stay together, so that it is read once."""
    keys = task.column(split, "image")
    chunks: list[list[int]] = []
    file = None
    for index in wanted:
        path = str(keys[index]).partition("#")[0]
        if not chunks or (len(chunks[-1]) >= length and path != file):
            chunks.append([])
        chunks[-1].append(index)
        file = path
    return chunks


_given: tuple[Any, ...] = ()


def _enter(task: Task, split: str, size: int, masks: bool, parent: int) -> None:
    """A helper process begins: one thread, no answer to Ctrl-C (its parent has one), and no life after its parent."""
    global _given
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a parent that is killed cannot end its helpers
    if os.getppid() != parent:
        os._exit(1)
    _given = (task, split, size, masks)


def _chunk(wanted: Sequence[int]) -> list[DecodedRow | None]:
    """`_rows_of` in a helper process."""
    task, split, size, masks = _given
    return _rows_of(task, split, size, masks, wanted)


def _rows_of(task: Task, split: str, size: int, masks: bool, wanted: Sequence[int]) -> list[DecodedRow | None]:
    """Rows, and None for what cannot be made."""
    rows: list[DecodedRow | None] = []
    for index in wanted:
        try:
            rows.append(decode_one(task, split, index, size, masks))
        except Exception:  # the parent makes it again and sees why
            rows.append(None)
    return rows


_lock, _inside, _before = threading.Lock(), 0, 1


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """One torch thread a worker while rows are made; several builders in a process share the setting."""
    global _inside, _before
    import torch

    with _lock:
        if _inside == 0:
            _before = torch.get_num_threads()
        _inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                torch.set_num_threads(_before)
