"""Who is on a DICOM image: patient, study and series of many files, read from their headers once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medzoo.data.files.scan_cache import look_up
from medzoo.data.images.dicom.file import looks_like_dicom, open_dicom
from medzoo.data.images.dicom.tags import Tags
from medzoo.errors import ImageError

LEVELS = {"patient": "PatientID", "study": "StudyInstanceUID", "series": "SeriesInstanceUID"}
_HEAD = 512


@dataclass(frozen=True)
class DicomIds:
    """What a header says; "" for what it does not say.

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
        """Whether it says anything."""
        return bool(self.patient or self.study or self.series)

    def of(self, level: str) -> str:
        """The id at a level; where there is no PatientID, that of the study or the series, which are of one patient.

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
    """Ids of each file; None if one of them is no DICOM file.

    A file without PatientID takes that of another file of its series or study.

    Args:
        root: the data's folder.
        names: paths below it.

    Raises:
        MissingExtraError: if pydicom is not installed.
    """
    wanted = sorted(set(names))
    if not wanted or not all(_is_dicom(root / name) for name in (wanted[0], wanted[-1])):
        return None
    try:
        rows = look_up(root, wanted, "dicom", lambda name: _ids(root / name))
    except OSError:
        return None
    if any(row is None for row in rows):
        return None
    found = {name: DicomIds(*row) for name, row in zip(wanted, rows, strict=True)}
    return _completed(found)


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return looks_like_dicom(file.read(_HEAD))
    except OSError:
        return False


def _ids(path: Path) -> Sequence[str] | None:
    """The three ids of a file; None if it is no DICOM file."""
    if not _is_dicom(path):
        return None
    try:
        with path.open("rb") as file:
            tags = Tags(open_dicom(file, str(path)).header)
            return [tags.text(element) for element in LEVELS.values()]
    except ImageError:
        return ["", "", ""]  # reading its pixels will say what is wrong


def _completed(found: dict[str, DicomIds]) -> dict[str, DicomIds]:
    """With the patient of a series or study in all of its files."""
    known: dict[str, set[str]] = {}
    for one in found.values():
        for uid in filter(None, (one.series, one.study)):
            known.setdefault(uid, set()).update(filter(None, [one.patient]))
    completed = {}
    for name, one in found.items():
        patients = known.get(one.series) or known.get(one.study) or set()
        takes = not one.patient and len(patients) == 1
        completed[name] = DicomIds(next(iter(patients)), one.study, one.series) if takes else one
    return completed
