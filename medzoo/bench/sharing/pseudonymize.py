"""Pseudonymous predictions: without the publisher's secret, their ids cannot be linked to images or patients."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo.bench.metrics.masks.rows import CASE_COLUMNS
from medzoo.bench.results.untrusted import MARK
from medzoo.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

SHORTEST = 16  # characters
SALTED = ("sample", "patient")
LABELS = ("label", "mask", *CASE_COLUMNS)  # columns that contain the label or the area of a case


def check_salt(salt: str) -> str:
    """Check that a salt is hard to guess.

    Raises:
        UsageError: if it is short. With a guessed salt, the ids of a known data set can be tried one by one.
    """
    if len(salt) < SHORTEST:
        raise UsageError(
            f"The salt has {len(salt)} characters; it needs at least {SHORTEST} random characters. Let medzoo create it, or run: "
            'python -c "import secrets; print(secrets.token_hex(32))" > FILE',
            code="salt-too-short",
        )
    return salt


def read_salt(path: Path) -> str:
    """The salt in a file.

    Raises:
        UsageError: if the file cannot be read, or its salt is too short.
    """
    try:
        return check_salt(path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The salt file {path} cannot be read: {error}", code="salt-file-unreadable") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}", code=error.code) from error


def salt_path(root: Path) -> Path:
    """The file of a store's salt: next to the store and not in it, so that a copy of the store does not include the salt.

    >>> salt_path(Path("results")).name
    'results.salt'
    """
    root = root.resolve()
    return root.with_name(f"{root.name}.salt")


def store_salt(root: Path) -> str:
    """The salt of a store. It is created on first use, in a file that only its owner can read (mode 0600).

    Runs that are pushed later need the same salt; otherwise they cannot be compared with earlier ones case by case.

    Args:
        root: of the store.

    Raises:
        UsageError: if there is no such store, or the file cannot be read or written.
    """
    path = salt_path(root)
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder. Give a store of results.", code="not-a-folder")
    if not path.exists():
        try:
            _write_once(path, f"{secrets.token_hex(32)}\n")
        except OSError as error:
            raise UsageError(
                f"The salt of this store cannot be written to {path} ({error.strerror}). Give a file: --salt-file FILE.",
                code="salt-not-writable",
            ) from error
    return read_salt(path)


def _write_once(path: Path, text: str) -> None:
    """Write a file atomically that only its owner may read; if another process wrote it first, do nothing."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # unlike a rename, this fails if the file exists
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            os.rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def is_salted(table: pa.Table) -> bool:
    """Whether predictions are marked as having ids with a secret salt."""
    return (table.schema.metadata or {}).get(MARK[0]) == MARK[1]


def salted(table: pa.Table, salt: str) -> pa.Table:
    """Predictions with ids under a secret salt, sorted by these ids, because the order of a test split would reveal the cases.

    Args:
        table: from a store, with the salt that all stores share.
        salt: the secret. With one salt, an image has the same id in all runs, so that runs can be compared case by case.

    Returns:
        The same rows with new ids, marked as salted. A table that is already salted (it was pulled) is not changed.

    >>> import numpy as np
    >>> from medzoo.bench.results.store import predictions
    >>> table = predictions("np", "binary", ["a.png"], ["ann"], np.array([1]), np.array([0.9]))
    >>> other = salted(table, "a secret of sixteen")
    >>> other["label"].to_pylist(), other["sample"] == table["sample"], is_salted(other)
    ([1], False, True)
    """
    import pyarrow as pa

    if is_salted(table):
        return table
    key = check_salt(salt).encode()
    for name in SALTED:
        made = [hmac.new(key, str(old).encode(), hashlib.sha256).hexdigest()[:32] for old in table[name].to_pylist()]
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(made, pa.string()))
    ordered = table.sort_by([("sample", "ascending")]).combine_chunks()
    return ordered.replace_schema_metadata(dict([MARK]))


def without_labels(table: pa.Table) -> pa.Table:
    """Predictions without labels (of a segmentation: only ids and sizes), for data whose terms forbid publishing the labels."""
    return table.select([name for name in table.column_names if name.partition(":")[0] not in LABELS])


def has_labels(table: pa.Table) -> bool:
    """Whether predictions contain the labels of their cases."""
    return any(name.partition(":")[0] in ("label", "tp") for name in table.column_names)
