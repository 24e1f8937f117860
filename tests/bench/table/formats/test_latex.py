"""LaTeX of a table: any name is printed as it is, and each line has all columns."""

import re

from hypothesis import given
from hypothesis import strategies as st

from medzoo.bench.table.formats.latex import ESCAPED, SIGNS, escaped
from medzoo.bench.table.table import table

BACK = {latex: sign for sign, latex in (ESCAPED | SIGNS).items()}
SPECIAL = re.compile("|".join(re.escape(latex) for latex in sorted(BACK, key=len, reverse=True)))


@given(st.text(st.sampled_from([*"ab1 -.[]*'\"`", *ESCAPED, *SIGNS]), max_size=30))
def test_every_text_is_printed_as_it_is(words):
    latex = escaped(words)
    plain = SPECIAL.sub(lambda match: BACK[match[0]], latex.replace("-{}", "-"))
    assert plain.replace("−", "-") == " ".join(words.split()).replace("−", "-")
    assert "--" not in latex and not re.search(r"[#%&_\\{}$^~<>|`'\"]", SPECIAL.sub("", latex.replace("-{}", "-")))


def rows(text):
    """The cells of each line between the rules."""
    inside = text[text.index(r"\toprule") : text.index(r"\bottomrule")].splitlines()
    return [re.split(r"(?<!\\)&", line.removesuffix(r" \\")) for line in inside if line.endswith(r" \\")]


def test_each_line_has_all_columns(make_run):
    names = ("[a] & b", "*50%_$x$", "net\\")
    runs = [
        make_run(checkpoint=name, task=task, seed=seed, value=0.7 + seed / 100)[0]
        for name in names
        for task in ("ct", "x & ray")
        for seed in range(2)
    ]
    text = table(runs, title="Scores {%}", footnotes=["[a_b]"]).to_latex()
    found = rows(text)
    assert len(found) == 2 + len(names) and {len(cells) for cells in found} == {3}
    assert not any(re.match(r"[\[*]", line) for line in text.splitlines())
    assert r"\caption{Scores \{\%\}}" in text and r"\item{} [a\_b]" in text and r"0.705 $\pm$ 0.007 (2)" in text
    for begin in re.findall(r"\\begin\{(\w+)\}", text):
        assert text.count(rf"\begin{{{begin}}}") == text.count(rf"\end{{{begin}}}") == 1


def test_missing_cells_stay_missing(make_run):
    text = table([make_run(checkpoint="a", task="ct")[0], make_run(checkpoint="b", task="xray")[0]]).to_latex()
    assert [sum(cell.strip() == r"\textemdash{}" for cell in cells) for cells in rows(text)[2:]] == [1, 1]
