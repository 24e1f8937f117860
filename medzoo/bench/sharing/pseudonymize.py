"""Predictions whose images and patients nobody can link to a data set without a secret of the person who publishes them."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

MARK = (b"medzoo", b"predictions/1 salted")  # in the file's metadata, of predictions that may leave
SHORTEST = 16  # characters
SALTED = ("sample", "patient")


def check_salt(salt: str) -> str:
    """A salt that cannot be guessed.

    Raises:
        UsageError: if it is short. The ids of a known data set can be tried against a guessed salt one by one.
    """
    if len(salt) < SHORTEST:
        raise UsageError(
            f"The salt has {len(salt)} characters and should have {SHORTEST} or more that nobody can guess. Leave the choice to "
            'medzoo, or draw one: python -c "import secrets; print(secrets.token_hex(32))" > FILE'
        )
    return salt


def read_salt(path: Path) -> str:
    """The salt in a file.

    Raises:
        UsageError: if the file cannot be read, or holds a salt that could be guessed.
    """
    try:
        return check_salt(path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The salt file {path} cannot be read: {error}") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def salt_path(root: Path) -> Path:
    """Where the salt of a store lies: beside it, not in it, so that it does not go along when the store is copied.

    >>> salt_path(Path("results")).name
    'results.salt'
    """
    root = root.resolve()
    return root.with_name(f"{root.name}.salt")


def store_salt(root: Path) -> str:
    """The salt of a store, drawn and kept for its owner alone (mode 0600) on first use.

    Runs that are pushed later must have the same salt, or nobody can compare them with the earlier ones case by case.

    Args:
        root: of the store.

    Raises:
        UsageError: if there is no such store, or the file cannot be read or written.
    """
    path = salt_path(root)
    if not root.is_dir():
        raise UsageError(f"{root} is no folder; name a store of results.")
    if not path.exists():
        try:
            _write_once(path, f"{secrets.token_hex(32)}\n")
        except OSError as error:
            raise UsageError(
                f"The salt of this store cannot be kept at {path} ({error.strerror}). Name a file: --salt-file FILE."
            ) from error
    return read_salt(path)


def _write_once(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole; another process that was first wins."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # unlike a rename, this fails if the file is there
        except FileExistsError:
            return
        except OSError:  # a file system without links
            os.rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def is_salted(table: pa.Table) -> bool:
    """Whether predictions say that their ids carry a secret salt already."""
    return (table.schema.metadata or {}).get(MARK[0]) == MARK[1]


def salted(table: pa.Table, salt: str) -> pa.Table:
    """Predictions under a secret salt, in the order of their new ids: the order of a test split would give them away.

    Args:
        table: as a store keeps it, under the salt that all stores share.
        salt: the secret; one salt gives one id for one image in all runs, so that runs can be compared case by case.

    Returns:
        The same rows with other ids and marked as salted. A table that is so already (it was pulled) stays as it is.

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
    """Predictions of data whose terms keep labels from being published: ids and probabilities alone."""
    return table.select([name for name in table.column_names if name.partition(":")[0] not in ("label", "mask")])


def has_labels(table: pa.Table) -> bool:
    """Whether predictions hold the labels of their cases."""
    return any(name.partition(":")[0] == "label" for name in table.column_names)
