"""Split files: ids → splits as JSON or CSV, and folders of lists as the studies publish them.

Lists name files by a path on their authors' machine, by the file's name, or by its stem. Names are matched with the task's ids in
the longest form in which every listed name has exactly one image.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from medzoo.data.files.csv_rows import read_csv, read_list, read_text
from medzoo.data.vocabulary import EXCLUDED, SPLIT_WORDS, SPLITS
from medzoo.errors import DataContractError, UsageError, listed

# Names of the image column in the split lists of published studies.
NAMES = (
    "path",
    "image_path",
    "img_dir",
    "image index",
    "image",
    "file",
    "file_name",
    "filename",
    "id",
    "imageid",
    "dicom_id",
)
# (split at blanks even if there is a comma, number of the field): the position of the name in a line without a header. The
# first field; the first word, before labels joined by commas (MedFMC); the second word, after the patient (COVIDx).
_FIELDS = ((False, 0), (True, 0), (True, 1))
_FOLD = re.compile(r"fold[_-]?(\d+)", re.IGNORECASE)


def read_splits(path: Path, ids: list[str], task: str, fold: int | None = None) -> dict[str, str]:
    """Read the split of each id.

    Args:
        path: JSON {id: split} or {split: [ids]}, CSV with the columns id and split, or a folder with one list per split.
        ids: of the task.
        task: for messages.
        fold: for a folder with lists for several folds: the fold to use, counted from 0.

    Returns:
        id → train, validation, test or excluded, for every id. Ids that are not in a list of the folder are excluded.

    Raises:
        DataContractError: for names that the task does not have, ids without a split in a file, and names in two splits.
        UsageError: if the fold is missing, or does not exist.
    """
    if path.is_dir():
        return _from_lists(path, ids, task, fold)
    if fold is not None:
        raise UsageError("--fold and --split-file exclude each other. Remove one.", code="fold-with-split-file")
    # Every split must be known, and every id must have one.
    assigned = _from_file(path)
    wrong = sorted({split for split in assigned.values() if split not in (*SPLITS, EXCLUDED)})
    if wrong:
        raise DataContractError(
            f"{path}: unknown splits {listed(wrong)}. Use {', '.join(SPLITS)} or {EXCLUDED}.",
            code="split-file-split-unknown",
        )
    unknown = sorted(set(assigned) - set(ids))
    if unknown:
        raise DataContractError(
            f"{path}: {len(unknown)} ids are not in task {task}: {listed(unknown)}.", code="split-file-id-unknown"
        )
    missing = [key for key in ids if key not in assigned]
    if missing:
        raise DataContractError(
            f"{path}: {len(missing)} ids of task {task} have no split: {listed(missing)}. Add them; ids that you do not "
            f"use get the split {EXCLUDED}.",
            code="split-file-id-missing",
        )
    return assigned


def _from_file(path: Path) -> dict[str, str]:
    pairs: list[tuple[Any, Any]]
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            content = json.loads(text)
            if not isinstance(content, dict):
                raise ValueError("it should be an object: id → split, or split → list of ids")
            pairs = []
            for key, value in content.items():
                pairs += [(item, key) for item in value] if isinstance(value, list) else [(key, value)]
        else:
            rows = list(csv.DictReader(text.splitlines()))
            if not rows or not {"id", "split"} <= set(rows[0]):
                raise ValueError(
                    "it should have the columns id and split (put lists of one split each into a folder, and give the folder)"
                )
            pairs = [(row["id"], row["split"]) for row in rows]
    except OSError as error:
        raise DataContractError(
            f"The split file {path} cannot be read ({error.strerror or error}).", code="split-file-unreadable"
        ) from error
    except (ValueError, csv.Error) as error:
        raise DataContractError(f"The split file {path} is not valid: {error}.", code="split-file-invalid") from error
    return _once(((str(key), SPLIT_WORDS.get(str(split).strip(), str(split).strip())) for key, split in pairs), path)


def _once(pairs: Iterable[tuple[str, str]], path: Path) -> dict[str, str]:
    assigned: dict[str, str] = {}
    twice = [key for key, split in pairs if assigned.setdefault(key, split) != split]
    if twice:
        raise DataContractError(
            f"{path}: {len(twice)} ids are in two splits: {listed(dict.fromkeys(twice))}.",
            code="split-file-id-in-two-splits",
        )
    return assigned


def _from_lists(folder: Path, ids: list[str], task: str, fold: int | None) -> dict[str, str]:
    files = _list_files(folder, fold)
    named, by_key, key_of = _read_lists(files, folder, ids)
    absent = [name for name in named if key_of(name) not in by_key]
    if absent:
        raise DataContractError(
            f"{folder}: {len(absent)} of {len(named)} listed names are not in task {task}: {listed(absent)}. The first ids of the "
            f"task are {listed(ids, 2)}.",
            code="split-file-id-unknown",
        )
    shared = Counter(key_of(name) for name in named)
    clash = [name for name in named if shared[key_of(name)] > 1]
    assigned = (
        _once(((by_key[key_of(name)], split) for name, split in named.items()), folder)
        if clash
        else {by_key[key_of(name)]: split for name, split in named.items()}
    )
    return {key: assigned.get(key, EXCLUDED) for key in ids}


def _list_files(folder: Path, fold: int | None) -> list[tuple[Path, str]]:
    """The lists of a folder with their splits; if there are several folds, only the lists of the chosen one."""
    # Files with the name of a split in their name.
    found, folds = [], set()
    for file in sorted(folder.iterdir()):
        if not file.is_file() or file.suffix.lower() not in (".txt", ".csv", ".lst", ""):
            continue
        words = [SPLIT_WORDS[word] for word in re.split(r"[^a-z]+", file.stem.lower()) if word in SPLIT_WORDS]
        number = _FOLD.search(file.stem)
        if number:
            folds.add(int(number[1]))
        if words:
            found.append((file, words[0], int(number[1]) if number else None))
    # The chosen fold.
    if folds:
        first = min(folds)
        if fold is None:
            raise UsageError(
                f"{folder} has lists for {len(folds)} folds. Choose one with --fold 0 to {len(folds) - 1}.",
                code="fold-not-given",
            )
        if fold + first not in folds:
            raise UsageError(
                f"{folder} has no fold {fold}. Give one of 0 to {len(folds) - 1}.", code="fold-out-of-range"
            )
        found = [row for row in found if row[2] == fold + first]
    elif fold is not None:
        raise UsageError(f"{folder} has no lists for folds. Remove --fold.", code="fold-not-applicable")
    # One list per split, and one for training.
    if not any(split == "train" for _, split, _ in found):
        raise DataContractError(
            f"{folder} has no list for training. Names of lists should contain train, val or test, as in train_official.txt.",
            code="training-list-missing",
        )
    splits = Counter(split for _, split, _ in found)
    if twice := [split for split, count in splits.items() if count > 1]:
        files = [file.name for file, split, _ in found if split in twice]
        raise DataContractError(
            f"{folder} has more than one list for {listed(twice)}: {listed(files)}. Keep one of each.",
            code="split-list-repeated",
        )
    return [(file, split) for file, split, _ in found]


def _read_lists(
    files: list[tuple[Path, str]], folder: Path, ids: list[str]
) -> tuple[dict[str, str], dict[str, str], Callable[[str], str]]:
    """Names → splits, and their matching with ids, for the field of the lines that matches all names, or else the most."""
    best: tuple[int, dict[str, str], dict[str, str], Callable[[str], str]] | None = None
    problem: DataContractError | None = None
    for field in _FIELDS:
        pairs = [(name, split) for file, split in files for name in _names(file, field)]
        if field != _FIELDS[0] and 2 * len({name for name, _ in pairs}) <= len(pairs):
            continue  # the field is missing, or it is a label
        try:
            named = _once(pairs, folder)
        except DataContractError as error:  # the first field may be a patient who is in two lists
            problem = error
            continue
        by_key, key_of = _matching(ids, list(named))
        hits = sum(key_of(name) in by_key for name in named)
        if hits == len(named):
            return named, by_key, key_of
        if best is None or hits > best[0]:
            best = (hits, named, by_key, key_of)
    if problem is not None and (best is None or not best[0]):
        raise problem
    assert best is not None
    return best[1:]


def _names(file: Path, field: tuple[bool, int]) -> list[str]:
    """The names in a list: the column of paths, or else one field of each line."""
    first = read_list(file)[0]
    if file.suffix.lower() == ".csv" and {cell.lower() for cell in first} & set(NAMES):
        header, rows = read_csv(file)
        lower = {name.lower(): name for name in reversed(header)}
        column = lower[next(name for name in NAMES if name in lower)]
        return [row[column] for row in rows]
    blanks, place = field
    lines = [line.split() for line in read_text(file).splitlines()] if blanks else read_list(file)
    return [line[place] for line in lines if len(line) > place]


def _matching(ids: list[str], named: list[str]) -> tuple[dict[str, str], Callable[[str], str]]:
    """The form of names that matches the most ids: form of an id → id, and the function that converts a name to this form."""
    best: tuple[int, dict[str, str], Callable[[str], str]] | None = None
    for parts in (0, 4, 3, 2, 1):
        for stem in (False, True):
            form = _form(parts, stem)
            forms = list(map(form, ids))
            count = Counter(forms)
            by_key = {short: key for short, key in zip(forms, ids, strict=True) if count[short] == 1}
            hits = sum(form(name) in by_key for name in named)
            if hits == len(named):
                return by_key, form
            if best is None or hits > best[0]:
                best = (hits, by_key, form)
    assert best is not None
    return best[1], best[2]


def _form(parts: int, stem: bool) -> Callable[[str], str]:
    """A function for the last parts of a path (0: all), with or without the last extension.

    It uses strings instead of Path, because lists have up to a million names.

    >>> _form(1, True)("../../data/a/IM-1.jpeg"), _form(2, False)("a\\\\b\\\\c.png"), _form(0, True)("./a//1.2.840")
    ('IM-1', 'b/c.png', 'a/1.2.840')
    """

    def form(name: str) -> str:
        pieces = [piece for piece in name.replace("\\", "/").split("/") if piece not in ("", ".")]
        short = "/".join(pieces[-parts:])
        before, _, suffix = short.rpartition(".")
        known = 3 <= len(suffix) <= 5 and suffix.isalpha()  # the points in a UID do not start an extension
        return before if stem and known and before and not before.endswith("/") else short

    return form
