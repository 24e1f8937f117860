"""Choose the columns of findings in a table without a label column: one column per class, with 1, 0, -1 or empty cells."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medzoo.data.custom.column_roles import plain
from medzoo.data.problems import complain
from medzoo.data.vocabulary import MARKS, is_empty
from medzoo.errors import DataContractError, listed

# Columns of 0 and 1 that describe the patient or the acquisition, not a finding; without case and punctuation.
_FACTS = {
    "sex", "gender", "male", "female", "ismale", "isfemale", "age", "agegroup", "race", "ethnicity", "ethnic", "smoker",
    "view", "viewposition", "projection", "frontal", "lateral", "isfrontal", "islateral", "ap", "pa", "apa", "laterality",
    "side", "left", "right", "eye", "breast", "site", "hospital", "center", "centre", "institution", "scanner", "device",
    "vendor", "manufacturer", "machine", "study", "series", "visit", "followup", "baseline", "timepoint", "session", "scan",
    "slice", "frame", "index", "idx", "row", "number", "no", "height", "width", "weight", "bmi", "date", "year", "portable",
    "isportable", "duplicate", "isduplicate", "quality", "usable", "exclude", "excluded", "reader", "rater", "annotator",
    "confidence", "fold", "source", "dataset", "id", "name", "count", "inpatient", "outpatient",
}  # fmt: skip
_FEW_ODD = 2  # so many cells of a column may be typing errors, independent of its length


@dataclass(frozen=True)
class LabelColumns:
    """The choice.

    Args:
        classes: the columns that are findings.
        left_out: column → why it is not a finding.
    """

    classes: tuple[str, ...]
    left_out: dict[str, str]


def choose_label_columns(
    columns: Mapping[str, Sequence[Any]], free: Collection[str], ids: Sequence[str], where: object
) -> LabelColumns:
    """The columns with only 1, 0, -1 and empty cells that do not describe the patient or the picture.

    Args:
        columns: name → cells.
        free: columns without another role.
        ids: of the rows, for the message.
        where: for the message.

    Raises:
        DataContractError: if nearly all cells of a column are marks, so that the other cells are probably typing errors.
    """
    classes: list[str] = []
    left_out: dict[str, str] = {}
    doubtful: list[str] = []
    for name in free:
        cells = [mark_of(value) for value in columns[name]]
        odd = [row for row, cell in enumerate(cells) if cell not in MARKS and not is_empty(cell)]
        filled = sum(not is_empty(cell) for cell in cells)
        if not filled:
            left_out[name] = "empty"
        elif is_fact(name):
            left_out[name] = "describes the patient or the picture"
        elif not odd:
            classes.append(name)
        elif 2 * len(odd) < filled and len(odd) <= max(_FEW_ODD, filled // 5) and filled - len(odd) > _FEW_ODD:
            doubtful.append(
                f"{name} ({filled - len(odd)} of {filled} cells are 1, 0 or -1; not "
                f"{listed((f'{ids[r]}: {cells[r]!r}' for r in odd), 5)})"
            )
            classes.append(name)
        else:
            left_out[name] = "other values than 1, 0, -1"
    if doubtful:
        complain(
            DataContractError(
                f"{where}: columns that are probably findings have other values: {'; '.join(doubtful)}. Correct these cells, or "
                "name the columns of findings after the path: ,labels=COLUMN;COLUMN",
                code="label-columns-unclear",
            )
        )
    return LabelColumns(tuple(classes), left_out)


def is_fact(name: str) -> bool:
    """Whether a column describes the patient or the picture, by its name.

    >>> is_fact("Patient Gender"), is_fact("study_id"), is_fact("Edema")
    (True, True, False)
    """
    short = plain(name)
    return short in _FACTS or short.removeprefix("patient") in _FACTS or short.startswith("unnamed") or _is_id(name)


def _is_id(name: str) -> bool:
    """`lesion_id`, `StudyID`, `uid`; not `Carotid`."""
    endings = ("ID", "Id", "_id", " id", "-id", "UID", "Uid", "_uid")
    return name.endswith(endings) or plain(name) in ("id", "uid", "mrn", "pid")


def mark_of(value: Any) -> str:  # noqa: ANN401
    """A cell as the text of a mark, from numbers, booleans and the words true and false.

    >>> mark_of(True), mark_of("False"), mark_of(1.0), mark_of(None), mark_of(" x")
    ('1', '0', '1.0', '', 'x')
    """
    if value is None or value != value:
        return ""
    text = str(value).strip()
    return {"true": "1", "false": "0"}.get(text.lower(), text)
