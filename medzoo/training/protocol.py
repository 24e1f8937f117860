"""A protocol: how any checkpoint is put to any task, the same for all, and part of every result's identity."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from medzoo import paths, store
from medzoo.errors import UnknownNameError, UsageError
from medzoo.training.toml_files import read_toml

Mode = Literal["finetune", "linear"]
LATER = {"rotation": 0.0}  # options that came after the first results, and the value at which they do nothing


@dataclass(frozen=True)
class Protocol:
    """The resolved options of a protocol; what each means and why stands in recipes/protocols/medzoo.toml."""

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
    precision: Literal["fp32", "bf16"] = "fp32"
    selection: Literal["best", "last"] = "best"
    regularisation: tuple[float, ...] = ()

    def hash(self) -> str:
        """The sha256 of all options but the name: two names for one protocol give one number.

        An option that came later is left out where it does nothing, so that results from before it keep their protocol.
        """
        options = {key: value for key, value in asdict(self).items() if key != "name" and value != LATER.get(key)}
        return store.sha256_of(options)


def list_protocols() -> list[str]:
    """Protocols that ship with medzoo."""
    return sorted(path.stem for path in (paths.data_dir("recipes") / "protocols").glob("*.toml"))


def load_protocol(name: str, mode: Mode, **overrides: Any) -> Protocol:  # noqa: ANN401
    """Read a protocol and lay typed options over it.

    Args:
        name: of a file in recipes/protocols, or a path of a TOML file.
        mode: which table of the file: "finetune" or "linear".
        overrides: options by name; None leaves the protocol's value.

    Raises:
        UnknownNameError: for a name without a file.
        UsageError: for a key or a value that no protocol has.
    """
    path = Path(name) if name.endswith(".toml") else paths.data_dir("recipes") / "protocols" / f"{name}.toml"
    if not path.is_file():
        raise UnknownNameError(
            "protocol", name, list_protocols(), f"Known: {', '.join(list_protocols())}, or a .toml file."
        )
    tables = read_toml(path, "The protocol")
    if mode not in tables:
        raise UsageError(f"{path} has no table [{mode}]; it has {', '.join(tables) or 'none'}.")
    chosen: dict[str, Any] = {**tables[mode], **{key: value for key, value in overrides.items() if value is not None}}
    hints = get_type_hints(Protocol)
    known = {field.name for field in fields(Protocol)} - {"name", "mode"}
    for key, value in chosen.items():
        if key not in known:
            raise UnknownNameError("protocol option", key, known, f"It stands in {path} or was typed.")
        if hints[key] is float and isinstance(value, int) and not isinstance(value, bool):
            chosen[key] = float(value)
        elif hints[key] in (int, float, str) and type(value) is not hints[key]:
            raise UsageError(f"Protocol option {key} in {path} is {value!r}; it should be a {hints[key].__name__}.")
    for key, allowed in (("precision", ("fp32", "bf16")), ("selection", ("best", "last"))):
        if key in chosen and chosen[key] not in allowed:
            raise UsageError(f"Protocol option {key} is {chosen[key]!r}; choose {' or '.join(allowed)}.")
    if "regularisation" in chosen:
        values = chosen["regularisation"]
        if not isinstance(values, list | tuple) or not all(type(value) in (int, float) for value in values):
            raise UsageError(f"Protocol option regularisation is {values!r:.80}; it should be a list of numbers.")
        chosen["regularisation"] = tuple(map(float, values))
    protocol = replace(Protocol(name=path.stem, mode=mode), **chosen)
    if protocol.epochs < 1 or protocol.batch_size < 2 or protocol.learning_rate <= 0:
        raise UsageError("epochs must be at least 1, batch_size at least 2, and learning_rate above 0.")
    return protocol
