"""The protocol files: how every checkpoint is evaluated on every task. A protocol is part of every result's identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medzoo import paths
from medzoo.closed_schema import parse
from medzoo.errors import UnknownNameError, UsageError
from medzoo.precision import Precision, PrecisionChoice, checked, resolve
from medzoo.training.options.protocol_options import Mode, Protocol
from medzoo.training.options.toml_files import read_toml


def list_protocols() -> list[str]:
    """Protocols that ship with medzoo."""
    return sorted(path.stem for path in (paths.data_dir("recipes") / "protocols").glob("*.toml"))


def _table(name: str, mode: Mode) -> tuple[Path, dict[str, Any]]:
    """The file of a protocol, and its table for a mode."""
    path = Path(name) if name.endswith(".toml") else paths.data_dir("recipes") / "protocols" / f"{name}.toml"
    if not path.is_file():
        raise UnknownNameError(
            "protocol", name, list_protocols(), f"Known: {', '.join(list_protocols())}, or a .toml file."
        )
    tables = read_toml(path, "The protocol")
    if mode not in tables:
        raise UsageError(
            f"{path} has no table [{mode}]; it has {', '.join(tables) or 'none'}.", code="protocol-table-missing"
        )
    return path, tables[mode]


def chosen_precision(name: str, mode: Mode, typed: str | None = None) -> PrecisionChoice:
    """The precision of the option, else of the protocol, else the default: "auto" to fine-tune and "fp32" to probe.

    Args:
        name: as for `load_protocol`.
        mode: as for `load_protocol`.
        typed: value of the option, if it was given.
    """
    path, table = _table(name, mode)
    if typed is not None:
        return checked(typed)
    default = "auto" if mode == "finetune" else "fp32"  # features are kept for later probes on any machine
    return checked(table.get("precision", default), f"Protocol option precision in {path}")


def load_protocol(
    name: str,
    mode: Mode,
    *,
    device: str | None = "auto",
    began: Precision | None = None,
    **overrides: Any,  # noqa: ANN401
) -> Protocol:
    """Read a protocol, apply the given options, and resolve the precision "auto".

    Args:
        name: of a file in recipes/protocols, or a path of a TOML file.
        mode: which table of the file: "finetune" or "linear".
        device: the device for which "auto" chooses a precision: "auto" or "cpu".
        began: the precision of a run that continues; "auto" keeps it.
        overrides: options by name; None keeps the protocol's value.

    Raises:
        UnknownNameError: for a name without a file.
        UsageError: for an unknown option, or a value that a protocol cannot have.
    """
    path, table = _table(name, mode)
    chosen: dict[str, Any] = {**table, **{key: value for key, value in overrides.items() if value is not None}}
    chosen["precision"] = resolve(chosen_precision(name, mode, overrides.get("precision")), device, began=began)
    return parse(Protocol, {"name": path.stem, "mode": mode, **chosen}, f"Protocol {path} [{mode}]", UsageError)
