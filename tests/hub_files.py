"""The loopback Hub's endpoints for what is in a repository: listings, downloads, uploads, commits and refs."""

from __future__ import annotations

import base64
import itertools
import json
from contextlib import suppress
from fnmatch import fnmatch
from urllib.parse import parse_qs, quote

import yaml
from hub_api import Api, address, front_matter, may_propose, route
from hub_http import Call, Reply, as_json, file_reply
from hub_store import HubError, Repo, Row, git_oid, pointer
from hub_xet import look_up

OBJECT = "/blobs/<kind>/<repo>/(?P<oid>[0-9a-f]{64})"  # an LFS object at the storage's address
REGULAR_LIMIT = 10 * 2**20  # larger files go up by LFS whatever their name


def file_row(path: str, entry: Row) -> Row:
    """A file as the tree endpoints describe it."""
    row = {"type": "file", "path": path, "size": entry["size"], "oid": entry["oid"]}
    if entry["lfs"]:
        size = len(pointer(entry["blob"], entry["size"]))
        row["lfs"] = {"oid": entry["blob"], "size": entry["size"], "pointerSize": size}
        row |= {"xetHash": entry["xet"]} if entry["xet"] else {}
    return row


def listing(repo: Repo, sha: str, path: str = "", recursive: bool = False) -> list[Row]:
    """The files and folders under a path, folders before what is in them."""
    tree, start = repo.commit_at(sha)["tree"], f"{path}/" if path else ""
    below = {name: entry for name, entry in sorted(tree.items()) if name.startswith(start)}
    if path and not below:
        raise HubError(404, f"{path} does not exist on {sha}", "EntryNotFound", {"X-Repo-Commit": sha})
    rows: dict[str, Row] = {}
    for name, entry in below.items():
        parts = name.removeprefix(start).split("/")
        for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
            folder = start + "/".join(parts[:depth])
            rows.setdefault(folder, {"type": "directory", "path": folder, "oid": git_oid(folder.encode())})
        if recursive or len(parts) == 1:
            rows[name] = file_row(name, entry)
    return list(rows.values())


def card_data(repo: Repo, tree: Row) -> Row:
    """The metadata of the card, as far as it can be read."""
    entry = tree.get("README.md")
    with suppress(yaml.YAMLError, ValueError):
        return front_matter(repo.store.blob(entry["blob"]).read_text()) or {} if entry else {}
    return {}


@route("GET", "/api/<kind>/<repo>(/revision/<rev>)?")
def describe(api: Api, call: Call, rev: str = "main") -> Reply:
    """A repository at a revision, with the files' sizes if asked for."""
    sha = call.repo.resolve(rev)
    commit, record = call.repo.commit_at(sha), call.repo.record
    card = card_data(call.repo, commit["tree"])
    siblings: list[Row] = []
    for path, entry in sorted(commit["tree"].items()):
        row = file_row(path, entry)
        more = {"size": row["size"], "blobId": row["oid"]} if call.flag("blobs") else {}
        if more and "lfs" in row:
            more["lfs"] = {**row["lfs"], "sha256": row["lfs"]["oid"]}
        siblings.append({"rfilename": path, **more})
    tags = [*(card.get("tags") or []), *([card["library_name"]] if "library_name" in card else [])]
    described = {"id": call.repo.name, "modelId": call.repo.name, "author": call.repo.name.partition("/")[0]}
    described |= {"sha": sha, "lastModified": commit["date"], "createdAt": record["created"], "disabled": False}
    described |= {"private": record["private"], "gated": record["gated"], "siblings": siblings, "tags": tags}
    described |= {"cardData": card, "downloads": 0, "likes": 0}
    described |= {key: card[key] for key in ("library_name", "pipeline_tag") if key in card}
    return as_json(described)


def last_change(repo: Repo, sha: str, path: str) -> Row:
    """The newest commit that changed a file or something in a folder."""

    def state(commit: Row) -> Row:
        return {name: row for name, row in commit["tree"].items() if name == path or name.startswith(f"{path}/")}

    history = list(repo.history(sha))
    changed = [newer for newer, older in itertools.pairwise(history) if state(newer[1]) != state(older[1])]
    found, commit = (changed or history[-1:])[0]
    return {"id": found, "title": commit["title"], "date": commit["date"]}


def with_history(repo: Repo, sha: str, rows: list[Row]) -> list[Row]:
    """Rows of a listing with the last commit of each."""
    return [row | {"lastCommit": last_change(repo, sha, row["path"])} for row in rows]


@route("GET", "/api/<kind>/<repo>/tree/<rev>(/<path>)?")
def tree(api: Api, call: Call, rev: str, path: str = "") -> Reply:
    """Files and folders, in pages."""
    sha = call.repo.resolve(rev)
    rows = listing(call.repo, sha, path, call.flag("recursive"))
    return api.paged(call, with_history(call.repo, sha, rows) if call.flag("expand") else rows)


@route("POST", "/api/<kind>/<repo>/paths-info/<rev>")
def paths_info(api: Api, call: Call, rev: str) -> Reply:
    """The files and folders that were asked for; what does not exist is left out. A form, not JSON."""
    form = parse_qs(call.body.read().decode())
    sha = call.repo.resolve(rev)
    every = {row["path"]: row for row in listing(call.repo, sha, recursive=True)}
    rows = [every[path] for path in form.get("paths", []) if path in every]
    return as_json(with_history(call.repo, sha, rows) if form.get("expand", [""])[-1].lower() == "true" else rows)


@route("GET", "/api/<kind>/<repo>/commits/<rev>")
def commits(api: Api, call: Call, rev: str) -> Reply:
    """The history of a revision, in pages."""
    rows = [
        {"id": sha, "title": row["title"], "message": row["message"], "date": row["date"]}
        | {"authors": [{"user": row["author"]}]}
        for sha, row in call.repo.history(call.repo.resolve(rev))
    ]
    return api.paged(call, rows)


@route("GET", "/(<kind>/)?<repo>/resolve/<rev>/<path>", "files")
def resolve(api: Api, call: Call, rev: str, path: str) -> Reply:
    """A file. LFS objects come from the storage's address by a redirect, if that is another one."""
    sha = call.repo.resolve(rev)
    headers = {"X-Repo-Commit": sha}
    entry = call.repo.commit_at(sha)["tree"].get(path)
    if entry is None:
        raise HubError(404, f"{path} is not in {call.repo.name} at {rev}", "EntryNotFound", headers)
    name = path.rpartition("/")[2]
    headers["Content-Disposition"] = f"inline; filename*=UTF-8''{quote(name)};"
    if not entry["lfs"]:
        return file_reply(api.store.blob(entry["blob"]), call.header("range"), headers | {"ETag": f'"{entry["oid"]}"'})
    headers |= {
        "ETag": f'"{entry["blob"]}"',
        "X-Linked-Etag": f'"{entry["blob"]}"',
        "X-Linked-Size": str(entry["size"]),
    }
    if entry["xet"]:
        link = f"{call.endpoint}/api/{call.repo.kind}/{call.repo.name}/xet-read-token/{sha}"
        headers |= {
            "X-Xet-Hash": entry["xet"],
            "Link": f'<{link}>; rel="xet-auth"',
            "Content-Length": str(entry["size"]),
        }
        if call.method == "GET":
            raise HubError(501, "hf_xet alone can read this file")
        return Reply(200, headers)
    if call.storage == call.endpoint:
        return file_reply(api.store.blob(entry["blob"]), call.header("range"), headers)
    where = object_address(api, call, call.repo, entry["blob"], f"/{quote(name)}")
    return Reply(302, headers | {"Location": where})


def object_address(api: Api, call: Call, repo: Repo, oid: str, more: str = "") -> str:
    """The signed address of an LFS object."""
    path = f"/blobs/{repo.kind}/{repo.name}/{oid}{more}"
    return f"{call.storage}{path}?signature={api.sign(path)}"


@route("GET", f"{OBJECT}/<path>", "signed")
def download(api: Api, call: Call, oid: str, path: str) -> Reply:
    """An LFS object; its name is in the address so that faults can be told by it."""
    return file_reply(api.store.blob(oid), call.header("range"), {"ETag": f'"{oid}"'})


@route("PUT", OBJECT, "signed")
def upload(api: Api, call: Call, oid: str) -> Reply:
    """Take an LFS object, if it is the one that was announced."""
    sha256, size = api.store.add(call.body)
    if sha256 != oid:
        raise HubError(400, f"{size} bytes with sha256 {sha256} came as {oid}")
    call.repo.mark_object(oid)
    return Reply(200, {"ETag": f'"{oid}"'})


@route("POST", r"/(<kind>/)?<repo>\.git/info/lfs/objects/batch", "propose")
def batch(api: Api, call: Call) -> Reply:
    """Where to put LFS objects; those that the repository has need no action."""
    objects = []
    for asked in call.json["objects"]:
        row = {"oid": asked["oid"], "size": asked["size"]}
        if not call.repo.has_object(asked["oid"]):
            verify = f"{call.endpoint}/api/{call.repo.kind}/{call.repo.name}/lfs-verify"
            put = object_address(api, call, call.repo, asked["oid"])
            row["actions"] = {"upload": {"href": put}, "verify": {"href": verify}}
        objects.append(row)
    return as_json({"transfer": "basic", "objects": objects})


@route("POST", "/api/<kind>/<repo>/lfs-verify", "propose")
def verify(api: Api, call: Call) -> Reply:
    """Whether an LFS object arrived."""
    oid, size = call.json["oid"], call.json["size"]
    if not call.repo.has_object(oid) or api.store.blob(oid).stat().st_size != size:
        raise HubError(404, f"{oid} with {size} bytes is not here")
    return as_json({})


def goes_by_lfs(repo: Repo, tree: Row, path: str, size: int, sample: bytes) -> bool:
    """Whether a file has to go up by LFS: by .gitattributes, for its size, or because it is no text."""
    entry = tree.get(".gitattributes")
    lines = repo.store.blob(entry["blob"]).read_text().splitlines() if entry else []
    patterns = [line.split()[0] for line in lines if "filter=lfs" in line.split()]
    named = any(fnmatch(path, pattern) or fnmatch(path.rpartition("/")[2], pattern) for pattern in patterns)
    return size > 0 and (named or size > REGULAR_LIMIT or b"\0" in sample)


@route("POST", "/api/<kind>/<repo>/preupload/<rev>", "propose")
def preupload(api: Api, call: Call, rev: str) -> Reply:
    """How each file has to go up, and what is at its path now: the client skips what has not changed."""
    now = call.repo.commit_at(call.repo.resolve(rev))["tree"]
    files = []
    for asked in call.json["files"]:
        lfs = goes_by_lfs(call.repo, now, asked["path"], asked["size"], base64.b64decode(asked["sample"]))
        row = {"path": asked["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
        if entry := now.get(asked["path"]):
            row["oid"] = entry["blob"] if entry["lfs"] else entry["oid"]
        files.append(row)
    return as_json({"files": files})


@route("POST", "/api/<kind>/<repo>/commit/<rev>", "propose")
def commit(api: Api, call: Call, rev: str) -> Reply:
    """All changes of a commit, or none: lines of JSON, the first of them a header."""
    header, *changes = [json.loads(line) for line in call.body.read().splitlines() if line.strip()]
    for line in changes:
        if line["key"] == "file":
            line["value"]["content"] = base64.b64decode(line["value"]["content"])
        elif line["key"] == "lfsFile" and (found := look_up(api.xet, line["value"]["oid"])):
            line["value"]["xet"], line["value"]["size"] = found
    proposing = call.flag("create_pr")
    if not proposing:
        may_push(api, call, rev)
    sha, number = call.repo.commit(rev, header["value"], changes, call.user.name, proposing)
    told = {"success": True, "commitOid": sha, "commitUrl": address(call, call.repo, "commit", sha)}
    if number:
        told["pullRequestUrl"] = address(call, call.repo, "discussions", str(number))
    return as_json(told)


def may_push(api: Api, call: Call, rev: str) -> None:
    """Refuse those who may not commit to a branch; a pull request is open to its author."""
    may_propose(call.user)
    pulls = {f"refs/pr/{row['num']}": row["author"]["name"] for row in call.repo.record["discussions"]}
    if pulls.get(rev) != call.user.name:
        api.may_write(call.user, call.repo.name.partition("/")[0])


@route("GET", "/api/<kind>/<repo>/refs")
def refs(api: Api, call: Call) -> Reply:
    """Branches, tags and, if asked for, pull requests."""
    record = call.repo.record

    def rows(found: dict[str, str], prefix: str) -> list[Row]:
        return [{"name": name, "ref": prefix + name, "targetCommit": sha} for name, sha in found.items()]

    listed = {"branches": rows(record["branches"], "refs/heads/"), "tags": rows(record["tags"], "refs/tags/")}
    pulls = {"pullRequests": rows(record["pulls"], "")} if call.flag("include_prs") else {}
    return as_json(listed | pulls | {"converts": []})


@route("POST", "/api/<kind>/<repo>/(?P<what>branch|tag)/<rev>", "write")
def add_ref(api: Api, call: Call, what: str, rev: str) -> Reply:
    """A new branch of the name in the address, or a tag on the revision in the address."""
    name, start = (rev, call.json.get("startingPoint", "main")) if what == "branch" else (call.json["tag"], rev)
    with call.repo.edit() as record:
        known = record["branches" if what == "branch" else "tags"]
        if name in known:
            raise HubError(409, f"The {what} {name} exists already")
        if name.startswith("refs/"):
            raise HubError(400, f"{name} is no name for a {what}")
        known[name] = call.repo.resolve(start)
    return as_json({})


@route("DELETE", "/api/<kind>/<repo>/(?P<what>branch|tag)/<rev>", "write")
def drop_ref(api: Api, call: Call, what: str, rev: str) -> Reply:
    """Forget a branch or a tag; its commits stay."""
    with call.repo.edit() as record:
        if what == "branch" and rev == "main":
            raise HubError(403, "main has to stay")
        if record["branches" if what == "branch" else "tags"].pop(rev, None) is None:
            raise HubError(404, f"There is no {what} {rev}", "RevisionNotFound")
    return as_json({})
