"""The new and changed files of a contribution to a repository of results. Nothing in them is run."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from medzoo import store
from medzoo.bench.results.untrusted import JSON_LIMIT, PARQUET_LIMIT
from medzoo.bench.sharing.layout import DERIVED, PREDICTION, PREDICTIONS, RUN, RUNS
from medzoo.bench.sharing.repository import KIND, download_files, fork_of, repository
from medzoo.errors import UsageError
from medzoo.zoo.registry.hub_names import check_repo

SKIPPED = (".git", ".cache")  # of a clone or a download, at the top only


@dataclass(frozen=True)
class ReviewFinding:
    """A problem of a contribution.

    Args:
        file: its path in the repository.
        check: one word that names the check.
        message: what is wrong, and what is expected.
    """

    file: str
    check: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.message} [{self.check}]"

    def to_dict(self) -> dict[str, str]:
        """Its fields by name."""
        return asdict(self)


@dataclass
class Contribution:
    """The new and changed files that may be read.

    Args:
        files: their paths on this machine, by their path in the repository.
        present: the other files of the repository.
        findings: problems of the files, without their content.
    """

    files: dict[str, Path] = field(default_factory=dict)
    present: frozenset[str] = frozenset()
    findings: list[ReviewFinding] = field(default_factory=list)

    def add(self, file: str, check: str, message: str) -> None:
        """Add a finding."""
        self.findings.append(ReviewFinding(file, check, message))


def of_folder(root: Path, base: Path | None = None) -> Contribution:
    """The contribution in a folder.

    Args:
        root: with runs/ and predictions/.
        base: the current content of the repository; then `root` is the repository with the contribution.
    """
    contribution = Contribution()
    names = dict(_walk(root, contribution))
    before = {} if base is None else dict(_base(base))
    contribution.present = frozenset(before)
    for name, path in names.items():
        size = path.stat().st_size
        if name in before:
            if before[name].stat().st_size != size or store.sha256_file(before[name]) != store.sha256_file(path):
                _changed(contribution, name)
        elif _allowed(contribution, name, size, derived=base is None):
            contribution.files[name] = path
    for name in sorted(set(before) - set(names)):
        _removed(contribution, name)
    return contribution


def of_pull_request(repo: str, number: int, *, token: str | bool | None = None) -> Contribution:
    """The contribution in a pull request: its changes since it branched from main. Only allowed files are downloaded.

    Args:
        repo: org/name.
        number: of the pull request.
        token: of the Hub.

    Raises:
        ResultError: if it cannot be read.
        IntegrityError: if a downloaded file does not match the Hub's hash.
    """
    head = repository(check_repo(repo, KIND), revision=f"refs/pr/{number}", token=token)
    base = repository(repo, revision=fork_of(repo, head.commit, token=token), token=token)
    main = repository(repo, token=token)
    contribution = Contribution(present=frozenset({*base.files, *main.files}))
    allowed = []
    for name, file in head.files.items():
        if name in base.files:
            if file.hash != base.files[name].hash:
                _changed(contribution, name)
        elif name in main.files and file.hash != main.files[name].hash:
            contribution.add(
                name, "conflict", "Main now has a different file of this name. Update the pull request from main."
            )
        elif _allowed(contribution, name, file.size, derived=False):
            allowed.append(name)
    for name in sorted(set(base.files) - set(head.files)):
        _removed(contribution, name)
    contribution.files = download_files(head, allowed, token=token)
    return contribution


def _allowed(contribution: Contribution, name: str, size: int, *, derived: bool) -> bool:
    """Whether a new file may be read; if not, a finding says why."""
    printed = name.encode("utf-8", "backslashreplace").decode()
    parts = name.split("/")
    limit = JSON_LIMIT if RUN.fullmatch(name) else PARQUET_LIMIT if PREDICTION.fullmatch(name) else None
    if limit is not None:
        if size > limit:
            contribution.add(name, "size", f"The file has {size:,} bytes; the limit is {limit:,}.")
        return size <= limit
    if {"", ".", ".."} & set(parts) or "\\" in name or any(ord(sign) < 32 for sign in name):
        contribution.add(printed, "path", "This is not a plain path inside the repository.")
    elif name in DERIVED:
        if not derived:
            contribution.add(name, "derived", "The maintainers generate this file from the runs. Do not include it.")
    else:
        contribution.add(
            printed,
            "type",
            f"Only {RUNS}/TASK@VERSION/CHECKPOINT/PROTOCOL/ID.json and {PREDICTIONS}/.../ID.parquet are accepted.",
        )
    return False


def _changed(contribution: Contribution, name: str) -> None:
    if name in DERIVED:
        contribution.add(name, "derived", "The maintainers generate this file from the runs. Do not change it.")
    else:
        contribution.add(
            name,
            "changed",
            "Files in the repository must not change. For new numbers, use a new version of the task or a new protocol, or add "
            "a replicate.",
        )


def _removed(contribution: Contribution, name: str) -> None:
    contribution.add(name, "removed", "The file is in the repository but missing here. Files must not be removed.")


def _walk(root: Path, contribution: Contribution) -> Iterator[tuple[str, Path]]:
    """The regular files below a folder, in order. Links and devices give a finding and are not followed."""
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        if here == root:
            folders[:] = [name for name in folders if name not in SKIPPED]
        folders.sort()
        for name in sorted([*files, *(name for name in folders if (here / name).is_symlink())]):
            path = here / name
            file = path.relative_to(root).as_posix()
            if stat.S_ISREG(path.lstat().st_mode):
                yield file, path
            else:
                contribution.add(
                    file, "link", "This is a link or a special file, not a regular file. It was not opened."
                )


def _base(base: Path) -> Iterator[tuple[str, Path]]:
    if not base.is_dir():
        raise UsageError(
            f"--base {base} is not a folder. Give a folder with the current content of the repository.",
            code="not-a-folder",
        )
    for path in sorted(base.rglob("*")):
        name = path.relative_to(base).as_posix()
        if path.is_file() and name.partition("/")[0] not in SKIPPED:
            yield name, path


def by_folder(files: Mapping[str, Path]) -> tuple[list[str], list[str]]:
    """The names of the runs and of the predictions in `files`."""
    return [name for name in files if RUN.fullmatch(name)], [name for name in files if PREDICTION.fullmatch(name)]
