"""Check that other users can get the task and the checkpoint of a result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from medzoo.bench.results.known_task import known_task
from medzoo.data.task_registry import task_info
from medzoo.errors import MedzooError, UnknownNameError, UsageError
from medzoo.zoo.registry.hub_names import REPO
from medzoo.zoo.registry.locations import CONFIG
from medzoo.zoo.registry.registry import HEX40, info, is_known

CONFIG_LIMIT = 4 * 1024 * 1024  # bytes


def check_task(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The problems of a result's task, as pairs of check and message."""
    name, version = result["identity"]["task"]["id"], result["identity"]["task"]["version"]
    facts = known_task(result)
    if ":" in name:
        yield "task", f"{name} is private data; other users cannot run this task."
    elif facts is None:
        try:
            task_info(name)
        except UnknownNameError as error:
            yield "task", str(error)
        except UsageError as error:
            yield "task", f"{name}: {error}"
    else:
        if version != facts.version:
            yield (
                "task",
                f"{name} has version {facts.version} here, but the result has version {version}. Run it again.",
            )
        if result["metric"] != facts.metric:
            yield "task", f"The metric of {name} is {facts.metric}, but the result has {result['metric']}."


def check_checkpoint(result: Mapping[str, Any], token: str | bool | None = None) -> Iterator[tuple[str, str]]:
    """The problems of a result's checkpoint, as pairs of check and message.

    A registered name needs no network. For a repository on the Hub, config.json at the pinned commit is read as data.

    Args:
        result: a valid result.
        token: of the Hub.
    """
    checkpoint = result["identity"]["checkpoint"]
    name, weights = checkpoint["id"], checkpoint["weights_sha256"]
    reported = result["provenance"]["origin"] == "reported"
    if is_known(name):
        yield from _registered(checkpoint, reported)
        return
    if unknown := list(check_address(result)):
        yield from unknown
        return
    repo, revision = _address(checkpoint)
    if weights is None and not reported:
        yield "checkpoint", f"{name} has no weights_sha256."
    else:
        yield from _on_the_hub(repo, revision, weights, token)


def check_address(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The problems of a checkpoint's name that keep other users from loading it; the Hub is not contacted."""
    checkpoint = result["identity"]["checkpoint"]
    name = checkpoint["id"]
    if is_known(name):
        return
    repo, revision = _address(checkpoint)
    if not REPO.fullmatch(repo):
        yield (
            "checkpoint",
            f"{name} is neither a registered name (`medzoo list`) nor a repository on the Hub. Push it (`medzoo push`) and run it "
            "as hf-hub:org/name@COMMIT.",
        )
    elif not HEX40.fullmatch(revision):
        yield "checkpoint", f"{name} has no commit of {repo}. Give 40 hexadecimal digits after @ or in `revision`."


def _address(checkpoint: Mapping[str, Any]) -> tuple[str, str]:
    """Repository and commit."""
    repo, _, tail = checkpoint["id"].removeprefix("hf-hub:").partition("@")
    return checkpoint.get("repo") or repo, tail or checkpoint.get("revision") or ""


def _registered(checkpoint: Mapping[str, Any], reported: bool) -> Iterator[tuple[str, str]]:
    name, weights = checkpoint["id"], checkpoint["weights_sha256"]
    entry = info(name)
    if entry.random:
        if weights is not None or checkpoint["init"] != "random":
            yield "checkpoint", f"{name} has random weights: weights_sha256 must be null and init must be 'random'."
        return
    if entry.pretraining is None or not entry.pretraining.data:
        yield "sources", f"The registry does not list the training data of {name} ([pretraining] data)."
    if checkpoint["arch"] != entry.architecture:
        yield (
            "checkpoint",
            f"The architecture of {name} is {entry.architecture}, but the result has {checkpoint['arch']}.",
        )
    if reported:
        return
    if weights is None:
        yield "checkpoint", f"{name} has weights, but the result has no weights_sha256."
    elif entry.hub is not None and entry.hub.sha256 != weights:
        yield (
            "checkpoint",
            f"The weights of {name} have the sha256 {entry.hub.sha256[:16]}…, but the result has {weights[:16]}….",
        )


def _on_the_hub(repo: str, revision: str, weights: str | None, token: str | bool | None) -> Iterator[tuple[str, str]]:
    from medzoo.zoo.download.huggingface import hub_file

    try:
        path, _ = hub_file(repo, CONFIG, revision, token=token, offline=False, cache_dir=None)
        if path.stat().st_size > CONFIG_LIMIT:
            raise ValueError(f"it has more than {CONFIG_LIMIT:,} bytes")
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (MedzooError, OSError, ValueError, RecursionError) as error:
        yield "checkpoint", f"{CONFIG} of {repo} at {revision} could not be read: {str(error)[:300]}"
        return
    facts = rows.get("medzoo") if isinstance(rows, dict) else None
    facts = facts if isinstance(facts, dict) else {}
    if weights is not None and facts.get("sha256") != weights:
        yield (
            "checkpoint",
            f"{repo} at {revision} has the sha256 {facts.get('sha256')!r:.20}, but the result has {weights[:16]}….",
        )
    steps = facts.get("lineage")
    if not isinstance(steps, list) or not steps or not all(isinstance(row, dict) and row.get("data") for row in steps):
        yield (
            "sources",
            f"{CONFIG} of {repo} does not list its training data (`lineage`; `medzoo save` writes it).",
        )
