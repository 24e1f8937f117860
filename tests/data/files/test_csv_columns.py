import gzip

import numpy as np
import pytest
from expect import raises

from medzoo.data.files import csv_columns
from medzoo.data.files.csv_columns import marked, numbers, read_columns
from medzoo.data.problems import collecting
from medzoo.errors import DataContractError


def test_only_what_is_asked_for_is_kept_and_found_by_name(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("b,a,c\n 2 ,1,3\n\n5,4,6\n")
    assert read_columns(path, ("a",), ("b", "z")) == {"a": ["1", "4"], "b": ["2", "5"]}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_f34_bom_crlf_separators_and_archives_read_alike(tmp_path, separator):
    text = separator.join("ab") + "\r\n" + separator.join(("1", '"x\ny"')) + "\r\n"
    for name, content in (("t.csv", text.encode("utf-8-sig")), ("t.csv.gz", gzip.compress(text.encode("utf-8-sig")))):
        (tmp_path / name).write_bytes(content)
        assert read_columns(tmp_path / name, ("a", "b")) == {"a": ["1"], "b": ["x\ny"]}


def test_rows_over_several_chunks_are_joined(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_columns, "_CHUNK", 3)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f" {row} ,x\n" for row in range(10)))
    table = read_columns(path, ("a", "b"))
    assert table == {"a": [str(row) for row in range(10)], "b": ["x"] * 10}
    assert len(set(map(id, table["b"]))) == 1  # equal cells are one string


@pytest.mark.parametrize(
    "content, cause",
    [
        (b"", "table-empty"),
        (b"\n\n", "table-empty"),
        (b"a,b\n", "table-without-rows"),
        (b"a\n1\n", "columns-missing"),
        (b"a,b,a\n1,2,3\n", "column-repeated"),
        (b"a,b\n1\n2,3\n4,5,6\n", "row-length-wrong"),
        (b'a,b\n1,"2\n', "csv-unreadable"),
        (b"a,b\n\xff,2\n", "table-not-utf8"),
    ],
)
def test_f34_unreadable_tables_say_why(tmp_path, content, cause):
    (tmp_path / "t.csv").write_bytes(content)
    with raises(DataContractError, cause):
        read_columns(tmp_path / "t.csv", ("a", "b"))


def test_a_table_of_excel_says_how_to_save_it(tmp_path):
    (tmp_path / "t.csv").write_bytes("a,b\nx,ä\n".encode("latin1"))
    with raises(DataContractError, "table-not-utf8", match=r"CSV UTF-8; or iconv -f latin1 -t utf8 OLD > NEW"):
        read_columns(tmp_path / "t.csv", ("a", "b"))


def test_damaged_archives_say_so(tmp_path):
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 5000)
    for content in (whole[: len(whole) // 2], whole[:20] + bytes(10) + whole[30:], b"a,b\n1,2\n"):
        (tmp_path / "t.csv.gz").write_bytes(content)
        with raises(DataContractError, "gzip-damaged"):
            read_columns(tmp_path / "t.csv.gz", ("a", "b"))
    with raises(DataContractError, "table-unreadable"):
        read_columns(tmp_path / "nowhere.csv", ("a",))


def test_when_all_problems_are_heard_the_good_rows_go_on(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1\n2,3\n")
    with collecting() as found:
        assert read_columns(tmp_path / "t.csv", ("a",)) == {"a": ["2"]}
    assert len(found) == 1


def test_labels_are_found_by_name_and_unknown_ones_are_listed():
    table = {"b": ["1", "", "nan", "0.0"], "a": ["-1", "-1.0", "1.0", "0"]}
    found = marked(table, ("a", "b"), ["w", "x", "y", "z"], "t.csv")
    assert found.dtype == np.float32
    assert np.array_equal(found, [[-1, 1], [-1, np.nan], [1, np.nan], [0, 0]], equal_nan=True)
    with raises(DataContractError, "label-not-a-mark"):
        marked({"a": ["1", "2"], "b": ["yes", "0"]}, ("a", "b"), ["w", "x"], "t.csv")


def test_numbers_outside_of_a_range_are_unknown():
    assert numbers(["61", "0", "413", "", "nan", "x", "61"], 1, 120) == [61.0, None, None, None, None, None, 61.0]
