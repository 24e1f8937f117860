"""`medzoo list`: columns to choose, tables within the terminal's width, and errors that name the wrong value."""

import json

import pytest
from expect import raises

import medzoo
from medzoo.commands.terminal.checkpoint_list import list_text, no_match
from medzoo.commands.terminal.columns import COLUMNS, DEFAULT, chosen_columns
from medzoo.errors import UnknownNameError, UsageError

ENTRIES = [medzoo.info(name) for name in medzoo.list_models()]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_a_terminal_gets_whole_words_in_its_width(width):
    text, left_out = list_text(ENTRIES, None, width)
    lines = text.splitlines()
    assert len(lines) == len(ENTRIES) + 1 and max(map(len, lines)) <= width and "…" not in text
    assert [line.split()[0] for line in lines[1:]] == [entry.name for entry in ENTRIES]
    headings = lines[0].split()
    absent = [name for name in DEFAULT if COLUMNS[name].heading not in headings]
    assert bool(absent) == bool(left_out) and all(name in left_out for name in absent)


def test_a_wide_terminal_gets_more_columns_and_a_pipe_the_usual_ones(run, monkeypatch):
    assert list_text(ENTRIES, None, 200)[0].splitlines()[0].split()[-3:] == ["parameters", "input", "year"]
    assert list_text(ENTRIES, None, None)[0].splitlines()[0].split() == [COLUMNS[name].heading for name in DEFAULT]
    monkeypatch.setenv("COLUMNS", "40")
    code, out, err = run("list")
    assert (code, err) == (0, "") and out.splitlines()[0].split()[-1] == "weights" and "\033" not in out


def test_the_columns_of_the_user(run):
    code, out, _ = run("list", "resnet50-byol", "--columns", "year, name,license,parameters,input,size")
    assert code == 0
    assert out.splitlines()[0].split() == ["year", "checkpoint", "licence", "parameters", "input", "size"]
    assert out.splitlines()[1].split() == [
        "2020",
        "resnet50-byol-imagenet",
        "CC-BY-NC-4.0",
        "23.5",
        "M",
        "3x224x224",
        "94",
        "MB",
    ]


def test_long_texts_are_cut_before_columns_are_left_out():
    entry = medzoo.info("resnet50-simclr-imagenet-radnet1m")
    whole, _ = list_text([entry], ["name", "data", "images"], None)
    needed = len(whole.splitlines()[0])
    cut, left_out = list_text([entry], ["name", "data", "images"], needed - 4)
    assert "imagenet + rad…" in cut and "images" in cut and left_out == ""
    less, left_out = list_text([entry], ["name", "data", "images"], needed - 12)
    assert "images" not in less and left_out.startswith("not shown") and "images" in left_out
    narrow, left_out = list_text([entry], ["name", "data", "images"], 10)
    assert narrow.splitlines()[1] == entry.name  # a name is never cut: it is typed again


def test_json_has_only_the_chosen_keys(run):
    code, out, _ = run("list", "byol", "--columns", "name,data,size,redistributable,epochs", "--json")
    assert code == 0 and json.loads(out) == [
        {
            "name": "resnet50-byol-imagenet",
            "data": ["imagenet"],
            "size": 94032128,
            "redistributable": True,
            "epochs": 1000,
        }
    ]
    full = json.loads(run("list", "byol", "--json")[1])
    assert full == json.loads(json.dumps([medzoo.info("resnet50-byol-imagenet").to_dict()]))


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_has_json_and_text_for_every_checkpoint(name):
    for entry in ENTRIES:
        json.dumps(COLUMNS[name].value(entry), allow_nan=False)
        assert COLUMNS[name].cell(entry).strip() and "None" not in COLUMNS[name].cell(entry)
    assert any(COLUMNS[name].cell(entry) != "-" for entry in ENTRIES)


def test_wrong_columns():
    with raises(UnknownNameError, "unknown-column", match=r"Did you mean licence.*redistributable"):
        chosen_columns("name,licnce")
    with raises(UsageError, "columns-empty"):
        chosen_columns(" ,")
    with raises(UsageError, "column-twice"):
        chosen_columns("license,licence")


@pytest.mark.parametrize(
    ("filters", "code", "near"),
    [
        ({"method": "simclrr"}, "unknown-method", "simclr"),
        ({"data": "radimagent"}, "unknown-data", "radimagenet"),
        ({"architecture": "resnet5"}, "unknown-architecture", "resnet50"),
        ({"modality": "CTT"}, "unknown-modality", "CT"),
        ({"license": "cc-by-nc-40"}, "unknown-licence", "CC-BY-NC-4.0"),
    ],
)
def test_a_filter_value_that_no_checkpoint_has(filters, code, near):
    error = no_match("*", filters)
    assert error.code == code and near in error.near and "Known: " in str(error)


def test_a_name_that_no_checkpoint_has(run):
    assert no_match("simclrr", {}).near[0] == "simclr"
    assert no_match("*", {"method": "byol", "license": "mit"}).code == "no-match"  # each exists, not both
    assert no_match("simclrr*", {"method": "no-such-*"}).code == "no-match"  # patterns are not names
    code, out, err = run("list", "--method", "simclrr")
    assert code == 2 and out == "" and "Did you mean simclr" in err


@pytest.mark.parametrize("option", ["redistributable", "downloaded"])
def test_filters_of_list_models(run, option, private_home):
    no = "--no-redistributable" if option == "redistributable" else "--not-downloaded"
    for flag, value in ((f"--{option}", True), (no, False)):
        names = [row["name"] for row in json.loads(run("list", flag, "--columns", "name", "--json")[1])]
        assert names == medzoo.list_models(**{option: value}) and 0 < len(names) < len(ENTRIES)


def test_what_does_not_fit_is_said_on_stderr(run, monkeypatch):
    monkeypatch.setattr("medzoo.progress.output_width", lambda: 60)
    code, out, err = run("list", "byol")
    assert code == 0 and "data" in err and "data" not in out.splitlines()[0]
