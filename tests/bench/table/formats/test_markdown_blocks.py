"""Tables in a Markdown file: made again by the command in their first line; everything else stays."""

import pytest
from expect import raises
from hypothesis import given
from hypothesis import strategies as st

from medzoo.bench.table.formats.markdown_blocks import END, differing_lines, file_text, table_blocks, with_tables
from medzoo.errors import UsageError

TEXT = f"""# Title

<!-- medzoo table results --control 'a b' -->
old
{END}

```
<!-- medzoo table example -->
```

<!-- medzoo table other -->
{END}
last line"""


def test_tables_are_made_by_their_commands():
    assert [block.arguments for block in table_blocks(TEXT, "x")] == [("results", "--control", "a b"), ("other",)]
    made = with_tables(TEXT, "x", lambda arguments: f"| {arguments[0]} |")
    assert "old" not in made and made.count("| results |") == made.count("| other |") == 1
    assert "<!-- medzoo table example -->\n```" in made and made.endswith("last line")
    assert with_tables(made, "x", lambda arguments: f"| {arguments[0]} |\n") == made
    assert differing_lines(made, made, "x") == []
    changed = made.replace("| other |", "| othar |")
    (line,) = differing_lines(changed, made, "README.md")
    number = changed.split("\n").index("| othar |") + 1
    assert line.startswith(f"README.md, line {number}:")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nothing", "table-block-missing"),
        ("<!-- medzoo table results -->", "table-block-broken"),
        (END, "table-block-broken"),
        (f"<!-- medzoo table a -->\n<!-- medzoo table b -->\n{END}", "table-block-broken"),
        (f"<!-- medzoo table 'a -->\n{END}", "table-block-broken"),
    ],
)
def test_broken_blocks(text, code):
    with raises(UsageError, code):
        table_blocks(text, "README.md")


def test_a_file_that_cannot_be_read(tmp_path):
    with raises(UsageError, "file-unreadable"):
        file_text(tmp_path / "absent.md")
    (tmp_path / "binary.md").write_bytes(b"\xff\xfe\x00")
    with raises(UsageError, "file-unreadable"):
        file_text(tmp_path / "binary.md")


@given(st.lists(st.sampled_from(["<!-- medzoo table r -->", END, "text", "```", "| a |", ""]), max_size=12))
def test_text_outside_the_tables_stays(lines):
    text = "\n".join(lines)
    try:
        blocks = table_blocks(text, "x")
    except UsageError:
        return
    inside = {number for block in blocks for number in range(block.first, block.last)}
    kept = [line for number, line in enumerate(lines) if number not in inside]
    made = with_tables(text, "x", lambda _: "TABLE").split("\n")
    assert [line for line in made if line not in ("TABLE", "")] == [line for line in kept if line]
    assert made.count("TABLE") == len(blocks)
