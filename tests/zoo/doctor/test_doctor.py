"""The doctor's report and command: isolated steps, an aligned table, nothing private."""

import json
import socket
from pathlib import Path

import pytest
from doctor_samples import TOKEN, nobody_there, play_torch  # noqa: F401 - fixtures
from huggingface_hub import constants

from medzoo.zoo.doctor import machine
from medzoo.zoo.doctor.doctor import diagnose
from medzoo.zoo.doctor.report import DoctorReport, DoctorRow, clean, in_shell

# --- the whole report ---


def test_a_machine_that_is_well(private_home):
    report = diagnose(offline=True)
    rows = {row.check: row for row in report.rows}
    assert report.passed and "works here" in str(report)
    assert list(rows)[:2] == ["python", "packages"] and rows["device"].result == "PASS"
    assert rows["registry"].result == rows["home"].result == rows["left over"].result == "PASS"
    said = json.loads(json.dumps(report.to_dict()))
    assert said["passed"] is True and len(said["rows"]) == len(report.rows)
    assert list(private_home.rglob("*")) == []  # nothing is left behind


def test_the_table_is_aligned_and_keeps_commands_whole():
    command = "medzoo fetch " + " ".join(f"name{number}" for number in range(40))
    report = DoctorReport("1", (DoctorRow("a", "PASS", "word " * 60 + "."), DoctorRow("long", "FAIL", "No.", command)))
    lines = report.to_text(80).splitlines()
    assert all(line.startswith(("PASS  a     ", "FAIL  long  ", " " * 12, "medzoo 1 does not work")) for line in lines)
    assert f"{' ' * 12}fix: {command}" in lines and all(len(line) <= 80 for line in lines if "fix: " not in line)
    assert not report.passed and lines[-1] == "medzoo 1 does not work here yet: fix 1 failure first."


@pytest.mark.parametrize(
    ("error", "says", "fix"),
    [
        (ValueError("odd thing"), "ValueError: odd thing", "medzoo doctor --json"),
        (ModuleNotFoundError("No module named 'packaging'", name="packaging"), "packaging", "pip install packaging"),
        (RuntimeError("Could not determine home directory."), "RuntimeError", machine.ELSEWHERE),
    ],
)
@pytest.mark.parametrize(
    "step", ["packages.python", "machine.home", "checkpoints.sources", "checkpoints.entries", "checkpoints.leftovers"]
)
def test_what_nobody_expected_is_a_row(monkeypatch, step, error, says, fix):
    def broken(**_):
        raise error
        yield

    monkeypatch.setattr(f"medzoo.zoo.doctor.{step}", broken)
    report = diagnose(offline=True)
    failed = [row for row in report.rows if row.result == "FAIL"]
    assert len(failed) == 1 and says in failed[0].detail and failed[0].fix == fix
    assert len(report.rows) > 8  # the others were looked at


def test_nothing_private_is_shown(monkeypatch, tmp_path):
    home = tmp_path / "jdoe"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MEDZOO_HOME", str(home / "my cache"))
    monkeypatch.setenv("HF_TOKEN", "swordfish-secret")
    monkeypatch.setattr(constants, "ENDPOINT", "http://jdoe:pass@127.0.0.1:1")

    def broken(**_):
        raise OSError(f"{home}/x and {home} over https://jdoe:pass@proxy.hospital.org/y with {TOKEN} swordfish-secret")
        yield

    monkeypatch.setattr("medzoo.zoo.doctor.checkpoints.entries", broken)
    text = json.dumps(diagnose().to_dict())
    assert "~/'my cache'" in text and "~/x and ~ over" in text
    for secret in ("jdoe", "hospital", "pass@", TOKEN, "swordfish", socket.gethostname()):
        assert secret not in text


def test_only_whole_home_folders_become_tildes(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert clean("/home/me, /home/mel, /mnt/home/me/x") == "~, /home/mel, /mnt/home/me/x"
    assert in_shell(Path("/home/me/a")) == "~/a" and in_shell(Path("/home/mel")) == "/home/mel"


# --- the command ---


def test_the_command(run, monkeypatch, tmp_path):
    code, out, _ = run("doctor", "--offline")
    assert code == 0 and out.startswith("PASS  python") and "works here" in out and "\x1b" not in out
    monkeypatch.setenv("MEDZOO_HUB", str(tmp_path / "nowhere"))
    code, out, _ = run("doctor")
    assert code == 1 and "FAIL  weights from" in out and "fix: unset MEDZOO_HUB" in out
    code, out, _ = run("doctor", "--offline", "--json")
    assert code == 1 and json.loads(out)["passed"] is False
