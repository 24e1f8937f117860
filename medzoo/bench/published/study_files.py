"""Read the result files in the repositories of three studies, and compare them with the stored numbers.

from medzoo.bench.published.study_files import compare_with_files
print(compare_with_files("juodelyte2023", "revisiting-transfer"))   # a clone of the study's repository
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from medzoo.bench.published.read import load_published
from medzoo.errors import ResultError, UnknownNameError

Runs = Mapping[tuple[str, str, str], tuple[float, ...]]  # table, row, column → runs in their order
_EXPERIMENTS = {"E1": "full", "E2": "less_data", "E4": "linear", "E6": "continual", "E8": "continual_linear"}
_DICE = {
    "LiTS": {"dice_avg_class_1": "liver", "dice_avg_class_2": "lesion"},
    "BraTS": {
        "dice_avg_class_1": "enhancing tumour", "dice_avg_class_2": "whole tumour", "dice_avg_class_3": "tumour core",
    },
}  # fmt: skip


def read_auc_csv(repository: Path) -> Runs:
    """The AUC of each fold of Juodelyte et al.: results/AUC.csv with target, source, freeze, fold and AUC.

    Args:
        repository: a clone of https://github.com/DovileDo/revisiting-transfer.

    Raises:
        ResultError: for a file without these columns or with a value that is not a number.
    """
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    tables = {"freezeFalse": "finetune", "freezeTrue": "frozen"}
    file = repository / "results" / "AUC.csv"
    for number, row in enumerate(_rows(file), 2):
        try:
            key = tables[row["freeze"]], row["source"], row["target"]
            found.setdefault(key, {})[row["fold"]] = float(row["AUC"])
        except (KeyError, ValueError, TypeError) as error:
            raise _unreadable(file, f"line {number}: {error!r}") from error
    return {key: tuple(runs[fold] for fold in sorted(runs)) for key, runs in found.items()}


def read_test_logs(repository: Path) -> Runs:
    """The test results of Jonske et al.: test.log files with one row, in folders E?/PT_[SimCLR_]X_FT_TASK[_lineval][_f?].

    Args:
        repository: a clone of https://github.com/TIO-IKIM/Transfer-learning-across-domain-boundaries.

    Raises:
        ResultError: for a log without a known column.
    """
    found: dict[tuple[str, str, str], dict[int, float]] = {}
    base = repository / "logs_and_checkpoints" / "finetuning"
    for file in sorted(base.glob("E*/PT_*/test.log")):
        name = re.fullmatch(r"PT_(?:SimCLR_)?(\w+?)_FT_(\w+?)(?:_lineval)?(?:_f(\d))?", file.parent.name)
        table = _EXPERIMENTS.get(file.parent.parent.name)
        if name is None or table is None or name[2].endswith("_testing"):
            continue
        for column, value in _of_log(file, name[2]).items():
            found.setdefault((table, name[1], column), {})[int(name[3] or 0)] = value
    return {key: tuple(runs[run] for run in sorted(runs)) for key, runs in found.items()}


def _of_log(file: Path, task: str) -> dict[str, float]:
    rows = _rows(file)
    try:
        (row,) = rows
        if names := next((names for start, names in _DICE.items() if task.startswith(start)), None):
            return {f"{task} {of}": float(row[key]) for key, of in names.items()}
        known = next(key for key in ("accuracy", "acc", "auc_avg_overall") if key in row)
        return {task: float(row[known])}
    except (KeyError, ValueError, TypeError, StopIteration) as error:
        raise _unreadable(file, repr(error)) from error


def read_evaluations(repository: Path) -> Runs:
    """The mean AUC of each run of Krones: JSON in Outputs/Evaluation/SET/LABELS/*.txt, weights → thresholds → auc_mean.

    Args:
        repository: a clone of https://github.com/felixkrones/BenchmarkTransferLearning_f.

    Raises:
        ResultError: for a file that is not JSON of this form.
    """
    found: dict[tuple[str, str, str], dict[int, float]] = {}
    for file in sorted((repository / "Outputs" / "Evaluation").glob("*/*/*.txt")):
        try:
            for weights, thresholds in json.loads(file.read_text(encoding="utf-8")).items():
                folder, run_folder, name = weights.split("/")[-3:]
                seeded = run_folder.startswith("seed_")
                run = int(run_folder[5:] if seeded else re.findall(r"run_(\d+)", name)[0])
                column = f"{file.parent.parent.name.partition('_chest')[0]} {file.parent.name}"
                key = ("vit", folder, column) if seeded else ("resnet50", run_folder, column)
                found.setdefault(key, {})[run] = float(thresholds[0]["auc_mean"])
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise _unreadable(file, repr(error)) from error
    return {key: tuple(runs[run] for run in sorted(runs)) for key, runs in found.items()}


READERS: dict[str, Callable[[Path], Runs]] = {
    "juodelyte2023": read_auc_csv, "jonske2023": read_test_logs, "krones2024": read_evaluations,
}  # fmt: skip


def compare_with_files(name: str, repository: Path | str, error: float = 1e-6) -> list[str]:
    """Where the stored runs of a study differ from the files in a clone of its repository; empty if nowhere.

    Args:
        name: of the study.
        repository: folder of the clone.
        error: largest difference that is not named.

    Raises:
        UnknownNameError: for a study whose repository has no result files.
        ResultError: for a file of another form.
    """
    if name not in READERS:
        raise UnknownNameError("study with files", name, READERS, f"Known: {', '.join(READERS)}.")
    files, problems = READERS[name](Path(repository)), []
    stored = {
        (table.name, cell.row, cell.column): table.value(cell).runs
        for table in load_published(name).tables
        for cell in table.cells
    }
    for key in dict.fromkeys([*files, *stored]):
        ours, theirs = stored.get(key), files.get(key)
        place = " / ".join(key)
        if ours is None or theirs is None:
            problems.append(f"{place}: only in {'the files' if ours is None else 'the stored numbers'}")
        elif len(ours) != len(theirs) or max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) > error:
            problems.append(f"{place}: stored {ours}, in the files {theirs}")
    return problems


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            return list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(file, str(error)) from error


def _unreadable(file: Path, why: str) -> ResultError:
    return ResultError(f"{file} does not have the form of the study's files: {why}.", code="study-file-invalid")
