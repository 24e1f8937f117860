"""Data sets whose images lie in several forms: as published, and as the copies that studies made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from medzoo.data.files.class_folders import files_in
from medzoo.data.files.path_hints import place_hint
from medzoo.errors import DataContractError, listed


def choose_variant(base: Path, folders: Mapping[str, str], task: str, chosen: str | None) -> str:
    """The form of the images that is read: the chosen one, or the only one that is there.

    Args:
        base: the data's folder.
        folders: form → a folder that this form has.
        task: for messages.
        chosen: by the user, with the task's choice `images`.

    Raises:
        DataContractError: if it is not there, none is, or several are and none was chosen.
    """
    there = [form for form, folder in folders.items() if (base / folder).is_dir()]
    if not there or (chosen is not None and chosen not in there):
        wanted = [folder for form, folder in folders.items() if chosen in (None, form)]
        raise DataContractError(f"Task {task}: {base} holds no folder {listed(wanted)}.{place_hint(base, wanted)}")
    if len(there) > 1 and chosen is None:
        said = listed(f"{task},images={form}" for form in there)
        raise DataContractError(f"Task {task}: {base} holds {len(there)} copies of the images; say which: {said}.")
    return chosen or there[0]


def stems(base: Path, folder: str, suffixes: Sequence[str]) -> dict[str, str]:
    """Name without its suffix → path below the base, of the files in a folder; empty if it is not there."""
    if not (base / folder).is_dir():
        return {}
    return {file.rpartition(".")[0]: f"{folder}/{file}" for file in files_in(base / folder, suffixes)}
