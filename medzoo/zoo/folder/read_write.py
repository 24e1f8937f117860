"""Folders: model.safetensors, config.json and README.md, which timm, transformers and medzoo read alike."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import store
from medzoo.errors import CardError, IntegrityError, UsageError, WeightsMismatchError
from medzoo.zoo.folder.config import FolderConfig, read_config, to_json
from medzoo.zoo.models.weights import compare_names, read_header, refuse_impossible, shapes, write_weights
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.locations import CARD, CONFIG, ORIGIN, WEIGHTS

if TYPE_CHECKING:
    import torch
    from torch import nn

FILES = (WEIGHTS, CONFIG, CARD)
EXTRA = (".gitattributes", ORIGIN)  # what else may lie in a checkpoint's folder


def read_folder(directory: str | os.PathLike[str]) -> FolderConfig:
    """The checked configuration of a folder; its weights are checked up to their header.

    Args:
        directory: with config.json and model.safetensors.

    Raises:
        IntegrityError: if a file is missing, damaged or states something that the schema does not know.
    """
    config = read_config(Path(directory))
    read_header(config.weights)
    return config


def write_folder(state: Mapping[str, torch.Tensor], directory: str | os.PathLike[str], config: FolderConfig) -> Path:
    """Write a folder whole or not at all, prove that it gives the network back, and replace what was there.

    Args:
        state: the tensors, by timm's names.
        directory: the folder; an older checkpoint in it is replaced, anything else is left alone.
        config: its configuration, with facts; `facts.sha256` and golden features are filled in.

    Returns:
        The folder.

    Raises:
        IntegrityError: for NaN or infinity.
        WeightsMismatchError: if names or shapes are not the architecture's.
        UsageError: if the directory holds something else.
    """
    from medzoo.zoo.folder.card import render
    from medzoo.zoo.models import build
    from medzoo.zoo.models.golden import compute_golden

    directory = Path(directory)
    if config.facts is None:
        raise CardError("A folder cannot be written without facts: name, licence and data.")
    _refuse_foreign(directory)
    refuse_impossible(state, f"The weights of {config.name}", IntegrityError)
    arguments = config.model_kwargs()
    model = build.twin(config.architecture, config.pretrained_cfg, arguments)
    compare_names(shapes(state.items()), shapes(model.state_dict().items()), config.name, config.architecture)
    with store.atomic_folder(directory) as folder:
        write_weights(state, folder / WEIGHTS)
        model = build.filled(config.architecture, config.pretrained_cfg, arguments, _floats(folder))
        if config.num_classes:
            model.reset_classifier(0)  # type: ignore[operator]
        golden = compute_golden(model, config.in_chans, config.input.size)
        facts = replace(config.facts, sha256=store.sha256_file(folder / WEIGHTS), golden=golden)
        config = replace(config, path=folder, facts=facts)
        store.write_json(folder / CONFIG, to_json(config, int(model.num_features)))  # type: ignore[arg-type]
        read_folder(folder)
        store.write_text(folder / CARD, render(config))
    return directory


def _floats(folder: Path) -> dict[str, torch.Tensor]:
    from medzoo.zoo.models.weights import read_weights

    state = read_weights(folder / WEIGHTS)
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def _refuse_foreign(directory: Path) -> None:
    if directory.is_file():
        raise UsageError(f"{directory} is a file; give a folder.")
    if directory.is_dir():
        others = sorted(path.name for path in directory.iterdir() if path.name not in FILES + EXTRA)
        if others:
            raise UsageError(
                f"{directory} holds other things than a checkpoint ({', '.join(others[:5])}); give a new folder."
            )


def save(model: nn.Module, directory: str | os.PathLike[str], *, card: Checkpoint | Mapping[str, Any]) -> Path:
    """Write any timm model as a folder that medzoo, timm and transformers load.

    Args:
        model: a timm model (or one that medzoo loaded); its mode and device stay as they are.
        directory: the folder to write.
        card: a Checkpoint, or a dict with at least name, license and data (and labels for a head); it may hold method,
            lineage, input (size, mean, std, ...), hyperparameters, results, problem_type, citation, note.

    Returns:
        The folder.

    Raises:
        CardError: if a fact is missing that must not be invented.
        WeightsMismatchError: if the folder would not give the same network back.

    >>> import tempfile, timm
    >>> card = {"name": "test_resnet-nothing", "license": "apache-2.0", "data": ["nothing"]}
    >>> folder = save(timm.create_model("test_resnet", num_classes=0), tempfile.mkdtemp(), card=card)
    >>> sorted(path.name for path in folder.iterdir())
    ['README.md', 'config.json', 'model.safetensors']
    """
    from medzoo.zoo.folder.card_input import folder_config

    config = folder_config(model, card)
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    _prove_same(model, state, config)
    return write_folder(state, directory, config)


def _prove_same(model: nn.Module, state: Mapping[str, torch.Tensor], config: FolderConfig) -> None:
    """Build what the configuration says and compare its answer with the model's: shapes alone miss, say, num_heads."""
    import torch

    from medzoo.zoo.models import build
    from medzoo.zoo.models.golden import fixed_inputs, not_finite

    refuse_impossible(state, f"The weights of {config.name}", IntegrityError)
    arguments = config.model_kwargs()
    need = shapes(build.twin(config.architecture, config.pretrained_cfg, arguments).state_dict().items())
    compare_names(shapes(state.items()), need, f"The model {config.name}", config.architecture)
    again = build.filled(config.architecture, config.pretrained_cfg, arguments, state)
    parameter = next(model.parameters())
    modes = {name: module.training for name, module in model.named_modules()}
    batch = fixed_inputs(config.in_chans, config.input.size)[:1].to(parameter.device, parameter.dtype)
    try:
        model.eval()
        with torch.inference_mode():
            want, have = model(batch).float(), again.to(parameter.device)(batch).float()
    finally:
        for name, module in model.named_modules():
            module.training = modes[name]
    if not torch.isfinite(want).all():
        raise not_finite(again, batch.float())
    scale = max(float(want.abs().max()), 1e-6)
    exact = parameter.device.type == "cpu" and parameter.dtype == torch.float32  # TF32 and half precision round more
    if want.shape != have.shape or not float((want - have).abs().max()) <= (1e-5 if exact else 2e-2) * scale:
        raise WeightsMismatchError(
            f"timm builds {config.architecture} with {config.model_args} to another function than the model that was given. "
            "Name the missing keywords in the card: model={'kwargs': {...}}."
        )
