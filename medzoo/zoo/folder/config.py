"""config.json of a folder: what timm and transformers read, and under `medzoo` what only medzoo states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from medzoo.errors import IntegrityError
from medzoo.zoo.folder.card_results import ResultRow
from medzoo.zoo.folder.strict_json import strict_json
from medzoo.zoo.models.input_notes import from_notes
from medzoo.zoo.registry.checkpoint import Citation, Golden, Input, number_problems
from medzoo.zoo.registry.closed_schema import parse, plain
from medzoo.zoo.registry.licenses import License
from medzoo.zoo.registry.locations import CONFIG, WEIGHTS
from medzoo.zoo.registry.registry import SHA256

SCHEMA: Literal["medzoo.folder/1"] = "medzoo.folder/1"
CONFIG_LIMIT = 4 * 1024 * 1024  # bytes
ARCHITECTURE = re.compile(r"[A-Za-z0-9_]+")
# Keywords of timm.create_model that say where weights come from, or that a caller of `load` decides.
_RESERVED = (
    "model_name pretrained pretrained_cfg pretrained_cfg_overlay pretrained_model_args checkpoint_path "
    "cache_dir scriptable exportable no_jit num_classes features_only out_indices feature_cfg feature_cls "
    "model_cfg device dtype"
)
RESERVED = frozenset(_RESERVED.split())
# Of pretrained_cfg, what says where weights come from; a folder's weights are its own.
PLACES = frozenset({"url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "custom_load"})
# All that medzoo writes into config.json, see `to_json`.
_KEYS = "architecture num_classes num_features pretrained_cfg label_names problem_type model_args medzoo"
KEYS = frozenset(_KEYS.split())
PROBLEMS = ("single_label_classification", "multi_label_classification", "regression")


@dataclass(frozen=True)
class Step:
    """One training step of a lineage; an absent fact is unknown."""

    data: str | None = None
    method: str | None = None
    images: int | None = None
    epochs: int | None = None
    init: str | None = None
    modalities: tuple[str, ...] = ()
    name: str | None = None
    license: str | None = None
    redistributable: bool | None = None
    sha256: str | None = None
    repo: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Rule:
    """What the input needs beyond size, mean and std."""

    rule: Literal["unit", "per_image_minmax"] = "unit"
    clip: tuple[float, ...] | None = None
    note: str | None = None


@dataclass(frozen=True)
class Source:
    """The upstream file that a folder was converted from.

    Args:
        format: the name of its layout, a key of medzoo.zoo.convert.formats.FORMATS.
        file: its name.
        sha256: of its bytes.
        size: in bytes.
        as_published: whether it has the hash that its authors published; None if they published none.
        url: where medzoo fetched it; absent if a person did.
        hub: the Hub repository it was fetched from.
        revision: that repository's commit.
    """

    format: str
    file: str
    sha256: str
    size: int
    as_published: bool | None = None
    url: str | None = None
    hub: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class FolderFacts:
    """The `medzoo` block of config.json; a closed schema."""

    schema: Literal["medzoo.folder/1"]
    name: str
    sha256: str
    license: License
    input: Rule = Rule()
    lineage: tuple[Step, ...] = ()
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    results: tuple[ResultRow, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    golden: Golden | None = None
    source: Source | None = None
    citation: Citation | None = None
    note: str | None = None


@dataclass(frozen=True)
class FolderConfig:
    """A folder's configuration.

    Args:
        path: the folder.
        architecture: timm's name, or a variant's.
        num_classes: of the stored head; 0 without one.
        model_args: keywords of the architecture, without num_classes.
        pretrained_cfg: input convention and names of stem and classifier, as timm keeps them.
        label_names: of the stored head.
        problem_type: as transformers names it.
        facts: the `medzoo` block; None for a folder that medzoo did not write.
    """

    path: Path
    architecture: str
    num_classes: int
    model_args: dict[str, Any]
    pretrained_cfg: dict[str, Any]
    label_names: tuple[str, ...] = ()
    problem_type: str | None = None
    facts: FolderFacts | None = None

    @property
    def weights(self) -> Path:
        """The weights file."""
        return self.path / WEIGHTS

    @property
    def name(self) -> str:
        """The checkpoint's name; the folder's where none is stated."""
        return self.facts.name if self.facts else self.path.resolve().name

    @property
    def in_chans(self) -> int:
        """Channels of the stored stem."""
        return int(self.model_args.get("in_chans", self.pretrained_cfg["input_size"][0]))

    def model_kwargs(self, channels: int | None = None) -> dict[str, Any]:
        """The keywords with which timm builds the stored network.

        Args:
            channels: of another stem; by default those of the stored one.
        """
        return {**self.model_args, "in_chans": channels or self.in_chans, "num_classes": self.num_classes}

    @property
    def input(self) -> Input:
        """The input convention."""
        cfg = self.pretrained_cfg
        rule = self.facts.input if self.facts else Rule(*from_notes(cfg))
        return Input(
            size=int(cfg["input_size"][-1]), mean=tuple(cfg["mean"]), std=tuple(cfg["std"]),
            channels=self.in_chans,  # type: ignore[arg-type]
            interpolation=cfg.get("interpolation"), crop_pct=cfg.get("crop_pct"),
            rule=rule.rule, clip=rule.clip, note=rule.note,
        )  # fmt: skip


def to_json(config: FolderConfig, num_features: int) -> dict[str, Any]:
    """The content of config.json.

    Args:
        config: what to write.
        num_features: width of the pooled features.
    """
    rows: dict[str, Any] = {
        "architecture": config.architecture,
        "num_classes": config.num_classes,
        "num_features": num_features,
        "pretrained_cfg": plain(config.pretrained_cfg),
    }
    if config.label_names:
        rows["label_names"] = list(config.label_names)
    if config.problem_type:
        rows["problem_type"] = config.problem_type
    if config.model_args:
        rows["model_args"] = plain(config.model_args)
    if config.facts:
        rows["medzoo"] = plain(config.facts)
    return rows


def read_config(folder: Path) -> FolderConfig:
    """A folder's config.json, checked; nothing in it can name code, a file or an address.

    Args:
        folder: a directory with config.json and model.safetensors.

    Raises:
        IntegrityError: for a missing file, invalid JSON, an unknown key or a wrong value.
    """
    path = folder / CONFIG
    for needed in (path, folder / WEIGHTS):
        if not needed.is_file():
            raise IntegrityError(f"{folder} is no checkpoint folder: {needed.name} is missing.")
    if path.stat().st_size > CONFIG_LIMIT:
        raise IntegrityError(f"{path} has {path.stat().st_size} bytes; medzoo reads at most {CONFIG_LIMIT}.")
    try:
        return parse_config(path.read_text(encoding="utf-8"), folder)
    except (UnicodeDecodeError, OSError) as error:
        raise IntegrityError(f"{path} is no valid JSON: {error}") from error


def parse_config(text: str, folder: Path) -> FolderConfig:
    """The text of a config.json, checked as by `read_config`.

    Args:
        text: its content.
        folder: where it lies, or will lie.

    Raises:
        IntegrityError: for invalid JSON, an unknown key or a wrong value.
    """
    path = folder / CONFIG
    try:
        rows = strict_json(text)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} is no valid JSON: {error}") from error
    if not isinstance(rows, dict) or not isinstance(rows.get("pretrained_cfg"), dict):
        raise IntegrityError(f"{path} lacks the table 'pretrained_cfg'; it is not a timm or medzoo configuration.")
    architecture = rows.get("architecture")
    if not isinstance(architecture, str) or not ARCHITECTURE.fullmatch(architecture):
        raise IntegrityError(f"{path}: architecture is {architecture!r}; it should be the name of a timm architecture.")
    written = rows["medzoo"].get("schema") if isinstance(rows.get("medzoo"), dict) else None
    if isinstance(written, str) and written.startswith("medzoo.folder/") and written != SCHEMA:
        raise IntegrityError(
            f"{path} was written in the form {written}; this medzoo reads {SCHEMA}. Update it (pip install --upgrade medzoo), or "
            "let the medzoo that wrote it write it again."
        )
    facts = parse(FolderFacts, rows["medzoo"], f"{path}: medzoo", IntegrityError) if "medzoo" in rows else None
    if facts is not None and not SHA256.fullmatch(facts.sha256):
        raise IntegrityError(f"{path}: medzoo: sha256 is not 64 hexadecimal digits.")
    cfg = _timm_config(rows["pretrained_cfg"], path, strict=facts is not None)
    classes = rows.get("num_classes", cfg.get("num_classes"))
    if type(classes) is not int or not 0 <= classes <= 1_000_000:
        raise IntegrityError(f"{path}: num_classes is {classes!r}; it should be a number of classes, 0 without a head.")
    arguments = {key: value for key, value in _table(rows, "model_args", path).items() if key != "num_classes"}
    if reserved := sorted(RESERVED & set(arguments)):
        raise IntegrityError(f"{path}: model_args may not hold {', '.join(reserved)}.")
    labels = rows.get("label_names") or ()
    if not isinstance(labels, list | tuple) or (labels and facts and len(labels) != classes):
        raise IntegrityError(f"{path}: label_names should be a list of {classes} names.")
    problem = rows.get("problem_type")
    if problem is not None and problem not in PROBLEMS:
        raise IntegrityError(f"{path}: problem_type is {problem!r}; it should be one of {', '.join(PROBLEMS)}.")
    cfg["num_classes"] = classes
    config = FolderConfig(folder, architecture, classes, arguments, cfg, tuple(map(str, labels)), problem, facts)
    for problem in number_problems(config.input) if facts is not None else ():
        raise IntegrityError(f"{path}: {problem}")
    return config


def _timm_config(values: Mapping[str, Any], path: Path, strict: bool) -> dict[str, Any]:
    size, mean, std = values.get("input_size"), values.get("mean"), values.get("std")
    if not (_numbers(size, 3) and all(type(side) is int and side > 0 for side in size or [])):
        raise IntegrityError(f"{path}: pretrained_cfg: input_size is {size!r}; it should be [channels, height, width].")
    for key, row in (("mean", mean), ("std", std)):
        if not _numbers(row, None) or not row:
            raise IntegrityError(f"{path}: pretrained_cfg: {key} is {row!r}; it should be a list of numbers.")
    if min(std or [1]) <= 0:
        raise IntegrityError(f"{path}: pretrained_cfg: std is {std!r}; it must be above 0.")
    if strict and (len(mean or []) != (size or [0])[0] or len(std or []) != (size or [0])[0]):
        raise IntegrityError(f"{path}: pretrained_cfg: mean and std need {(size or [0])[0]} numbers, one a channel.")
    for key in PLACES & set(values):
        if strict and values[key]:
            raise IntegrityError(f"{path}: pretrained_cfg may not hold {key!r}; the weights are the folder's own.")
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key not in PLACES
    }


def _numbers(value: Any, length: int | None) -> bool:  # noqa: ANN401
    rows = value if isinstance(value, list | tuple) else None
    right = rows is not None and all(isinstance(row, int | float) and not isinstance(row, bool) for row in rows)
    return right and (length is None or len(rows or []) == length)


def _table(rows: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    value = rows.get(key) or {}
    if not isinstance(value, dict):
        raise IntegrityError(f"{path}: {key} is {value!r}; it should be a table.")
    return value
