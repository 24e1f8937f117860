"""The zoo checks of `medzoo doctor`: source of the weights, registry, usable checkpoints, and leftovers."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from medzoo import locks as claims
from medzoo import paths, store
from medzoo.errors import MedzooError, listed
from medzoo.zoo.doctor.report import DoctorRow, counted, in_bytes, in_shell
from medzoo.zoo.download.huggingface import is_offline_by_environment
from medzoo.zoo.download.resolved_revisions import repo_and_hub
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.license_acceptance import is_accepted
from medzoo.zoo.registry.locations import ORGANISATION, availability, hub_address, is_folder

FETCH_TO = "medzoo fetch NAME --to DIR"
HOW = "On a machine with a network, fetch into a folder; copy it to this machine and set MEDZOO_HUB to it."
RUNNING = 180.0  # seconds: a .part file that changed since then is still being fetched (zoo/download pauses up to 120)


def sources(*, offline: bool, seconds: float) -> Iterator[DoctorRow]:
    """The directory hub, or the Hub and the token for it.

    Args:
        offline: make no connection.
        seconds: for the Hub to answer.
    """
    directory = paths.directory_hub()
    if directory is not None:
        names = sorted(_directory_repositories(directory))
        variable = f"MEDZOO_HUB={in_shell(directory)}"
        if not directory.is_dir():
            detail = f"{variable} is not a folder. Set it to a folder, or unset it."
            yield DoctorRow("weights from", "FAIL", detail, "unset MEDZOO_HUB")
        elif not names:
            detail = f"{variable} has no checkpoint, and no other source is used. Fill it on a machine with a network."
            yield DoctorRow("weights from", "WARN", detail, f"medzoo fetch NAME --to {in_shell(directory)}")
        else:
            detail = f"Only {variable}. It has {counted(len(names), 'checkpoint')}: {listed(names, 8)}."
            yield DoctorRow("weights from", "PASS", detail, names=tuple(names))
    elif offline:
        why = "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set" if is_offline_by_environment() else "--offline"
        yield DoctorRow("weights from", "PASS", f"Only this machine: {why}, so no connection is made.")
    else:
        yield from _hub(seconds)


def _hub(seconds: float) -> Iterator[DoctorRow]:
    from huggingface_hub import constants

    facts: dict[str, Any] = {}
    name = "The Hub" if constants.ENDPOINT == "https://huggingface.co" else "The Hub of HF_ENDPOINT"
    start = time.monotonic()
    # a daemon thread, because a name look-up has no timeout
    thread = threading.Thread(target=_query, args=(constants.ENDPOINT, seconds, facts), daemon=True)
    thread.start()
    thread.join(seconds)
    facts = dict(facts)  # later facts are ignored
    took = time.monotonic() - start
    # the connection, then the token
    if facts.get("answered"):
        yield DoctorRow("weights from", "PASS", f"{name} answers, in {took:.1f} s.")
    else:
        why, fix = facts.get("why", _reason(TimeoutError(), seconds))
        through = " through your proxy" if urllib.request.getproxies().get("https") else ""
        detail = f"{name} cannot be reached{through}: {why}"
        yield DoctorRow("weights from", "WARN", detail, fix)
    if facts.get("code") == 401 and facts["token"]:
        detail = "The Hub refuses your token; with it, public files are refused too."
        yield DoctorRow("token", "WARN", detail, "hf auth login")
    elif facts.get("token"):
        role = f" ({facts['role']})" if facts.get("role") else ""
        detail = f"The Hub accepts it{role}." if facts.get("code") == 200 else "You have one; it could not be tested."
        yield DoctorRow("token", "PASS", detail)
    elif "token" in facts:
        yield DoctorRow("token", "PASS", "None. Only private and gated repositories need one (`hf auth login`).")


def _query(endpoint: str, seconds: float, facts: dict[str, Any]) -> None:
    """Send a whoami request, which needs no repository and tests the token. Each fact is stored as soon as it is known."""
    from huggingface_hub import get_token

    try:
        token = get_token()
        facts["token"] = bool(token)
        request = urllib.request.Request(f"{endpoint}/api/whoami-v2", headers={"User-Agent": "medzoo"})
        if token:  # it is not sent along a redirect
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        try:
            answer = urllib.request.urlopen(request, timeout=seconds)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            if answer.headers.get_content_type() == "text/html" or answer.status in (403, 407) or answer.status >= 500:
                detail = f"the answer is not from the Hub, or is an error (status {answer.status}). {HOW}"
                facts["why"] = (detail, FETCH_TO)
                return
            facts["code"] = answer.status
            if token and answer.status == 200:
                facts["role"] = json.load(answer).get("auth", {}).get("accessToken", {}).get("role")
        facts["answered"] = True
    except Exception as error:
        facts["why"] = _reason(error.reason if isinstance(error, urllib.error.URLError) else error, seconds)


def _reason(error: object, seconds: float) -> tuple[str, str]:
    """Why the Hub cannot be reached, and the command that helps."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = "its certificate is not trusted here. If a proxy of your institution decrypts TLS, give its certificate."
        return text, "export SSL_CERT_FILE=/path/to/ca.pem"
    # the text of other errors may contain the header with the token
    text = f"{type(error).__name__}: {error}" if isinstance(error, OSError) else type(error).__name__
    if isinstance(error, TimeoutError):
        text = f"no answer within {seconds:g} s"
    elif isinstance(error, socket.gaierror):
        text = "its name is not known here"
    elif isinstance(error, ConnectionRefusedError):
        text = "the connection is refused"
    return f"{text}. {HOW}", FETCH_TO


def _entries() -> tuple[list[Checkpoint], list[tuple[Path, str]]]:
    """The readable entries (a shipped one before the user's own of the same name), and the broken files with their problems."""
    readable: dict[str, Checkpoint] = {}
    broken = []
    for folder in (registry.config_dir(), registry.own_dir()):
        for path in sorted(folder.glob("[!.]*.toml")):
            try:
                readable.setdefault(path.stem, registry.read_checkpoint(path))
            except (MedzooError, OSError) as error:
                broken.append((path, str(error).removeprefix(str(path))))
    return list(readable.values()), broken


def entries() -> Iterator[DoctorRow]:
    """Every registry file: those that ship with medzoo and the user's own."""
    readable, broken = _entries()
    own_dir = registry.own_dir()
    for path, problem in broken:
        if path.parent == own_dir:
            detail = f"{in_shell(path)}{problem.rstrip('.')}. Fix it, or rename it."
            fix = f"mv {in_shell(path)} {in_shell(path.with_suffix('.broken'))}"
        else:
            detail, fix = f"{path.name}{problem.rstrip('.')}.", "pip install --force-reinstall --no-deps medzoo"
        yield DoctorRow("registry", "FAIL", detail, fix)
    if not broken:
        count = sum((own_dir / f"{entry.name}.toml").is_file() for entry in readable)
        own = f", {count} of them your own" if count else ""
        yield DoctorRow("registry", "PASS", f"{counted(len(readable), 'entry', 'entries')}, all readable{own}.")


def checkpoints(*, offline: bool) -> Iterator[DoctorRow]:
    """The checkpoints that can be used now, and what the others need.

    Args:
        offline: nothing can be fetched.
    """
    # sort the registry by how its weights are obtained
    ways: dict[str, list[Checkpoint]] = {"drawn": [], "here": [], "download": [], "by hand": [], "recipe": []}
    for entry in _entries()[0]:
        ways[availability(entry)].append(entry)
    refused = [entry for entry in ways["here"] if not is_accepted(entry.name, entry.license)]
    files = [entry for entry in ways["here"] if entry not in refused]
    no_network = offline or paths.directory_hub() is not None
    repositories = _repositories()
    # what load() can use without a network or an acceptance
    usable = f"{len(ways['drawn'])} with random weights: {_some(ways['drawn'], 8)}"
    if files:
        usable = f"{len(files)} with pre-trained weights: {_some(files, 40)}; {usable}"
    if repositories:
        usable = f"{counted(len(repositories), 'repository', 'repositories')}: {listed(repositories, 8)}; {usable}"
    elif not files:
        usable = f"Only {usable}"
    names = (*_names(files + ways["drawn"]), *repositories)
    if offline and not files and not repositories and paths.directory_hub() is None:
        yield DoctorRow("usable now", "WARN", f"{usable}. {HOW}", FETCH_TO, names)
    else:
        yield DoctorRow("usable now", "PASS", f"{usable}.", names=names)
    # what the others need
    if refused:
        detail = f"{_some(refused, 10)}: on this machine, but you must read and accept the terms (`medzoo info NAME`)."
        accept = f"export MEDZOO_ACCEPT_LICENSE={','.join(_names(refused))}"
        yield DoctorRow("licences", "WARN", detail, accept, _names(refused))
    not_accepted = sum(not is_accepted(entry.name, entry.license) for entry in ways["download"])
    terms = f" {not_accepted} of them need you to accept their terms (--accept-license)." if not_accepted else ""
    for way, check, how in (
        ("download", "by download", "only with a network" if no_network else "fetched when they are first loaded"),
        ("by hand", "by hand", "`medzoo info NAME` shows where to download the file"),
        ("recipe", "by recipe", "not published; `medzoo info NAME` shows the command that trains them"),
    ):
        if listing := ways[way]:
            detail = f"{len(listing)}; {how}: {_some(listing)}.{terms if way == 'download' else ''}"
            yield DoctorRow(check, "PASS", detail, names=_names(listing))


def _repositories() -> list[str]:
    """Repositories that can be loaded without a network, except those of named checkpoints."""
    directory, home = paths.directory_hub(), paths.home()
    if directory is None:
        folders = {path.parent for path in (home / "snapshots").glob("*/*") if is_folder(path)}
        names = {repo for repo, hub in map(repo_and_hub, folders) if hub in ("", hub_address())}
    else:
        names = _directory_repositories(directory)
    return sorted(name for name in names if not name.startswith(f"{ORGANISATION}/"))


def _directory_repositories(directory: Path) -> set[str]:
    """The repositories (org/name) with a checkpoint in a directory hub."""
    parts = (parts for parts in _walk(directory, 2) if len(parts) == 2)
    return {"/".join(two) for two in parts if is_folder(directory.joinpath(*two))}


def _names(entries: list[Checkpoint]) -> tuple[str, ...]:
    return tuple(entry.name for entry in entries)


def _some(entries: list[Checkpoint], limit: int = 2) -> str:
    return listed(_names(entries), limit)


def leftovers() -> Iterator[DoctorRow]:
    """Leftovers of ended processes in the home: broken downloads, stale locks, temporary files older than a day."""
    home, now = paths.home(), time.time()
    contents = [(home.joinpath(*parts), parts[0]) for parts in _walk(home, 4)]
    parts = [
        path for path, top in contents if (top, path.suffix) == ("upstream", ".part") and now - _mtime(path) > RUNNING
    ]
    locks = [path for path, top in contents if (top, path.suffix) == ("checkpoints", ".lock") and not _is_live(path)]
    temporary = [path for path, _ in contents if path.name.startswith(store.TEMPORARY)]
    orphans = [path for path in temporary if now - _mtime(path) > store.ORPHAN_SECONDS]
    # one row for each kind, with the command that removes them
    if parts:
        names = sorted({path.parent.name for path in parts})
        size = in_bytes(sum(map(_size, parts)))
        detail = (
            f"{counted(len(parts), 'download')} not finished, {size} so far; a new fetch continues: {listed(names)}."
        )
        yield DoctorRow("downloads", "WARN", detail, f"medzoo fetch {' '.join(names)}")
    if locks:
        detail = f"{counted(len(locks), 'lock')} of ended processes; the next fetch removes them."
        yield DoctorRow("locks", "WARN", detail, f"rm {' '.join(map(in_shell, locks))}")
    if orphans:
        size = in_bytes(sum(map(_size, orphans)))
        what = counted(len(orphans), "temporary file", "temporary files or folders")
        detail = f"{what} of killed processes, older than a day, {size}."
        yield DoctorRow("left over", "WARN", detail, "medzoo cache prune")
    if not (parts or locks or orphans):
        yield DoctorRow("left over", "PASS", "No unfinished downloads, stale locks or old temporary files.")


def _walk(folder: Path, depth: int) -> Iterator[tuple[str, ...]]:
    """The parts of every path in a folder, down to a depth. Files that other processes remove meanwhile are skipped."""
    for base, folders, files in os.walk(folder):
        above = Path(base).relative_to(folder).parts
        yield from ((*above, name) for name in (*folders, *files))
        folders[:] = [] if len(above) + 1 >= depth else [n for n in folders if not n.startswith(store.TEMPORARY)]


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # removed in the meantime
        return float("inf")


def _is_live(lock: Path) -> bool:
    try:
        return claims.is_live(lock, lock.read_text().strip())
    except OSError:
        return True  # removed in the meantime, or not readable for this user


def _size(path: Path) -> int:
    files = [path.joinpath(*parts) for parts in _walk(path, 9)] if path.is_dir() else [path]
    size = 0
    for file in files:
        with suppress(OSError):
            size += file.stat().st_size if file.is_file() else 0
    return size
