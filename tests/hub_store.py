"""What the loopback Hub keeps on disk: blobs under their sha256, commits under their sha1, a record for each repository."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

Row = dict[str, Any]
# Every repository of the Hub is born with such a file; it decides which files go up by LFS.
ATTRIBUTES = "".join(
    f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n"
    for suffix in [
        "arrow",
        "bin",
        "ckpt",
        "gz",
        "h5",
        "msgpack",
        "npy",
        "npz",
        "onnx",
        "parquet",
        "pkl",
        "pt",
        "pth",
        "safetensors",
        "tar",
        "zip",
        "zst",
    ]
)


class HubError(Exception):
    """A refusal: the status, a sentence, the X-Error-Code by which the client picks its exception, and more to say."""

    def __init__(
        self, status: int, message: str, code: str = "", headers: Row | None = None, fields: Row | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.headers, self.fields = status, code, headers or {}, fields or {}


def now() -> str:
    """The time in the Hub's notation."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def git_oid(content: bytes) -> str:
    """The name git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """What git itself holds of an LFS file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that readers see complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)


class Store:
    """All repositories of one server, in one folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.lock = root, threading.RLock()
        (root / "blobs").mkdir(parents=True, exist_ok=True)

    def blob(self, sha256: str) -> Path:
        """Where the content with this hash is, or would be."""
        return self.root / "blobs" / sha256

    def add(self, source: BinaryIO) -> tuple[str, int]:
        """Keep a stream's content; returns its sha256 and size."""
        digest = hashlib.sha256()
        with tempfile.NamedTemporaryFile(dir=self.root, delete=False) as file:
            while chunk := source.read(2**20):
                digest.update(chunk)
                file.write(chunk)
            size = file.tell()
        os.replace(file.name, self.blob(digest.hexdigest()))
        return digest.hexdigest(), size

    def add_bytes(self, content: bytes) -> Row:
        """Keep a regular file; returns its entry for a commit's tree."""
        sha256 = hashlib.sha256(content).hexdigest()
        write_whole(self.blob(sha256), content)
        return {"size": len(content), "oid": git_oid(content), "blob": sha256, "lfs": False}

    def repo(self, kind: str, name: str) -> Repo | None:
        """The repository, or None; kind is models, datasets or spaces."""
        repo = Repo(self, kind, name)
        return repo if repo.file.is_file() else None

    def create(self, kind: str, name: str, *, private: bool, author: str) -> Repo:
        """A repository with its first commit; the caller has looked whether there is one."""
        repo = Repo(self, kind, name)
        tree = {".gitattributes": self.add_bytes(ATTRIBUTES.encode())}
        first = repo.write_commit(None, tree, "initial commit", "", author)
        record = {"private": private, "gated": False, "granted": [], "created": now(), "branches": {"main": first}}
        write_whole(repo.file, json.dumps({**record, "tags": {}, "pulls": {}, "discussions": []}).encode())
        return repo

    def delete(self, repo: Repo) -> None:
        """Forget a repository; blobs stay, others may use them."""
        with self.lock:
            shutil.rmtree(repo.folder)


class Repo:
    """One repository: commits, each with its whole tree, and a record of refs, settings and discussions."""

    def __init__(self, store: Store, kind: str, name: str) -> None:
        self.store, self.kind, self.name = store, kind, name
        self.folder = store.root / kind / name
        self.file = self.folder / "repo.json"

    @property
    def record(self) -> Row:
        """The record as it is now; changes go through `edit`."""
        return json.loads(self.file.read_bytes())

    @contextmanager
    def edit(self) -> Iterator[Row]:
        """Change the record, alone."""
        with self.store.lock:
            record = self.record
            yield record
            write_whole(self.file, json.dumps(record).encode())

    # LFS objects are stored once, but a repository has to be sent each of them itself, as on the real Hub.
    def has_object(self, sha256: str) -> bool:
        """Whether this repository was sent an LFS object."""
        return (self.folder / "lfs" / sha256).is_file()

    def mark_object(self, sha256: str) -> None:
        """Remember that this repository was sent an LFS object."""
        write_whole(self.folder / "lfs" / sha256, b"")

    def write_commit(self, parent: str | None, tree: Row, title: str, message: str, author: str) -> str:
        """Write a commit that no ref points to yet."""
        commit = {"parent": parent, "title": title, "message": message, "author": author, "date": now(), "tree": tree}
        content = json.dumps(commit, sort_keys=True).encode()
        sha = hashlib.sha1(content).hexdigest()
        write_whole(self.folder / "commits" / f"{sha}.json", content)
        return sha

    def commit_at(self, sha: str) -> Row:
        """The commit with this sha."""
        return json.loads((self.folder / "commits" / f"{sha}.json").read_bytes())

    def history(self, sha: str | None) -> Iterator[tuple[str, Row]]:
        """A commit and those before it, the newest first."""
        while sha:
            commit = self.commit_at(sha)
            yield sha, commit
            sha = commit["parent"]

    def resolve(self, revision: str) -> str:
        """The commit that a branch, a tag, refs/pr/N or a full sha stands for."""
        record = self.record
        short = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        found = record["branches"].get(short) or record["pulls"].get(revision) or record["tags"].get(short)
        if not found and len(revision) == 40 and (self.folder / "commits" / f"{revision}.json").is_file():
            found = revision
        if not found:
            raise HubError(404, f"{self.name} has no revision {revision}", "RevisionNotFound")
        return found

    def commit(self, branch: str, header: Row, changes: list[Row], author: str, open_pull: bool) -> tuple[str, int]:
        """Add a commit to a branch or a pull request, or open one with it.

        Args:
            branch: main, another branch, or refs/pr/N.
            header: summary, description, parentCommit.
            changes: lines of the client's ndjson, without the header.
            author: user name.
            open_pull: leave the branch alone and open a pull request.

        Returns:
            The commit, and the number of the pull request that was opened, or 0.
        """
        with self.edit() as record:
            refs = record["pulls"] if branch.startswith("refs/pr/") else record["branches"]
            if branch not in refs:
                raise HubError(404, f"No branch {branch!r} to commit to", "RevisionNotFound")
            head, guard = refs[branch], header.get("parentCommit")
            if guard and open_pull:
                head = self.resolve(guard)
            elif guard and not head.startswith(guard):
                raise HubError(412, f"{branch} is at {head}, not at {guard}")
            tree = self._changed(self.commit_at(head)["tree"], changes)
            sha = self.write_commit(head, tree, header["summary"], header.get("description", ""), author)
            if not open_pull:
                refs[branch] = sha
                return sha, 0
            number = new_discussion(record, header["summary"], header.get("description", ""), author, "open", branch)
            record["pulls"][f"refs/pr/{number}"] = sha
            record["discussions"][number - 1]["origin"] = head
            return sha, number

    def _changed(self, tree: Row, changes: list[Row]) -> Row:
        for line in changes:
            key, value = line["key"], line["value"]
            path = value["path"].rstrip("/")
            if key in ("file", "lfsFile") and {"", ".", "..", ".git"} & set(path.split("/")):
                raise HubError(400, f"Invalid path: {path!r}")
            if key == "file":
                tree[path] = self.store.add_bytes(value["content"])
            elif key == "lfsFile":
                xet = value.get("xet")  # a file of which only hf_xet has the content
                if not xet and not self.has_object(value["oid"]):
                    raise HubError(400, f"The content of {path} was never uploaded")
                size = value["size"] if xet else self.store.blob(value["oid"]).stat().st_size
                oid = git_oid(pointer(value["oid"], size))
                tree[path] = {"size": size, "oid": oid, "blob": value["oid"], "lfs": True, "xet": xet}
            else:
                gone = [name for name in tree if name == path or name.startswith(f"{path}/")]
                if not gone or (key == "deletedFile" and gone != [path]):
                    raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
                for name in gone:
                    del tree[name]
        return tree

    def merge(self, number: int, author: str) -> str:
        """Put what a pull request changed onto its base, if nobody changed the same files in the meantime."""
        with self.edit() as record:
            pull = discussion(record, number)
            if pull["status"] != "open" or not pull["isPullRequest"]:
                raise HubError(400, f"#{number} is no open pull request, it is {pull['status']}")
            base, proposed = record["branches"][pull["base"]], record["pulls"][f"refs/pr/{number}"]
            before, after, head = (self.commit_at(sha)["tree"] for sha in (pull["origin"], proposed, base))
            touched = {path for path in {*before, *after} if before.get(path) != after.get(path)}
            clashes = sorted(path for path in touched if head.get(path) not in (before.get(path), after.get(path)))
            if clashes:
                raise HubError(409, f"Merge conflicts in {', '.join(clashes)}")
            tree = {path: entry for path, entry in head.items() if path not in touched}
            tree |= {path: after[path] for path in touched if path in after}
            sha = self.write_commit(base, tree, f"{pull['title']} (#{number})", "", author)
            record["branches"][pull["base"]] = sha
            pull |= {"status": "merged", "mergeCommit": sha}
            add_event(pull, "status-change", author, {"status": "merged"})
            return sha


def new_discussion(record: Row, title: str, text: str, author: str, status: str, base: str = "") -> int:
    """Open a discussion, or a pull request onto a base; the caller edits the record. Returns its number."""
    number = len(record["discussions"]) + 1
    row = {"num": number, "title": title, "author": {"name": author}, "createdAt": now(), "status": status}
    row |= {"isPullRequest": bool(base), "base": base, "origin": "", "mergeCommit": None, "events": []}
    add_event(row, "comment", author, {"edited": False, "hidden": False, "latest": {"raw": text}})
    record["discussions"].append(row)
    return number


def add_event(row: Row, kind: str, author: str, data: Row) -> Row:
    """Something that happened in a discussion."""
    event = {"id": f"{row['num']}-{len(row['events'])}", "type": kind, "createdAt": now()}
    row["events"].append(event | {"author": {"name": author}, "data": data})
    return row["events"][-1]


def discussion(record: Row, number: int) -> Row:
    """A discussion by its number."""
    if not 0 < number <= len(record["discussions"]):
        raise HubError(404, f"There is no discussion {number}")
    return record["discussions"][number - 1]
