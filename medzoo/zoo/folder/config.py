"""config.json of a folder: the keys that timm and transformers read, and medzoo's own facts under `medzoo`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medzoo.closed_schema import parse, plain
from medzoo.errors import IntegrityError
from medzoo.zoo.folder.facts import (
    SCHEMA,
    SCHEMA_2,
    SCHEMA_3,
    SCHEMAS,
    FolderFacts,
    Rule,
    lowest_schema,
    wrong_calibration,
    wrong_evaluation,
)
from medzoo.zoo.folder.strict_json import strict_json
from medzoo.zoo.models.input_notes import from_notes, window_of_notes
from medzoo.zoo.registry.checkpoint import Input, number_problems
from medzoo.zoo.registry.locations import CONFIG, WEIGHTS
from medzoo.zoo.registry.registry import SHA256

CONFIG_LIMIT = 4 * 1024 * 1024  # bytes
ARCHITECTURE = re.compile(r"[A-Za-z0-9_]+")
# Keywords of timm.create_model that name a source of weights, or that the caller of `load` sets.
_RESERVED = (
    "model_name pretrained pretrained_cfg pretrained_cfg_overlay pretrained_model_args checkpoint_path "
    "cache_dir scriptable exportable no_jit num_classes features_only out_indices feature_cfg feature_cls "
    "model_cfg device dtype"
)
RESERVED = frozenset(_RESERVED.split())
# Keys of pretrained_cfg that name a source of weights; a folder has its own weights.
PLACES = frozenset({"url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "custom_load"})
# All keys that medzoo writes into config.json, see `to_json`.
_KEYS = "architecture num_classes num_features pretrained_cfg label_names problem_type model_args medzoo"
KEYS = frozenset(_KEYS.split())
PROBLEMS = ("single_label_classification", "multi_label_classification", "regression")


@dataclass(frozen=True)
class FolderConfig:
    """A folder's configuration.

    Args:
        path: the folder.
        architecture: the name of a timm architecture or of a variant.
        num_classes: of the stored head; 0 without one.
        model_args: keywords of the architecture, without num_classes.
        pretrained_cfg: input convention and names of stem and classifier, in timm's form.
        label_names: of the stored head.
        problem_type: transformers' name of it.
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
        """The checkpoint's name, or the folder's name if it has no facts."""
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
    def window(self) -> str | None:
        """The range to which the images of the fine-tuning were clipped."""
        if self.facts is None:
            return window_of_notes(self.pretrained_cfg)
        return self.facts.evaluation.window if self.facts.evaluation else None

    @property
    def input(self) -> Input:
        """The input convention."""
        cfg = self.pretrained_cfg
        rule = self.facts.input if self.facts else Rule(*from_notes(cfg))
        return Input(
            size=int(cfg["input_size"][-1]),
            mean=tuple(cfg["mean"]),
            std=tuple(cfg["std"]),
            channels=self.in_chans,  # type: ignore[arg-type]
            interpolation=cfg.get("interpolation"),
            crop_pct=cfg.get("crop_pct"),
            rule=rule.rule,
            clip=rule.clip,
            note=rule.note,
        )


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
    """A folder's checked config.json. It cannot name code, a file or an address.

    Args:
        folder: a directory with config.json and model.safetensors.

    Raises:
        IntegrityError: for a missing file, invalid JSON, an unknown key or a wrong value.
    """
    path = folder / CONFIG
    for needed in (path, folder / WEIGHTS):
        if not needed.is_file():
            raise IntegrityError(
                f"{folder} is not a checkpoint folder: {needed.name} is missing.", code="not-a-checkpoint-folder"
            )
    if path.stat().st_size > CONFIG_LIMIT:
        raise IntegrityError(
            f"{path} has {path.stat().st_size} bytes; medzoo reads at most {CONFIG_LIMIT}.", code="config-too-large"
        )
    try:
        return parse_config(path.read_text(encoding="utf-8"), folder)
    except (UnicodeDecodeError, OSError) as error:
        raise IntegrityError(f"{path} cannot be read: {error}", code="config-unreadable") from error


def parse_config(text: str, folder: Path) -> FolderConfig:
    """The configuration in the text of a config.json, checked like `read_config`.

    Args:
        text: its content.
        folder: its folder, which need not exist yet.

    Raises:
        IntegrityError: for invalid JSON, an unknown key or a wrong value.
    """
    path = folder / CONFIG
    try:
        rows = strict_json(text)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(
            f"{path} is not valid JSON: {error}. Get the folder again.", code="config-not-json"
        ) from error
    if not isinstance(rows, dict) or not isinstance(rows.get("pretrained_cfg"), dict):
        raise IntegrityError(
            f"{path} has no table 'pretrained_cfg': it is not a configuration of timm or medzoo.",
            code="not-a-timm-config",
        )
    architecture = rows.get("architecture")
    if not isinstance(architecture, str) or not ARCHITECTURE.fullmatch(architecture):
        raise IntegrityError(
            f"{path}: architecture is {architecture!r}; it must be the name of a timm architecture.",
            code="architecture-invalid",
        )
    # medzoo's facts; folders of timm and transformers have none
    schema = rows["medzoo"].get("schema") if isinstance(rows.get("medzoo"), dict) else None
    if isinstance(schema, str) and schema.startswith("medzoo.folder/") and schema not in SCHEMAS:
        raise IntegrityError(
            f"{path} has the schema {schema}; this version of medzoo reads {' and '.join(SCHEMAS)}. Update medzoo (pip "
            "install --upgrade medzoo), or save the folder again with the version that wrote it.",
            code="other-folder-schema",
        )
    facts = parse(FolderFacts, rows["medzoo"], f"{path}: medzoo", IntegrityError) if "medzoo" in rows else None
    if facts is not None and not SHA256.fullmatch(facts.sha256):
        raise IntegrityError(f"{path}: medzoo: sha256 must be 64 hexadecimal digits.", code="sha256-invalid")
    # the network and its head
    cfg = _timm_config(rows["pretrained_cfg"], path, strict=facts is not None)
    classes = rows.get("num_classes", cfg.get("num_classes"))
    if type(classes) is not int or not 0 <= classes <= 1_000_000:
        raise IntegrityError(
            f"{path}: num_classes is {classes!r}; it must be the number of classes, 0 without a head.",
            code="num-classes-invalid",
        )
    arguments = {key: value for key, value in _table(rows, "model_args", path).items() if key != "num_classes"}
    if reserved := sorted(RESERVED & set(arguments)):
        raise IntegrityError(f"{path}: model_args must not have {', '.join(reserved)}.", code="model-args-reserved")
    labels = rows.get("label_names") or ()
    if not isinstance(labels, list | tuple) or (labels and facts and len(labels) != classes):
        raise IntegrityError(f"{path}: label_names must be a list of {classes} names.", code="label-names-invalid")
    problem = rows.get("problem_type")
    if problem is not None and problem not in PROBLEMS:
        raise IntegrityError(
            f"{path}: problem_type is {problem!r}; it must be one of {', '.join(PROBLEMS)}.",
            code="problem-type-unknown",
        )
    cfg["num_classes"] = classes
    config = FolderConfig(folder, architecture, classes, arguments, cfg, tuple(map(str, labels)), problem, facts)
    for problem in number_problems(config.input) if facts is not None else ():
        raise IntegrityError(f"{path}: {problem}", code="input-invalid")
    if facts is not None:
        _check_second_schema(facts, config, path)
    return config


def _check_second_schema(facts: FolderFacts, config: FolderConfig, path: Path) -> None:
    """Check the keys of the second schema."""
    wrong = wrong_calibration(facts.calibration, config.num_classes, config.problem_type)
    lowest = lowest_schema(facts.calibration, facts.decoder, facts.evaluation)
    if facts.schema == SCHEMA and lowest != SCHEMA:
        wrong = f"the schema {SCHEMA} has no keys 'calibration', 'decoder' and 'evaluation'; {SCHEMA_2} has them."
    if wrong:
        raise IntegrityError(f"{path}: calibration: {wrong}", code="calibration-invalid")
    wrong = wrong_evaluation(facts.evaluation, config.input.size, masks=facts.decoder is not None)
    if lowest == SCHEMA_3 and facts.schema != SCHEMA_3:
        wrong = f"the schema {facts.schema} has no key 'window'; {SCHEMA_3} has it."
    if wrong:
        raise IntegrityError(f"{path}: evaluation: {wrong}", code="evaluation-invalid")


def _timm_config(values: Mapping[str, Any], path: Path, strict: bool) -> dict[str, Any]:
    """The checked pretrained_cfg; `strict` for folders that medzoo wrote."""
    size, mean, std = values.get("input_size"), values.get("mean"), values.get("std")
    if not (_numbers(size, 3) and all(type(side) is int and side > 0 for side in size or [])):
        raise IntegrityError(
            f"{path}: pretrained_cfg: input_size is {size!r}; it must be [channels, height, width].",
            code="input-size-invalid",
        )
    for key, row in (("mean", mean), ("std", std)):
        if not _numbers(row, None) or not row:
            raise IntegrityError(
                f"{path}: pretrained_cfg: {key} is {row!r}; it must be a list of numbers.", code="mean-std-not-numbers"
            )
    if min(std or [1]) <= 0:
        raise IntegrityError(f"{path}: pretrained_cfg: std is {std!r}; it must be above 0.", code="std-not-positive")
    if strict and (len(mean or []) != (size or [0])[0] or len(std or []) != (size or [0])[0]):
        raise IntegrityError(
            f"{path}: pretrained_cfg: mean and std need {(size or [0])[0]} numbers, one for each channel.",
            code="mean-std-channels",
        )
    # a folder of medzoo must not name another source of weights; of other folders, these keys are ignored
    for key in PLACES & set(values):
        if strict and values[key]:
            raise IntegrityError(
                f"{path}: pretrained_cfg must not have {key!r}: the weights are in this folder.",
                code="weights-source-in-config",
            )
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key not in PLACES
    }


def _numbers(value: Any, length: int | None) -> bool:  # noqa: ANN401
    rows = value if isinstance(value, list | tuple) else None
    numeric = rows is not None and all(isinstance(row, int | float) and not isinstance(row, bool) for row in rows)
    return numeric and (length is None or len(rows or []) == length)


def _table(rows: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    value = rows.get(key) or {}
    if not isinstance(value, dict):
        raise IntegrityError(f"{path}: {key} is {value!r}; it must be a table.", code="not-a-table")
    return value
