"""The endpoints of the loopback Hub: what the real client asks, who may ask it, and the answers in the Hub's own JSON."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote, urlencode

import yaml
from hub_http import Call, Reply, User, as_json
from hub_store import HubError, Repo, Row, Store, add_event, discussion, new_discussion

PIECES = {"kind": "models|datasets|spaces", "repo": "[^/]+/[^/]+", "rev": "[^/]+", "path": ".+", "n": r"\d+"}
ROUTES: list[tuple[str, re.Pattern[str], str, Callable[..., Reply]]] = []


def route(method: str, shape: str, needs: str = "read") -> Callable[[Callable[..., Reply]], Callable[..., Reply]]:
    """Answer a path with a function; `needs` is what the caller has to be allowed on the repository."""
    for name, piece in PIECES.items():
        shape = shape.replace(f"<{name}>", f"(?P<{name}>{piece})")
    pattern = re.compile(shape)

    def register(function: Callable[..., Reply]) -> Callable[..., Reply]:
        ROUTES.append((method, pattern, needs, function))
        return function

    return register


class Api:
    """Answers calls out of a store.

    Args:
        store: what is kept.
        tokens: the user behind each token.
        members: for each organisation the names of those who may write there; everyone may in their own namespace.
        secret: signs the addresses of LFS objects, which carry no token.

    Attributes:
        page: rows of a listing that come at a time.
        xet: the folder of hf_xet's local storage, where Xet is on.
    """

    def __init__(self, store: Store, tokens: dict[str, User], members: dict[str, set[str]], secret: bytes) -> None:
        self.store, self.tokens, self.members, self.secret = store, tokens, members, secret
        self.page, self.xet = 1000, None

    def answer(self, call: Call) -> Reply:
        """The answer to a call, or a HubError."""
        token = call.header("authorization").removeprefix("Bearer ")
        if token and token not in self.tokens:
            raise HubError(401, "Invalid credentials in Authorization header")
        call.user = self.tokens[token] if token else None
        for method, pattern, needs, function in ROUTES:
            if method == call.method.replace("HEAD", "GET") and (match := pattern.fullmatch(call.path)):
                found = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                if "repo" in found:
                    repo = self.store.repo(found.pop("kind", "models"), found.pop("repo"))
                    call.repo = self.admit(call, repo, needs)
                return function(self, call, **found)
        raise HubError(404, f"The loopback Hub has no {call.method} {call.path}")

    def at_home(self, user: User | None, namespace: str) -> bool:
        """Whether a namespace is the user's own or one of an organisation of theirs."""
        mine = user and (user.admin or user.name == namespace or user.name in self.members.get(namespace, ()))
        return bool(mine)

    def may_write(self, user: User | None, namespace: str) -> None:
        """Refuse those who may not write in a namespace."""
        may_propose(user)
        if not self.at_home(user, namespace):
            raise HubError(403, f"{user and user.name} may not write to {namespace}")

    def admit(self, call: Call, repo: Repo | None, needs: str) -> Repo:
        """The repository, for those who may do to it what they want to."""
        if needs == "signed":
            if repo is None or not hmac.compare_digest(call.option("signature"), self.sign(call.path)):
                raise HubError(403, "This address is not signed")
            return repo
        away = HubError(404 if call.user else 401, "There is no such repository for you", "RepoNotFound")
        if repo is None:
            raise away
        record, namespace = repo.record, repo.name.partition("/")[0]
        at_home = self.at_home(call.user, namespace)
        if record["private"] and not at_home:
            raise away
        granted = at_home or (call.user and call.user.name in record["granted"])
        if needs == "files" and record["gated"] and not granted:
            raise HubError(403 if call.user else 401, f"Ask for access to {repo.name} first", "GatedRepo")
        if needs == "write":
            self.may_write(call.user, namespace)
        elif needs == "propose":
            may_propose(call.user)
        return repo

    def sign(self, path: str) -> str:
        """The signature of an address that carries no token."""
        return hmac.new(self.secret, path.encode(), hashlib.sha256).hexdigest()[:32]

    def paged(self, call: Call, rows: list[Row]) -> Reply:
        """A page of a listing, and the way to the next."""
        start = int(call.option("cursor", "0"))
        headers = {}
        if start + self.page < len(rows):
            query = [pair for pair in parse_qsl(call.environ["QUERY_STRING"]) if pair[0] != "cursor"]
            query.append(("cursor", str(start + self.page)))
            headers["Link"] = f'<{call.endpoint}{call.path}?{urlencode(query)}>; rel="next"'
        return as_json(rows[start : start + self.page], 200, headers)


def may_propose(user: User | None) -> None:
    """Refuse those whose token changes nothing, not even by a pull request."""
    if user is None:
        raise HubError(401, "Log in first")
    if user.role == "read":
        raise HubError(403, f"The token of {user.name} may only read")


def address(call: Call, repo: Repo, *more: str) -> str:
    """The web address of a repository, or of something in it."""
    prefix = "" if repo.kind == "models" else f"/{repo.kind}"
    return "/".join([f"{call.endpoint}{prefix}/{repo.name}", *more])


def front_matter(text: str) -> Row | None:
    """The YAML on top of a card; None where there is none, YAMLError or ValueError where it is wrong."""
    match = re.match(r"---\r?\n(.*?)\r?\n?---[ \t]*(\r?\n|$)", text, re.DOTALL)
    data = yaml.safe_load(match[1]) if match else None
    if not isinstance(data, dict | None):
        raise ValueError("the metadata is no mapping")
    return data


@route("GET", "/api/whoami-v2")
def whoami(api: Api, call: Call) -> Reply:
    """Whose token it is."""
    if call.user is None:
        raise HubError(401, "Log in first")
    orgs = [{"type": "org", "name": name} for name, who in api.members.items() if call.user.name in who]
    token = {"displayName": "test", "role": call.user.role}
    return as_json({"type": "user", "name": call.user.name, "orgs": orgs, "auth": {"accessToken": token}})


@route("POST", "/api/validate-yaml")
def validate_yaml(api: Api, call: Call) -> Reply:
    """Whether a card's metadata can be read, with a few of the Hub's rules on types."""
    strings = {"license": str | list, "tags": list, "datasets": list, "metrics": list, "pipeline_tag": str}
    try:
        data = front_matter(call.json["content"])
        wrong = [key for key, kind in strings.items() if not isinstance((data or {}).get(key), kind | None)]
        errors = [f'"{key}" has the wrong type' for key in wrong]
    except (yaml.YAMLError, ValueError) as error:
        data, errors = {}, [str(error)]
    warnings = [] if data or errors else ["the card has no metadata"]
    found = {"errors": errors, "warnings": warnings}
    found = {key: [{"message": message} for message in messages] for key, messages in found.items()}
    return as_json(found, 400 if errors else 200)


@route("POST", "/api/repos/create")
def create_repo(api: Api, call: Call) -> Reply:
    """A new repository; the answer to one that exists names it too, since exist_ok reads its address."""
    namespace = call.json.get("organization") or (call.user and call.user.name) or ""
    api.may_write(call.user, namespace)
    kind, name = f"{call.json.get('type') or 'model'}s", f"{namespace}/{call.json['name']}"
    with api.store.lock:
        if repo := api.store.repo(kind, name):
            raise HubError(409, f"{name} exists already", fields={"url": address(call, repo)})
        private = call.json.get("visibility") == "private"
        repo = api.store.create(kind, name, private=private, author=call.user.name)
    return as_json({"url": address(call, repo), "name": name})


@route("DELETE", "/api/repos/delete")
def delete_repo(api: Api, call: Call) -> Reply:
    """Forget a repository."""
    namespace = call.json.get("organization") or (call.user and call.user.name)
    repo = api.store.repo(f"{call.json.get('type') or 'model'}s", f"{namespace}/{call.json['name']}")
    api.store.delete(api.admit(call, repo, "write"))
    return as_json({})


@route("PUT", "/api/<kind>/<repo>/settings", "write")
def settings(api: Api, call: Call) -> Reply:
    """Make a repository private, public or gated."""
    with call.repo.edit() as record:
        if "visibility" in call.json:
            record["private"] = call.json["visibility"] == "private"
        record["gated"] = call.json.get("gated", record["gated"])
    return as_json({})


@route("POST", "/api/<kind>/<repo>/user-access-request/grant", "write")
def grant(api: Api, call: Call) -> Reply:
    """Let a user into a gated repository."""
    with call.repo.edit() as record:
        record["granted"].append(call.json["user"])
    return as_json({})


@route("GET", "/api/<kind>/<repo>/auth-check(?P<write>/write)?", "files")
def auth_check(api: Api, call: Call, write: str = "") -> Reply:
    """Whether the caller may read the files, or write."""
    if write:
        api.admit(call, call.repo, "write")
    return as_json({})


def described(call: Call, row: Row) -> Row:
    """A discussion as the Hub shows it."""
    repo = {"name": call.repo.name, "type": call.repo.kind[:-1]}
    changes = {"base": f"refs/heads/{row['base']}", "mergeCommitId": row["mergeCommit"]}
    return row | {"repo": repo, "changes": changes, "filesWithConflicts": []}


@route("GET", "/api/<kind>/<repo>/discussions")
def list_discussions(api: Api, call: Call) -> Reply:
    """Discussions and pull requests, the newest first, on one page."""
    rows = [described(call, row) for row in reversed(call.repo.record["discussions"])]
    if kind := call.option("type"):
        rows = [row for row in rows if kind == "all" or row["isPullRequest"] == (kind == "pull_request")]
    if status := call.option("status"):
        rows = [row for row in rows if status == "all" or (row["status"] in ("open", "draft")) == (status == "open")]
    return as_json({"discussions": rows, "count": len(rows), "start": 0})


@route("POST", "/api/<kind>/<repo>/discussions", "propose")
def open_discussion(api: Api, call: Call) -> Reply:
    """A discussion, or a pull request that starts as a draft without changes."""
    asked, pull = call.json, call.json["pullRequest"]
    with call.repo.edit() as record:
        state, base = ("draft", "main") if pull else ("open", "")
        number = new_discussion(record, asked["title"], asked["description"], call.user.name, state, base)
        if pull:
            record["pulls"][f"refs/pr/{number}"] = record["branches"][base]
            record["discussions"][-1]["origin"] = record["branches"][base]
    return as_json({"num": number, "pullRequest": pull})


@route("GET", "/api/<kind>/<repo>/discussions/<n>")
def one_discussion(api: Api, call: Call, n: str) -> Reply:
    """A discussion with its events."""
    return as_json(described(call, discussion(call.repo.record, int(n))))


@route("POST", "/api/<kind>/<repo>/discussions/<n>/merge", "write")
def merge(api: Api, call: Call, n: str) -> Reply:
    """Merge a pull request; drafts have to be opened first."""
    return as_json({"mergeCommitId": call.repo.merge(int(n), call.user.name)})


@route("POST", "/api/<kind>/<repo>/discussions/<n>/(?P<what>comment|status|title)", "propose")
def discuss(api: Api, call: Call, n: str, what: str) -> Reply:
    """Add to a discussion, open or close it, or rename it."""
    with call.repo.edit() as record:
        row, author = discussion(record, int(n)), call.user.name
        if what == "comment":
            data = {"edited": False, "hidden": False, "latest": {"raw": call.json["comment"]}}
            return as_json({"newMessage": add_event(row, "comment", author, data)})
        if what == "status":
            row["status"] = call.json["status"]
            return as_json({"newStatus": add_event(row, "status-change", author, {"status": row["status"]})})
        data = {"from": row["title"], "to": call.json["title"]}
        row["title"] = data["to"]
        return as_json({"newTitle": add_event(row, "title-change", author, data)})
