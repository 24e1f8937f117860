"""What goes up to the Hub: an allow-list of files, looked through for what must not leave, in one guarded commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import store
from medzoo.errors import PublishError, listed
from medzoo.zoo.card_checks import problems
from medzoo.zoo.places import CARD, CONFIG, WEIGHTS
from medzoo.zoo.scan import scan

if TYPE_CHECKING:
    from medzoo.zoo.config import FolderConfig

TERMS = ("LICENSE", "NOTICE")  # what a licence may ask to stand beside the weights
COMMITTED_MEANWHILE = 412


@dataclass(frozen=True)
class Upload:
    """The files of one commit.

    Args:
        repo: org/name.
        weights: the weights file, on this machine.
        sha256: of the weights.
        texts: all other files, by their path in the repository.
        left_out: what lies in the folder and stays here.
    """

    repo: str
    weights: Path
    sha256: str
    texts: Mapping[str, bytes]
    left_out: tuple[str, ...] = ()

    def describe(self) -> str:
        """The files with size and sha256, what stays here, and the card, for a dry run."""
        rows = [(WEIGHTS, self.weights.stat().st_size, self.sha256)]
        rows += [(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in self.texts.items()]
        width = max(len(name) for name, _, _ in rows)
        lines = [f"{name:<{width}}  {size:>13,} bytes  sha256 {digest}" for name, size, digest in rows]
        lines += [f"stays here: {listed(self.left_out, 8)}"] if self.left_out else []
        return "\n".join([f"to {self.repo}:", *lines, "", self.texts[CARD].decode()])


@dataclass(frozen=True)
class Pushed:
    """What came of a push.

    Args:
        address: of the commit, or of the pull request.
        commit: its 40 hexadecimal digits.
        unchanged: whether the repository held exactly these files before, so that nothing was committed.
    """

    address: str
    commit: str
    unchanged: bool = False


def prepare(folder: Path, config: FolderConfig, repo: str, extra: Mapping[str, bytes] | None = None) -> Upload:
    """Collect and judge what would go up.

    Args:
        folder: verified.
        config: its configuration, with facts.
        repo: org/name.
        extra: more files: the licence's text, a notice.

    Raises:
        PublishError: if card, metadata or weights hold a token, a place of this machine or an identifier of a patient, or if
            the card is wrong; with every finding.
    """
    from medzoo.zoo.card_rows import check_rows, eval_results

    assert config.facts is not None
    texts = {CONFIG: (folder / CONFIG).read_bytes(), CARD: card_for(config, folder, repo)}
    texts |= {name: (folder / name).read_bytes() for name in TERMS if (folder / name).is_file()}
    texts |= {name: text.encode() for name, text in eval_results(check_rows(config.facts.results)).items()}
    texts |= extra or {}
    found = [
        str(row) for name, content in texts.items() if name != "LICENSE" for row in scan(_text(content, name), name)
    ]
    found += [str(row) for row in scan(_metadata(folder / WEIGHTS), f"the metadata of {WEIGHTS}")]
    if found:
        raise PublishError(
            f"{folder} holds what should not leave this machine: {listed(found, 6)}. Save the model again without it, or edit "
            "the card."
        )
    if wrong := problems(_text(texts[CARD], CARD), ours=False):
        raise PublishError(f"{folder / CARD} is no card that the Hub should get: {listed(wrong, 6)}")
    here = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return Upload(
        repo, folder / WEIGHTS, store.verified_sha256(folder / WEIGHTS), texts, tuple(sorted(here - {WEIGHTS, *texts}))
    )


def card_for(config: FolderConfig, folder: Path, repo: str) -> bytes:
    """The card with the repository's address, unless a person edited it."""
    from medzoo.zoo.cards import render

    path = folder / CARD
    written = path.read_text(encoding="utf-8") if path.is_file() else ""
    return (render(config, repo=repo) if written in ("", render(config)) else written).encode()


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


def commit(
    upload: Upload, message: str, *, private: bool, revision: str | None, create_pr: bool, token: str | bool | None
) -> Pushed:
    """Put the files up in one commit that follows the one we saw, or do nothing if they are there already.

    Args:
        upload: what goes up.
        message: of the commit.
        private: of a repository that is created.
        revision: branch; by default main.
        create_pr: open a pull request instead.
        token: of the Hub.

    Raises:
        PublishError: if the Hub refuses, or somebody committed meanwhile.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(token=token, library_name="medzoo")
    try:
        api.create_repo(upload.repo, private=private, exist_ok=True)
        if revision is not None and not revision.startswith("refs/"):
            api.create_branch(upload.repo, branch=revision, exist_ok=True)
        head = api.repo_info(upload.repo, revision=revision, files_metadata=True)
        changed = _changed(upload, head)
        if not changed and head.sha:
            return Pushed(f"{api.endpoint}/{upload.repo}/commit/{head.sha}", head.sha, unchanged=True)
        with ExitStack() as opened:
            # An open file goes up by LFS in the one commit; a path would go through Xet, whose uploads come in parts.
            weights: Any = opened.enter_context(upload.weights.open("rb"))
            content: dict[str, Any] = {WEIGHTS: weights, **upload.texts}
            operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content[name]) for name in changed]
            done = api.create_commit(
                upload.repo,
                operations,
                commit_message=message,
                revision=revision,
                create_pr=create_pr,
                parent_commit=head.sha,
            )
    except (
        Exception
    ) as error:  # the client's, the system's, and httpx's own, by whichever name the installed version has
        if getattr(getattr(error, "response", None), "status_code", None) == COMMITTED_MEANWHILE:
            raise PublishError(
                f"Somebody else committed to {upload.repo} meanwhile. Nothing was written; look at it and push again."
            ) from error
        what = str(error).strip() or type(error).__name__
        raise PublishError(
            f"The Hub did not take {upload.repo}: {what} (log in with `hf auth login`, or pass token=). Push again: what is "
            "there already is not sent twice."
        ) from error
    return Pushed(str(done.pr_url if create_pr else done.commit_url), str(done.oid))


def _changed(upload: Upload, head: Any) -> list[str]:  # noqa: ANN401 - ModelInfo
    """The files that the repository does not hold already: by sha256 (LFS) or by git's own hash."""
    there = {
        file.rfilename: file.lfs["sha256"]
        if isinstance(file.lfs, dict)
        else file.lfs.sha256
        if file.lfs
        else file.blob_id
        for file in head.siblings or ()
    }
    changed = [] if there.get(WEIGHTS) == upload.sha256 else [WEIGHTS]
    for name, content in upload.texts.items():
        same = (_git_hash(content), hashlib.sha256(content).hexdigest())
        changed += [] if there.get(name) in same else [name]
    return changed


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
