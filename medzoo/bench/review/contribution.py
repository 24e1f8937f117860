"""What somebody contributes to a repository of results: the files that are new or other than before, and nothing is run."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from medzoo import store
from medzoo.bench.sharing.layout import DERIVED, PREDICTION, PREDICTIONS, RUN, RUNS
from medzoo.bench.sharing.repository import KIND, download_files, fork_of, repository
from medzoo.bench.sharing.untrusted import JSON_LIMIT, PARQUET_LIMIT
from medzoo.errors import UsageError
from medzoo.zoo.registry.hub_names import check_repo

SKIPPED = (".git", ".cache")  # of a clone or a download, at the top only


@dataclass(frozen=True)
class ReviewFinding:
    """Something that speaks against a contribution.

    Args:
        file: its place in the repository.
        check: one word for what was checked.
        message: what is wrong, and what would be right.
    """

    file: str
    check: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.message} [{self.check}]"

    def to_dict(self) -> dict[str, str]:
        """Its parts by name."""
        return asdict(self)


@dataclass
class Contribution:
    """New and changed files that may be read.

    Args:
        files: where they lie on this machine, by their place in the repository.
        there: what the repository holds besides.
        findings: what speaks against files as files.
    """

    files: dict[str, Path] = field(default_factory=dict)
    there: frozenset[str] = frozenset()
    findings: list[ReviewFinding] = field(default_factory=list)

    def tell(self, file: str, check: str, message: str) -> None:
        """Add a finding."""
        self.findings.append(ReviewFinding(file, check, message))


def of_folder(root: Path, base: Path | None = None) -> Contribution:
    """The contribution in a folder.

    Args:
        root: with runs/ and predictions/.
        base: the repository as it is; the folder is then the repository as it would become.
    """
    found = Contribution()
    names = dict(_walk(root, found))
    before = {} if base is None else dict(_base(base))
    found.there = frozenset(before)
    for name, path in names.items():
        size = path.stat().st_size
        if name in before:
            if before[name].stat().st_size != size or store.sha256_file(before[name]) != store.sha256_file(path):
                _other(found, name)
        elif _allowed(found, name, size, derived=base is None):
            found.files[name] = path
    for name in sorted(set(before) - set(names)):
        _gone(found, name)
    return found


def of_pull_request(repo: str, number: int, *, token: str | bool | None = None) -> Contribution:
    """The contribution in a pull request: what it changes where it left main, downloaded only if it may be read.

    Args:
        repo: org/name.
        number: of the pull request.
        token: of the Hub.

    Raises:
        ResultError: if it cannot be read.
        IntegrityError: if a file comes with other bytes than the Hub says it holds.
    """
    head = repository(check_repo(repo, KIND), revision=f"refs/pr/{number}", token=token)
    base = repository(repo, revision=fork_of(repo, head.commit, token=token), token=token)
    main = repository(repo, token=token)
    found = Contribution(there=frozenset({*base.files, *main.files}))
    wanted = []
    for name, file in head.files.items():
        if name in base.files:
            if file.hash != base.files[name].hash:
                _other(found, name)
        elif name in main.files and file.hash != main.files[name].hash:
            found.tell(
                name,
                "conflict",
                "Main holds another file of this name by now; bring the pull request up to date.",
            )
        elif _allowed(found, name, file.size, derived=False):
            wanted.append(name)
    for name in sorted(set(base.files) - set(head.files)):
        _gone(found, name)
    found.files = download_files(head, wanted, token=token)
    return found


def _allowed(found: Contribution, name: str, size: int, *, derived: bool) -> bool:
    """Whether a new file may be read; else it is told why not."""
    shown = name.encode("utf-8", "backslashreplace").decode()
    parts = name.split("/")
    limit = JSON_LIMIT if RUN.fullmatch(name) else PARQUET_LIMIT if PREDICTION.fullmatch(name) else None
    if limit is not None:
        if size > limit:
            found.tell(name, "size", f"It has {size:,} bytes; at most {limit:,} are taken.")
        return size <= limit
    if {"", ".", ".."} & set(parts) or "\\" in name or any(ord(sign) < 32 for sign in name):
        found.tell(shown, "path", "This is no plain path inside the repository.")
    elif name in DERIVED:
        if not derived:
            found.tell(name, "derived", "It is made from the runs by those who keep the repository; leave it out.")
    else:
        found.tell(
            shown,
            "type",
            f"Only {RUNS}/TASK@VERSION/CHECKPOINT/PROTOCOL/ID.json and {PREDICTIONS}/.../ID.parquet are taken.",
        )
    return False


def _other(found: Contribution, name: str) -> None:
    if name in DERIVED:
        found.tell(name, "derived", "It is made from the runs by those who keep the repository; leave it as it is.")
    else:
        found.tell(
            name,
            "changed",
            "A file that is there is never changed. Other numbers need another version of the task or another protocol, or "
            "stand beside as a replicate.",
        )


def _gone(found: Contribution, name: str) -> None:
    found.tell(name, "removed", "It is in the repository and missing here; nothing is ever removed.")


def _walk(root: Path, found: Contribution) -> Iterator[tuple[str, Path]]:
    """Regular files below a folder, in order; links and devices are told about and not followed."""
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        if here == root:
            folders[:] = [name for name in folders if name not in SKIPPED]
        folders.sort()
        for name in sorted([*files, *(name for name in folders if (here / name).is_symlink())]):
            path = here / name
            place = path.relative_to(root).as_posix()
            if stat.S_ISREG(path.lstat().st_mode):
                yield place, path
            else:
                found.tell(place, "link", "It is a link or another thing that is no plain file; it was not opened.")


def _base(base: Path) -> Iterator[tuple[str, Path]]:
    if not base.is_dir():
        raise UsageError(f"--base {base} is no folder; it is the repository as it is now.")
    for path in sorted(base.rglob("*")):
        name = path.relative_to(base).as_posix()
        if path.is_file() and name.partition("/")[0] not in SKIPPED:
            yield name, path


def by_folder(files: Mapping[str, Path]) -> tuple[list[str], list[str]]:
    """The runs and the predictions among files."""
    return [name for name in files if RUN.fullmatch(name)], [name for name in files if PREDICTION.fullmatch(name)]
