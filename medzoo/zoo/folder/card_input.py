"""The folder's configuration from a model and its card: facts that the model gives, and facts that the user must state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.closed_schema import parse
from medzoo.errors import CardError, UsageError, WeightsMismatchError
from medzoo.zoo.folder.card_fields import Card, read_card
from medzoo.zoo.folder.config import RESERVED, FolderConfig
from medzoo.zoo.folder.facts import (
    NO_WINDOW,
    FolderEvaluation,
    FolderFacts,
    Rule,
    Source,
    Step,
    lowest_schema,
    written_with,
    wrong_calibration,
    wrong_evaluation,
)
from medzoo.zoo.models import build
from medzoo.zoo.models.input_notes import from_notes, window_of_notes
from medzoo.zoo.registry.checkpoint import Checkpoint, Input, input_problems
from medzoo.zoo.registry.licenses import License

if TYPE_CHECKING:
    from torch import nn

    from medzoo.zoo.models.receipt import LoadReceipt

UNSTATED = "The card has no mean and std: these are from timm's configuration of the architecture."


def facts_of(card: Card, shape: Input, lineage: tuple[Step, ...], source: Source | None = None) -> FolderFacts:
    """The `medzoo` block of a card; `write_folder` fills in sha256 and golden features."""
    assert isinstance(card.license, License)
    return FolderFacts(
        schema=lowest_schema(card.calibration, None, card.evaluation), name=card.name, sha256="0" * 64, license=card.license,
        lineage=lineage,
        input=Rule(shape.rule, shape.clip, shape.note), hyperparameters=dict(card.hyperparameters), results=card.results,
        environment=dict(card.environment) or written_with(), source=source, citation=card.citation, note=card.note,
        calibration=card.calibration, evaluation=card.evaluation,
    )  # fmt: skip


def folder_config(model: nn.Module, card: Checkpoint | Mapping[str, Any]) -> FolderConfig:
    """The configuration of a folder for a model.

    Args:
        model: a timm model.
        card: as for `save`.

    Raises:
        CardError: if the card lacks a fact or contradicts the model.
        WeightsMismatchError: if it is not a plain timm model.
    """
    # the architecture, from timm's configuration or from the receipt
    read = read_card(card)
    config: Mapping[str, Any] | None = getattr(model, "pretrained_cfg", None)
    receipt: LoadReceipt | None = getattr(model, "load_receipt", None)
    architecture = (config or {}).get("architecture") or getattr(receipt, "architecture", None)
    if not config or not architecture or not hasattr(model, "reset_classifier"):
        raise WeightsMismatchError(
            f"{type(model).__name__} is not a plain timm model. Give the network itself, not a wrapper (use .module) and not a "
            "features_only model.",
            code="not-a-timm-model",
        )
    # the input convention
    classes = int(getattr(model, "num_classes", 0))
    channels = build.in_chans_of(model)
    shape = _input(read, config, channels, receipt, model)
    for problem in input_problems(shape):
        raise CardError(f"The card's input: {problem}", code="input-invalid")
    read = replace(read, evaluation=_evaluation(read.evaluation, config, receipt))
    # the head and its labels
    arguments = _arguments(model, read, channels, shape)
    if not read.labels and len(read.model.labels) == classes and receipt and not receipt.fresh:
        read = replace(read, labels=read.model.labels)  # the stored head of the checkpoint
    if classes and len(read.labels) != classes:
        raise CardError(
            f"The model has {classes} outputs and the card {len(read.labels)} labels. Give all labels (labels=[...]), or remove "
            "the head with model.reset_classifier(0).",
            code="label-count-differs",
        )
    if not classes and (read.labels or read.problem_type):
        raise CardError(
            "The card has labels or a problem_type, but the model has no head. Remove them.", code="labels-without-head"
        )
    if wrong := wrong_calibration(read.calibration, classes, read.problem_type):
        raise CardError(f"The card's calibration: {wrong}", code="calibration-invalid")
    if wrong := wrong_evaluation(read.evaluation, shape.size):
        raise CardError(f"The card's evaluation: {wrong}", code="evaluation-invalid")
    # only a full licence, not a bare id, can forbid redistribution
    given = card.license if isinstance(card, Checkpoint) else card["license"]
    forbidden = not isinstance(given, str) and not read.license.redistributable  # type: ignore[union-attr]
    lineage = _lineage(read, receipt, forbidden)
    assert isinstance(read.license, License)
    window = read.evaluation.window if read.evaluation else None
    cfg = build.timm_config(architecture, shape, num_classes=classes, license_id=read.license.id.lower(), window=window)
    return FolderConfig(
        Path(), architecture, classes, arguments, cfg, read.labels, read.problem_type, facts_of(read, shape, lineage)
    )


def _input(
    card: Card, config: Mapping[str, Any], channels: int, receipt: LoadReceipt | None, model: nn.Module
) -> Input:
    given = card.input
    if given.channels not in (None, channels):
        raise CardError(
            f"The card has {given.channels} channels, but the model takes {channels}.", code="card-channels-differ"
        )
    # a network with a fixed size (ViT) takes no other size
    traits = getattr(model, "_traits", {})
    fixed = traits.get("img_size") if traits.get("fixed_input_size") else None
    if fixed and given.size not in (None, fixed[0]):
        raise CardError(
            f"The card has size {given.size}, but the model takes only {fixed[0]}. Build it with img_size={given.size}.",
            code="card-size-differs",
        )
    mean, std = (_fit(_given(row, config[key]), channels) for key, row in (("mean", given.mean), ("std", given.std)))
    rule, clip = (receipt.input_rule, receipt.input_clip) if receipt else from_notes(config)
    return Input(
        size=int(_given(given.size, fixed[0] if fixed else config["input_size"][-1])), mean=mean, std=std,
        channels=channels,  # type: ignore[arg-type]
        interpolation=given.interpolation or config.get("interpolation"),
        crop_pct=_given(given.crop_pct, config.get("crop_pct")),
        rule=given.rule or rule, clip=_given(given.clip, clip),
        note=given.note or (None if receipt or given.mean else UNSTATED),
    )  # fmt: skip


def _evaluation(
    given: FolderEvaluation | None, config: Mapping[str, Any], receipt: LoadReceipt | None
) -> FolderEvaluation | None:
    """The card's evaluation, by default with the window of the loaded network; "none" in a card means: without a window."""
    window = receipt.input_window if receipt else window_of_notes(config)
    if given is None:
        return FolderEvaluation(window=window) if window else None
    if given == FolderEvaluation(window=NO_WINDOW):
        return None
    return replace(given, window=None if given.window == NO_WINDOW else given.window or window)


def _given(value: Any, default: Any) -> Any:  # noqa: ANN401
    """The value, or the default for None. Zero is kept, so that the checks see it."""
    return default if value is None else value


def _fit(values: Any, channels: int) -> tuple[float, ...]:  # noqa: ANN401
    row = tuple(float(value) for value in values)
    return row if len(row) == channels or not row else (sum(row) / len(row),) * channels


def _arguments(model: nn.Module, card: Card, channels: int, shape: Input) -> dict[str, Any]:
    """The keywords with which timm builds the same network."""
    known = dict(getattr(model, "_model_args", {}))  # timm stores the keywords of its call
    known |= getattr(getattr(model, "load_receipt", None), "model_args", {})
    types = (bool, int, float, str, list, tuple)
    rows = {key: value for key, value in known.items() if key not in RESERVED and isinstance(value, types)}
    rows |= card.model.kwargs
    if reserved := sorted(RESERVED & set(card.model.kwargs)):
        raise UsageError(f"The card's model kwargs must not have {', '.join(reserved)}.", code="model-args-reserved")
    rows.pop("in_chans", None)
    if channels != 3:
        rows["in_chans"] = channels
    traits = getattr(model, "_traits", {})
    if traits.get("fixed_input_size") and traits.get("img_size"):
        from timm.models import get_pretrained_cfg

        default = get_pretrained_cfg(str(model.pretrained_cfg["architecture"]))  # type: ignore[index]
        rows.pop("img_size", None)
        if default is None or default.input_size[-1] != shape.size:
            rows["img_size"] = shape.size
    return rows


def _lineage(card: Card, receipt: LoadReceipt | None, forbidden: bool) -> tuple[Step, ...]:
    """The card's lineage, or the loaded checkpoint's plus one step for each new data set of the card."""
    steps = card.lineage
    assert isinstance(card.license, License)
    if steps is None:
        before = tuple(parse(Step, row, "lineage", CardError) for row in (receipt.lineage if receipt else ()))
        known = [step.data for step in before]
        new = [data for index, data in enumerate(card.data) if known[index : index + 1] != [data]]
        own = [Step(data=data) for data in new or card.data[-1:]]
        last = replace(own[-1], method=card.method, images=card.images, epochs=card.epochs, modalities=card.modalities)
        steps = (*before, *own[:-1], last)
    if steps:
        last = steps[-1]
        terms = {"name": last.name or card.name, "license": last.license or card.license.id}
        steps = (*steps[:-1], replace(last, **terms))  # type: ignore[arg-type]
        if forbidden:
            steps = (*steps[:-1], replace(steps[-1], redistributable=False))
    return steps
