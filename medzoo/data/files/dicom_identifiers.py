"""Patient, study and series of DICOM files, read once from their headers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medzoo.data.files.scan_cache import look_up
from medzoo.data.images.dicom.file import open_dicom
from medzoo.data.images.dicom.tags import Tags
from medzoo.data.images.sniff import looks_like_dicom
from medzoo.errors import ImageError

LEVELS = {"patient": "PatientID", "study": "StudyInstanceUID", "series": "SeriesInstanceUID"}
_HEAD = 512


@dataclass(frozen=True)
class DicomIds:
    """The ids in a header; "" for a missing one.

    Args:
        patient: PatientID.
        study: StudyInstanceUID.
        series: SeriesInstanceUID.
    """

    patient: str
    study: str
    series: str

    @property
    def any(self) -> bool:
        """Whether there is at least one id."""
        return bool(self.patient or self.study or self.series)

    def of(self, level: str) -> str:
        """The id at a level. Without a PatientID, it is the id of the study or the series, which belong to one patient.

        Args:
            level: a key of `LEVELS`.
        """
        if level == "patient":
            return self.patient or self.study or self.series
        return self.study if level == "study" else self.series

    def source(self, level: str) -> str:
        """The name of the element that `of` takes its id from; "" if there is none."""
        tried = tuple(LEVELS) if level == "patient" else (level,)
        return next((LEVELS[one] for one in tried if getattr(self, one)), "")


def read_dicom_ids(root: Path, names: Iterable[str]) -> dict[str, DicomIds] | None:
    """Ids of each file; None if one of them is not a DICOM file.

    A file without PatientID gets that of another file of its series or study.

    Args:
        root: the data's folder.
        names: paths below it.

    Raises:
        MissingExtraError: if pydicom is not installed.
    """
    ordered = sorted(set(names))
    if not ordered or not all(_is_dicom(root / name) for name in (ordered[0], ordered[-1])):
        return None
    try:
        rows = look_up(root, ordered, "dicom", lambda name: _ids(root / name), "read headers")
    except OSError:
        return None
    if any(row is None for row in rows):
        return None
    found = {name: DicomIds(*row) for name, row in zip(ordered, rows, strict=True)}
    return _completed(found)


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return looks_like_dicom(file.read(_HEAD))
    except OSError:
        return False


def _ids(path: Path) -> Sequence[str] | None:
    """The three ids of a file; None if it is not a DICOM file."""
    if not _is_dicom(path):
        return None
    try:
        with path.open("rb") as file:
            tags = Tags(open_dicom(file, str(path)).header)
            return [tags.text(element) for element in LEVELS.values()]
    except ImageError:
        return ["", "", ""]  # reading its pixels will report the error


def _completed(found: dict[str, DicomIds]) -> dict[str, DicomIds]:
    """Copy the patient of a series or study to all of its files."""
    known: dict[str, set[str]] = {}
    for one in found.values():
        for uid in filter(None, (one.series, one.study)):
            known.setdefault(uid, set()).update(filter(None, [one.patient]))
    completed = {}
    for name, one in found.items():
        patients = known.get(one.series) or known.get(one.study) or set()
        missing = not one.patient and len(patients) == 1
        completed[name] = DicomIds(next(iter(patients)), one.study, one.series) if missing else one
    return completed
