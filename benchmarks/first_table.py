"""What the first table of our own checkpoints says about the questions of the four studies, computed from its results.

    python benchmarks/first_table.py                print the comparisons and what each column can show
    python benchmarks/first_table.py --update       write them into the pages, between their marks; write table.html and the picture
    python benchmarks/first_table.py --check        compare all these with the results; exit code 1 if they differ

The results are those of recipes/suites/first_table_cpu.toml and first_table_cpu_probes.toml, in benchmarks/results/first_table. The
suites name each comparison. All comparisons of a suite are one family: a verdict of "better" or "worse" is corrected for their
number (Holm). It takes seconds on a CPU.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from PIL import Image

from medzoo import store
from medzoo.bench.results.store import ResultStore, predictions_path
from medzoo.bench.suite import Suite
from medzoo.bench.suite_table import named_table
from medzoo.bench.suites.read import load_suite
from medzoo.bench.table.model import Column
from medzoo.bench.table.statistics import MARKS, ControlDifference, digits_of
from medzoo.bench.table.table import Table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "first_table"
SUITES = {"first_table_cpu": "Fine-tuned", "first_table_cpu_probes": "Frozen, with a probe"}
SATURATED = "Medical MNIST"  # a task that every network solves, and pre-training data of some rows: in no count
BEGIN, END = "<!-- first table: {part} -->", "<!-- end of first table -->"
PAGES = {ROOT / "README.md": ("summary",), RESULTS.with_suffix(".md"): ("answers", "columns", "one seed")}

# the end of a checkpoint's name and of its control → the question; every other comparison is with random weights
QUESTIONS = {
    "Does pre-training help, compared with random weights of the same architecture?": (),
    "Self-supervised or supervised, on the same photographs?": (("resnet18-simclr-cifar10", "resnet18-cifar10"),),
    "Medical images or photographs, with the same method?": (
        ("resnet18-medical_mnist", "resnet18-cifar10"),
        ("resnet18-simclr-medical_mnist", "resnet18-simclr-cifar10"),
        ("vit_tiny-mae-medical_mnist", "vit_tiny-mae-cifar10"),
    ),
    "Does a second pre-training on medical images help, compared with the first one alone?": (
        ("resnet18-cifar10-simclr-medical_mnist", "resnet18-cifar10"),
        ("vit_tiny-mae-cifar10-mae-medical_mnist", "vit_tiny-mae-cifar10"),
    ),
    "Does Gram anchoring help, compared with the same second pre-training without it?": (
        ("resnet18-cifar10-simclr-medical_mnist-gram", "resnet18-cifar10-simclr-medical_mnist"),
    ),
    "Which architecture, with random weights?": (("vit_tiny_patch16_224-random", "resnet18-random"),),
    "A plain U-Net, or one with an encoder that can be pre-trained (both from random weights)?": (
        ("unet-scratch", "resnet18-random"),
    ),
}
FIRST = next(iter(QUESTIONS))


@dataclass(frozen=True)
class Asked:
    """A comparison of two rows in one column.

    Args:
        question: that it answers.
        row: label of the checkpoint.
        column: of the table.
        found: the comparison.
    """

    question: str
    row: str
    column: Column
    found: ControlDifference

    @property
    def counts(self) -> bool:
        """Whether it is part of the counts."""
        return not self.column.title.startswith(SATURATED)

    @property
    def worded(self) -> str:
        """The difference with its interval, and the mark of the verdict."""
        one = self.found.difference
        if one.low is None or one.high is None:
            return f"{one.delta:+.3f}{MARKS[one.verdict]}"
        digits = digits_of(one.high - one.low, self.column.digits)
        return f"{one.delta:+.{digits}f} [{one.low:+.{digits}f}, {one.high:+.{digits}f}]{MARKS[one.verdict]}"


def asked(table: Table, names: dict[str, str]) -> Iterator[Asked]:
    """All comparisons of a table with their questions.

    Args:
        table: of a suite.
        names: of the checkpoints by label, without organisation.
    """
    known = {pair: question for question, pairs in QUESTIONS.items() for pair in pairs}
    for row, cells in zip(table.rows, table.grid, strict=True):
        for column, cell in zip(table.columns, cells, strict=True):
            for one in cell.statistics.contrasts if cell.statistics is not None else ():
                pair = (names[row.label], names[one.control])
                yield Asked(known.get(pair, FIRST), row.label, column, one)


@cache
def tables() -> dict[str, tuple[Table, list[Asked]]]:
    """The tables of the suites with their comparisons, by name of the suite."""
    made = {}
    for name in SUITES:
        suite = load_suite(name)
        table = named_table(suite, RESULTS)
        made[name] = (table, list(asked(table, names_of(suite))))
    return made


def names_of(suite: Suite) -> dict[str, str]:
    """The checkpoints of a suite by label, without organisation."""
    return {label: key.rpartition("/")[2] for key, label in suite.checkpoints}


def answers() -> str:
    """For each question and suite: a grid of differences, and their counts."""
    made, lines = tables(), []
    for question in QUESTIONS:
        grids = [
            part
            for name, (table, every) in made.items()
            for part in _grid(SUITES[name], table, [one for one in every if one.question == question])
        ]
        lines += [f"### {question}", "", *grids] if grids else []
    return "\n".join(lines).rstrip()


def _grid(title: str, table: Table, some: list[Asked]) -> list[str]:
    if not some:
        return []
    titles = [column.title for column in table.columns if any(one.column == column for one in some)]
    rows = dict.fromkeys((one.row, one.found.control) for one in some)
    lines = [f"{title}, without {SATURATED}: {_verdicts(some)}.", "", f"| difference | {' | '.join(titles)} |"]
    lines.append(f"| --- |{' ---: |' * len(titles)}")
    for row, control in rows:
        at = {one.column.title: one.worded for one in some if (one.row, one.found.control) == (row, control)}
        lines.append(f"| {row} − {control} | {' | '.join(at.get(name, '—') for name in titles)} |")
    return [*lines, ""]


def _verdicts(some: list[Asked]) -> str:
    """How many comparisons have which verdict, without the saturated task."""
    counts = Counter(one.found.difference.verdict for one in some if one.counts)
    return ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in ("better", "worse", "equivalent", "undecided") if counts[verdict]
    )


def columns() -> str:
    """What each column can show: noise floors and the smallest visible difference."""
    head = "| | | permuted labels reach | random weights reach | smallest visible difference | comparisons |"
    lines = [head, "| --- | --- | ---: | ---: | ---: | ---: |"]
    for name, (table, every) in tables().items():
        for column, cells in zip(table.columns, zip(*table.grid, strict=True), strict=True):
            one = column.statistics
            if one is None:
                continue
            floors = [cell.statistics.floor for cell in cells if cell.statistics is not None]
            floor = next((found for found in floors if found is not None), None)  # of an AUROC, all are the same
            numbers = [floor, one.random, None if one.resolution is None else one.resolution.detectable]
            words = ["—" if number is None else f"{number:.3f}" for number in numbers]
            count = sum(found.column == column for found in every)
            lines.append(f"| {SUITES[name]} | {column.title}, {column.heading[:-2]} | {' | '.join(words)} | {count} |")
    return "\n".join(lines)


@cache
def one_seed() -> str:
    """How many differences are decided with the first seed alone, and with all seeds."""
    name = next(iter(SUITES))
    suite = load_suite(name)
    found = [(path, result) for path, result in ResultStore(RESULTS).all() if result["identity"]["seed"] == 0]
    with tempfile.TemporaryDirectory() as folder:
        for path, _ in found:
            for file in (path, predictions_path(path)):
                copy = Path(folder) / file.relative_to(RESULTS)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copy)
        alone = list(asked(named_table(suite, Path(folder)), names_of(suite)))
    lines = ["| | better or worse, seed 0 alone | better or worse, all seeds | seeds |", "| --- | ---: | ---: | ---: |"]
    table, every = tables()[name]
    for place, column in enumerate(table.columns):
        decided = [
            sum(
                one.column.title == column.title and one.found.difference.verdict in ("better", "worse") for one in some
            )
            for some in (alone, every)
        ]
        runs = max(len(cells[place].runs) for cells in table.grid)
        lines.append(f"| {column.title} | {decided[0]} | {decided[1]} | {runs} |")
    return "\n".join(lines)


def summary() -> str:
    """A line for each question with its counts in both suites."""
    made = tables()
    lines = [f"| | {' | '.join(SUITES.values())} |", f"| --- |{' --- |' * len(SUITES)}"]
    for question in QUESTIONS:
        parts = [_verdicts([one for one in some if one.question == question]) for _, some in made.values()]
        lines += [f"| {question} | {' | '.join(part or '—' for part in parts)} |"] if any(parts) else []
    return "\n".join(lines)


PARTS = {"summary": summary, "answers": answers, "columns": columns, "one seed": one_seed}


def updated(text: str, parts: tuple[str, ...]) -> str:
    """A page with its parts made again.

    Args:
        text: of the page.
        parts: names of the parts that it has.
    """
    for part in parts:
        begin = BEGIN.format(part=part)
        before, mark, rest = text.partition(begin + "\n")
        _, end, after = rest.partition(END)
        if not mark or not end:
            raise SystemExit(f"A page lacks the lines {begin} and {END}.")
        text = f"{before}{mark}\n{PARTS[part]()}\n\n{end}{after}"
    return text


def kept() -> Iterator[tuple[Path, bool, Callable[[], object]]]:
    """The files that are made from the results: whether each is what they give, and what writes it."""
    for path, parts in PAGES.items():
        old = path.read_text(encoding="utf-8")
        new = updated(old, parts)
        yield path, new == old, partial(store.write_text, path, new)
    table, _ = tables()["first_table_cpu"]
    page, new = RESULTS / "table.html", table.to_html(RESULTS)
    yield page, page.read_text(encoding="utf-8") == new, partial(store.write_text, page, new)
    # a picture contains its table as text: pixels depend on fonts and on the version of matplotlib
    picture = RESULTS.with_suffix(".png")
    with Image.open(picture) as image:
        shown = image.info.get("Description")
    yield picture, shown == table.to_text(), partial(table.to_png, picture)


def main() -> None:
    """Parse the options; print, write or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="write pages and picture")
    parser.add_argument("--check", action="store_true", help="compare them with the results")
    given = parser.parse_args()
    if not given.update and not given.check:
        print("\n\n".join([summary(), answers(), columns()]))
        return
    differ = []
    for path, is_true, write in kept():
        if given.update and not is_true:
            write()
        elif not is_true:
            differ.append(path.name)
    if differ:
        sys.exit(f"Not what the results give: {', '.join(differ)}. Write them with --update.")


if __name__ == "__main__":
    main()
