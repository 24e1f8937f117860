"""Download files over HTTP: resume after a failure, try again, and leave either a complete file or none."""

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
from medzoo.errors import DiskFullError, WeightsUnavailableError, is_disk_full

CHUNK = 1024 * 1024  # bytes
TRIES, TIMEOUT, PATIENCE = 5, 30.0, 120.0  # times, seconds of silence, longest pause in seconds
AGAIN = (408, 425, 429, 500, 502, 503, 504)
SLOWEST, GRACE = 1024, 60.0  # bytes per second; a download that is slower after so many seconds is stopped
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")  # variables of huggingface_hub
TRUE = ("1", "ON", "YES", "TRUE")


class RefusedError(WeightsUnavailableError):
    """A failure that another try does not fix; `status` is the HTTP status, 0 without one."""

    def __init__(self, message: str, status: int = 0, *, code: str = "") -> None:
        super().__init__(message, code=code)
        self.status = status


class _SameSite(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but does not send the login to another site."""

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


def offline_variable() -> str:
    """The environment variable that forbids all downloads, of checkpoints and of data; empty if none does."""
    return next((key for key in OFFLINE if os.environ.get(key, "").upper() in TRUE), "")


def download(url: str, path: Path, *, headers: Mapping[str, str] | None = None, tries: int | None = None) -> None:
    """Download a file, with a progress bar on a terminal.

    After a failure the bytes stay in `<path>.part`; the next try, also on another day, continues from there if the site's
    validator (ETag or date) shows that the file is unchanged.

    Args:
        url: its address.
        path: the file to write.
        headers: HTTP headers to send; a login is not sent to another site.
        tries: without progress, before it gives up; by default five.

    Raises:
        WeightsUnavailableError: after several tries without progress; or at once (RefusedError) if the site refuses, or sends
            a web page.
        DiskFullError: at once if the disk is full; the partial file stays if the site said how large the file is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tries = TRIES if tries is None else tries
    tried, had = 0, -1
    while True:
        # progress resets the count of tries
        tried, had = (tried + 1, had) if _resumable(path) <= had else (1, _resumable(path))
        try:
            return _try_once(url, path, headers or {})
        except urllib.error.HTTPError as error:
            if error.code == 416:  # the partial file is not the beginning of the site's file
                _forget(path)
            elif error.code not in AGAIN or tried == tries:
                text = f"{url} answered {error.code} {error.reason}. {_kept(path)}".rstrip()
                raise RefusedError(text, error.code, code="http-error") from error
            pause = wait_after(error.headers.get("Retry-After"), tried)
        except DiskFullError:
            raise
        except (urllib.error.URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            if is_disk_full(reason):
                raise DiskFullError(path, shutil.disk_usage(path.parent).free, more=_kept(path)) from error
            if getattr(reason, "errno", None) == errno.EROFS or tried == tries:
                raise WeightsUnavailableError(
                    f"{url} could not be downloaded: {reason}. {_kept(path) or 'Try again later.'}",
                    code="download-failed",
                ) from error
            pause = wait_after(None, tried - 1)
        time.sleep(pause)


def wait_after(retry_after: str | None, tried: int) -> float:
    """Seconds to wait before the next try: the site's Retry-After, else twice as long each time; at most two minutes.

    >>> wait_after("100000", 1)
    120.0
    """
    if retry_after and retry_after.strip().isdigit():
        return min(float(retry_after), PATIENCE)
    return min(
        2.0**tried * random.uniform(0.75, 1.25), PATIENCE
    )  # random, so that machines do not retry at the same time


def _try_once(url: str, path: Path, extra: Mapping[str, str]) -> None:
    from tqdm.auto import tqdm

    # request the rest of a partial file, if it came from this address
    part, note = _part(path), _note(path)
    known = _read(note)
    have = _resumable(path) if known.get("url") == url else 0
    headers = {"User-Agent": "medzoo", "Accept-Encoding": "identity", **extra}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": known["validator"]}
    opener = urllib.request.build_opener(_SameSite)
    with opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as answer:
        if answer.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise RefusedError(
                f"{url} answered with a web page instead of the file (a login, a notice, or a page that has moved). "
                "Download the file in a browser, and give it to `medzoo convert`.",
                code="web-page-instead-of-file",
            )
        # the site continues the file, or sends all of it again
        resumed = answer.status == 206 and _range_start(answer.headers) == have
        if answer.status == 206 and not resumed:
            _forget(path)
            raise OSError("it sent another range than the requested one")
        have = have if resumed else 0
        announced = answer.headers.get("Content-Length")
        total = have + int(announced) if announced and announced.isdigit() else None
        _require_space(path, total, have)
        if not resumed:
            _forget(path)  # otherwise a kill could leave the old partial file with the new note
        store.write_json(note, {"url": url, "validator": _validator(answer.headers)})
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=path.name, disable=None)
        # write what arrives, and stop a download that is too slow
        started, received = time.monotonic(), 0
        try:
            with bar, part.open("ab" if resumed else "wb") as file:
                while chunk := answer.read1(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
                    received += len(chunk)
                    seconds = time.monotonic() - started
                    if seconds > GRACE and received < SLOWEST * seconds:
                        raise OSError(f"only {received:,} bytes came in {seconds:.0f} s")
        except OSError as error:
            if total is None and is_disk_full(error):
                _forget(path)  # the size is unknown, so the file may never fit
            raise
    # only a complete file gets its name
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


def _resumable(path: Path) -> int:
    """The number of bytes after which the next try can continue."""
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
    """Remove a download that is no longer needed, with its partial file and note."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        _forget(path)
        store.sweep(path.parent, older_than=0)


def _kept(path: Path) -> str:
    size = _resumable(path)
    return f"{size:,} bytes are kept; run the same command again to continue." if size else ""


def _validator(headers: HTTPMessage) -> str | None:
    """The value for If-Range: a strong ETag, or else the date of change."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _range_start(headers: HTTPMessage) -> int | None:
    """The 100 of "bytes 100-199/200"."""
    first = (headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else None


def _require_space(path: Path, total: int | None, have: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if total is not None and total - have > free:
        raise DiskFullError(path, free, total - have, _kept(path))
