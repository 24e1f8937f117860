"""Recognize the names of splits in folders, files, columns and cells."""

from __future__ import annotations

import re
import unicodedata
from itertools import product

from medzoo.data.vocabulary import SPLIT_WORDS

_WORDS = {**SPLIT_WORDS, "trainval": "train"}  # validation is then cut from it; a list of this name repeats other lists
# Names of a part of the data without one common meaning: they are not used as a split, and not as a class.
_UNCLEAR = {"eval", "evaluation", "evaluate", "holdout", "heldout", "development", "devel", "devtest"}
# Words next to the name of a split that do not change its meaning.
_FILLERS = {
    "set", "sets", "split", "splits", "data", "dataset", "subset", "part", "folder", "dir", "image", "images", "img", "imgs",
    "pic", "pics", "picture", "pictures", "photo", "photos", "scan", "scans", "slice", "slices", "case", "cases", "patch",
    "patches", "sample", "samples", "file", "files", "list", "label", "labels", "meta", "metadata", "annotations", "official",
    "patients", "hold", "out", "final", "new", "png", "pngs", "jpg", "jpgs", "jpeg", "jpegs", "dcm", "dicom", "dicoms",
}  # fmt: skip
_GLUED = {
    **{f"{word}{filler}": word for word, filler in product(_WORDS, _FILLERS)},
    **{f"{filler}{word}": word for word, filler in product(_WORDS, _FILLERS)},
}
_FOLD = re.compile(r"\s*(?:cv|k)?[ _-]*folds?[ _-]*([0-9]{1,3})\s*", re.IGNORECASE)


def _words(text: str) -> list[str]:
    """The words of a name, divided at punctuation, digits and inner capitals (`trainSet`)."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", text))
    return re.findall(r"[^\W\d_]+", spaced.casefold())


def split_of(text: object) -> str | None:
    """The split that a name means; None for other names and for names of several splits.

    Args:
        text: name of a folder, stem of a file, or a cell.

    >>> [split_of(name) for name in ("Training_set", "testImages", "val2017", "dev", "train or test", "benign", "eval")]
    ['train', 'test', 'validation', 'validation', None, None, None]
    """
    found = set()
    for word in _words(str(text)):
        known = _GLUED.get(word, word)
        if known in _WORDS:
            found.add(_WORDS[known])
        elif word not in _FILLERS:
            return None
    return found.pop() if len(found) == 1 else None


def names_a_split(text: object) -> bool:
    """Whether a name means a part of the data instead of a class, even if it is unclear which part.

    Args:
        text: name of a folder.

    >>> [names_a_split(name) for name in ("train_val", "eval", "fold3", "testset", "pregnancy_test", "images")]
    [True, True, True, True, False, False]
    """
    words = [_GLUED.get(word, word) for word in _words(str(text))]
    named = [word in _WORDS or word in _UNCLEAR for word in words]
    rest = [word for word, is_name in zip(words, named, strict=True) if not is_name and word not in {*_FILLERS, "or"}]
    return fold_of(text) is not None or (any(named) and not rest)


def fold_of(text: object) -> int | None:
    """The number in the name of a fold, or None.

    Args:
        text: name of a folder, or a cell.

    >>> fold_of("fold_3"), fold_of("Fold 0"), fold_of("3"), fold_of("folder")
    (3, 0, None, None)
    """
    found = _FOLD.fullmatch(str(text))
    return int(found[1]) if found else None
