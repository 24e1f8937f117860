"""Find what must not be published in texts: tokens and keys, paths on this machine, names and numbers of patients."""

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
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "an authorization header": r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{16,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a JSON web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "a password": r"(?i)(?<![a-z])(password|passwd|secret|api[_-]?key|(access|auth|hf)[_-]?token)"
    r"\b[\"']?\s*[:=]\s*[\"']?[^\s\"',;]{6,}",
    "a login in an address": r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@",
}
# absolute paths of two or more parts; web addresses (https://...) and relative paths are allowed
PATHS = {
    "a path on this machine": r"(?<![\w/.:*~-])~?/(?:[\w.+@-]+/)+[\w.+@-]*|\bfile:///?[\w.+@-]+/[^\s\"'`]*|"
    r"\$\{?HOME\}?/[\w.+@-]+",
    "a path on a Windows machine": r"(?<!\w)(?:[A-Za-z]:(?:\\|/(?=\w))|\\\\)[^\s\"'`]+",
    "an address in a private network": r"\b(?:smb|cifs|nfs|afp)://[^\s\"'`]+|"
    r"://(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+\b[^\s\"'`]*",
}
# Keywords of the patient module. Source: https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.7.html
_PATIENT = (
    "PatientName|PatientID|PatientBirthDate|PatientAddress|OtherPatientIDs|PatientTelephoneNumbers|AccessionNumber|"
    "StudyInstanceUID|SeriesInstanceUID|SOPInstanceUID|InstitutionName|ReferringPhysicianName|MedicalRecordLocator"
)
_CAPITAL = "[A-Z\u00c0-\u00d6\u00d8-\u00de]"  # also with accents
_NAMED = (
    rf"{_PATIENT}|patient(?:'?s)?[ _-]?(?:name|id|birth[ _-]?date)|date of birth|mrn|"
    r"(?:medical record|accession)[ _-](?:number|no\.?)"
)
PATIENTS = {
    "an identifier of a patient": rf"(?i)\b(?:{_NAMED})(?!\w)[\"']?(?:\s*[:=]\s*[\"']?[^\s\"',;|]+|\s*[,|]\s*[\"']?\w*\d{{3}})|"
    r"\bMRN[ #]+\d{5,}",
    "a DICOM UID": r"(?<![\w.])[0-2](?:\.(?:0|[1-9]\d*)){5,}(?![\w.])",
    "a DICOM name": rf"(?<!\w){_CAPITAL}[\w'-]+\^{_CAPITAL}[\w'-]+",
}


@dataclass(frozen=True)
class PrivacyFinding:
    """Something that must not be published.

    Args:
        where: file and line.
        what: its kind.
        excerpt: its beginning only, so that the message itself can be shown.
    """

    where: str
    what: str
    excerpt: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.excerpt})"


def scan(text: str, where: str) -> list[PrivacyFinding]:
    """Scan a text before it is published.

    Args:
        text: a card, or metadata.
        where: the file's name, for the findings.

    Returns:
        The findings, by line; empty if there are none.

    >>> [finding.what for finding in scan("see /home/ann/scans/1.dcm", "README.md")]
    ['a path on this machine']
    >>> scan("see https://example.org/home/ann", "README.md")
    []
    """
    findings = []
    for number, line in enumerate(text.splitlines(), start=1):
        for what, pattern in {**SECRETS, **PATHS, **PATIENTS, **_this_machine()}.items():
            findings += [
                PrivacyFinding(f"{where}, line {number}", what, _excerpt(match[0], hidden=what in SECRETS))
                for match in re.finditer(pattern, line)
            ]
    return findings


def _this_machine() -> dict[str, str]:
    name = socket.gethostname().partition(".")[0]
    distinct = len(name) >= 6 and re.search(r"\d|-", name) is not None  # not a common word such as "laptop"
    return {"the name of this machine": rf"(?<![\w-]){re.escape(name)}(?![\w-])"} if distinct else {}


def _excerpt(text: str, *, hidden: bool) -> str:
    keep = 6 if hidden else 48
    return text if len(text) <= keep else f"{text[:keep]}…"
