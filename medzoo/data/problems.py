"""Problems of a data set: the first one is an error, unless somebody wants to hear all of them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from medzoo.errors import DataContractError, listed

_heard: ContextVar[list[DataContractError] | None] = ContextVar("heard", default=None)
_advice: ContextVar[list[str] | None] = ContextVar("advice", default=None)


def complain(error: DataContractError) -> None:
    """Raise an error, or note it and let the caller go on as well as it can.

    Args:
        error: with all offenders of its kind in its message.

    Raises:
        DataContractError: the error, outside of `collecting`.
    """
    heard = _heard.get()
    if heard is None:
        raise error
    heard.append(error)


def complain_of(offenders: Collection[object], what: str, *, code: str = "") -> None:
    """Complain of offenders by name, if there are any.

    Args:
        offenders: ids, rows or files.
        what: the sentence before their names, with their number.
        code: the stable name of the cause, as of `MedzooError`.

    Raises:
        DataContractError: the error, outside of `collecting`.

    >>> with collecting() as found:
    ...     complain_of([], "0 rows are empty")
    ...     complain_of(["a", "b"], "2 rows are empty")
    >>> [str(error) for error in found]
    ['2 rows are empty: a, b.']
    """
    if offenders:
        complain(DataContractError(f"{what}: {listed(offenders)}.", code=code))


def advise(text: str) -> None:
    """Warn of what may be wrong and may be right: a UserWarning, or a note where somebody collects them.

    Args:
        text: whole sentences.
    """
    notes = _advice.get()
    if notes is None:
        warnings.warn(text, UserWarning, stacklevel=3)
    elif text not in notes:
        notes.append(text)


@contextmanager
def collecting(advice: list[str] | None = None) -> Iterator[list[DataContractError]]:
    """Gather what `complain` is told while the block runs; an error that is raised all the same ends it and is gathered too.

    Args:
        advice: filled with what `advise` is told; None leaves that to warnings.

    >>> with collecting() as found:
    ...     complain(DataContractError("one"))
    ...     raise DataContractError("two")
    >>> [str(error) for error in found]
    ['one', 'two']
    """
    found: list[DataContractError] = []
    token, other = _heard.set(found), _advice.set(advice)
    try:
        yield found
    except DataContractError as error:
        found.append(error)
    finally:
        _heard.reset(token)
        _advice.reset(other)
