"""Every fault of the list has a test that carries its number, and SECURITY.md shows the list as it is."""

from pathlib import Path

import pytest
from list_faults import faults, numbers, table
from list_faults import tests as by_number

ROOT = Path(__file__).resolve().parents[2]
FOUND = by_number()


def test_the_list_is_whole():
    assert list(faults()) == [f"f{number:02d}" for number in range(1, 49)]
    assert set(FOUND) == set(faults()), "a test carries a number that the list does not have"


@pytest.mark.parametrize("number", list(faults()))
def test_a_fault_has_a_test(number):
    assert FOUND[number], f"{number}: {faults()[number]['fault']}"


def test_names_of_several_faults():
    assert numbers("test_f07_to_f09_other_names") == ["f07", "f08", "f09"]
    assert numbers("test_f21_f23_one_broken_answer") == ["f21", "f23"]
    assert numbers("test_f1") == numbers("test_files_stay") == []


@pytest.mark.skipif(not (ROOT / "SECURITY.md").is_file(), reason="a checkout is needed")
def test_security_md_shows_the_list():
    shown = (ROOT / "SECURITY.md").read_text().partition("<!-- faults -->")[2]
    assert shown.strip() == table(), "put the output of list_faults.table() below the mark"
