"""how_to/errors.md: every error code with its messages, its class and the exit code of the command line."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape

from medzoo import errors
from site_pages.error_sources import ANY, KINDS, ErrorPlace, error_places
from site_pages.message_text import as_html

# Subject → the beginnings of the paths of its files; the longest beginning counts.
SUBJECTS: dict[str, tuple[str, ...]] = {
    "Command line and options": ("recipes/", "medzoo/commands/", "medzoo/cli.py", "medzoo/recipe_args.py",
                                 "medzoo/training/options/"),
    "Checkpoints: names, folders, loading": ("medzoo/zoo/",),
    "Checkpoints: download and conversion": ("medzoo/zoo/convert/", "medzoo/zoo/download/", "medzoo/zoo/add.py"),
    "Checkpoints: cards and publishing": ("medzoo/zoo/publish/", "medzoo/zoo/folder/card"),
    "Images": ("medzoo/data/images/", "medzoo/data/readers/"),
    "Tasks": ("medzoo/data/",),
    "Your own images": ("medzoo/data/custom/", "medzoo/data/tasks/custom.py", "medzoo/data/files/"),
    "Training and probes": ("medzoo/training/", "medzoo/precision.py", "medzoo/cores.py"),
    "Pre-training": ("medzoo/training/objectives/", "medzoo/training/pretrain", "medzoo/training/pretraining/"),
    "Prediction": ("medzoo/training/predict/",),
    "Runs, suites and clusters": ("medzoo/bench/",),
    "Metrics and statistics": ("medzoo/bench/metrics/", "medzoo/bench/statistics/", "medzoo/bench/stats.py"),
    "Results": ("medzoo/bench/results/", "medzoo/bench/sharing/", "medzoo/bench/review/"),
    "Tables and published numbers": ("medzoo/bench/table/", "medzoo/bench/published/", "medzoo/bench/claims/"),
    "Analyses": ("medzoo/analysis/",),
    "Disk, locks and downloads": ("medzoo/",),
}  # fmt: skip
# A search for a code should find this page first, not the pages that quote the error.
INTRODUCTION = """---
search:
  boost: 3
---

# Error codes

An error of medzoo says what is wrong, where, and what to do. The command line prints it in one line, with its code at the end.
Only a command line that cannot be parsed, such as an option that does not exist, has a message without a code (exit code 2).

```text
error: Unknown checkpoint 'resnet50-radimagent'. Did you mean resnet50-radimagenet or resnet50-radimagenet-pt or \
resnet50-imagenet? `medzoo list` shows all names. [unknown-checkpoint]
```

Search this page for the code, or open `errors.html#unknown-checkpoint`. The code stays the same when the wording of a
message improves, so that programs can use it:

```python
import medzoo

try:
    medzoo.load("resnet50-radimagent")
except medzoo.errors.MedzooError as error:
    print(error.code)
```

```text title="Output"
unknown-checkpoint
```

In the messages below, *words in italics* stand for values, [brackets] for a part that not every message has, and / for a choice.
`medzoo` and the recipes exit with 2 for wrong usage (a name, an option, a configuration file), and with 1 for other errors.
"""


def subject_of(path: str) -> str:
    """The subject of an error that a file makes.

    Args:
        path: of the file, from the repository.
    """
    fits = [(len(start), subject) for subject, starts in SUBJECTS.items() for start in starts if path.startswith(start)]
    return max(fits)[1]


def exit_code(kind: str) -> int:
    """The exit code of the command line for an error.

    Args:
        kind: name of its class.
    """
    return 2 if issubclass(KINDS[kind], errors.UsageError) else 1


def errors_page() -> str:
    """The page as Markdown."""
    by_code: dict[str, list[ErrorPlace]] = {}
    for place in error_places():
        by_code.setdefault(place.code, []).append(place)
    subjects: dict[str, list[str]] = {subject: [] for subject in SUBJECTS}
    for code, places in by_code.items():
        counts = Counter(subject_of(place.path) for place in places)
        subjects[counts.most_common(1)[0][0]].append(code)
    parts = [INTRODUCTION, _classes()]
    for subject, codes in subjects.items():
        parts.append(f"## {subject}\n")
        parts += [_entry(code, by_code[code]) for code in sorted(codes)]
    return "\n".join(parts)


def _classes() -> str:
    """The classes with the first sentence of their docstrings."""
    rows = ["## Classes\n", "All are in `medzoo.errors`; an indented class is a kind of the one above it.\n"]
    rows += ["| class | meaning | exit code |", "|---|---|---|"]
    depth = {name: len(kind.__mro__) - len(errors.MedzooError.__mro__) for name, kind in KINDS.items()}
    for name in _in_order(KINDS):
        first = inspect.cleandoc(KINDS[name].__doc__ or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        indent = "&nbsp;&nbsp;" * (depth[name] if name != "DiskFullError" else 1)
        rows.append(
            f"| {indent}[`{name}`](../reference/python.md#medzoo.errors.{name}) | {first} | {exit_code(name)} |"
        )
    return "\n".join([*rows, ""])


def _in_order(kinds: Mapping[str, type]) -> Iterable[str]:
    """The names of classes, each followed by the classes that derive from it."""

    def below(parent: type) -> list[str]:
        children = [name for name, kind in kinds.items() if kind.__bases__[0] is parent]
        return [row for name in children for row in (name, *below(kinds[name]))]

    return ["MedzooError", *below(errors.MedzooError)]


def _entry(code: str, places: list[ErrorPlace]) -> str:
    """A code as a heading, with its messages and what the command line makes of it."""
    messages = dict.fromkeys(as_html(place.message) for place in places)
    kinds = list(dict.fromkeys(place.kind for place in places))
    if code == f"missing-{ANY}":
        messages = dict.fromkeys(["<code>missing-</code> and the name of the package.", *messages])
    if kinds == ["MedzooError"] and any(place.path == "medzoo/closed_schema.py" for place in places):
        exits = "the class of the file that was read"
    else:
        exits = f"{escape(', '.join(kinds))}, exit code {' or '.join(sorted({str(exit_code(kind)) for kind in kinds}))}"
    text = "".join(f"<p>{message}</p>" for message in messages)
    return f"### {code}\n\n{text}<p><small>{exits}</small></p>\n"
