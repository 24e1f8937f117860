import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

import medzoo
from medzoo import paths
from medzoo.zoo.publish.privacy_scan import scan
from medzoo.zoo.registry import registry

TOKEN = "hf_" + "aB3dE5gH" * 4


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (f"token {TOKEN}", "a Hugging Face token"), ("ghp_" + "a1B2" * 9, "a GitHub token"),
        ("AKIA" + "ABCD1234" * 2, "an AWS key"),
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"), ('password = "hunter22"', "a password"),
        ("https://ann:secret@example.org/x", "a login in an address"),
        ("trained on /mnt/nas/ward3/images", "a path on this machine"), ("'~/data/x.csv'", "a path on this machine"),
        ('"root": "/data/x/"', "a path on this machine"), (r"C:\Users\ann\x.png", "a path on a Windows machine"),
        ("PatientName: Doe", "an identifier of a patient"), ('"PatientID": "12345"', "an identifier of a patient"),
        ("MRN: 0012345", "an identifier of a patient"), ("AccessionNumber=77", "an identifier of a patient"),
        ("PatientID,4711", "an identifier of a patient"), ("| PatientID | 4711 |", "an identifier of a patient"),
        ("MRN 0012345", "an identifier of a patient"), ("Patient's name: Doe", "an identifier of a patient"),
        ("date of birth: 1970-01-02", "an identifier of a patient"), ("accession no. = 77", "an identifier of a patient"),
        ("by Müller^Jürgen", "a DICOM name"), ("glpat-" + "aB3-" * 5, "a GitLab token"),
        ("Authorization: Bearer " + "aB3d" * 5, "an authorization header"), ("wandb_api_key: " + "0a1b" * 10, "a password"),
        ("HF_TOKEN=abcdefgh", "a password"), ("C:/Users/ann/x.png", "a path on a Windows machine"),
        ("file:///home/ann/x.png", "a path on this machine"), ("$HOME/scans/x.png", "a path on this machine"),
        ("smb://ward3/pacs", "an address in a private network"),
        ("http://10.20.3.4:8042/studies", "an address in a private network"),
        ("1.2.840.113619.2.55.3.2831", "a DICOM UID"), ("by DOE^Jane".replace("DOE", "Doe"), "a DICOM name"),
    ],
)  # fmt: skip
def test_f45_what_is_found(line, what):
    found = scan(f"first\n{line}\nlast", "README.md")
    assert what in [finding.what for finding in found] and "line 2" in str(found[0])
    assert TOKEN not in "".join(map(str, found))  # the message itself can be shown


@pytest.mark.parametrize(
    "line",
    [
        "see https://example.org/home/ann/x.html", "CT and/or MR, 1/255, [-1, 1]", "path/to/this/folder", "local-dir:a/b",
        "sha256 " + "0123456789abcdef" * 4, "torch 2.15.0+cu132, timm 1.0.31", "patient_id is the column",
        "columns: patient_id, image", "| patient_id | view |", "A^T", "CUDA 10.2.89.1",
        "hf-hub:org/name@v1",
        "each patient stands in one split", "one password a line", "24/11/2026",
    ],
)  # fmt: skip
def test_what_is_left_alone(line):
    assert scan(line, "x") == []


def test_the_name_of_this_machine(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu-node-17.clinic.example")
    assert [finding.what for finding in scan("ran on gpu-node-17", "x")] == ["the name of this machine"]
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    assert scan("ran on a laptop", "x") == []


@pytest.mark.parametrize("name", registry.names())
def test_facts_that_ship_are_clean(name):
    text = (paths.data_dir("hub_configs") / f"{name}.toml").read_text() + str(medzoo.info(name))
    assert scan(text, name) == []


@given(st.text(max_size=2000))
def test_any_text_is_scanned(text):
    scan(text, "x")
