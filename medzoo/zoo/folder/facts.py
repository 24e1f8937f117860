"""The facts of a folder: the `medzoo` block of config.json, a closed schema."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from medzoo.zoo.folder.card_results import ResultRow
from medzoo.zoo.models.input_notes import WINDOW
from medzoo.zoo.registry.checkpoint import Citation, Golden
from medzoo.zoo.registry.licenses import License

Schema = Literal["medzoo.folder/1", "medzoo.folder/2", "medzoo.folder/3"]
SCHEMA: Schema = "medzoo.folder/1"
# Version 2 adds `calibration`, `decoder` and `evaluation`; version 3 the window of an evaluation. A folder gets the lowest version
# that has its keys: earlier versions of medzoo read every folder without them, and ask for an update where they would not know one.
SCHEMA_2: Schema = "medzoo.folder/2"
SCHEMA_3: Schema = "medzoo.folder/3"
SCHEMAS: tuple[Schema, ...] = (SCHEMA, SCHEMA_2, SCHEMA_3)
# the key in the hyperparameters of a pre-training whose features collapsed, and the sentence for its card and for `load`
COLLAPSED, COLLAPSED_NOTE = "collapsed", "The features collapsed in training: they are nearly the same for all images."
NO_WINDOW = "none"  # the window of a card that has none, as for `medzoo.transform`
LARGEST_SIDE = 16_384  # pixels, of the images of an evaluation


@dataclass(frozen=True)
class Step:
    """One training step of a lineage; an absent fact is unknown.

    Args:
        data: name of the data set.
        method: of the training, such as "supervised" or "simclr".
        images: the number of training images.
        epochs: passes over them.
        init: the initial weights, in the first step.
        modalities: kinds of images.
        name: of the checkpoint that the step gave.
        license: of these weights, an SPDX or Hub id.
        redistributable: whether these weights may be published again.
        sha256: of the checkpoint's model.safetensors.
        repo: Hub repository of the checkpoint.
        revision: that repository's commit.
    """

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
    """The input convention beyond size, mean and std.

    Args:
        rule: the range that is scaled to [0, 1]: that of the data type ("unit") or of each image ("per_image_minmax").
        clip: lowest and highest HU of CT.
        note: anything else that a user should know.
    """

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
        url: the address from which medzoo fetched it; absent if the user downloaded it.
        hub: the Hub repository from which it was fetched.
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
class FolderCalibration:
    """How the outputs of a stored head become probabilities and decisions.

    Args:
        temperature: T; after the mean over views, a probability p becomes p^(1/T), divided by the sum over the classes
            (multi-label: by p^(1/T) + (1 - p)^(1/T)). For one view of a softmax or a sigmoid, the logits are divided by T.
        thresholds: a probability of at least this value is a positive decision. Multi-label: one per label; two classes: one, for
            the second class. Empty means 0.5, and is the only choice for three or more classes.
        rule: by which the thresholds were chosen, such as "youden".
        split: on which they and the temperature were chosen.
    """

    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    rule: str | None = None
    split: str | None = None


def wrong_calibration(calibration: FolderCalibration | None, classes: int, problem_type: str | None) -> str | None:
    """What is wrong with a calibration, as a sentence; None if it fits the head.

    Args:
        calibration: to check.
        classes: outputs of the head.
        problem_type: transformers' name of it.

    >>> wrong_calibration(FolderCalibration(1.3, (0.4,)), 2, None), wrong_calibration(FolderCalibration(0.0), 2, None)
    (None, 'temperature is 0.0; it must be a finite number above 0.')
    """
    if calibration is None:
        return None
    if not classes or problem_type == "regression":
        return "a calibration needs a head of classes or labels."
    if not (math.isfinite(calibration.temperature) and calibration.temperature > 0):
        return f"temperature is {calibration.temperature}; it must be a finite number above 0."
    if any(not 0 <= value <= 1 for value in calibration.thresholds):
        return f"thresholds are {list(calibration.thresholds)}; each must be between 0 and 1."
    needed = classes if problem_type == "multi_label_classification" else 1 if classes == 2 else 0
    if len(calibration.thresholds) not in (0, needed):
        return f"there are {len(calibration.thresholds)} thresholds; this head of {classes} outputs takes {needed} or none."
    return None


@dataclass(frozen=True)
class TrainedDecoder:
    """The decoder of a segmentation network, in decoder.safetensors next to the weights of its encoder.

    Args:
        name: of the decoder.
        classes: names, without the background.
        size: side of the images in training, pixels.
        sha256: of the file.
    """

    name: Literal["unet", "upernet", "dpt", "linear"]
    classes: tuple[str, ...]
    size: int
    sha256: str


@dataclass(frozen=True)
class FolderEvaluation:
    """How the test of the training run looked at an image; `medzoo.predict` does the same.

    Args:
        crop_share: share of the side that the centre crop keeps. A segmentation does not crop: the image has the side
            `size / crop_share`, and windows of `size` cover it.
        views: whose outputs are averaged: one ("none"), also its mirror image ("flip"), or the crops of the four corners and the
            centre, each with its mirror image ("ten_crop").
        window_overlap: of a segmentation, the smallest share of a window that the next one covers again.
        sigmoid: whether the probabilities of classes that exclude each other are sigmoids divided by their sum, not a softmax.
        window: the range to which the images of the training were clipped: "-45:105 HU" for CT, "0:4095" in other units, or a rule
            such as "percentile:1,99". A card without it gets that of the loaded network; "none" in a card means: without a window.
    """

    crop_share: float = 1.0
    views: Literal["none", "flip", "ten_crop"] = "none"
    window_overlap: float = 0.5
    sigmoid: bool = False
    window: str | None = None


def wrong_evaluation(evaluation: FolderEvaluation | None, size: int, *, masks: bool = False) -> str | None:
    """What is wrong with an evaluation, as a sentence; None if it fits the network.

    Args:
        evaluation: to check.
        size: side of the network's input, pixels.
        masks: whether the network is a segmentation.

    >>> wrong_evaluation(FolderEvaluation(0.875), 224), wrong_evaluation(FolderEvaluation(0.0), 224)
    (None, 'crop_share is 0.0; it must be above 0 and at most 1, and size / crop_share at most 16384.')
    """
    if evaluation is None:
        return None
    share = evaluation.crop_share
    if not (0 < share <= 1 and size / share <= LARGEST_SIDE):
        return f"crop_share is {share}; it must be above 0 and at most 1, and size / crop_share at most {LARGEST_SIDE}."
    if not 0 <= evaluation.window_overlap < 0.95:
        return f"window_overlap is {evaluation.window_overlap}; it must be at least 0 and below 0.95."
    if evaluation.window is not None and not WINDOW.fullmatch(evaluation.window):
        return f"window is {evaluation.window!r}; it must be LOW:HIGH, LOW:HIGH HU, or a rule."
    if masks and evaluation.views == "ten_crop":
        return "views is 'ten_crop'; a segmentation takes 'none' or 'flip'."
    return None


def lowest_schema(
    calibration: FolderCalibration | None,
    decoder: TrainedDecoder | None = None,
    evaluation: FolderEvaluation | None = None,
) -> Schema:
    """The lowest version that has the keys of a folder.

    Args:
        calibration: of its head.
        decoder: next to its weights.
        evaluation: of its test.

    >>> lowest_schema(None), lowest_schema(FolderCalibration())
    ('medzoo.folder/1', 'medzoo.folder/2')
    >>> lowest_schema(None, evaluation=FolderEvaluation(window="-45:105 HU"))
    'medzoo.folder/3'
    """
    if evaluation is not None and evaluation.window is not None:
        return SCHEMA_3
    return SCHEMA if calibration is None and decoder is None and evaluation is None else SCHEMA_2


def written_with() -> dict[str, str]:
    """Versions of Python and the packages that write a folder, without names of machines or users.

    >>> sorted(written_with())
    ['medzoo', 'python', 'safetensors', 'timm', 'torch']
    """
    from importlib.metadata import PackageNotFoundError, version

    rows = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in ("medzoo", "torch", "timm", "safetensors"):
        with suppress(PackageNotFoundError):
            rows[package] = version(package)
    return rows


@dataclass(frozen=True)
class FolderFacts:
    """The `medzoo` block of config.json; a closed schema.

    Args:
        schema: version of the block; a folder gets the lowest version that has its keys.
        name: of the checkpoint.
        sha256: of model.safetensors; `load` compares it.
        license: terms of the weights.
        input: the input convention beyond size, mean and std, which are in `pretrained_cfg`.
        lineage: the training steps of the weights, oldest first; empty for random weights.
        hyperparameters: options of the last training.
        results: scores for the card.
        environment: versions of Python and the packages that wrote the folder.
        golden: features of three fixed inputs, to check the network.
        source: the upstream file that the folder was converted from.
        decoder: of a segmentation network.
        citation: the paper to cite.
        note: anything else that a user should know.
        calibration: how the outputs of the head become probabilities and decisions.
        evaluation: how the test of the training run looked at an image.
    """

    schema: Schema
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
    decoder: TrainedDecoder | None = None
    citation: Citation | None = None
    note: str | None = None
    calibration: FolderCalibration | None = None
    evaluation: FolderEvaluation | None = None
