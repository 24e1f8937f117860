"""Files over HTTP: resumed where they broke off, tried again, whole in the end or not there."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any

from medzoo import store
from medzoo.errors import WeightsUnavailableError, is_disk_full

CHUNK = 1024 * 1024  # bytes
TRIES, TIMEOUT, PATIENCE = 5, 30.0, 120.0  # times, seconds of silence, longest pause in seconds
AGAIN = (408, 425, 429, 500, 502, 503, 504)
SLOWEST, GRACE = 1024, 60.0  # bytes a second, after so many seconds: slower is as good as silence


class RefusedError(WeightsUnavailableError):
    """What trying again does not mend; `status` is the site's answer, 0 if it is not one of HTTP."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class _SameSite(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and takes no login to another site."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and _origin(new.full_url) != _origin(req.full_url):
            new.remove_header("Authorization")
        return new


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def download(url: str, path: Path, *, headers: Mapping[str, str] | None = None, tries: int | None = None) -> None:
    """Download a file, with a bar on a terminal.

    What came before a failure stays in `<path>.part`; the next try, also of another day, goes on behind it if the site
    says by its validator (ETag or date) that the file is still the same one.

    Args:
        url: its address.
        path: where it goes.
        headers: to send along; a login is not taken to another site.
        tries: without progress, before it gives up; by default five.

    Raises:
        WeightsUnavailableError: after several tries without progress; or at once (RefusedError) if the site says no, sends a
            web page, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tries = TRIES if tries is None else tries
    tried, had = 0, -1
    while True:
        tried, had = (tried + 1, had) if _has(path) <= had else (1, _has(path))
        try:
            return _once(url, path, headers or {})
        except urllib.error.HTTPError as error:
            if error.code == 416:  # what we have is no beginning of what they have
                _forget(path)
            elif error.code not in AGAIN or tried == tries:
                kept = f" {_kept(path)}" if _has(path) else ""
                raise RefusedError(f"{url} answered {error.code} {error.reason}.{kept}", error.code) from error
            pause = wait_after(error.headers.get("Retry-After"), tried)
        except (urllib.error.URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            if is_disk_full(reason):
                free = shutil.disk_usage(path.parent).free
                raise RefusedError(
                    f"{path.name} of {url} has no room: the disk of {path.parent} is full ({free:,} bytes are free). "
                    f"{_kept(path)} Free some, or set MEDZOO_HOME to another disk."
                ) from error
            if getattr(reason, "errno", None) == errno.EROFS or tried == tries:
                raise WeightsUnavailableError(f"{url} could not be fetched: {reason}. {_kept(path)}") from error
            pause = wait_after(None, tried - 1)
        time.sleep(pause)


def wait_after(asked: str | None, tried: int) -> float:
    """Seconds to wait before the next try: what the site asks for, else twice as long each time; never over two minutes.

    >>> wait_after("100000", 1)
    120.0
    """
    if asked and asked.strip().isdigit():
        return min(float(asked), PATIENCE)
    return min(2.0**tried * random.uniform(0.75, 1.25), PATIENCE)  # many machines do not come back in the same moment


def _once(url: str, path: Path, extra: Mapping[str, str]) -> None:
    from tqdm.auto import tqdm

    part, note = _part(path), _note(path)
    known = _read(note)
    have = _has(path) if known.get("url") == url else 0
    headers = {"User-Agent": "medzoo", "Accept-Encoding": "identity", **extra}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": known["validator"]}
    opener = urllib.request.build_opener(_SameSite)
    with opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as answer:
        if answer.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise RefusedError(
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
        if not goes_on:
            _forget(path)  # or a kill could leave the beginning of another file beside the new note
        store.write_json(note, {"url": url, "validator": _validator(answer.headers)})
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=path.name, disable=None)
        started, came = time.monotonic(), 0
        try:
            with bar, part.open("ab" if goes_on else "wb") as file:
                while chunk := answer.read1(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
                    came += len(chunk)
                    lasted = time.monotonic() - started
                    if lasted > GRACE and came < SLOWEST * lasted:
                        raise OSError(f"only {came:,} bytes came in {lasted:.0f} s")
        except OSError as error:
            if total is None and is_disk_full(error):
                _forget(path)  # nobody knows whether it would ever fit
            raise
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


def _has(path: Path) -> int:
    """Bytes behind which the next try can go on."""
    with suppress(OSError):
        return _part(path).stat().st_size if _read(_note(path)).get("validator") else 0
    return 0


def _read(note: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        rows = json.loads(note.read_text(encoding="utf-8"))
        return rows if isinstance(rows, dict) else {}
    return {}


def _forget(path: Path) -> None:
    for piece in (_part(path), _note(path)):
        piece.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Remove a download that has been used, with all that belongs to it."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        _forget(path)
        store.sweep(path.parent, older_than=0)


def _kept(path: Path) -> str:
    size = _has(path)
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
        raise RefusedError(
            f"{path.name} needs {total - have:,} bytes more, and the disk of {path.parent} has {free:,}. "
            "Free some, or set MEDZOO_HOME to another disk."
        )
