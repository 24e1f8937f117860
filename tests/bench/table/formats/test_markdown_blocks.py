"""Tables in a Markdown file: made again by the command in their first line; everything else stays."""

import pytest
from expect import raises
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from medzoo.bench.results.store import ResultStore
from medzoo.bench.table.formats.markdown_blocks import END, differing_lines, file_text, table_blocks, with_tables
from medzoo.cli import app
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


@pytest.fixture
def readme(tmp_path, make_run):
    """A README in a folder, with a table of a store that its command names by a relative path."""
    store = ResultStore(tmp_path / "docs" / "results")
    for checkpoint in ("net-a", "net-b"):
        store.put(*make_run(checkpoint=checkpoint, task="ct", value=0.7))
    file = tmp_path / "docs" / "README.md"
    file.write_text(f"# Title\n\n<!-- medzoo table results --no-statistics -->\n{END}\n\nlast line\n")
    return file


def run(*arguments):
    return CliRunner().invoke(app, ["table", *map(str, arguments)])


def test_the_command_fills_and_compares(readme, make_run):
    before = run("--check", readme)
    assert before.exit_code == 1 and "net-a" not in readme.read_text()
    assert run("--update", readme).exit_code == 0 and run("--check", readme).exit_code == 0
    text = readme.read_text()
    assert (
        "| net-a " in text
        and "from 2 results" in text
        and text.endswith("last line\n")
        and str(readme.parent) not in text
    )
    readme.write_text(text.replace("0.700", "0.800", 1))
    drifted = run("--check", readme)
    assert drifted.exit_code == 1 and "line" in drifted.output and "0.800" in readme.read_text()
    run("--update", readme)
    assert readme.read_text() == text
    ResultStore(readme.parent / "results").put(*make_run(checkpoint="net-a", task="ct", seed=1, value=0.9))
    assert run("--check", readme).exit_code == 1


@pytest.mark.parametrize(
    "arguments", ["results --out x", "results --nonsense", "--no-statistics", "results --margin a"]
)
def test_commands_that_make_no_table(readme, arguments):
    readme.write_text(f"<!-- medzoo table {arguments} -->\n{END}\n")
    text = readme.read_text()
    result = run("--update", readme)
    assert isinstance(result.exception, UsageError) and result.exception.code == "table-block-broken"
    assert readme.read_text() == text
