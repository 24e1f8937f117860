"""The zoo as `medzoo doctor` sees it: where weights come from, the registry, what can be used now, and what was left over."""

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

BY_STICK = "medzoo fetch NAME --to DIR"
HOW = "Fill a folder where there is a network, bring it here, and set MEDZOO_HUB to it."
RUNNING = 180.0  # seconds: a .part file that changed since is being fetched (zoo/download.py pauses up to 120)


def sources(*, offline: bool, seconds: float) -> Iterator[DoctorRow]:
    """The directory hub, or the Hub and the token for it.

    Args:
        offline: connect to nothing.
        seconds: for the Hub to answer.
    """
    directory = paths.directory_hub()
    if directory is not None:
        two = (parts for parts in _below(directory, 2) if len(parts) == 2)
        here = sorted("/".join(parts) for parts in two if is_folder(directory.joinpath(*parts)))
        shown = f"MEDZOO_HUB={in_shell(directory)}"
        if not directory.is_dir():
            yield DoctorRow("weights from", "FAIL", f"{shown} is no folder; name one, or none.", "unset MEDZOO_HUB")
        elif not here:
            detail = f"{shown} holds no checkpoint, and nothing else is asked. Fill it where there is a network."
            yield DoctorRow("weights from", "WARN", detail, f"medzoo fetch NAME --to {in_shell(directory)}")
        else:
            detail = f"{shown} and nothing else. It holds {counted(len(here), 'checkpoint')}: {listed(here, 8)}."
            yield DoctorRow("weights from", "PASS", detail, names=tuple(here))
    elif offline:
        why = "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set" if is_offline_by_environment() else "--offline"
        yield DoctorRow("weights from", "PASS", f"This machine only: {why}, so no connection is made.")
    else:
        yield from _hub(seconds)


def _hub(seconds: float) -> Iterator[DoctorRow]:
    from huggingface_hub import constants

    facts: dict[str, Any] = {}
    name = "The Hub" if constants.ENDPOINT == "https://huggingface.co" else "The Hub that HF_ENDPOINT names"
    began = time.monotonic()
    # a thread, because no timeout ends the look-up of a name; it ends with the program
    thread = threading.Thread(target=_ask, args=(constants.ENDPOINT, seconds, facts), daemon=True)
    thread.start()
    thread.join(seconds)
    facts = dict(facts)  # what comes later came too late
    took = time.monotonic() - began
    if facts.get("answered"):
        yield DoctorRow("weights from", "PASS", f"{name} answers, in {took:.1f} s.")
    else:
        why, fix = facts.get("why", _why(TimeoutError(), seconds))
        through = " through your proxy" if urllib.request.getproxies().get("https") else ""
        detail = f"{name} cannot be reached{through}: {why}"
        yield DoctorRow("weights from", "WARN", detail, fix)
    if facts.get("code") == 401 and facts["token"]:
        yield DoctorRow("token", "WARN", "The Hub refuses your token, and with it public files too.", "hf auth login")
    elif facts.get("token"):
        role = f" ({facts['role']})" if facts.get("role") else ""
        said = f"The Hub accepts it{role}." if facts.get("code") == 200 else "There is one; it could not be tried."
        yield DoctorRow("token", "PASS", said)
    elif "token" in facts:
        yield DoctorRow("token", "PASS", "None; only private and gated repositories need one (`hf auth login`).")


def _ask(endpoint: str, seconds: float, facts: dict[str, Any]) -> None:
    """Ask who we are: needs no repository, and tries the token. Facts are written as they come."""
    from huggingface_hub import get_token

    try:
        token = get_token()
        facts["token"] = bool(token)
        request = urllib.request.Request(f"{endpoint}/api/whoami-v2", headers={"User-Agent": "medzoo"})
        if token:  # not to where a redirect leads
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        try:
            answer = urllib.request.urlopen(request, timeout=seconds)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            if answer.headers.get_content_type() == "text/html" or answer.status in (403, 407) or answer.status >= 500:
                facts["why"] = (f"what answers is not the Hub, or not well (status {answer.status}). {HOW}", BY_STICK)
                return
            facts["code"] = answer.status
            if token and answer.status == 200:
                facts["role"] = json.load(answer).get("auth", {}).get("accessToken", {}).get("role")
        facts["answered"] = True
    except Exception as error:
        facts["why"] = _why(error.reason if isinstance(error, urllib.error.URLError) else error, seconds)


def _why(reason: object, seconds: float) -> tuple[str, str]:
    if isinstance(reason, ssl.SSLCertVerificationError):
        said = "its certificate is not trusted here. If a proxy of your site opens TLS, name the site's certificate."
        return said, "export SSL_CERT_FILE=/path/to/ca.pem"
    # other errors than the system's may quote the header that holds the token
    said = f"{type(reason).__name__}: {reason}" if isinstance(reason, OSError) else type(reason).__name__
    if isinstance(reason, TimeoutError):
        said = f"no answer within {seconds:g} s"
    elif isinstance(reason, socket.gaierror):
        said = "its name is not known here"
    elif isinstance(reason, ConnectionRefusedError):
        said = "the connection is refused"
    return f"{said}. {HOW}", BY_STICK


def _entries() -> tuple[list[Checkpoint], list[tuple[Path, str]]]:
    """The readable entries, a shipped one before one's own of the same name; the broken files and what is wrong."""
    whole: dict[str, Checkpoint] = {}
    broken = []
    for folder in (registry.config_dir(), registry.own_dir()):
        for path in sorted(folder.glob("[!.]*.toml")):
            try:
                whole.setdefault(path.stem, registry.read_checkpoint(path))
            except (MedzooError, OSError) as error:
                broken.append((path, str(error).removeprefix(str(path))))
    return list(whole.values()), broken


def entries() -> Iterator[DoctorRow]:
    """Every file of facts, the shipped ones and one's own."""
    whole, broken = _entries()
    mine = registry.own_dir()
    for path, problem in broken:
        own = path.parent == mine
        aside = f"mv {in_shell(path)} {in_shell(path.with_suffix('.broken'))}"
        fix = aside if own else "pip install --force-reinstall --no-deps medzoo"
        detail = (
            f"{in_shell(path) if own else path.name}{problem.rstrip('.')}.{' Mend it, or set it aside.' if own else ''}"
        )
        yield DoctorRow("registry", "FAIL", detail, fix)
    if not broken:
        count = sum((mine / f"{entry.name}.toml").is_file() for entry in whole)
        said = f", {count} of them your own" if count else ""
        yield DoctorRow("registry", "PASS", f"{counted(len(whole), 'entry', 'entries')}, all readable{said}.")


def checkpoints(*, offline: bool) -> Iterator[DoctorRow]:
    """Which checkpoints can be used now, and what the others need.

    Args:
        offline: nothing is fetched.
    """
    ways: dict[str, list[Checkpoint]] = {"drawn": [], "here": [], "download": [], "by hand": [], "recipe": []}
    for entry in _entries()[0]:
        ways[availability(entry)].append(entry)
    refused = [entry for entry in ways["here"] if not is_accepted(entry.name, entry.license)]
    files = [entry for entry in ways["here"] if entry not in refused]
    alone = offline or paths.directory_hub() is not None
    others = _repositories()
    warned = offline and not files and not others and paths.directory_hub() is None
    drawn = f"{len(ways['drawn'])} with random weights: {_some(ways['drawn'], 8)}"
    now = f"{len(files)} with pre-trained weights: {_some(files, 40)}; {drawn}" if files else drawn
    if others:
        now = f"{counted(len(others), 'repository', 'repositories')}: {listed(others, 8)}; {now}"
    elif not files:
        now = f"Only {now}"
    names = (*_names(files + ways["drawn"]), *others)
    if warned:
        yield DoctorRow("usable now", "WARN", f"{now}. {HOW}", BY_STICK, names)
    else:
        yield DoctorRow("usable now", "PASS", f"{now}.", names=names)
    if refused:
        detail = f"{_some(refused, 10)}: here, but load wants you to read and accept the terms (`medzoo info NAME`)."
        accept = f"export MEDZOO_ACCEPT_LICENSE={','.join(_names(refused))}"
        yield DoctorRow("licences", "WARN", detail, accept, _names(refused))
    asked = sum(not is_accepted(entry.name, entry.license) for entry in ways["download"])
    terms = f" {asked} of them ask you to accept their terms then (--accept-license)." if asked else ""
    for way, check, how in (
        ("download", "by download", "only where there is a network" if alone else "fetched when they are first loaded"),
        ("by hand", "by hand", "`medzoo info NAME` says where a person gets the file"),
        ("recipe", "by recipe", "nobody published them; `medzoo info NAME` shows the command that trains them"),
    ):
        if found := ways[way]:
            detail = f"{len(found)}; {how}: {_some(found)}.{terms if way == 'download' else ''}"
            yield DoctorRow(check, "PASS", detail, names=_names(found))


def _repositories() -> list[str]:
    """Repositories, other than those of named checkpoints, that can be loaded without any network."""
    directory, home = paths.directory_hub(), paths.home()
    if directory is None:
        places = {path.parent for path in (home / "snapshots").glob("*/*") if is_folder(path)}
        found = {repo for repo, hub in map(repo_and_hub, places) if hub in ("", hub_address())}
    else:
        two = (parts for parts in _below(directory, 2) if len(parts) == 2)
        found = {"/".join(parts) for parts in two if is_folder(directory.joinpath(*parts))}
    return sorted(name for name in found if not name.startswith(f"{ORGANISATION}/"))


def _names(entries: list[Checkpoint]) -> tuple[str, ...]:
    return tuple(entry.name for entry in entries)


def _some(entries: list[Checkpoint], limit: int = 2) -> str:
    return listed(_names(entries), limit)


def leftovers() -> Iterator[DoctorRow]:
    """What ended processes left in the home: broken downloads, stale locks, temporary files older than a day."""
    home, now = paths.home(), time.time()
    found = [(home.joinpath(*parts), parts[0]) for parts in _below(home, 4)]
    parts = [
        path for path, top in found if (top, path.suffix) == ("upstream", ".part") and now - _changed(path) > RUNNING
    ]
    locks = [path for path, top in found if (top, path.suffix) == ("checkpoints", ".lock") and not _live(path)]
    orphans = [
        path
        for path, _ in found
        if path.name.startswith(store.TEMPORARY) and now - _changed(path) > store.ORPHAN_SECONDS
    ]
    if parts:
        names = sorted({path.parent.name for path in parts})
        kept = in_bytes(sum(map(_size, parts)))
        detail = f"{counted(len(parts), 'download')} broke off, {kept} are kept and gone on from: {listed(names)}."
        yield DoctorRow("downloads", "WARN", detail, f"medzoo fetch {' '.join(names)}")
    if locks:
        detail = f"{counted(len(locks), 'lock')} of processes that have ended; the next fetch takes them over."
        yield DoctorRow("locks", "WARN", detail, f"rm {' '.join(map(in_shell, locks))}")
    if orphans:
        size = in_bytes(sum(map(_size, orphans)))
        what = counted(len(orphans), "temporary file", "temporary files or folders")
        detail = f"{what} of processes that were killed, older than a day, {size}."
        yield DoctorRow("left over", "WARN", detail, "medzoo cache prune")
    if not (parts or locks or orphans):
        yield DoctorRow("left over", "PASS", "Nothing: no broken downloads, stale locks or old temporary files.")


def _below(folder: Path, depth: int) -> Iterator[tuple[str, ...]]:
    """The parts of every path below a folder, down to a depth; what other processes remove meanwhile is no error."""
    for base, folders, files in os.walk(folder):
        above = Path(base).relative_to(folder).parts
        yield from ((*above, name) for name in (*folders, *files))
        folders[:] = [] if len(above) + 1 >= depth else [n for n in folders if not n.startswith(store.TEMPORARY)]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # gone since
        return float("inf")


def _live(lock: Path) -> bool:
    try:
        return claims.is_live(lock, lock.read_text().strip())
    except OSError:
        return True  # gone since, or not ours to judge


def _size(path: Path) -> int:
    files = [path.joinpath(*parts) for parts in _below(path, 9)] if path.is_dir() else [path]
    size = 0
    for file in files:
        with suppress(OSError):
            size += file.stat().st_size if file.is_file() else 0
    return size
