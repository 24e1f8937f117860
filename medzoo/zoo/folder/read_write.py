"""Read and write folders with model.safetensors, config.json and README.md, which timm, transformers and medzoo can load."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import store
from medzoo.errors import CardError, IntegrityError, UsageError, WeightsMismatchError
from medzoo.zoo.folder.card import render
from medzoo.zoo.folder.card_input import folder_config
from medzoo.zoo.folder.config import FolderConfig, read_config, to_json
from medzoo.zoo.folder.facts import SCHEMA_2, SCHEMAS
from medzoo.zoo.models import build
from medzoo.zoo.models.golden import compute_golden, fixed_inputs, not_finite
from medzoo.zoo.models.weights import compare_names, read_header, read_weights, refuse_impossible, shapes, write_weights
from medzoo.zoo.registry.checkpoint import Checkpoint, Input
from medzoo.zoo.registry.locations import CARD, CONFIG, DECODER, ORIGIN, WEIGHTS, LocatedFolder
from medzoo.zoo.registry.registry import own_dir

if TYPE_CHECKING:
    import torch
    from torch import nn

    from medzoo.zoo.folder.facts import TrainedDecoder

FILES = (WEIGHTS, CONFIG, CARD)
EXTRA = (".gitattributes", ORIGIN, DECODER)  # other files that a checkpoint's folder may have

CONVENTION = ("mean", "std", "channels", "rule", "clip")  # the input convention of the weights


def read_folder(directory: str | os.PathLike[str]) -> FolderConfig:
    """The checked configuration of a folder; of the weights, only the header is checked.

    Args:
        directory: with config.json and model.safetensors.

    Raises:
        IntegrityError: if a file is missing or damaged, or has a key or value outside the schema.
    """
    config = read_config(Path(directory))
    read_header(config.weights)
    return config


def check_decoder(folder: Path, facts: TrainedDecoder) -> Path:
    """The file of a trained decoder, with the right sha256.

    Args:
        folder: of the checkpoint.
        facts: of its config.json.

    Raises:
        IntegrityError: if the file is missing, or is not the one that config.json names.
    """
    path = folder / DECODER
    if not path.is_file():
        raise IntegrityError(
            f"{path} is missing, but config.json names a trained decoder. Copy the whole folder; "
            "for a repository of the Hub, run `medzoo fetch org/name` with a network.",
            code="decoder-file-missing",
        )
    if (digest := store.sha256_file(path)) != facts.sha256:
        raise IntegrityError(
            f"{path} has the sha256 {digest}, but config.json says {facts.sha256}: the file was changed or damaged. "
            "Get the folder again.",
            code="decoder-hash-wrong",
        )
    return path


def read_decoder(folder: Path, facts: TrainedDecoder) -> dict[str, torch.Tensor]:
    """The tensors of a trained decoder.

    Args:
        folder: of the checkpoint.
        facts: of its config.json.

    Raises:
        IntegrityError: as `check_decoder`.
    """
    return read_weights(check_decoder(folder, facts))


def write_folder(
    state: Mapping[str, torch.Tensor],
    directory: str | os.PathLike[str],
    config: FolderConfig,
    decoder: Mapping[str, torch.Tensor] | None = None,
) -> Path:
    """Write a complete folder or nothing, check that it loads as the same network, and replace an older one.

    Args:
        state: the tensors, by timm's names.
        directory: the folder; an older checkpoint in it is replaced, other files are never changed.
        config: its configuration, with facts; `facts.sha256` and the golden features are filled in.
        decoder: the tensors of a segmentation decoder, if `facts.decoder` names one; its sha256 is filled in.

    Returns:
        The folder.

    Raises:
        IntegrityError: for NaN or infinity.
        WeightsMismatchError: if names or shapes do not match the architecture.
        UsageError: if the directory has other files.
    """

    directory = Path(directory)
    if config.facts is None:
        raise CardError("A folder needs facts: name, licence and data. Give them in the card.", code="facts-missing")
    # check the tensors before anything is written
    _check_directory(directory)
    refuse_impossible(state, f"The weights of {config.name}", IntegrityError)
    arguments = config.model_kwargs()
    model = build.twin(config.architecture, config.pretrained_cfg, arguments)
    compare_names(shapes(state.items()), shapes(model.state_dict().items()), config.name, config.architecture)
    with store.atomic_folder(directory) as folder:
        write_weights(state, folder / WEIGHTS)
        # the golden features come from the written file, so that they prove the file
        model = build.filled(config.architecture, config.pretrained_cfg, arguments, _floats(folder))
        if config.num_classes:
            model.reset_classifier(0)  # type: ignore[operator]
        golden = compute_golden(model, config.in_chans, config.input.size)
        facts = replace(config.facts, sha256=store.sha256_file(folder / WEIGHTS), golden=golden)
        if decoder is not None and facts.decoder is not None:
            refuse_impossible(decoder, f"The decoder of {config.name}", IntegrityError)
            write_weights(decoder, folder / DECODER)
            facts = replace(facts, decoder=replace(facts.decoder, sha256=store.sha256_file(folder / DECODER)))
        config = replace(config, path=folder, facts=facts)
        store.write_json(folder / CONFIG, to_json(config, int(model.num_features)))  # type: ignore[arg-type]
        read_folder(folder)
        store.write_text(folder / CARD, render(config))
    return directory


def _floats(folder: Path) -> dict[str, torch.Tensor]:

    state = read_weights(folder / WEIGHTS)
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def _check_directory(directory: Path) -> None:
    if directory.is_file():
        raise UsageError(f"{directory} is a file. Give a folder.", code="not-a-folder")
    if directory.is_dir():
        others = sorted(path.name for path in directory.iterdir() if path.name not in FILES + EXTRA)
        if others:
            raise UsageError(
                f"{directory} has files that do not belong to a checkpoint ({', '.join(others[:5])}). Give a new folder.",
                code="folder-not-empty",
            )


def save(
    model: nn.Module,
    directory: str | os.PathLike[str],
    *,
    card: Checkpoint | Mapping[str, Any],
    decoder: tuple[TrainedDecoder, Mapping[str, torch.Tensor]] | None = None,
) -> Path:
    """Write any timm model as a folder that medzoo, timm and transformers can load.

    Args:
        model: a timm model (or one that medzoo loaded); its mode and device do not change.
        directory: the folder to write.
        card: a Checkpoint, or a dict with at least name, license and data (and labels for a head). Optional keys: method,
            lineage, input (size, mean, std, ...), hyperparameters, results, problem_type, citation, note, calibration (temperature,
            thresholds, rule, split) and evaluation (crop_share, views, window); `medzoo.predict` applies both.
        decoder: of a segmentation network whose encoder is the model: its facts and tensors.

    Returns:
        The folder.

    Raises:
        CardError: if a required fact is missing.
        WeightsMismatchError: if the folder would not load as the same network.

    >>> import tempfile, timm
    >>> card = {"name": "test_resnet-nothing", "license": "apache-2.0", "data": ["nothing"]}
    >>> folder = save(timm.create_model("test_resnet", num_classes=0), tempfile.mkdtemp(), card=card)
    >>> sorted(path.name for path in folder.iterdir())
    ['README.md', 'config.json', 'model.safetensors']
    """

    config = folder_config(model, card)
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    _check_same_function(model, state, config)
    if decoder is None:
        return write_folder(state, directory, config)
    assert config.facts is not None
    config = replace(
        config,
        facts=replace(config.facts, decoder=decoder[0], schema=max(config.facts.schema, SCHEMA_2, key=SCHEMAS.index)),
    )
    return write_folder(state, directory, config, decoder[1])


def _check_same_function(model: nn.Module, state: Mapping[str, torch.Tensor], config: FolderConfig) -> None:
    """Build the network of the configuration and compare its output with the model's: shapes do not show, say, num_heads."""
    import torch

    refuse_impossible(state, f"The weights of {config.name}", IntegrityError)
    arguments = config.model_kwargs()
    need = shapes(build.twin(config.architecture, config.pretrained_cfg, arguments).state_dict().items())
    compare_names(shapes(state.items()), need, f"The model {config.name}", config.architecture)
    rebuilt = build.filled(config.architecture, config.pretrained_cfg, arguments, state)
    # run both networks in eval mode on the model's device; then restore the mode of each module
    parameter = next(model.parameters())
    modes = {name: module.training for name, module in model.named_modules()}
    batch = fixed_inputs(config.in_chans, config.input.size)[:1].to(parameter.device, parameter.dtype)
    try:
        model.eval()
        with torch.inference_mode():
            expected, actual = model(batch).float(), rebuilt.to(parameter.device)(batch).float()
    finally:
        for name, module in model.named_modules():
            module.training = modes[name]
    if not torch.isfinite(expected).all():
        raise not_finite(rebuilt, batch.float())
    scale = max(float(expected.abs().max()), 1e-6)
    exact = parameter.device.type == "cpu" and parameter.dtype == torch.float32  # TF32 and half precision round more
    tolerance = (1e-5 if exact else 2e-2) * scale
    if expected.shape != actual.shape or not float((expected - actual).abs().max()) <= tolerance:
        raise WeightsMismatchError(
            f"timm's {config.architecture} with {config.model_args} gives other outputs than your model. Add the missing "
            "keywords to the card: model={'kwargs': {...}}.",
            code="outputs-differ",
        )


def verify_folder(found: LocatedFolder, *, always: bool = False) -> FolderConfig:
    """Check the sha256 of a folder's weights against its config.json and the registry.

    Args:
        found: a LocatedFolder whose folder is not None.
        always: compute the hash again, even if it is cached.

    Raises:
        IntegrityError: with both hashes and what to do.
    """
    assert found.folder is not None
    config = read_folder(found.folder)
    digest = store.verified_sha256(config.weights, always=always)
    pin = found.checkpoint.hub if found.checkpoint else None
    expected = [(config.facts.sha256, "its config.json")] if config.facts else []
    if pin is not None and found.revision == pin.revision:  # a file that was converted here may have other bytes
        expected.append((pin.sha256, "the registry"))
    for sha256, where in expected:
        if digest != sha256:
            raise IntegrityError(
                f"{config.weights} has the sha256 {digest}, but {where} says {sha256}: the file was changed or damaged. "
                "Remove the folder and fetch it again.",
                code="weights-hash-wrong",
            )
    if found.checkpoint is not None and config.facts is not None and config.facts.name != found.checkpoint.name:
        raise IntegrityError(
            f"{found.folder} holds {config.facts.name}, not {found.checkpoint.name}. Remove the folder and fetch it again.",
            code="folder-of-other-checkpoint",
        )
    _refuse_mixture(found.checkpoint, config.architecture, config.input)
    return config


def _refuse_mixture(entry: Checkpoint | None, architecture: str, shape: Input) -> None:
    """Refuse a folder that contradicts the user's entry for it.

    `medzoo add --replace` writes the folder, then the entry; weights with the wrong normalisation would give wrong features
    without an error.

    Args:
        entry: of the name, if there is one; a shipped entry is not compared, because it may be newer than the folder.
        architecture: in the folder's configuration.
        shape: the folder's input convention.

    Raises:
        IntegrityError: with the facts that differ.
    """
    if entry is None:
        return
    path = own_dir() / f"{entry.name}.toml"
    off = [key for key in CONVENTION if getattr(shape, key) != getattr(entry.input, key)]
    off += ["architecture"] if architecture != entry.architecture else []
    if off and path.is_file():
        raise IntegrityError(
            f"The folder of {entry.name} and its entry {path} differ in {', '.join(off)}: `medzoo add` was interrupted, or one "
            "of the two was edited. Run `medzoo add` again, with --replace.",
            code="folder-contradicts-entry",
        )
