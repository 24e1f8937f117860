"""The upload of a checkpoint's folder: only an allow-list of files, each checked and scanned for private data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo import store
from medzoo.errors import IntegrityError, PublishError, listed
from medzoo.zoo.folder.card import render
from medzoo.zoo.folder.card_checks import problems, stated_license
from medzoo.zoo.folder.card_results import check_rows, eval_results
from medzoo.zoo.folder.config import KEYS
from medzoo.zoo.folder.read_write import check_decoder, read_decoder
from medzoo.zoo.models import build
from medzoo.zoo.models.weights import compare_names, read_weights, refuse_impossible, shapes
from medzoo.zoo.publish.privacy_scan import scan
from medzoo.zoo.publish.relicense import config_bytes, relicensed_card
from medzoo.zoo.publish.upload import Upload
from medzoo.zoo.registry.locations import CARD, CONFIG, DECODER, TERMS, WEIGHTS

if TYPE_CHECKING:
    from medzoo.zoo.folder.config import FolderConfig

TERMS_LIMIT = 1024 * 1024  # bytes


def prepare(
    config: FolderConfig, repo: str, extra: Mapping[str, bytes] | None = None, *, old: FolderConfig | None = None
) -> Upload:
    """Collect and check the files of an upload.

    Args:
        config: of a verified folder, with facts.
        repo: org/name.
        extra: more files: the licence's text, a notice.
        old: the configuration in the folder, if `config` has another licence.

    Raises:
        PublishError: if a text, metadata or weights have a token, a path on this machine or an identifier of a patient, if
            a text is a link out of the folder, or if the card or the configuration is wrong; with every finding.
        WeightsMismatchError: if the weights do not match the architecture.
        IntegrityError: for NaN or infinity.
    """

    assert config.facts is not None
    # the allow-list
    folder, old = config.path, old or config
    texts = {CONFIG: config_bytes(config, old), CARD: card_for(config, repo, old)}
    texts |= {name: _read_terms(folder, name) for name in TERMS if (folder / name).is_file()}
    texts |= {name: text.encode() for name, text in eval_results(check_rows(config.facts.results)).items()}
    texts |= extra or {}
    # private data, in the texts and in the header of the weights
    findings = [str(row) for name, content in texts.items() for row in scan(_text(content, name), name)]
    decoder = _decoder(config)
    for path in (folder / WEIGHTS, *([decoder] if decoder else [])):
        findings += [str(row) for row in scan(_metadata(path), f"the metadata of {path.name}")]
    if findings:
        raise PublishError(
            f"{folder} has private data that must not be published: {listed(findings, 6)}. Save the model again without it, or "
            "edit the file.",
            code="private-data",
        )
    # the facts, and that the weights load
    _check_texts(config, texts)
    _check_weights(config)
    if decoder is not None and config.facts.decoder is not None:
        refuse_impossible(read_decoder(folder, config.facts.decoder), f"The decoder of {config.name}", IntegrityError)
    digest = store.verified_sha256(folder / WEIGHTS)
    return Upload(repo, folder / WEIGHTS, digest, texts, _left_out(folder, texts, decoder), decoder)


def _decoder(config: FolderConfig) -> Path | None:
    """The file of the trained decoder that a configuration names, with the right sha256; None if it names none."""
    if config.facts is None or config.facts.decoder is None:
        return None
    path = _inside(config.path, DECODER) if (config.path / DECODER).exists() else config.path / DECODER
    check_decoder(config.path, config.facts.decoder)
    return path


def _left_out(folder: Path, texts: Mapping[str, bytes], decoder: Path | None) -> tuple[str, ...]:
    """The files of a folder that are not uploaded."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return tuple(sorted(names - {WEIGHTS, *texts, *([decoder.name] if decoder else [])}))


def copied(config: FolderConfig, old: FolderConfig, repo: str) -> Upload:
    """The files of a copy into a directory hub. The directory belongs to the user, so nothing is checked.

    Args:
        config: of a verified folder, with facts.
        old: the configuration in the folder.
        repo: org/name.
    """
    assert config.facts is not None
    folder = config.path
    texts = {CONFIG: config_bytes(config, old), CARD: card_for(config, repo, old)}
    texts |= {name: (folder / name).read_bytes() for name in TERMS if (folder / name).is_file()}
    decoder = _decoder(config)
    return Upload(repo, folder / WEIGHTS, config.facts.sha256, texts, _left_out(folder, texts, decoder), decoder)


def card_for(config: FolderConfig, repo: str, old: FolderConfig) -> bytes:
    """The card with the repository's address. A card that the user edited is kept, except for a new licence.

    Args:
        config: of the folder, with facts.
        repo: org/name.
        old: the configuration in the folder.

    Raises:
        PublishError: if it is not UTF-8 text, or a link out of the folder; or if the user edited the lines of the licence.
    """

    path = config.path / CARD
    written = _text(_inside(config.path, CARD).read_bytes(), str(path)) if path.is_file() else ""
    edited = written not in ("", render(old))
    return (relicensed_card(written, config, old) if edited else render(config, repo=repo)).encode()


def _check_texts(config: FolderConfig, texts: Mapping[str, bytes]) -> None:
    assert config.facts is not None
    folder, card = config.path, _text(texts[CARD], CARD)
    if wrong := problems(card, ours=False):
        raise PublishError(f"{folder / CARD} cannot be published: {listed(wrong, 6)}", code="card-invalid")
    card_license, license_id = stated_license(card), config.facts.license.id.lower()
    if card_license != license_id:
        raise PublishError(
            f"{folder / CARD} has the licence {card_license}, but {CONFIG} has {license_id}. Correct the card, or save the model "
            "again with the right licence.",
            code="card-license-differs",
        )
    if unknown := sorted(set(json.loads(texts[CONFIG])) - KEYS):
        raise PublishError(
            f"{folder / CONFIG} has keys that medzoo does not write: {listed(unknown, 6)}. Other tools may act on them. Remove "
            "them.",
            code="config-unknown-keys",
        )


def _check_weights(config: FolderConfig) -> None:
    """Refuse weights that do not load, even if their hash is right."""

    arguments = config.model_kwargs()
    need = shapes(build.twin(config.architecture, config.pretrained_cfg, arguments).state_dict().items())
    state = read_weights(config.weights)
    compare_names(shapes(state.items()), need, config.name, config.architecture)
    refuse_impossible(state, f"The weights of {config.name}", IntegrityError)


def _read_terms(folder: Path, name: str) -> bytes:
    path = _inside(folder, name)
    if (size := path.stat().st_size) > TERMS_LIMIT:
        raise PublishError(
            f"{path} has {size:,} bytes; a licence or notice may have at most {TERMS_LIMIT:,}.",
            code="license-file-too-large",
        )
    return path.read_bytes()


def _inside(folder: Path, name: str) -> Path:
    """A file of the folder. It may be a link only into the blobs of huggingface_hub's cache."""
    path, real_folder = folder / name, folder.resolve()
    blobs = real_folder.parent.parent / "blobs"
    if not any(path.resolve().is_relative_to(allowed) for allowed in (real_folder, blobs)):
        raise PublishError(
            f"{path} is a link to a file outside the folder. Replace the link with the text itself.",
            code="link-out-of-folder",
        )
    return path


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise PublishError(f"{name} is not UTF-8 text.", code="not-utf8") from error


def _metadata(path: Path) -> str:
    """The free text in a safetensors header: its metadata and the tensor names."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        rows = json.loads(file.read(length))
    return "\n".join(f"{key}: {value}" for key, value in rows.get("__metadata__", {}).items()) + "\n" + "\n".join(rows)
