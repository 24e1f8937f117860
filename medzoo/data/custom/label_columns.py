"""Which columns of a table without a label column are findings: one column a class, with 1, 0, -1 or nothing in its cells."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medzoo.data.custom.column_roles import plain
from medzoo.data.problems import complain
from medzoo.data.vocabulary import MARKS, is_empty
from medzoo.errors import DataContractError, listed

# Columns of 0 and 1 that say who was seen and how, not what was found; without case and signs.
_FACTS = {
    "sex", "gender", "male", "female", "ismale", "isfemale", "age", "agegroup", "race", "ethnicity", "ethnic", "smoker",
    "view", "viewposition", "projection", "frontal", "lateral", "isfrontal", "islateral", "ap", "pa", "apa", "laterality",
    "side", "left", "right", "eye", "breast", "site", "hospital", "center", "centre", "institution", "scanner", "device",
    "vendor", "manufacturer", "machine", "study", "series", "visit", "followup", "baseline", "timepoint", "session", "scan",
    "slice", "frame", "index", "idx", "row", "number", "no", "height", "width", "weight", "bmi", "date", "year", "portable",
    "isportable", "duplicate", "isduplicate", "quality", "usable", "exclude", "excluded", "reader", "rater", "annotator",
    "confidence", "fold", "source", "dataset", "id", "name", "count", "inpatient", "outpatient",
}  # fmt: skip
_FEW_ODD = 2  # cells of a column that may be typing errors, whatever its length


@dataclass(frozen=True)
class LabelColumns:
    """What was chosen.

    Args:
        classes: the columns that are findings.
        left_out: column → why it is none.
    """

    classes: tuple[str, ...]
    left_out: dict[str, str]


def choose_label_columns(
    columns: Mapping[str, Sequence[Any]], free: Collection[str], ids: Sequence[str], where: object
) -> LabelColumns:
    """The columns that hold nothing but 1, 0, -1 and empty cells, and do not describe the patient or the picture.

    Args:
        columns: name → cells.
        free: columns without another role.
        ids: of the rows, for the message.
        where: for the message.

    Raises:
        DataContractError: if nearly all cells of a column fit, so that the others look like typing errors.
    """
    classes: list[str] = []
    left_out: dict[str, str] = {}
    doubtful: list[str] = []
    for name in free:
        cells = [mark_of(value) for value in columns[name]]
        odd = [row for row, cell in enumerate(cells) if cell not in MARKS and not is_empty(cell)]
        said = sum(not is_empty(cell) for cell in cells)
        if not said:
            left_out[name] = "empty"
        elif is_fact(name):
            left_out[name] = "describes the patient or the picture"
        elif not odd:
            classes.append(name)
        elif 2 * len(odd) < said and len(odd) <= max(_FEW_ODD, said // 5) and said - len(odd) > _FEW_ODD:
            doubtful.append(
                f"{name} ({said - len(odd)} of {said} cells are 1, 0 or -1; not "
                f"{listed((f'{ids[r]}: {cells[r]!r}' for r in odd), 5)})"
            )
            classes.append(name)
        else:
            left_out[name] = "other cells than 1, 0, -1"
    if doubtful:
        complain(
            DataContractError(
                f"{where}: columns that are nearly findings hold other cells: {'; '.join(doubtful)}. Correct these cells, or name "
                "the columns that are findings behind the path: ,labels=COLUMN;COLUMN"
            )
        )
    return LabelColumns(tuple(classes), left_out)


def is_fact(name: str) -> bool:
    """Whether a column's name says that it describes the patient or the picture.

    >>> is_fact("Patient Gender"), is_fact("study_id"), is_fact("Edema")
    (True, True, False)
    """
    short = plain(name)
    return short in _FACTS or short.removeprefix("patient") in _FACTS or short.startswith("unnamed") or _is_id(name)


def _is_id(name: str) -> bool:
    """`lesion_id`, `StudyID`, `uid`; not `Carotid`."""
    return name.endswith(("ID", "Id", "_id", " id", "-id", "UID", "Uid", "_uid")) or plain(name) in (
        "id",
        "uid",
        "mrn",
        "pid",
    )


def mark_of(value: Any) -> str:  # noqa: ANN401
    """A cell as the text of a mark: numbers, truth values and their words alike.

    >>> mark_of(True), mark_of("False"), mark_of(1.0), mark_of(None), mark_of(" x")
    ('1', '0', '1.0', '', 'x')
    """
    if value is None or value != value:
        return ""
    text = str(value).strip()
    return {"true": "1", "false": "0"}.get(text.lower(), text)
