"""What stands beside the runs in a repository of results: its card with the table, and eval.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medzoo.bench.sharing.layout import CARD, EVAL, PREDICTIONS, RUNS, TABLE, replicate_of
from medzoo.errors import PublishError, ResultError, UnknownNameError, listed
from medzoo.zoo.folder.card_checks import problems
from medzoo.zoo.registry.licenses import check_license

BEGIN, END = "<!-- medzoo: table -->", "<!-- medzoo: end of table -->"
LONGEST = 200_000  # characters of a table in a card; the Hub takes cards of 1 MiB
SPLIT = "results"

_CARD = f"""---
license: {{license}}
pretty_name: {{name}}
tags: [medical, benchmark, medzoo]
configs:
- config_name: default
  data_files:
  - split: {SPLIT}
    path: {TABLE}
---
# {{name}}

Checkpoints on medical tasks, one result a run, with the predictions that every number can be computed from again.
This page is written once and then yours to edit; `medzoo results push` renews only the table below.

{BEGIN}
{END}

## Use

```python
from datasets import load_dataset

# a row for each run and metric; then only the tasks' own metrics, of runs that count
rows = load_dataset("{{repo}}", split="{SPLIT}").to_pandas()
rows[rows.primary & ~rows.reported & (rows.replicate == 1)]
```

```sh
# the runs with their predictions, as a store, and the table from them
medzoo results pull {{repo}} --to results
medzoo table results
# your own runs, judged, and as a pull request
medzoo results check my_results
medzoo results push my_results {{repo}} --pr
```

- `{RUNS}/TASK@VERSION/CHECKPOINT/PROTOCOL/ID.json`: a run, of the closed schema `medzoo.result/1`. The id begins the sha256 of
  everything that may change the number. Files are never changed and never removed; `ID.r2.json` is a second run of the same
  identity that came out differently, and counts for nothing.
- `{PREDICTIONS}/...`: label and probability of every test case. `sample` and `patient` are hashed with a secret of the person
  who pushed: runs of one person can be compared case by case, and the ids lead to no image and no patient. (Whoever has the
  images and the checkpoint can still recognise a case by its probabilities.)
- `{TABLE}`: all runs as one table. Rows with `reported` true were copied from publications: they are in no mean.
- Where the terms of a data set keep its labels from being published, predictions hold ids and probabilities alone.
- The terms of the data sets behind the tasks hold for their labels too.
"""


def new_card(repo: str, license: str) -> str:
    """The card of a new repository, still without its table.

    Args:
        repo: org/name.
        license: of the results.

    Raises:
        PublishError: if the Hub would not take it.

    >>> new_card("lab/results", "cc-by-4.0").splitlines()[1:3]
    ['license: cc-by-4.0', 'pretty_name: results']
    """
    text = _CARD.format(license=check_license(license, "--license"), name=repo.partition("/")[2], repo=repo)
    if wrong := problems(text, ours=False):
        raise PublishError(f"The card of {repo} is none that the Hub should get: {listed(wrong, 4)}")
    return text


def with_table(card: str, found: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """A card with the table of these results between its two marks; one that lost its marks stays as it is.

    Args:
        card: README.md.
        found: results with their place in the repository.
    """
    pattern = re.compile(rf"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    block = f"{BEGIN}\n{_table(found)}\n{END}"
    return pattern.sub(lambda _: block, card, count=1)


def _table(found: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    from medzoo.bench.table.table import table

    counted = [{**result, "path": file} for file, result in found if replicate_of(file) == 1]
    try:
        text = table(counted, title="Results").to_markdown(Path())
    except (ResultError, UnknownNameError) as error:  # nothing yet, or a metric that this version does not know
        return f"No table: {error}" if counted else "No results yet."
    text = re.sub(r"^(#+) ", r"#\1 ", text.strip(), flags=re.MULTILINE)  # headings one below the card's own
    return text if len(text) <= LONGEST else f"The table of {len(counted):,} runs is too long for a card; see {TABLE}."


def eval_file(repo: str, found: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """eval.yaml: the Hub's description of a benchmark.

    Args:
        repo: org/name.
        found: results with their place in the repository.

    Source: https://huggingface.co/docs/hub/eval-results
    """
    import yaml

    tasks = sorted({result["identity"]["task"]["id"] for _, result in found})
    rows = {
        "name": repo.partition("/")[2],
        "description": "Pre-trained checkpoints on medical imaging tasks: runs, predictions and the table made from them.",
        "evaluation_framework": "medzoo",
        "tasks": [{"id": task, "config": "default", "split": SPLIT} for task in tasks],
    }
    head = (
        f"# Written by `medzoo results push` from the runs ({EVAL}); changes made here are lost.\n"
        "# The Hub shows leaderboards only of data sets, and knows only evaluation frameworks, that stand on its own allow-list:\n"
        "# ask for it in a discussion there. Without that this file does nothing.\n"
    )
    return head + yaml.safe_dump(rows, sort_keys=False, allow_unicode=True, width=1000)


def card_of(existing: bytes | None, repo: str, license: str, found: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
    """The card that goes up.

    Args:
        existing: the repository's card, if it has one; what people wrote into it stays.
        repo: org/name.
        license: of a new card.
        found: results with their place in the repository.

    Raises:
        PublishError: if it is no text, or the Hub would not take a new one.
    """
    if existing is None:
        return with_table(new_card(repo, license), found).encode()
    try:
        return with_table(existing.decode(), found).encode()
    except UnicodeDecodeError as error:
        raise PublishError(f"The {CARD} of {repo} is no UTF-8 text; mend it there, then push again.") from error
