"""A protocol: how every checkpoint is evaluated on every task. It is part of every result's identity."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from medzoo import paths, store
from medzoo.errors import UnknownNameError, UsageError
from medzoo.precision import Precision, PrecisionChoice, checked, resolve
from medzoo.training.options.toml_files import read_toml

Mode = Literal["finetune", "linear"]
LATER = {"rotation": 0.0}  # options added after the first results, with the value that has no effect


@dataclass(frozen=True)
class Protocol:
    """The resolved options of a protocol; recipes/protocols/medzoo.toml explains each of them."""

    name: str
    mode: Mode
    epochs: int = 1
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 1.0
    gradient_clip: float = 1.0
    label_smoothing: float = 0.0
    min_area: float = 1.0
    flip: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    rotation: float = 0.0
    size: int = 0
    precision: Precision = "fp32"
    selection: Literal["best", "last"] = "best"
    regularisation: tuple[float, ...] = ()

    def hash(self) -> str:
        """The sha256 of all options except the name: two names of one protocol have the same hash.

        An option that was added later is left out where it has no effect, so that earlier results keep their hash.
        """
        options = {key: value for key, value in asdict(self).items() if key != "name" and value != LATER.get(key)}
        return store.sha256_of(options)


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
        UnknownNameError: for a name without a file, or an unknown option.
        UsageError: for a value that a protocol cannot have.
    """
    path, table = _table(name, mode)
    chosen: dict[str, Any] = {**table, **{key: value for key, value in overrides.items() if value is not None}}
    chosen["precision"] = resolve(chosen_precision(name, mode, overrides.get("precision")), device, began=began)
    # TOML writes 1 for 1.0, so integers are accepted for floats; any other type is an error
    hints = get_type_hints(Protocol)
    known = {field.name for field in fields(Protocol)} - {"name", "mode"}
    for key, value in chosen.items():
        if key not in known:
            raise UnknownNameError("protocol option", key, known, f"It is in {path} or was typed.")
        if hints[key] is float and isinstance(value, int) and not isinstance(value, bool):
            chosen[key] = float(value)
        elif hints[key] in (int, float, str) and type(value) is not hints[key]:
            raise UsageError(
                f"Protocol option {key} in {path} is {value!r}; it should be a {hints[key].__name__}.",
                code="protocol-option-wrong-type",
            )
    # values that types alone do not check
    if chosen.get("selection", "best") not in ("best", "last"):
        raise UsageError(
            f"Protocol option selection is {chosen['selection']!r}; choose best or last.",
            code="protocol-selection-invalid",
        )
    if "regularisation" in chosen:
        values = chosen["regularisation"]
        if not isinstance(values, list | tuple) or not all(type(value) in (int, float) for value in values):
            raise UsageError(
                f"Protocol option regularisation is {values!r:.80}; it should be a list of numbers.",
                code="protocol-option-wrong-type",
            )
        chosen["regularisation"] = tuple(map(float, values))
    protocol = replace(Protocol(name=path.stem, mode=mode), **chosen)
    if protocol.epochs < 1 or protocol.batch_size < 2 or protocol.learning_rate <= 0:
        raise UsageError(
            "epochs must be at least 1, batch_size at least 2, and learning_rate above 0.",
            code="protocol-option-out-of-range",
        )
    return protocol
