"""Problems of a data set: the first one is raised, unless the caller collects all of them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from medzoo.errors import DataContractError, listed

_collected: ContextVar[list[DataContractError] | None] = ContextVar("collected", default=None)
_advice: ContextVar[list[str] | None] = ContextVar("advice", default=None)


def complain(error: DataContractError) -> None:
    """Raise an error. Inside of `collecting`: add it to the list, and the caller continues.

    Args:
        error: its message lists all offenders of its kind.

    Raises:
        DataContractError: the error, outside of `collecting`.
    """
    collected = _collected.get()
    if collected is None:
        raise error
    collected.append(error)


def complain_of(offenders: Collection[object], what: str, *, code: str) -> None:
    """Complain about offenders by name, if there are any.

    Args:
        offenders: ids, rows or files.
        what: the sentence before their names, with their number.
        code: of the error.

    Raises:
        DataContractError: the error, outside of `collecting`.

    >>> with collecting() as found:
    ...     complain_of([], "0 rows are empty", code="rows-empty")
    ...     complain_of(["a", "b"], "2 rows are empty", code="rows-empty")
    >>> [str(error) for error in found]
    ['2 rows are empty: a, b.']
    """
    if offenders:
        complain(DataContractError(f"{what}: {listed(offenders)}.", code=code, offenders=offenders))


def advise(text: str) -> None:
    """Warn about something that may be wrong: a UserWarning, or a note where `collecting` gathers the notes.

    Args:
        text: complete sentences.
    """
    notes = _advice.get()
    if notes is None:
        warnings.warn(text, UserWarning, stacklevel=3)
    elif text not in notes:
        notes.append(text)


@contextmanager
def collecting(advice: list[str] | None = None) -> Iterator[list[DataContractError]]:
    """Collect the errors that `complain` receives in the block. A raised DataContractError ends the block and is collected too.

    Args:
        advice: receives the texts of `advise`; None leaves them as warnings.

    >>> with collecting() as found:
    ...     complain(DataContractError("one"))
    ...     raise DataContractError("two")
    >>> [str(error) for error in found]
    ['one', 'two']
    """
    found: list[DataContractError] = []
    token, other = _collected.set(found), _advice.set(advice)
    try:
        yield found
    except DataContractError as error:
        found.append(error)
    finally:
        _collected.reset(token)
        _advice.reset(other)
