"""The README and the pages of the documentation: their blocks run and print what the pages show."""

import re
from pathlib import Path

import page_blocks
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
WITH_BLOCKS = [path for path in PAGES if list(page_blocks.blocks(path.read_text(encoding="utf-8")))]


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.slow
@pytest.mark.long  # minutes, one process after the other: `make tour` runs them
@pytest.mark.parametrize("path", WITH_BLOCKS, ids=name_of)
def test_blocks_run_and_print_what_the_page_shows(path, tmp_path):
    wrong = page_blocks.check(path, tmp_path)
    assert not wrong, "\n\n".join(wrong)


PAGE = """
```python
x = 1
print("value", 3)
```

```text title="Output"
value 3
```

Text.

```python
print(x + 1)
```

```sh
echo "score 0.5"
```

```text title="Output (other numbers on other machines)"
score 0.7
```
"""


def test_python_blocks_share_a_session_and_outputs_are_compared(tmp_path):
    (page := tmp_path / "page.md").write_text(PAGE)
    assert page_blocks.check(page, tmp_path) == []
    page.write_text(PAGE.replace("value 3\n", "value 4\n"))
    (wrong,) = page_blocks.check(page, tmp_path)
    assert "page.md:2" in wrong and "-value 4" in wrong and "+value 3" in wrong
    assert page_blocks.check(page, tmp_path, update=True) == [] and page.read_text() == PAGE


def test_words_of_an_output_with_other_numbers_must_agree(tmp_path):
    (page := tmp_path / "page.md").write_text(PAGE.replace("score 0.7", "loss 0.7"))
    assert len(page_blocks.check(page, tmp_path)) == 1


def test_blocks_can_read_recipes_and_benchmarks(tmp_path):
    (page := tmp_path / "page.md").write_text("```sh\nls -d recipes/suites benchmarks/tables\n```\n")
    assert page_blocks.check(page, tmp_path) == []


@pytest.mark.parametrize("code", ["raise ValueError(3)", "import os; os._exit(3)"])
def test_a_block_that_fails_is_an_error(code, tmp_path):
    (page := tmp_path / "page.md").write_text(f"```python\n{code}\n```\n")
    with pytest.raises(page_blocks.PageError, match="line 1"):
        page_blocks.check(page, tmp_path)
    page.write_text("```sh\nexit 3\n```\n")
    with pytest.raises(page_blocks.PageError, match="exit code 3"):
        page_blocks.check(page, tmp_path)


def test_an_output_with_a_fence_is_refused(tmp_path):
    (page := tmp_path / "page.md").write_text('```python\nprint("`" * 3)\n```\n\n```text title="Output"\nx\n```\n')
    with pytest.raises(page_blocks.PageError, match="fence"):
        page_blocks.check(page, tmp_path)


def test_an_output_has_a_block():
    """An output whose title is misspelt, or that does not follow a block, would never be compared."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        outputs = re.findall(r'^```text title="(Output[^"]*)"', text, re.MULTILINE)
        compared = [block for block in page_blocks.blocks(text) if block.shown is not None]
        assert len(outputs) == len(compared), f"{path}: {len(outputs)} outputs, {len(compared)} of them after a block"
