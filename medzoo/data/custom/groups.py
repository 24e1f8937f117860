"""Find the images of one patient in a user's own data: by a column, by their folders, or by their DICOM headers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from medzoo.data.custom.column_roles import ALIASES, find_column, named_column
from medzoo.data.custom.image_table import NOTHING, ImageTable
from medzoo.data.files.dicom_identifiers import LEVELS, DicomIds, read_dicom_ids
from medzoo.data.patient_ids import same_form
from medzoo.data.problems import advise, complain
from medzoo.data.splits.split_names import split_of
from medzoo.data.vocabulary import is_empty
from medzoo.errors import DataContractError, UsageError, listed

_PARENT = re.compile(r"parent(?::([1-9]))?")
_USUAL = ", ".join(ALIASES["group"][:2])


def group_column(table: ImageTable, chosen: str | None) -> str | None:
    """The column of the groups; None if there is none, or if the user chose another source.

    Args:
        table: the table.
        chosen: as for `find_groups`.

    Raises:
        DataContractError: if the named column does not exist.
    """
    if chosen is None:
        return find_column("group", list(table.columns), table.where, [table.image])
    if chosen in table.columns:
        return chosen
    if chosen == NOTHING or _PARENT.fullmatch(chosen) or chosen.startswith("dicom:"):
        return None
    return named_column(chosen, list(table.columns), "group", table.where)


def find_groups(
    table: ImageTable, chosen: str | None, column: str | None, *, needed: bool = True
) -> tuple[list[str | None], str]:
    """The group of every row, and the description of the groups for the task.

    The descriptions are hashed (`medzoo.bench.results.folds`), so their wording must not change.

    Args:
        table: the table.
        chosen: a column; "parent" or "parent:N" for the N-th folder above an image; "dicom:patient", "dicom:study" or
            "dicom:series"; "none"; None looks for a column, then at DICOM headers.
        column: as `group_column` found it.
        needed: whether a split may depend on the groups, so that missing groups are an error.

    Raises:
        DataContractError: if neither the data nor the user gives groups.
    """
    # The user's choice, or the column with a usual name.
    if column is not None:
        values = [None if is_empty(value) else str(value).strip() for value in table.columns[column]]
        table.notes.append(f"patients: column {column}, {_count(values)} for {len(values)} images")
        return list(values), column
    files = table.keys if table.paths is None else table.paths
    if chosen is not None and (found := _PARENT.fullmatch(chosen)):
        return _of_folders(table, files, int(found[1] or 1)), f"{chosen}: the folders that the images lie in"
    if chosen is not None and chosen.startswith("dicom:"):
        level = chosen.removeprefix("dicom:")
        if level not in LEVELS:
            raise UsageError(
                f"--groups {chosen}: choose dicom:patient, dicom:study or dicom:series.", code="dicom-level-unknown"
            )
        return _of_headers(table, files, level)
    if not needed and chosen is None:
        return list(files), "none: not needed without labels"
    if chosen == NOTHING:
        _advise_of_patients(table, files)
        return list(files), f"none: stated by the user (groups={NOTHING})"
    # Without a choice: DICOM headers, or an error that lists the possible sources.
    ids = read_dicom_ids(table.root, files) if table.paths is not None else None
    if ids is not None and any(one.any for one in ids.values()):
        return _of_headers(table, files, "patient", ids)
    folders = table.paths is not None and len({key.rpartition("/")[0] for key in files}) > 2
    complain(
        DataContractError(
            f"{table.where}: there is no information which images belong to one patient, so a split could leak. Add a column "
            f"{_USUAL} or group, name another one with groups=COLUMN (--groups COLUMN), "
            + ("group by the folders of the images with groups=parent (--groups parent), " if folders else "")
            + "or declare that there are no groups with groups=none (--groups none).",
            code="patient-groups-missing",
        )
    )
    return list(files), f"none: stated by the user (groups={NOTHING})"


def _count(values: Sequence[str | None]) -> int:
    """The number of patients, independent of the spelling of their ids."""
    return len({same_form(value) for value in values if value})


def _of_folders(table: ImageTable, files: Sequence[str], level: int) -> list[str | None]:
    """The name of the folder N levels above each image."""
    if table.paths is None:
        raise UsageError(
            f"{table.where}: the images are in a table, not in folders. Give groups=COLUMN.",
            code="groups-without-folders",
        )
    short = [key for key in files if key.count("/") < level + table.class_depth]
    if short:
        raise DataContractError(
            f"{table.where}: {len(short)} images are not in a folder of a patient: {listed(short, 5)}. groups=parent "
            "uses the folder of the image, as in CLASS/PATIENT/IMAGE; groups=parent:2 uses the folder above it.",
            code="patient-folder-missing",
        )
    names = [key.split("/")[-1 - level] for key in files]
    if all(split_of(name) is not None for name in set(names)):
        raise DataContractError(
            f"{table.where}: the folders {listed(sorted(set(names)), 5)} are splits, not patients. Use the folders of the patients "
            "(groups=parent is the folder of the image, groups=parent:2 the folder above it), or groups=COLUMN or groups=none.",
            code="patient-folder-is-split",
        )
    # One patient in train and in test stays one patient, so that the checks of the task find the leak.
    above: dict[str, set[str]] = {}
    for key, name in zip(files, names, strict=True):
        parts = [part for part in key.split("/")[table.class_depth : -1 - level] if split_of(part) is None]
        above.setdefault(name, set()).add("/".join(parts))
    repeated = [name for name, places in above.items() if len(places) > 1]
    if repeated:
        places = sorted(above[repeated[0]])
        raise DataContractError(
            f"{table.where}: a folder {repeated[0]!r} is in each of {listed(places, 3)}, so its name does not identify a "
            f"patient. Use the folder above it with groups=parent:{level + 1}.",
            code="patient-folder-repeated",
        )
    table.notes.append(f"patients: folders above the images, {len(set(names))} for {len(names)} images")
    return list(names)


def _of_headers(
    table: ImageTable, files: Sequence[str], level: str, ids: dict[str, DicomIds] | None = None
) -> tuple[list[str | None], str]:
    """PatientID of each file; where it is empty, the study or series."""
    if ids is None and table.paths is not None:
        ids = read_dicom_ids(table.root, files)
    if ids is None:
        raise DataContractError(
            f"{table.where}: not all images are DICOM files, so their headers cannot group them. Give groups the name of a "
            "column, parent, or none.",
            code="groups-without-dicom",
        )
    values = [ids[file].of(level) for file in files]
    without_id = [file for file, value in zip(files, values, strict=True) if not value]
    if without_id:
        complain(
            DataContractError(
                f"{table.where}: {len(without_id)} DICOM files have no patient, study or series in their header: "
                f"{listed(without_id, 5)}. Add a table with a column patient_id, or give groups=none (--groups none).",
                code="dicom-ids-missing",
                offenders=without_id,
            )
        )
    studies = {one.study for one in ids.values()}
    if level == "patient" and len(set(values)) == 1 and len(studies) > 2:
        complain(
            DataContractError(
                f"{table.where}: all {len(files)} DICOM files have the PatientID {values[0]!r} and {len(studies)} studies. "
                "If it was replaced to hide the patients, group by studies with groups=dicom:study (--groups dicom:study).",
                code="dicom-single-patient",
            )
        )
    by = Counter(ids[file].source(level) for file in files)
    sources = " and ".join(f"{name} ({count} files)" for name, count in by.most_common() if name)
    table.notes.append(f"patients: DICOM headers, {sources}: {len(set(values))} for {len(files)} images")
    return [value or None for value in values], f"dicom:{level} of the headers"


def _advise_of_patients(table: ImageTable, files: Sequence[str]) -> None:
    """Warn if the user gives groups=none, but the DICOM headers have patient ids."""
    ids = read_dicom_ids(table.root, files) if table.paths is not None else None
    known = {one.of("patient") for one in (ids or {}).values()} - {""}
    if 1 < len(known) < len(set(files)):
        advise(
            f"{table.where}: groups=none treats each file as a separate patient, but the DICOM headers name {len(known)} "
            f"patients (or series) for {len(set(files))} files, so splits may leak. groups=dicom:patient groups by them."
        )
