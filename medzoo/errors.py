"""The exceptions of medzoo. A message says what is wrong, where, and what to do; a code names the cause and stays the same."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable
from typing import Any


def printable(text: object) -> str:
    r"""Text that can be written as UTF-8: bytes of a file name that are not valid UTF-8 become escapes.

    Args:
        text: may contain the lone surrogates that Python uses for such bytes.

    >>> print(printable("mod\udce8le"))
    mod\udce8le
    """
    return str(text).encode("utf-8", "backslashreplace").decode()


class MedzooError(Exception):
    """Base of everything medzoo raises on purpose; the command line turns it into exit code 1.

    Args:
        message: what is wrong, where, and what to do. Its wording may change.
        code: the stable name of the cause: small words joined by `-`. Programs and tests match the class and the code.

    >>> error = UsageError("The size is 0. Give at least 1 pixel.", code="size-below-one")
    >>> error.code, str(error)
    ('size-below-one', 'The size is 0. Give at least 1 pixel.')
    """

    code: str

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the complete error, although its class may have another signature."""
        return _rebuilt, (type(self), self.args, dict(vars(self)))

    def __str__(self) -> str:
        return printable(super().__str__())


def _words(text: str) -> str:
    """A text as a code: small words joined by `-`."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))


def _rebuilt(kind: type[MedzooError], args: tuple[Any, ...], state: dict[str, Any]) -> MedzooError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(state)
    return error


class UsageError(MedzooError):
    """An option, a name or a configuration file is wrong; the command line exits with 2."""


class UnknownNameError(UsageError):
    """The name of a checkpoint, task, protocol or objective is unknown.

    Args:
        kind: of the name, for example "checkpoint".
        name: as the user typed it.
        known: the names that exist; the message suggests the nearest ones.
        how: a sentence that says where the full list is.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], how: str) -> None:
        spelled = {one.lower(): one for one in known}  # compare names without their case
        near = [spelled[one] for one in difflib.get_close_matches(name.lower(), spelled, n=3, cutoff=0.6)]
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"Unknown {kind} {name!r}.{hint} {how}", code=f"unknown-{_words(kind)}")
        self.name, self.near = name, near


class RegistryError(MedzooError):
    """A registry file (hub_configs/*.toml) violates its schema."""


class IntegrityError(MedzooError):
    """A file is not the expected one: truncated, changed, or with a damaged header."""


class WeightsMismatchError(MedzooError):
    """Names or shapes in a weights file differ from the architecture's."""


class WeightsUnavailableError(MedzooError):
    """The weights are not on this machine and cannot be downloaded now; the message says what to do."""


class LicenseError(MedzooError):
    """The terms of a checkpoint were not accepted, or do not allow this use."""


class ConversionError(MedzooError):
    """An upstream file could not be converted to a checkpoint folder."""


class ExportError(MedzooError):
    """A network could not be written in another format, or the written file does not compute the same."""


class CardError(MedzooError):
    """A model card lacks a required fact (licence, data, name)."""


class PublishError(MedzooError):
    """A folder must not or could not be pushed."""


class DataContractError(MedzooError):
    """A data set does not match its task: missing files, wrong hash, unknown labels, no patient ids.

    Args:
        message: as for every error; it names the first offenders.
        code: as for every error.
        offenders: all files, ids or rows with this problem.

    >>> DataContractError("1 images do not exist: a.png.", code="images-missing", offenders=["a.png"]).offenders
    ('a.png',)
    """

    offenders: tuple[str, ...]

    def __init__(self, message: str = "", *, code: str = "", offenders: Iterable[object] = ()) -> None:
        super().__init__(message, code=code)
        self.offenders = tuple(map(str, offenders))


class SplitError(DataContractError):
    """Two splits share a patient (or group)."""


class ImageError(DataContractError):
    """An image file cannot be read, or only with a guess."""


class RunFolderError(MedzooError):
    """The output folder is in use, or contains another run."""


class ResumeError(MedzooError):
    """A run cannot be continued exactly."""


class DivergedError(MedzooError):
    """The loss became NaN or infinite."""


class WorkerError(MedzooError):
    """A worker process ended or hangs."""


class DeviceMemoryError(MedzooError):
    """Weights, images or a step do not fit into the device's memory."""


class ResultError(MedzooError):
    """A result file violates its schema, or two results of one run differ."""


class UndefinedMetricError(ResultError):
    """A metric has no value on these cases; the message is the reason, for example "no positive case"."""


class OtherVersionError(ResultError):
    """A result was written by another version of medzoo, in a format that this version cannot read."""


class NotApplicableError(MedzooError):
    """An analysis cannot be made with these inputs; the others can."""


class MissingExtraError(MedzooError):
    """An optional dependency is not installed.

    Args:
        package: its name on PyPI, or a description if one of several packages is enough.
        extra: of medzoo, that installs it.
        purpose: what needs it.

    >>> MissingExtraError("a decoder (gdcm)", "medical", "Reading").code
    'missing-a-decoder-gdcm'
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f'{purpose} needs {package}: pip install "medzoo[{extra}]"', code=f"missing-{_words(package)}")


class DiskFullError(MedzooError, OSError):
    """A disk or a quota has no space for a file; existing files are unchanged.

    Args:
        path: of the file to write.
        free: bytes that were free.
        needed: bytes that are still to write, if they are known.
        more: a sentence, for example on a partial file.
    """

    def __init__(self, path: object, free: int, needed: int | None = None, more: str = "") -> None:
        amount = "more" if needed is None else f"{needed:,} bytes, more"
        super().__init__(
            f"No space left for {path}: it needs {amount} than the {free:,} bytes that are free on its disk, or more than your "
            "quota allows. Existing files are unchanged. Free some space (`medzoo cache prune` removes leftovers) or choose "
            f"another disk (MEDZOO_HOME moves medzoo's cache), then try again. {more}".rstrip(),
            code="disk-full",
        )
        self.errno, self.strerror = errno.ENOSPC, os.strerror(errno.ENOSPC)

    def __str__(self) -> str:
        return printable(self.args[0])


def with_code(error: MedzooError) -> str:
    """The message of an error and its code, as the command line prints them: the documentation lists the codes.

    Args:
        error: that was raised.

    >>> with_code(UsageError("The size is 0. Give at least 1 pixel.", code="size-below-one"))
    'The size is 0. Give at least 1 pixel. [size-below-one]'
    """
    return f"{error} [{error.code}]" if error.code else str(error)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error means that there is no space left: on the disk, in a quota, or for a file of this size.

    >>> is_disk_full(OSError(errno.ENOSPC, "")), is_disk_full(OSError(errno.ENOENT, ""))
    (True, False)
    """
    match = re.search(r"\(os error (\d+)\)", str(error))  # safetensors has its own error class with this text
    code = int(match[1]) if match else getattr(error, "errno", None)
    return code in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch means that the memory of the device is full.

    >>> is_out_of_memory(RuntimeError("MPS backend out of memory")), is_out_of_memory(RuntimeError("sizes differ"))
    (True, False)
    """
    texts = "out of memory", "DefaultCPUAllocator"  # torch has a class for CUDA only
    return isinstance(error, RuntimeError) and any(text in str(error) for text in texts)


def listed(names: Iterable[object], limit: int = 20) -> str:
    """The first names of a long list and how many more there are, for error messages.

    >>> listed(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    texts = [str(name) for name in names]
    more = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {more} more" if more > 0 else "")
