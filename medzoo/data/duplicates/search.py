"""Search for images that occur more than once: equal files, equal pixels, near copies.

A near copy has a perceptual hash within 32 of 256 bits and, if small images are available for both, similar small images.
benchmarks/results/duplicates.md lists the changes that are found and those that are not, measured on real images.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from medzoo.data.duplicates.hamming import near_pairs
from medzoo.data.duplicates.index import HashIndex
from medzoo.data.duplicates.perceptual_hash import BITS, INNER, thumb_distance
from medzoo.data.duplicates.report import DuplicateReport, Group, Kind, Member
from medzoo.errors import MissingExtraError

LIMIT = 32  # bits of 256
_CHUNK = 4096  # pairs that are confirmed at once
_EDGES = 1_000_000  # pairs in memory before they are merged
CONFIRMED = 30.0  # largest distance of the small images of two copies, of 255


def find_duplicates(
    index: HashIndex,
    against: HashIndex | None = None,
    *,
    near: bool = True,
    limit: int = LIMIT,
    across_only: bool = False,
    device: str | None = None,
    progress: bool | None = None,
) -> DuplicateReport:
    """Group the images of a task with the same content, or those that also occur in other data.

    Args:
        index: of the task, with small images.
        against: index of other data, for example of pre-training; then groups contain images of both.
        near: search for near copies too.
        limit: bits of 256 by which near copies may differ.
        across_only: return only groups in more than one split (with other data: all groups).
        device: where hashes are compared; by default a GPU if there is one.
        progress: show a bar; by default on a terminal.

    >>> from medzoo.data.duplicates.index import hash_task
    >>> from medzoo.data.task_registry import load_task
    >>> report = find_duplicates(hash_task(load_task("phantom_oct,n=4,n_validation=4,n_test=4")))
    >>> report.summary()["equal_groups"]
    0
    """
    if against is not None and against.name == index.name:
        against = replace(against, name=f"{against.name} (other)")
    search = _Search(index, against)
    groups = search.equal()
    if near:
        bar = sys.stderr.isatty() if progress is None else progress
        groups += search.near(limit, device, bar)
    if across_only or against is not None:
        groups = [group for group in groups if len(group.places) > 1]
    groups.sort(key=lambda group: (group.kind == "near", -len(group.members)))
    name = None if against is None else against.name
    return DuplicateReport(index.name, len(index), name, groups, [*index.unreadable])


class _Search:
    """Both sides as one list of images: first those of the task, then those of the other data."""

    def __init__(self, index: HashIndex, against: HashIndex | None) -> None:
        self.index, self.against = index, against
        self.sides = [index] if against is None else [index, against]
        self.files = [digest for side in self.sides for digest in side.files]
        self.count = len(self.files)
        pixels = [digest for side in self.sides for digest in side.pixels]
        first: dict[bytes, int] = {}
        edges = [(first.setdefault(b"p" + digest, row), row) for row, digest in enumerate(pixels)]
        edges += [(first.setdefault(b"f" + d, row), row) for row, d in enumerate(self.files) if d is not None]
        self.equals = _components(self.count, np.array(edges, int).reshape(-1, 2))  # image → its class of equal images

    def _has_both_sides(self, rows: np.ndarray) -> bool:
        """Whether the rows have images of both sides; always true without other data."""
        of_task = rows < len(self.index)
        return self.against is None or bool(of_task.any() and not of_task.all())

    def equal(self) -> list[Group]:
        """Groups of equal files or pixels."""
        groups = []
        for rows in _members(self.equals):
            if len(rows) > 1 and self._has_both_sides(rows):
                digests = {self.files[row] for row in rows.tolist()}
                same = len(digests) == 1 and None not in digests
                groups.append(self._group("bytes" if same else "pixels", rows))
        return groups

    def near(self, limit: int, device: str | None, bar: bool) -> list[Group]:
        """Groups of classes that are near to each other."""
        found = self._near_classes(limit, device, bar)
        groups = []
        for rows in _members(found.parts()[self.equals]):
            classes = np.unique(self.equals[rows])
            if len(classes) > 1 and self._has_both_sides(rows):
                distance = int(found.nearest[classes].max())
                groups.append(self._group("near", rows, distance, confirmed=self._has_thumbs))
        return groups

    @property
    def _has_thumbs(self) -> bool:
        return all(side.thumbs is not None for side in self.sides)

    def _group(self, kind: Kind, rows: np.ndarray, distance: int = 0, *, confirmed: bool = True) -> Group:
        members = []
        for row in rows.tolist():
            side, at = (self.index, row) if row < len(self.index) else (self.sides[-1], row - len(self.index))
            label, patient = (words[at] if words else "" for words in (side.labels, side.patients))
            members.append(Member(side.name, side.splits[at], side.ids[at], label, patient))
        return Group(kind, tuple(members), distance, confirmed)

    def _near_classes(self, limit: int, device: str | None, bar: bool) -> _Near:
        """The classes that are near to each other, by confirmed codes.

        Inner parts are compared with whole images, and the innermost parts with each other, because copies often differ in
        letters at the border.
        """
        from tqdm import tqdm

        # Pairs of parts to compare: (codes of the task, codes of the other side, whether both are the same images).
        same_side, last = self.against is None, len(self.sides) - 1
        (whole, inner, innermost), other_side = self._codes(0), self._codes(last)
        rounds = [
            (whole, other_side[0], same_side),
            (whole, other_side[1], False),
            (innermost, other_side[2], same_side),
        ]
        if not same_side:
            rounds.append((inner, other_side[0], False))
        mirrored = self.index.mirrored
        orientations = [(False, self.index.codes)] + ([] if mirrored is None else [(True, mirrored)])
        found = _Near(int(self.equals.max(initial=-1)) + 1)
        total = len(orientations) * sum(
            len(one) * len(other) // (2 if triangle else 1) for one, other, triangle in rounds
        )
        # Compare, with the original and the mirrored codes of the task.
        with tqdm(total=total, desc="compare hashes", unit="pair", unit_scale=True, disable=not bar) as progress_bar:
            for is_mirrored, codes in orientations:
                for left, right, triangle in rounds:
                    blocks = near_pairs(
                        codes[left],
                        self.sides[last].codes[right],
                        limit,
                        triangle=triangle,
                        device=device,
                        progress=progress_bar.update,
                    )
                    for one, other, distance in blocks:
                        self._add_confirmed(found, left[one], right[other], distance, is_mirrored)
        return found

    def _codes(self, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions of the codes of whole images, of inner parts and of innermost parts, for one image of each class."""
        index, start = self.sides[side], side * len(self.index)
        _, representatives = np.unique(self.equals[start : start + len(index)], return_index=True)
        depth = np.where(np.isin(index.owner, representatives), index.depth, -1)
        return np.flatnonzero(depth == 0), np.flatnonzero(depth > 0), np.flatnonzero(depth == len(INNER))

    def _add_confirmed(
        self, found: _Near, one: np.ndarray, other: np.ndarray, distance: np.ndarray, is_mirrored: bool
    ) -> None:
        """Add pairs of different classes that the small images confirm."""
        start = 0 if self.against is None else len(self.index)
        first, second = self.equals[self.index.owner[one]], self.equals[start + self.sides[-1].owner[other]]
        keep = first != second
        inverted, distance = distance > BITS // 2, np.minimum(distance, BITS - distance)
        if self._has_thumbs and keep.any():
            rows = np.flatnonzero(keep)
            for chunk in np.array_split(rows, -(-len(rows) // _CHUNK)):
                thumbs, others = self.index.thumbs[one[chunk]], self.sides[-1].thumbs[other[chunk]]  # type: ignore[index]
                thumbs = thumbs[:, :, ::-1] if is_mirrored else thumbs
                thumbs = np.where(inverted[chunk, None, None], 255 - thumbs, thumbs)
                keep[chunk] = thumb_distance(thumbs, others) <= CONFIRMED
        found.add(first[keep], second[keep], distance[keep])


class _Near:
    """Connected nodes, of `count`, and the distance of each to its nearest. The memory does not grow with the number of pairs."""

    def __init__(self, count: int) -> None:
        self.nearest = np.full(count, BITS)
        self._edges: list[np.ndarray] = []
        self._size = 0

    def add(self, one: np.ndarray, other: np.ndarray, distance: np.ndarray) -> None:
        """Add pairs of connected nodes."""
        for nodes in (one, other):
            np.minimum.at(self.nearest, nodes, distance)
        self._edges.append(np.stack([one, other], axis=1))
        self._size += len(one)
        if self._size > max(_EDGES, 2 * len(self.nearest)):
            self.parts()

    def parts(self) -> np.ndarray:
        """The connected part of each node. The edges are replaced by the fewest that give the same parts."""
        parts = _components(len(self.nearest), np.concatenate([np.zeros((0, 2), int), *self._edges]))
        first = np.unique(parts, return_index=True)[1][parts] if len(parts) else parts
        nodes = np.flatnonzero(first != np.arange(len(parts)))
        self._edges, self._size = [np.stack([first[nodes], nodes], axis=1)], len(nodes)
        return parts


def _components(count: int, edges: np.ndarray) -> np.ndarray:
    """The connected part of each of `count` nodes."""
    try:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components
    except ImportError:
        raise MissingExtraError("scipy", "recipes", "Looking for duplicates") from None
    if count == 0:
        return np.zeros(0, int)
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(int)


def _members(parts: np.ndarray) -> list[np.ndarray]:
    """The nodes of each part, in order."""
    order = np.argsort(parts, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(parts[order])) + 1) if len(parts) else []
