"""Random numbers addressed by position, so that workers, batches and resuming cannot change a result.

A usual generator returns its numbers in the order of the calls. Here a number is a function of
(stream, seed, epoch, index). The function is Philox-4x32-10, the counter-based generator of
Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import hashlib

import numpy as np

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_LOW = np.uint64(0xFFFFFFFF)
_HIGH_SHIFT = np.uint64(32)


def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Ten rounds of Philox-4x32.

    Args:
        counter: (..., 4) unsigned 32-bit words.
        key: two 32-bit words.

    Returns:
        (..., 4) random 32-bit words, as uint64.

    Source: https://doi.org/10.1145/2063384.2063405

    >>> [hex(word) for word in philox(np.zeros((1, 4), np.uint64), (0, 0))[0].tolist()][:2]
    ['0x6627e8d5', '0xe169c58d']
    """
    a, b, c, d = (counter[..., word].astype(np.uint64) for word in range(4))
    low, high = np.uint64(key[0]), np.uint64(key[1])
    for _ in range(10):
        first, second = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (
            (second >> _HIGH_SHIFT) ^ b ^ low,
            second & _LOW,
            (first >> _HIGH_SHIFT) ^ d ^ high,
            first & _LOW,
        )
        low, high = (low + _WEYL[0]) & _LOW, (high + _WEYL[1]) & _LOW
    return np.stack([a, b, c, d], axis=-1)


def _key(stream: str, seed: int) -> tuple[int, int]:
    digest = hashlib.sha256(f"{stream}\0{seed}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def uniform(stream: str, seed: int, epoch: int, indices: np.ndarray, count: int) -> np.ndarray:
    """`count` random numbers in [0, 1) for every index; they depend on the index, not on the process or the batch.

    Args:
        stream: the purpose of the numbers; streams are independent of each other.
        seed: the run's seed.
        epoch: the pass over the data.
        indices: (N,) positions in the data set, below 2**32.
        count: numbers per index.

    Returns:
        (N, count) float64.

    >>> both = uniform("crop", 0, 3, np.array([4, 9]), 2)
    >>> bool((both[1] == uniform("crop", 0, 3, np.array([9]), 2)[0]).all())
    True
    """
    indices = np.asarray(indices, dtype=np.uint64)
    blocks = -(-count // 4)
    counter = np.empty((len(indices), blocks, 4), dtype=np.uint64)
    counter[..., 0] = indices[:, None]
    counter[..., 1] = np.uint64(epoch)
    counter[..., 2] = np.arange(blocks, dtype=np.uint64)
    counter[..., 3] = 0
    words = philox(counter, _key(stream, seed)).reshape(len(indices), blocks * 4)
    return words[:, :count].astype(np.float64) / 2.0**32


def order(seed: int, epoch: int, length: int) -> np.ndarray:
    """The permutation in which an epoch visits `length` samples.

    >>> sorted(order(0, 1, 5).tolist())
    [0, 1, 2, 3, 4]
    """
    return permutation("order", seed, epoch, length)


def balanced_order(seed: int, epoch: int, classes: np.ndarray) -> np.ndarray:
    """As many draws as samples, with every class equally likely in each draw; a sample may occur several times.

    Args:
        seed: the run's seed.
        epoch: the pass over the data.
        classes: (N,) class of each sample.

    >>> classes = np.array([0] * 90 + [1] * 10)
    >>> bool(abs(classes[balanced_order(0, 0, classes)].mean() - 0.5) < 0.15)
    True
    """
    draws = uniform("balanced", seed, epoch, np.arange(len(classes)), 2)
    present, counts = np.unique(classes, return_counts=True)
    members = np.argsort(classes, kind="stable")  # the samples of the first class, then those of the second, ...
    chosen = np.minimum((draws[:, 0] * len(present)).astype(int), len(present) - 1)
    within = np.minimum((draws[:, 1] * counts[chosen]).astype(int), counts[chosen] - 1)
    return members[(np.cumsum(counts) - counts)[chosen] + within]


def permutation(stream: str, seed: int, epoch: int, length: int) -> np.ndarray:
    """A permutation of 0 ... length - 1.

    Args:
        stream: what the permutation is for; streams are independent of each other.
        seed: the run's seed.
        epoch: the pass over the data.
        length: how many numbers.

    >>> sorted(permutation("shards", 0, 1, 5).tolist())
    [0, 1, 2, 3, 4]
    """
    keys = uniform(stream, seed, epoch, np.arange(length), 2)  # two, since one number may come twice in a large set
    return np.lexsort((keys[:, 1], keys[:, 0]))


def noise_seed(seed: int, step: int, rank: int = 0) -> int:
    """The seed for a library's own generator before a step (for dropout, for example).

    >>> noise_seed(0, 1) == noise_seed(0, 1), noise_seed(0, 1) == noise_seed(0, 2)
    (True, False)
    """
    digest = hashlib.sha256(f"noise\0{seed}\0{step}\0{rank}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
