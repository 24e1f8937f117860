"""Text for readers whose first language is another: a short list of words that hide what is meant, and what to write instead."""

import ast
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = sorted(path for folder in ("medzoo", "recipes", "benchmarks", "docs") for path in (ROOT / folder).rglob("*.py"))
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
DATA = sorted(path for folder in ("recipes", "hub_configs") for path in (ROOT / folder).rglob("*.toml"))
BANNED = {
    r"\bwish(es|ed)?\b": "choose, option",
    r"\bshel(f|ves)\b": "cache",
    r"\b(told|tells?|telling)\b": "say, report, print",
    r"\bvouch(es|ed)?\b": "verify",
    r"\bmisfits?\b": "mismatch",
    r"\b(one's|nobody's|somebody's) own\b": "your, the user's",
    r"\bbeside\b": "next to",
    r"(?<!there )\b(is|are) no (?!longer|more)(?=\w)": "is not a",
    r"\b(lies|lying|lay)\b": "is in, is stored in",
    r"\b(whereof|thereof|hither|thither|whence)\b": "of which, from where",
    r"\b(mend|mended|mends)\b": "fix",
    r"\b(leaving|placing|stating|reckon\w*)\b(?= of)": "a standard term",
}

# The text of `groups` is in the hash that identifies a cross-validation: other words would separate old folds from new ones.
KEPT = {"none: radiographs that are no DICOM files do not say their patients"}


def texts(path: Path) -> list[tuple[int, str]]:
    """The strings and comments of a Python file, or the lines of another one, with line numbers."""
    if path.suffix != ".py":
        return list(enumerate(path.read_text(encoding="utf-8").splitlines(), 1))
    rows = [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
    ]
    with tokenize.open(path) as file:
        rows += [(t.start[0], t.string) for t in tokenize.generate_tokens(file.readline) if t.type == tokenize.COMMENT]
    return rows


def found(text: str) -> list[str]:
    return [
        f"{hit[0]!r} (write: {instead})" for word, instead in BANNED.items() for hit in re.finditer(word, text, re.I)
    ]


def test_plain_words():
    """One test for all files: a test for each would take longer to collect than to run."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in (*CODE, *PAGES, *DATA)
        for line, text in texts(path)
        if text not in KEPT
        for word in found(text)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_list_finds_what_it_bans_and_nothing_else():
    assert found("Nobody vouches for it, and it lies beside the file.") and found("x.png is no image")
    assert not found("There is no image in the folder. It is no longer used. The label is next to it.")
