"""The named checkpoints: one TOML file of facts for each, read without importing torch."""

from __future__ import annotations

import fnmatch
import os
import re
import tomllib
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from medzoo import paths
from medzoo.closed_schema import parse
from medzoo.errors import RegistryError, UnknownNameError, UsageError
from medzoo.zoo.registry.checkpoint import Checkpoint, Pretraining, input_problems
from medzoo.zoo.registry.licenses import known_license
from medzoo.zoo.registry.random_weights import architecture_hint, random_checkpoint

NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*(-[a-z0-9]+(_[a-z0-9]+)*)+")
HEX40 = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
HOW = "`medzoo list` shows all names."


def config_dir() -> Path:
    """The folder of the TOML files that ship with medzoo."""
    return paths.data_dir("hub_configs")


def own_dir() -> Path:
    """The folder of the user's entries (`medzoo add` writes them), next to the cache."""
    return paths.home() / "hub_configs"


def _files() -> dict[str, Path]:
    """The file of each name, without temporary files; a shipped entry comes before a user's entry of the same name."""
    own, shipped = own_dir(), config_dir()
    return {path.stem: path for folder in (own, shipped) for path in folder.glob("[!.]*.toml")}


def read_checkpoint(path: Path) -> Checkpoint:
    """One TOML file as a Checkpoint.

    Args:
        path: the file; its stem is the checkpoint's name.

    Raises:
        RegistryError: for a name, key, type or combination that the schema does not allow.
    """
    if not NAME.fullmatch(path.stem):
        raise RegistryError(
            f"{path}: {path.stem!r} is not a checkpoint name. Use <architecture>[-<method>]-<data>[-<data>...]: lower-case "
            "letters and digits, words inside a token joined by _, tokens by -.",
            code="invalid-checkpoint-name",
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path} is not valid TOML: {error}", code="invalid-toml") from error
    if "name" in values:
        raise RegistryError(
            f"{path}: unknown key 'name'. Remove it; the file's name is the checkpoint's name.", code="unknown-key"
        )
    checkpoint = parse(Checkpoint, {"name": path.stem, **values}, str(path))
    for code, problem in _problems(checkpoint):
        raise RegistryError(f"{path}: {problem}", code=code)
    return checkpoint


def _problems(entry: Checkpoint) -> Iterator[tuple[str, str]]:
    """The code and the text of each contradiction in an entry."""
    shape, source, hub = entry.input, entry.upstream, entry.hub
    # input and licence
    for problem in input_problems(shape):
        yield "input-invalid", f"[input] {problem}"
    if not known_license(entry.license.id):
        yield (
            "license-unknown",
            f"[license] id {entry.license.id!r} is neither an SPDX nor a Hub licence id (see zoo/registry/licenses.py).",
        )
    # where the weights come from, and how they were trained
    if source is not None:
        if source.access == "direct" and not (source.url or (source.hub and source.file)):
            yield "upstream-incomplete", "[upstream] access = 'direct' needs a url, or hub and file."
        if source.access != "direct" and not source.instructions:
            yield "upstream-incomplete", f"[upstream] access = {source.access!r} needs instructions for the user."
        if source.sha256 and not SHA256.fullmatch(source.sha256):
            yield "sha256-invalid", "[upstream] sha256 is not 64 hexadecimal digits."
    if source is not None and entry.pretraining is None:
        yield "pretraining-missing", "[pretraining] is missing, but [upstream] describes weights."
    past = entry.pretraining
    if past is not None and not past.data:
        yield "pretraining-data-empty", "[pretraining] data is empty; name at least one data set."
    for key, count in (("images", past.images), ("epochs", past.epochs)) if past is not None else ():
        if count is not None and count <= 0:
            yield "count-below-one", f"[pretraining] {key} is {count}; it should be above 0, or absent if unknown."
    # labels, names and the Hub's copy
    labels = entry.model.labels
    if len(set(labels)) != len(labels) or not all(label.strip() for label in labels):
        yield (
            "labels-invalid",
            "[model] labels should be different texts, one for each output of the stored head, in order.",
        )
    if entry.random != entry.name.endswith("-random"):
        yield "random-name", "the name must end in -random if there is neither [upstream] nor [hub], and only then."
    if hub is not None and not (HEX40.fullmatch(hub.revision) and SHA256.fullmatch(hub.sha256) and "/" in hub.repo):
        yield "hub-incomplete", "[hub] needs repo (org/name), revision (40 hexadecimal digits) and sha256 (64)."
    for alias in entry.alias:
        if not NAME.fullmatch(alias):
            yield "invalid-checkpoint-name", f"alias {alias!r} is not a checkpoint name."


@cache
def _read_cached(path: Path, mtime_ns: int) -> Checkpoint:
    return read_checkpoint(path)


def _entry(path: Path) -> Checkpoint:
    return _read_cached(path, path.stat().st_mtime_ns)


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def names() -> list[str]:
    """All checkpoint names, in natural order."""
    return sorted(_files(), key=_natural)


def _entries() -> Iterator[Checkpoint]:
    """All entries; an invalid file of the user gives a warning and is left out, so that the others stay usable."""
    files = _files()
    for name in sorted(files, key=_natural):
        try:
            yield _entry(files[name])
        except RegistryError as error:
            if files[name].parent != own_dir():
                raise
            warnings.warn(f"skipped: {error}", stacklevel=3)


def shipped() -> list[Checkpoint]:
    """The checkpoints that ship with medzoo, in natural order; the user's own entries are not in it.

    >>> "resnet50-imagenet" in {entry.name for entry in shipped()}
    True
    """
    paths_by_name = {path.stem: path for path in config_dir().glob("[!.]*.toml")}
    return [_entry(paths_by_name[name]) for name in sorted(paths_by_name, key=_natural)]


def info(name: str) -> Checkpoint:
    """The facts about a checkpoint.

    Args:
        name: its name, or an alias.

    Raises:
        UsageError: if the name is not a string.
        UnknownNameError: with near matches.
        RegistryError: if its file is invalid.

    >>> info("resnet50-imagenet").pretraining.method
    'supervised'
    """
    if not isinstance(name, str):
        raise UsageError(f"The name is {name!r}. Give the name of a checkpoint. {HOW}", code="name-not-text")
    if (entry := _found(name)) is not None:
        return entry
    raise UnknownNameError("checkpoint", name, known_names(), f"{architecture_hint(name)}{HOW}")


def _found(name: str) -> Checkpoint | None:
    """The entry of a name or alias, if there is one."""
    if NAME.fullmatch(name):
        for folder in (config_dir(), own_dir()):
            if (path := folder / f"{name}.toml").is_file():
                return _entry(path)
    for entry in _entries():
        if name in entry.alias:
            return entry
    return random_checkpoint(name) if NAME.fullmatch(name) else None


def known_names() -> list[str]:
    """All names and aliases of checkpoints, in the order of the names."""
    return [known for entry in _entries() for known in (entry.name, *entry.alias)]


def is_known(name: str) -> bool:
    """Whether a name or alias is in the registry.

    >>> is_known("resnet50-imagenet"), is_known("org/name")
    (True, False)
    """
    # a path or a repository has other characters
    return bool(NAME.fullmatch(name)) and _found(name) is not None


def list_models(
    pattern: str = "*",
    *,
    architecture: str | None = None,
    method: str | None = None,
    data: str | None = None,
    modality: str | None = None,
    license: str | None = None,
    redistributable: bool | None = None,
    downloaded: bool | None = None,
) -> list[str]:
    """The names of checkpoints, in natural order.

    Args:
        pattern: a shell pattern for names and aliases; without * ? [ it matches any part of a name; case is ignored.
        architecture: the architecture's name; this and the next four may be patterns, and ignore case.
        method: pre-training method.
        data: one of the pre-training data sets.
        modality: one of the kinds of images in the training data.
        license: licence id.
        redistributable: whether the weights may be published again.
        downloaded: whether they are on this machine (in the cache or the directory hub).

    >>> list_models("resnet50-*", method="supervised", modality="CT")
    ['resnet50-radimagenet', 'resnet50-radimagenet_keras']
    """
    from medzoo.zoo.registry.locations import is_downloaded

    filters = {"architecture": architecture, "method": method, "data": data, "modality": modality, "license": license}
    for parameter, value in {"pattern": pattern, **filters}.items():
        if not isinstance(value, str) and (value is not None or parameter == "pattern"):
            raise UsageError(
                f"{parameter} is {value!r}. Give a name, or a pattern such as 'resnet50-*'.", code="filter-not-text"
            )
    if not re.search(r"[*?[]", pattern):
        pattern = f"*{pattern}*"

    def fits(entry: Checkpoint) -> bool:
        values = filter_values(entry)
        return (
            any(_matches(known, pattern) for known in (entry.name, *entry.alias))
            and all(
                need is None or any(_matches(value, need) for value in values[key]) for key, need in filters.items()
            )
            and (redistributable is None or entry.license.redistributable == redistributable)
            and (downloaded is None or is_downloaded(entry) == downloaded)
        )

    return [entry.name for entry in _entries() if fits(entry)]


def filter_values(entry: Checkpoint) -> dict[str, tuple[str | None, ...]]:
    """The values of a checkpoint that each filter of `list_models` compares.

    Args:
        entry: the checkpoint.
    """
    past = entry.pretraining or Pretraining()
    return {
        "architecture": (entry.architecture,),
        "method": (past.method,),
        "data": past.data,
        "modality": past.modalities,
        "license": (entry.license.id,),
    }


def _matches(value: str | None, pattern: str) -> bool:
    return value is not None and fnmatch.fnmatchcase(value.lower(), pattern.lower())


def text_of(name: object) -> str:
    """A name as text; a path object is always a path, also if a checkpoint has the same name.

    Args:
        name: the caller's argument: a string, or a path.

    Raises:
        UsageError: for anything else.

    >>> text_of("resnet18-random"), text_of(Path("./resnet18-random"))
    ('resnet18-random', './resnet18-random')
    """
    if not isinstance(name, str | os.PathLike):
        raise UsageError(
            f"The name is {name!r}. Give the name of a checkpoint (`medzoo list` shows all) or a folder.",
            code="name-not-text",
        )
    text = os.fsdecode(name)
    plain = not isinstance(name, str) and not Path(text).is_absolute() and not text.startswith((".", "~"))
    return f".{os.sep}{text}" if plain else text
