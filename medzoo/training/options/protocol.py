"""The protocol files: how every checkpoint is evaluated on every task. A protocol is part of every result's identity."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from medzoo import paths
from medzoo.closed_schema import parse
from medzoo.errors import UnknownNameError, UsageError
from medzoo.precision import Precision, PrecisionChoice, checked, resolve
from medzoo.training.options.protocol_options import OF_PROBES, Mode, Protocol
from medzoo.training.options.toml_files import read_toml

OPTIONS = tuple(one.name for one in fields(Protocol) if one.name not in ("name", "mode"))
FINETUNE, SEGMENTATION = "finetune", "segmentation"  # the two tables of a file for fine-tuning
IN_A_PROBE = ("batch_size", "size", "precision")  # and those of its own, in OF_PROBES
# a word as a value in --set
_WORD = re.compile(r"=\s*(?!(?:true|false|inf|nan)\s*(?:,|$))([A-Za-z_][\w.-]*)\s*(?=,|$)")


def list_protocols() -> list[str]:
    """Protocols of evaluations that ship with medzoo; those of pre-trainings are in `pretrain_protocol`."""
    names = (path.stem for path in (paths.data_dir("recipes") / "protocols").glob("*.toml"))
    return sorted(name for name in names if not name.startswith("pretrain_"))


def _table(name: str, mode: Mode, task: str | None = None, kind: str | None = None) -> tuple[Path, str, dict[str, Any]]:
    """The file of a protocol, and the name and content of its table for a run, with the row of a task if it has one."""
    path = Path(name) if name.endswith(".toml") else paths.data_dir("recipes") / "protocols" / f"{name}.toml"
    if not path.is_file():
        raise UnknownNameError(
            "protocol", name, list_protocols(), f"Known: {', '.join(list_protocols())}, or a .toml file."
        )
    tables = read_toml(path, "The protocol")
    chosen = _table_name(path, tables, mode, kind)
    table = _mapping(tables[chosen], f"{path} [{chosen}]")
    rows = _mapping(table.pop("tasks", {}), f"{path} [{chosen}.tasks]")
    for key, row in rows.items():
        _check_row(key, row, {"name": path.stem, "mode": mode, **table}, f"Protocol {path} [{chosen}.tasks.{key}]")
    return path, chosen, table | rows.get((task or "").partition(",")[0], {})


def _table_name(path: Path, tables: Mapping[str, Any], mode: Mode, kind: str | None) -> str:
    """The table for a run: [segmentation] is the fine-tuning of tasks with masks; its options and hash have the same mode."""
    if mode != "finetune":
        chosen: str = mode
    elif kind is None:  # no task is known yet: a file for segmentations only has one table for both
        chosen = FINETUNE if FINETUNE in tables or SEGMENTATION not in tables else SEGMENTATION
    else:
        chosen = SEGMENTATION if kind == SEGMENTATION else FINETUNE
    if chosen not in tables:
        why = {
            SEGMENTATION: "The task has masks, and the options of a classification do not fit it. In your own "
            "file, add a table [segmentation] (you can copy [finetune] to start).",
            FINETUNE: "The task has labels, and this protocol is for tasks with masks only."
            if SEGMENTATION in tables
            else "",
        }.get(chosen, "")
        others = [one for one in list_protocols() if _has_table(one, chosen)]
        why += f" --protocol {' or '.join(others)} has one." if others else ""
        raise UsageError(
            f"{path} has no table [{chosen}]; it has {', '.join(tables) or 'none'}. {why.strip()}".strip(),
            code="protocol-table-missing",
        )
    _check_one_precision(path, tables)
    return chosen


def _check_one_precision(path: Path, tables: Mapping[str, Any]) -> None:
    """A suite chooses one precision for all its tasks, so the two tables of a fine-tuning may not differ in it."""
    both = [tables[name] for name in (FINETUNE, SEGMENTATION) if isinstance(tables.get(name), Mapping)]
    if len({table.get("precision", "auto") for table in both}) > 1:
        raise UsageError(
            f"{path}: precision differs between [{FINETUNE}] and [{SEGMENTATION}]. Give both the same.",
            code="precision-of-a-table",
        )


def _has_table(name: str, table: str) -> bool:
    return table in read_toml(paths.data_dir("recipes") / "protocols" / f"{name}.toml", "The protocol")


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} should be a table of options, not {value!r:.80}.", code="not-a-table")
    return dict(value)


def _check_row(key: str, row: object, table: Mapping[str, Any], where: str) -> None:
    """Refuse a row for a task that no run could use, also if the current run has another task."""
    from medzoo.data.task_registry import list_tasks

    row = _mapping(row, where)
    if ":" not in key and key not in list_tasks():
        raise UnknownNameError("task", key, list_tasks(), f"It is in {where}. `medzoo tasks list` shows all.")
    if "precision" in row:  # a suite chooses one precision for all its tasks
        raise UsageError(f"{where} sets precision. Set it for all tasks: one level above.", code="precision-of-a-task")
    parse(Protocol, {**table, **row, "precision": "fp32"}, where, UsageError)


def list_rows(name: str, mode: Mode, kind: str | None = None) -> list[str]:
    """The tasks for which a protocol has own values, `[finetune.tasks.NAME]` or `[segmentation.tasks.NAME]` in its file.

    Args:
        name: as for `load_protocol`.
        mode: as for `load_protocol`.
        kind: as for `load_protocol`.

    >>> list_rows("medzoo", "finetune")
    []
    """
    path, chosen, _ = _table(name, mode, kind=kind)
    return sorted(read_toml(path, "The protocol")[chosen].get("tasks", {}))


def chosen_precision(name: str, mode: Mode, typed: str | None = None, kind: str | None = None) -> PrecisionChoice:
    """The precision of the option, else of the protocol, else the default: "auto" to fine-tune and "fp32" to probe.

    Args:
        name: as for `load_protocol`.
        mode: as for `load_protocol`.
        typed: value of the option, if it was given.
        kind: as for `load_protocol`.
    """
    path, _, table = _table(name, mode, kind=kind)
    if typed is not None:
        return checked(typed)
    default = "auto" if mode == "finetune" else "fp32"  # features are kept for later probes on any machine
    return checked(table.get("precision", default), f"Protocol option precision in {path}")


def load_protocol(
    name: str,
    mode: Mode,
    *,
    task: str | None = None,
    kind: str | None = None,
    device: str | None = "auto",
    began: Precision | None = None,
    **overrides: Any,  # noqa: ANN401
) -> Protocol:
    """Read a protocol, apply the given options, and resolve the precision "auto".

    Args:
        name: of a file in recipes/protocols, or a path of a TOML file.
        mode: "finetune", or that of a probe.
        task: name of the task; its row [finetune.tasks.NAME], if the file has one, overrides the table.
        kind: of the task: a "segmentation" is fine-tuned with the table [segmentation], any other task with [finetune]. None:
            not known; this takes [finetune], if the file has it.
        device: the device for which "auto" chooses a precision: "auto" or "cpu".
        began: the precision of a run that continues; "auto" keeps it.
        overrides: options by name; None keeps the protocol's value.

    Raises:
        UnknownNameError: for a name without a file.
        UsageError: for an unknown option, a value that a protocol cannot have, or options that exclude each other.
    """
    path, where, table = _table(name, mode, task, kind)
    chosen: dict[str, Any] = {**table, **{key: value for key, value in overrides.items() if value is not None}}
    chosen["precision"] = resolve(chosen_precision(name, mode, overrides.get("precision"), kind), device, began=began)
    protocol = parse(Protocol, {"name": path.stem, "mode": mode, **chosen}, f"Protocol {path} [{where}]", UsageError)
    protocol.check()
    return protocol


def parse_overrides(text: str, mode: Mode = "finetune") -> dict[str, Any]:
    """Options of a protocol from the text of `--set`: "key=value, key=value".

    Args:
        text: values are written as in TOML; a word needs no quotes.
        mode: "finetune", or a probe, which uses few of the options.

    Raises:
        UsageError: for an option that a protocol does not have or that the mode does not use, and for a wrong value.

    >>> parse_overrides("schedule=plateau, patience=11, class-weights=[1.0, 2.5]")
    {'schedule': 'plateau', 'patience': 11, 'class_weights': [1.0, 2.5]}
    """
    pairs = _toml_pairs(text)
    values = {key.replace("-", "_"): value for key, value in pairs.items()}
    if len(values) != len(pairs):
        raise UsageError(f"--set is {text!r:.200}; it gives one option twice. Remove one of them.", code="set-invalid")
    for key in values:
        if key not in OPTIONS:
            raise UnknownNameError("protocol option", key, OPTIONS, f"It is in --set. Known: {', '.join(OPTIONS)}.")
        used = [*IN_A_PROBE, *(name for name, modes in OF_PROBES.items() if mode in modes)]
        if mode != "finetune" and key not in used:
            raise UsageError(
                f"--set gives {key}, which the {mode} probe does not use. It uses {', '.join(used)}.",
                code="option-not-used",
            )
        if mode == "finetune" and key in OF_PROBES:
            raise UsageError(f"--set gives {key}, which only a probe uses.", code="option-not-used")
    if "precision" in values:
        checked(values["precision"], "--set: precision")
    numbers = {key: value for key, value in values.items() if key != "precision"}  # "auto" is not resolved here
    parse(Protocol, {"name": "", "mode": mode, **numbers}, "--set", UsageError)
    return values


def _toml_pairs(text: str) -> dict[str, Any]:
    """The keys and values of `--set`: the inside of a TOML inline table, in which words need no quotes."""
    inside = _WORD.sub(r'="\1"', text.strip().removesuffix(","))
    try:
        read = tomllib.loads(f"values = {{{inside}}}")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = str(error).rstrip(".")[:200]
        raise UsageError(
            f"--set is {text!r:.200}; write key=value, separated by commas, with values as in TOML ({reason}).",
            code="set-invalid",
        ) from error
    if set(read) != {"values"}:
        raise UsageError(f"--set is {text!r:.200}; write key=value, separated by commas.", code="set-invalid")
    return dict(read["values"])
