"""Find the columns of a user's table (image, label, patient, split) by their names, or by the user's choice."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from medzoo.data.problems import advise
from medzoo.errors import DataContractError, UsageError, listed

# Names of each role, the usual one first. Case and punctuation do not matter: `Patient ID` is patient_id.
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
_UNAMBIGUOUS = {"split", "splits", "datasplit"}  # aliases of a split that have no other meaning


def plain(name: str) -> str:
    """A column's name without case and punctuation.

    >>> plain("Patient ID"), plain("file-name")
    ('patientid', 'filename')
    """
    return re.sub(r"[\W_]+", "", name.casefold())


def named_column(name: str, header: Sequence[str], role: str, where: object) -> str:
    """The column that a user names; case and punctuation are ignored where the result is unique.

    Args:
        name: as typed.
        header: all columns.
        role: for the message, such as "label".
        where: for the message.

    Raises:
        DataContractError: if no column has this name, or several do.
    """
    if name in header:
        return name
    matches = [column for column in header if plain(column) == plain(name)]
    if len(matches) == 1:
        return matches[0]
    near = matches or difflib.get_close_matches(name, header, n=3)
    raise DataContractError(
        f"{where} has no column {name!r} ({role}={name})."
        f"{f' Did you mean {listed(near)}?' if near else ''} It has {listed(header, 30) or 'no columns'}.",
        code="named-column-missing",
    )


def refuse_misspelled(task: str, options: Collection[str], values: Iterable[str | None]) -> None:
    """Report a misspelled option inside of a value: columns may have commas in their names, so `,labl=dx` stays in the value.

    Args:
        task: for the message, such as "folder:".
        options: names of the options.
        values: that are not columns.

    Raises:
        UsageError: with the nearest name.
    """
    for value in values:
        for typed in re.findall(r",([A-Za-z_]+)=", value or ""):
            if near := difflib.get_close_matches(typed, options, n=1):
                raise UsageError(
                    f"Unknown option {typed!r} of {task}. Did you mean {near[0]}? Options are {', '.join(options)}.",
                    code="choice-unknown",
                )


def find_column(role: str, header: Sequence[str], where: object, taken: Collection[str] = ()) -> str | None:
    """The column of a role by its usual names: first exactly, then without case and punctuation.

    Args:
        role: a key of `ALIASES`.
        header: all columns.
        where: for the message.
        taken: columns that have another role.

    Raises:
        DataContractError: if two columns differ only in case and punctuation.
    """
    free = [column for column in header if column not in taken]
    for name in ALIASES[role]:
        if name in free:
            return name
    for name in ALIASES[role]:
        matches = [column for column in free if plain(column) == plain(name)]
        if len(matches) > 1:
            raise DataContractError(
                f"{where}: the columns {listed(map(repr, matches))} could all be the {role}. Name one: "
                f"{role}={matches[0]}.",
                code="column-ambiguous",
            )
        if matches:
            return matches[0]
    return None


def candidates(role: str, header: Sequence[str], taken: Collection[str]) -> list[str]:
    """All columns with a usual name of a role, in the order of `ALIASES`."""
    free = [column for column in header if column not in taken]
    return [column for name in ALIASES[role] for column in free if plain(column) == plain(name)]


def is_sure_split(name: str) -> bool:
    """Whether a column of this name is certainly a split."""
    return plain(name) in _UNAMBIGUOUS


def advise_of_near_names(found: Mapping[str, object], unused: Iterable[str], where: object) -> None:
    """Warn about unused columns whose name is similar to that of a role without a column.

    Args:
        found: role → its column, or another true value where the user gave one.
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
                f"{where}: no column is the {role}. {listed(map(repr, near))} is not used. If it is the {role}, "
                f"add it after the path: ,{role}={near[0]}"
            )
