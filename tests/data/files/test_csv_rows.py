import pytest
from expect import raises
from hypothesis import given
from hypothesis import strategies as st

from medzoo.data.files.csv_rows import read_csv, read_list
from medzoo.data.problems import collecting
from medzoo.errors import DataContractError


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "text",
    ["﻿a,b\r\n1,x\r\n", "a;b\n1;x\n", "a\tb\n1\tx", "a,b\n\n1, x\n", "sep=;\r\na;b\r\n1;x\r\n", "﻿sep=,\na,b\n1,x"],
)
def test_f34_bom_line_ends_and_separators(tmp_path, text):
    assert read_csv(write(tmp_path / "t.csv", text)) == (["a", "b"], [{"a": "1", "b": "x"}])


def test_the_index_of_pandas_and_a_comma_at_the_end_of_the_header(tmp_path):
    header, rows = read_csv(write(tmp_path / "t.csv", ",a,\n0,x,\n"))
    assert header == ["Unnamed: 0", "a", "Unnamed: 2"] and rows[0]["a"] == "x"


@pytest.mark.parametrize(
    "content, cause",
    [
        (b"", "table-empty"),
        (b"a,b\n", "table-without-rows"),
        (b"a,a\n1,2\n", "column-repeated"),
        (b"a,,b\n1,2,3\n", "column-repeated"),
        (b"a,b\n1\n", "row-length-wrong"),
        (b"a,b\n\xff,1\n", "table-not-utf8"),
        (b'a,b\n"1,2\n', "csv-unreadable"),
        (b"a,c\n1,2\n", "columns-missing"),
    ],
)
def test_f34_broken_tables_say_why(tmp_path, content, cause):
    with raises(DataContractError, cause):
        read_csv(write(tmp_path / "t.csv", content), ["b"] if b"c" in content else [])


def test_a_table_of_excel_says_how_to_save_it(tmp_path):
    with raises(DataContractError, "table-not-utf8", match=r"CSV UTF-8; or iconv -f latin1 -t utf8 OLD > NEW"):
        read_csv(write(tmp_path / "t.csv", "Befund\nunauffällig\n".encode("latin1")), [])


def test_short_rows_are_left_out_while_problems_are_gathered(tmp_path):
    with collecting() as found:
        _, rows = read_csv(write(tmp_path / "t.csv", "a,b\n1\n2,3\n"))
    assert [row["a"] for row in rows] == ["2"] and len(found) == 1


def test_lists_split_at_commas_or_blanks(tmp_path):
    assert read_list(write(tmp_path / "l.txt", "a b.png,1\n\nc.png 0 1\n")) == [["a b.png", "1"], ["c.png", "0", "1"]]
    with raises(DataContractError, "table-empty"):
        read_list(write(tmp_path / "e.txt", "\n"))


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_an_error_of_medzoo(tmp_path_factory, content):
    path = write(tmp_path_factory.mktemp("t") / "t.csv", content)
    try:
        header, rows = read_csv(path)
    except DataContractError:
        return
    assert all(list(row) == header for row in rows)
