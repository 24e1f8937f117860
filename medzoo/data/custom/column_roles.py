"""Which column of a user's table is the image, the label, the patient, the split: by name, without case, or as the user says."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from medzoo.data.problems import advise
from medzoo.errors import DataContractError, listed

# Names of each role, the usual one first. Capitals and signs do not matter: `Patient ID` is patient_id.
ALIASES: dict[str, tuple[str, ...]] = {
    "image": (
        "image", "img", "file", "path", "file_name", "image_path", "img_path", "file_path", "image_file", "image_name",
        "image_index", "jpg", "png",
    ),
    "label": ("label", "labels", "target", "class", "class_name", "label_name", "category"),
    "mask": ("mask", "mask_path", "mask_file", "segmentation"),
    "split": ("split", "splits", "data_split", "partition", "subset", "set", "phase", "usage", "fold"),
    "group": ("patient_id", "patient", "group", "subject_id", "subject", "participant_id", "participant", "case_id", "person_id"),
}  # fmt: skip
_SURE = {"split", "splits", "datasplit"}  # of the aliases of a split: no other meaning is known


def plain(name: str) -> str:
    """A column's name without case and signs.

    >>> plain("Patient ID"), plain("file-name")
    ('patientid', 'filename')
    """
    return re.sub(r"[\W_]+", "", name.casefold())


def named_column(name: str, header: Sequence[str], role: str, where: object) -> str:
    """The column that a user names, without case where that is unique.

    Args:
        name: as typed.
        header: all columns.
        role: for the message, such as "label".
        where: for the message.

    Raises:
        DataContractError: if there is no such column, or several.
    """
    if name in header:
        return name
    alike = [column for column in header if plain(column) == plain(name)]
    if len(alike) == 1:
        return alike[0]
    near = alike or difflib.get_close_matches(name, header, n=3)
    raise DataContractError(
        f"{where}: has no column {name!r} ({role}={name})."
        f"{f' Did you mean {listed(near)}?' if near else ''} It has {listed(header, 30) or 'no columns'}."
    )


def find_column(role: str, header: Sequence[str], where: object, taken: Collection[str] = ()) -> str | None:
    """The column of a role by its usual names: first as they are written here, then without case and signs.

    Args:
        role: a key of `ALIASES`.
        header: all columns.
        where: for the message.
        taken: columns that have another role.

    Raises:
        DataContractError: if two columns differ in case and signs alone.
    """
    free = [column for column in header if column not in taken]
    for name in ALIASES[role]:
        if name in free:
            return name
    for name in ALIASES[role]:
        alike = [column for column in free if plain(column) == plain(name)]
        if len(alike) > 1:
            raise DataContractError(
                f"{where}: the columns {listed(map(repr, alike))} could all be the {role}; name one: {role}={alike[0]}."
            )
        if alike:
            return alike[0]
    return None


def candidates(role: str, header: Sequence[str], taken: Collection[str]) -> list[str]:
    """All columns with a usual name of a role, in the order of `ALIASES`."""
    free = [column for column in header if column not in taken]
    return [column for name in ALIASES[role] for column in free if plain(column) == plain(name)]


def is_sure_split(name: str) -> bool:
    """Whether a column of this name can be nothing but a split."""
    return plain(name) in _SURE


def advise_of_near_names(found: Mapping[str, object], unused: Iterable[str], where: object) -> None:
    """Warn of unused columns whose name is nearly that of a role which no column has.

    Args:
        found: role → its column, or anything that is not empty where one was stated.
        unused: columns without a role.
        where: for the message.
    """
    for role, column in found.items():
        if column:
            continue
        known = {plain(name) for name in ALIASES[role] if len(plain(name)) > 3}
        near = [name for name in unused if difflib.get_close_matches(plain(name), known, n=1, cutoff=0.8)]
        if near:
            advise(
                f"{where}: no column is the {role}, and {listed(map(repr, near))} is not taken for it. If it is the {role}, "
                "name it "
                f"behind the path: ,{role}={near[0]}"
            )
