"""The generated files of a repository of results: its card with the table, and eval.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medzoo.bench.sharing.layout import CARD, EVAL, PREDICTIONS, RUNS, TABLE, replicate_of
from medzoo.bench.table.table import table
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

Results of checkpoints on medical tasks. Each run has its predictions, from which every number can be computed again.
You can edit this page; `medzoo results push` updates only the table below.

{BEGIN}
{END}

## Use

```python
from datasets import load_dataset

# one row for each run and metric; the filter keeps the main metric of each run and drops replicates and reported numbers
rows = load_dataset("{{repo}}", split="{SPLIT}").to_pandas()
rows[rows.primary & ~rows.reported & (rows.replicate == 1)]
```

```sh
# download the runs and their predictions into a store, and print the table
medzoo results pull {{repo}} --to results
medzoo table results
# check your own runs, and open a pull request
medzoo results check my_results
medzoo results push my_results {{repo}} --pr
```

- `{RUNS}/TASK@VERSION/CHECKPOINT/PROTOCOL/ID.json`: a run in the closed schema `medzoo.result/1`. The id is the first digits of
  the sha256 of everything that may change the number. Files are never changed or removed. `ID.r2.json` is a second run of the
  same identity with different numbers; it is not counted.
- `{PREDICTIONS}/...`: label and probability of every test case. `sample` and `patient` are hashed with a secret of the
  contributor. Runs of one contributor can be compared case by case, but the ids do not identify images or patients. (With the
  images and the checkpoint, a case can still be recognised by its probabilities.)
- `{TABLE}`: all runs as one table. Rows with `reported` true were copied from publications and are not part of any mean.
- If the terms of a data set forbid publishing its labels, its predictions contain only ids and probabilities.
- The terms of a data set also apply to its labels.
"""


def new_card(repo: str, license: str) -> str:
    """The card of a new repository, without the table.

    Args:
        repo: org/name.
        license: of the results.

    Raises:
        PublishError: if the card is not valid.

    >>> new_card("lab/results", "cc-by-4.0").splitlines()[1:3]
    ['license: cc-by-4.0', 'pretty_name: results']
    """
    text = _CARD.format(license=check_license(license, "--license"), name=repo.partition("/")[2], repo=repo)
    if wrong := problems(text, ours=False):
        raise PublishError(f"The card of {repo} is not valid: {listed(wrong, 4)}", code="card-invalid")
    return text


def with_table(card: str, results: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """A card with the table of these results between its two marks; a card without the marks is not changed.

    Args:
        card: README.md.
        results: with their paths in the repository.
    """
    pattern = re.compile(rf"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    block = f"{BEGIN}\n{_table(results)}\n{END}"
    return pattern.sub(lambda _: block, card, count=1)


def _table(results: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    counted = [{**result, "path": file} for file, result in results if replicate_of(file) == 1]
    try:
        text = table(counted, title="Results").to_markdown(Path())
    except (ResultError, UnknownNameError) as error:  # no results, or a metric that this version does not know
        return f"No table: {error}" if counted else "No results yet."
    text = re.sub(r"^(#+) ", r"#\1 ", text.strip(), flags=re.MULTILINE)  # one level below the card's headings
    return text if len(text) <= LONGEST else f"The table of {len(counted):,} runs is too long for a card; see {TABLE}."


def eval_file(repo: str, results: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """eval.yaml: the Hub's description of a benchmark.

    Args:
        repo: org/name.
        results: with their paths in the repository.

    Source: https://huggingface.co/docs/hub/eval-results
    """
    import yaml

    tasks = sorted({result["identity"]["task"]["id"] for _, result in results})
    rows = {
        "name": repo.partition("/")[2],
        "description": "Pre-trained checkpoints on medical imaging tasks: runs, predictions and a table of the results.",
        "evaluation_framework": "medzoo",
        "tasks": [{"id": task, "config": "default", "split": SPLIT} for task in tasks],
    }
    head = (
        f"# Generated by `medzoo results push` from the runs ({EVAL}); your changes will be overwritten.\n"
        "# The Hub shows leaderboards only for data sets and evaluation frameworks on its allow-list: request an entry in a\n"
        "# discussion on the Hub. Without an entry this file has no effect.\n"
    )
    return head + yaml.safe_dump(rows, sort_keys=False, allow_unicode=True, width=1000)


def card_of(existing: bytes | None, repo: str, license: str, results: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
    """The card to upload.

    Args:
        existing: the repository's card, if it has one; only its table changes.
        repo: org/name.
        license: of a new card.
        results: with their paths in the repository.

    Raises:
        PublishError: if the existing card is not UTF-8, or a new card is not valid.
    """
    if existing is None:
        return with_table(new_card(repo, license), results).encode()
    try:
        return with_table(existing.decode(), results).encode()
    except UnicodeDecodeError as error:
        raise PublishError(
            f"The {CARD} of {repo} is not UTF-8 text. Fix it on the Hub, then push again.", code="card-not-utf8"
        ) from error
