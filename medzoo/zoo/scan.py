"""What must not leave a machine with a card: tokens and keys, places of this machine, names and numbers of patients."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

SECRETS = {
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}\b",
    "a GitHub token": r"\b(gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,})\b",
    "an AWS key": r"\b(AKIA|ASIA)[A-Z0-9]{16}\b",
    "a Google key": r"\bAIza[A-Za-z0-9_-]{30,}\b",
    "an API key": r"\bsk-[A-Za-z0-9_-]{20,}\b",
    "a Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a signed web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "a password": r"(?i)\b(password|passwd|secret|api[_-]?key|access[_-]?token)\b[\"']?\s*[:=]\s*[\"']?[^\s\"',;]{6,}",
    "a login inside an address": r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@",
}
# absolute places of two parts and more; addresses (https://...) and relative places are left alone
PLACES = {
    "a place of this machine": r"(?<![\w/.:*~-])~?/(?:[\w.+@-]+/)+[\w.+@-]*",
    "a place of a Windows machine": r"(?<!\w)(?:[A-Za-z]:\\|\\\\)[^\s\"'`]+",
}
# Keywords of the patient module. Source: https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.7.html
_PATIENT = (
    "PatientName|PatientID|PatientBirthDate|PatientAddress|OtherPatientIDs|PatientTelephoneNumbers|AccessionNumber|"
    "StudyInstanceUID|SeriesInstanceUID|SOPInstanceUID|InstitutionName|ReferringPhysicianName|MedicalRecordLocator"
)
PATIENTS = {
    "an identifier of a patient": rf"(?i)\b({_PATIENT}|patient[ _-]?(name|id|birth[ _-]?date)|mrn|medical record (number|no\.?))"
    r"\b[\"']?\s*[:=]\s*[\"']?[^\s\"',;|]+",
    "a DICOM UID": r"(?<![\w.])[0-2](?:\.(?:0|[1-9]\d*)){5,}(?![\w.])",
    "a DICOM name": r"\b[A-Z][A-Za-z'-]+\^[A-Z][A-Za-z'-]+\b",
}


@dataclass(frozen=True)
class Finding:
    """Something that should not be published.

    Args:
        where: file and line.
        what: its kind.
        excerpt: its beginning; the rest is left out, so that a message can be shown.
    """

    where: str
    what: str
    excerpt: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.excerpt})"


def scan(text: str, where: str) -> list[Finding]:
    """Look through a text that is about to be published.

    Args:
        text: a card, or metadata.
        where: the file's name, for the findings.

    Returns:
        What was found, by line; empty if nothing.

    >>> [finding.what for finding in scan("see /home/ann/scans/1.dcm", "README.md")]
    ['a place of this machine']
    >>> scan("see https://example.org/home/ann", "README.md")
    []
    """
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        for what, pattern in {**SECRETS, **PLACES, **PATIENTS, **_this_machine()}.items():
            found += [
                Finding(f"{where}, line {number}", what, _excerpt(match[0], hidden=what in SECRETS))
                for match in re.finditer(pattern, line)
            ]
    return found


def _this_machine() -> dict[str, str]:
    name = socket.gethostname().partition(".")[0]
    telling = len(name) >= 6 and re.search(r"\d|-", name) is not None  # "laptop" may stand in any text
    return {"the name of this machine": rf"(?<![\w-]){re.escape(name)}(?![\w-])"} if telling else {}


def _excerpt(text: str, *, hidden: bool) -> str:
    keep = 6 if hidden else 48
    return text if len(text) <= keep else f"{text[:keep]}…"
