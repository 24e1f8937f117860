"""What of a checkpoint's folder may leave this machine: an allow-list of files, each judged and looked through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo import store
from medzoo.errors import IntegrityError, PublishError, listed
from medzoo.zoo.folder.card_checks import problems, stated_license
from medzoo.zoo.folder.config import KEYS
from medzoo.zoo.publish.privacy_scan import scan
from medzoo.zoo.publish.relicense import config_bytes, relicensed_card
from medzoo.zoo.publish.upload import Upload
from medzoo.zoo.registry.locations import CARD, CONFIG, TERMS, WEIGHTS

if TYPE_CHECKING:
    from medzoo.zoo.folder.config import FolderConfig

TERMS_LIMIT = 1024 * 1024  # bytes


def prepare(
    config: FolderConfig, repo: str, extra: Mapping[str, bytes] | None = None, *, old: FolderConfig | None = None
) -> Upload:
    """Collect and judge what would go up.

    Args:
        config: of a verified folder, with facts.
        repo: org/name.
        extra: more files: the licence's text, a notice.
        old: the configuration as it lies in the folder, if `config` states another licence.

    Raises:
        PublishError: if a text, metadata or weights hold a token, a place of this machine or an identifier of a patient, if
            a text is a link out of the folder, or if the card or the configuration is wrong; with every finding.
        WeightsMismatchError: if the weights are not those of the architecture.
        IntegrityError: for NaN or infinity.
    """
    from medzoo.zoo.folder.card_results import check_rows, eval_results

    assert config.facts is not None
    folder, old = config.path, old or config
    texts = {CONFIG: config_bytes(config, old), CARD: card_for(config, repo, old)}
    texts |= {name: _terms(folder, name) for name in TERMS if (folder / name).is_file()}
    texts |= {name: text.encode() for name, text in eval_results(check_rows(config.facts.results)).items()}
    texts |= extra or {}
    found = [str(row) for name, content in texts.items() for row in scan(_text(content, name), name)]
    found += [str(row) for row in scan(_metadata(folder / WEIGHTS), f"the metadata of {WEIGHTS}")]
    if found:
        raise PublishError(
            f"{folder} holds what should not leave this machine: {listed(found, 6)}. Save the model again without it, or edit "
            "the file."
        )
    _judge(config, texts)
    _prove(config)
    here = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return Upload(
        repo, folder / WEIGHTS, store.verified_sha256(folder / WEIGHTS), texts, tuple(sorted(here - {WEIGHTS, *texts}))
    )


def copied(config: FolderConfig, old: FolderConfig, repo: str) -> Upload:
    """What a copy into a directory hub takes along; it is one's own, so nothing is judged.

    Args:
        config: of a verified folder, with facts.
        old: as it lies in the folder.
        repo: org/name.
    """
    assert config.facts is not None
    folder = config.path
    texts = {CONFIG: config_bytes(config, old), CARD: card_for(config, repo, old)}
    texts |= {name: (folder / name).read_bytes() for name in TERMS if (folder / name).is_file()}
    here = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return Upload(repo, folder / WEIGHTS, config.facts.sha256, texts, tuple(sorted(here - {WEIGHTS, *texts})))


def card_for(config: FolderConfig, repo: str, old: FolderConfig) -> bytes:
    """The card with the repository's address, unless a person edited it.

    Args:
        config: of the folder, with facts.
        repo: org/name.
        old: the configuration as it lies in the folder.

    Raises:
        PublishError: if it is no UTF-8 text, or a link out of the folder; or if it was edited where another licence must stand.
    """
    from medzoo.zoo.folder.card import render

    path = config.path / CARD
    written = _text(_inside(config.path, CARD).read_bytes(), str(path)) if path.is_file() else ""
    edited = written not in ("", render(old))
    return (relicensed_card(written, config, old) if edited else render(config, repo=repo)).encode()


def _judge(config: FolderConfig, texts: Mapping[str, bytes]) -> None:
    assert config.facts is not None
    folder, card = config.path, _text(texts[CARD], CARD)
    if wrong := problems(card, ours=False):
        raise PublishError(f"{folder / CARD} is no card that the Hub should get: {listed(wrong, 6)}")
    said, true = stated_license(card), config.facts.license.id.lower()
    if said != true:
        raise PublishError(
            f"{folder / CARD} gives the licence {said}, and {CONFIG} says {true}. Weights keep their licence: mend the card, or "
            "save the model again under the right one."
        )
    if unknown := sorted(set(json.loads(texts[CONFIG])) - KEYS):
        raise PublishError(
            f"{folder / CONFIG} holds {listed(unknown, 6)}, which medzoo does not write; other tools may act on it. Remove it."
        )


def _prove(config: FolderConfig) -> None:
    """Weights that nobody could load do not go up, even if their hash is right."""
    from medzoo.zoo.models import build
    from medzoo.zoo.models.weights import compare_names, read_weights, refuse_impossible, shapes

    arguments = config.model_kwargs()
    need = shapes(build.twin(config.architecture, config.pretrained_cfg, arguments).state_dict().items())
    state = read_weights(config.weights)
    compare_names(shapes(state.items()), need, config.name, config.architecture)
    refuse_impossible(state, f"The weights of {config.name}", IntegrityError)


def _terms(folder: Path, name: str) -> bytes:
    path = _inside(folder, name)
    if (size := path.stat().st_size) > TERMS_LIMIT:
        raise PublishError(f"{path} has {size:,} bytes; a licence or notice has at most {TERMS_LIMIT:,}.")
    return path.read_bytes()


def _inside(folder: Path, name: str) -> Path:
    """A file of the folder, which may be a link only as the cache of huggingface_hub makes them."""
    path, home = folder / name, folder.resolve()
    blobs = home.parent.parent / "blobs"
    if not any(path.resolve().is_relative_to(place) for place in (home, blobs)):
        raise PublishError(f"{path} is a link to a file elsewhere, which would go up. Put the text itself there.")
    return path


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise PublishError(f"{name} is no UTF-8 text.") from error


def _metadata(path: Path) -> str:
    """What a safetensors header says beside names and shapes: anything may stand there."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        rows = json.loads(file.read(length))
    return "\n".join(f"{key}: {value}" for key, value in rows.get("__metadata__", {}).items()) + "\n" + "\n".join(rows)
