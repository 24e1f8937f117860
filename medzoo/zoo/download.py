"""Files from the authors' sites: resumed where they broke off, tried again, whole in the end or not there."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import Any

from medzoo import store
from medzoo.errors import WeightsUnavailableError

CHUNK = 1024 * 1024  # bytes
TRIES, TIMEOUT, PATIENCE = 5, 30.0, 120.0  # times, seconds of silence, longest pause in seconds
AGAIN = (408, 425, 429, 500, 502, 503, 504)


class _RefusedError(Exception):
    """What trying again does not mend."""


def download(url: str, path: Path) -> None:
    """Download a file, with a bar on a terminal.

    What came before a failure stays in `<path>.part`; the next try, also of another day, goes on behind it if the site
    says by its validator (ETag or date) that the file is still the same one.

    Args:
        url: its address.
        path: where it goes.

    Raises:
        WeightsUnavailableError: after several tries; or at once if the site sends a web page, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, TRIES + 1):
        try:
            return _once(url, path)
        except _RefusedError as error:
            raise WeightsUnavailableError(str(error)) from None
        except urllib.error.HTTPError as error:
            if error.code == 416:  # what we have is no beginning of what they have
                _forget(path)
            elif error.code not in AGAIN or attempt == TRIES:
                raise WeightsUnavailableError(f"{url} answered {error.code} {error.reason}.") from error
            asked = error.headers.get("Retry-After", "")
            pause = float(asked) if asked.isdigit() else 2.0**attempt
        except (urllib.error.URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            if getattr(reason, "errno", None) in (28, 30) or attempt == TRIES:  # no space, or read-only
                raise WeightsUnavailableError(f"{url} could not be fetched: {reason}. {_kept(path)}") from error
            pause = 2.0 ** (attempt - 1)
        time.sleep(min(pause, PATIENCE))
    raise WeightsUnavailableError(f"{url} could not be fetched in {TRIES} tries. {_kept(path)}")


def _once(url: str, path: Path) -> None:
    from tqdm.auto import tqdm

    part, note = _part(path), _note(path)
    known = _read(note)
    have = part.stat().st_size if part.is_file() and known.get("url") == url and known.get("validator") else 0
    headers = {"User-Agent": "medzoo", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": known["validator"]}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as answer:
        if answer.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise _RefusedError(
                f"{url} answered with a web page instead of the file (a login, a notice, or a page that has moved). "
                "Open it in a browser, and give the file to `medzoo convert`."
            )
        goes_on = answer.status == 206 and _begins_at(answer.headers) == have
        if answer.status == 206 and not goes_on:
            _forget(path)
            raise OSError("it sent another range than was asked for")
        have = have if goes_on else 0
        announced = answer.headers.get("Content-Length")
        total = have + int(announced) if announced and announced.isdigit() else None
        _room(path, total, have)
        store.write_json(note, {"url": url, "validator": _validator(answer.headers)})
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=path.name, disable=None)
        with bar, part.open("ab" if goes_on else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    size = part.stat().st_size
    if total is not None and size != total:
        if size > total:
            _forget(path)
        raise OSError(f"the connection ended after {size} of {total} bytes")
    store.fsync_file(part)
    os.replace(part, path)
    store.fsync_folder(path.parent)
    note.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.part.json")


def _read(note: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        rows = json.loads(note.read_text(encoding="utf-8"))
        return rows if isinstance(rows, dict) else {}
    return {}


def _forget(path: Path) -> None:
    for piece in (_part(path), _note(path)):
        piece.unlink(missing_ok=True)


def _kept(path: Path) -> str:
    part = _part(path)
    size = part.stat().st_size if part.is_file() else 0
    return f"{size:,} bytes are kept; the same command goes on behind them." if size else "Try again later."


def _validator(headers: HTTPMessage) -> str | None:
    """What If-Range takes: a strong ETag, or else the date of change."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _begins_at(headers: HTTPMessage) -> int | None:
    """Of "bytes 100-199/200", the 100."""
    first = (headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else None


def _room(path: Path, total: int | None, have: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if total is not None and total - have > free:
        raise _RefusedError(
            f"{path.name} needs {total - have:,} bytes more, and the disk of {path.parent} has {free:,}. "
            "Free some, or set MEDZOO_HOME to another disk."
        )
