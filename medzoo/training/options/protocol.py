"""A protocol: how every checkpoint is evaluated on every task. It is part of every result's identity."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from medzoo import paths, store
from medzoo.closed_schema import parse
from medzoo.errors import UnknownNameError, UsageError
from medzoo.precision import Precision, PrecisionChoice, checked, resolve
from medzoo.training.options.fields import option
from medzoo.training.options.toml_files import read_toml

Mode = Literal["finetune", "linear"]
# The first options. Every hash contains them; later options are hashed only where they differ from their default.
FIRST = (
    "mode", "epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "warmup_epochs", "gradient_clip",
    "label_smoothing", "min_area", "flip", "brightness", "contrast", "size", "precision", "selection", "regularisation",
)  # fmt: skip


@dataclass(frozen=True)
class Protocol:
    """The resolved options of a protocol; recipes/protocols/medzoo.toml gives the reasons for each of them."""

    name: str
    mode: Mode
    epochs: int = option("passes over the training split", 1, least=1)
    batch_size: int = option("images per step over all processes", 64, least=2)
    optimizer: str = option("timm's name", "adamw")
    learning_rate: float = option("the peak", 1e-3, above=0)
    weight_decay: float = option("on weights, not on biases and norms", 0.05, least=0)
    warmup_epochs: float = option("linear warm-up; may be a fraction", 1.0, least=0)
    gradient_clip: float = option("largest norm of the gradient; 0 does not clip", 1.0, least=0)
    label_smoothing: float = option("of the targets", 0.0, least=0, most=1)
    min_area: float = option("smallest share of the area in a crop; 1 does not crop", 1.0, above=0, most=1)
    flip: float = option("probability of a left-right flip", 0.0, least=0, most=1)
    brightness: float = option("factor drawn from [1 - b, 1 + b]", 0.0, least=0)
    contrast: float = option("factor drawn from [1 - c, 1 + c]", 0.0, least=0)
    rotation: float = option("degrees; the angle is drawn from [-r, r]", 0.0, least=0)
    size: int = option("side of the input, pixels; 0 takes the checkpoint's", 0, least=0)
    precision: Precision = "fp32"
    selection: Literal["best", "last"] = option("the epoch that is tested", "best")
    regularisation: tuple[float, ...] = option("values of C that a linear probe tries", (), least=0)

    def hash(self) -> str:
        """The sha256 of all options except the name: two names of one protocol have the same hash.

        An option that was added later is left out where it has no effect, so that earlier results keep their hash.
        """
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "name"}
        later = {one.name: one.default for one in fields(self) if one.name not in FIRST}
        return store.sha256_of({key: value for key, value in values.items() if key in FIRST or value != later[key]})


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
