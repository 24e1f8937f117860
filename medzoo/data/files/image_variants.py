"""Data sets whose images exist in several forms: as published, and as converted copies made by studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from medzoo.data.files.class_folders import files_in
from medzoo.data.files.path_hints import place_hint
from medzoo.errors import DataContractError, listed


def choose_variant(base: Path, folders: Mapping[str, str], task: str, chosen: str | None) -> str:
    """The form of the images to read: the chosen one, or the only existing one.

    Args:
        base: the data's folder.
        folders: form → a folder that identifies it.
        task: for messages.
        chosen: by the user, with the task's choice `images`.

    Raises:
        DataContractError: if the form does not exist, no form exists, or several exist and none was chosen.
    """
    present = [form for form, folder in folders.items() if (base / folder).is_dir()]
    if not present or (chosen is not None and chosen not in present):
        missing = [folder for form, folder in folders.items() if chosen in (None, form)]
        raise DataContractError(
            f"Task {task}: {base} has no folder {listed(missing)}.{place_hint(base, missing)}",
            code="image-variant-missing",
        )
    if len(present) > 1 and chosen is None:
        names = listed(f"{task},images={form}" for form in present)
        raise DataContractError(
            f"Task {task}: {base} has {len(present)} copies of the images. Choose one: {names}.",
            code="image-variant-ambiguous",
        )
    return chosen or present[0]


def stems(base: Path, folder: str, suffixes: Sequence[str]) -> dict[str, str]:
    """Name without its suffix → path below the base, for the files in a folder; empty if the folder does not exist."""
    if not (base / folder).is_dir():
        return {}
    return {file.rpartition(".")[0]: f"{folder}/{file}" for file in files_in(base / folder, suffixes)}
