"""Every place in the source that makes an error of medzoo: its class, its code and its message."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from medzoo import errors
from site_pages.message_text import CLOSE, OPEN, text_of

REPOSITORY = Path(__file__).resolve().parents[2]
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
BASE = "MedzooError"
ANY = "any"  # the last word of a code whose other words follow from an argument
Kinds = Mapping[str, type[errors.MedzooError]]


def kinds_of_errors() -> dict[str, type[errors.MedzooError]]:
    """The classes of medzoo.errors by name."""
    found = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    return {name: kind for name, kind in found.items() if issubclass(kind, errors.MedzooError)}


KINDS = kinds_of_errors()
# Where a function makes the error, the message is this argument.
MESSAGE_AT = {"complain_of": 1}
# The class of an error that a function makes, or that is chosen when it runs.
MADE_BY = {"complain_of": "DataContractError", "Answer": "ConversionError", "StoreError": "DataContractError"}
MADE_BY |= {"RefusedError": "WeightsUnavailableError", "unavailable": "WeightsUnavailableError"}


@dataclass(frozen=True)
class ErrorPlace:
    """One place that makes an error.

    Args:
        code: of the error; with `any` in place of a part that follows from an argument.
        kind: name of its class.
        message: with marks around the names of values that are filled in.
        path: of the file, from the repository.
        line: in the file.
    """

    code: str
    kind: str
    message: str
    path: str
    line: int


def error_places(root: Path = REPOSITORY) -> list[ErrorPlace]:
    """All places of the package and the recipes, in the order of their files.

    Args:
        root: of the repository.
    """
    files = [*sorted((root / "medzoo").rglob("*.py")), *sorted((root / "recipes").glob("*.py"))]
    sources = {path.relative_to(root).as_posix(): Source(path) for path in files}
    constants = {f"{name}:{key}": value for name, one in sources.items() for key, value in one.texts.items()}
    found: list[ErrorPlace] = []
    for name, source in sources.items():
        if name == "medzoo/data/problems.py":  # it passes on what others say
            continue
        found += source.places(name, constants)
    return found


class Source:
    """A parsed file.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.functions = [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)]

    @cached_property
    def texts(self) -> dict[str, str]:
        """The constants of the module that are texts."""
        found = {}
        for node in self.tree.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                    found[name] = text
        return found

    @cached_property
    def imported(self) -> dict[str, str]:
        """Where the constants come from that the module imports: name → file:name."""
        found = {}
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module:
                file = node.module.replace(".", "/") + ".py"
                found |= {alias.asname or alias.name: f"{file}:{alias.name}" for alias in node.names}
        return found

    def places(self, name: str, constants: Mapping[str, str]) -> Iterator[ErrorPlace]:
        """Every error that the file makes.

        Args:
            name: of the file, from the repository.
            constants: texts of all modules, as file:name.
        """
        outer = {key: ast.Constant(constants[place]) for key, place in self.imported.items() if place in constants}
        outer |= {key: ast.Constant(text) for key, text in self.texts.items()}
        inside: dict[ast.AST, ast.FunctionDef] = {}
        for function in self.functions:  # the innermost function comes last
            inside |= dict.fromkeys(ast.walk(function), function)
        for node in ast.walk(self.tree):
            if not _may_make_an_error(node):
                continue
            function = inside.get(node)
            names = {**outer, **(_assigned(function, node) if function is not None else {})}
            for code, kind, message in self._made(node, function, names):
                yield ErrorPlace(code, kind, message, name, getattr(node, "lineno", 0))

    def _made(
        self, node: ast.AST, function: ast.FunctionDef | None, names: Mapping[str, ast.expr]
    ) -> Iterator[tuple[str, str, str]]:
        """Code, class and message of the error that a node makes; nothing for other nodes."""
        if pair := _code_and_text(node):
            yield pair[0], self._class_of_pairs, text_of(pair[1], names)
        if not isinstance(node, ast.Call):
            return
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = {row.arg: row.value for row in node.keywords if row.arg}
        if called == "UnknownNameError" and len(node.args) == 4:
            for kind in self._values(node.args[0], function, names):
                what = text_of(node.args[1], {})
                text = f"Unknown {kind} {what}. [Did you mean {OPEN}the nearest names{CLOSE}?] "
                yield f"unknown-{_words(kind)}", called, text + text_of(node.args[3], names)
        elif called == "MissingExtraError" and len(node.args) == 3:
            package, extra, purpose = (text_of(one, names) for one in node.args)
            code = f"missing-{_words(package)}" if OPEN not in package else f"missing-{ANY}"
            yield code, called, f'{purpose} needs {package}: pip install "medzoo[{extra}]"'
        elif called == "DiskFullError":
            text = f"No space left for {OPEN}path{CLOSE}: [what it needs, and what is free]. Existing files are unchanged. "
            text += "Free some space (`medzoo cache prune` removes leftovers) or choose another disk "
            yield "disk-full", called, text + "(MEDZOO_HOME moves medzoo's cache), then try again."
        elif called == "_WrongError" and len(node.args) == 2:
            for code in self._values(node.args[1], function, names):
                yield code, BASE, f"{OPEN}file: key{CLOSE}{text_of(node.args[0], names)}"
        elif "code" in given and called != "__init__" and not _passed_on(given["code"]):
            at = MESSAGE_AT.get(called, 0)
            message = node.args[at] if len(node.args) > at else given.get("error") or given.get("message")
            text = text_of(message, names)
            if called == "complain_of":
                text += f": {OPEN}the first of them{CLOSE}."
            for code in self._values(given["code"], function, names):
                yield code, self._class_of(called, function), text

    def _class_of(self, called: str, function: ast.FunctionDef | None) -> str:
        """The class of an error by what is called: a class, a function, or an argument with a default."""
        if called in KINDS:
            return called
        if function is not None:
            arguments = function.args
            for given, default in zip(arguments.args[::-1], arguments.defaults[::-1], strict=False):
                if given.arg == called and isinstance(default, ast.Name) and default.id in KINDS:
                    return default.id
        return MADE_BY.get(called, BASE)

    @cached_property
    def _class_of_pairs(self) -> str:
        """The class of the errors whose code and text a function of this file returns."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and (name := getattr(node.func, "id", "")) in KINDS:
                given = [row.value.id for row in node.keywords if row.arg == "code" and isinstance(row.value, ast.Name)]
                if given and given[0] not in self.texts:
                    return name
        return BASE

    def _values(self, code: ast.expr, function: ast.FunctionDef | None, names: Mapping[str, ast.expr]) -> list[str]:
        """The texts that an argument can be: itself, or what the functions of this file pass on."""
        match code:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.IfExp(body=body, orelse=other):
                return self._values(body, function, names) + self._values(other, function, names)
            case ast.Name(id=name) if isinstance(names.get(name), ast.Constant | ast.IfExp):
                return self._values(names[name], function, {key: one for key, one in names.items() if key != name})
            case ast.Name(id=name) if function is not None and (passed := self._passed(name, function)):
                return passed
            case ast.JoinedStr(values=parts):
                texts = [""]
                for part in parts:
                    inner = part.value if isinstance(part, ast.FormattedValue) else part
                    texts = [text + more for text in texts for more in self._values(inner, function, names)]
                return list(dict.fromkeys(texts))
        return [ANY]

    def _passed(self, name: str, function: ast.FunctionDef) -> list[str]:
        """The texts that calls in this file give for an argument of a function, and its default."""
        arguments = [one.arg for one in function.args.args]
        if name not in arguments:
            return []
        at, found = arguments.index(name), []
        default = dict(zip(arguments[::-1], function.args.defaults[::-1], strict=False)).get(name)
        found += [default.value] if isinstance(default, ast.Constant) and isinstance(default.value, str) else []
        for caller in self.functions:
            for node in ast.walk(caller):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == function.name and len(node.args) > at:
                    found += self._values(node.args[at], caller, {})
        return list(dict.fromkeys(found))


def _may_make_an_error(node: ast.AST) -> bool:
    """Whether a node is worth a closer look: a call with a code or of a class of errors, or a pair that is returned."""
    if not isinstance(node, ast.Call):
        return isinstance(node, ast.Return | ast.Yield)
    called = getattr(node.func, "attr", getattr(node.func, "id", ""))
    return called in KINDS or called == "_WrongError" or any(row.arg == "code" for row in node.keywords)


def _assigned(function: ast.FunctionDef, before: ast.AST) -> dict[str, ast.expr]:
    """What the names of a function stand for: the last text that is assigned to each above a line."""
    found: dict[str, ast.expr] = {}
    rows = [node for node in ast.walk(function) if isinstance(node, ast.Assign | ast.AugAssign | ast.For)]
    for node in sorted(rows, key=lambda one: one.lineno):
        if node.lineno >= getattr(before, "lineno", 0):
            break
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found.pop(name, None)
                if isinstance(value, ast.Constant | ast.JoinedStr | ast.BinOp | ast.IfExp) and _has_words(value):
                    found[name] = value
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value) if name in found:
                found[name] = ast.BinOp(found[name], ast.Add(), value)
    return found


def _has_words(value: ast.expr) -> bool:
    """Whether an expression contains text."""
    return any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in ast.walk(value))


def _code_and_text(node: ast.AST) -> tuple[str, ast.expr] | None:
    """A code and a message that a function returns or yields as a pair."""
    match node:
        case (
            ast.Return(value=ast.Tuple(elts=[ast.Constant(value=str(code)), text]))
            | ast.Yield(value=ast.Tuple(elts=[ast.Constant(value=str(code)), text]))
        ) if CODE.fullmatch(code) and isinstance(text, ast.Constant | ast.JoinedStr):
            return code, text
    return None


def _passed_on(code: ast.expr) -> bool:
    """Whether an error has the code of another one, such as `code=error.code`."""
    return isinstance(code, ast.Attribute) or (isinstance(code, ast.Name) and code.id == "code")


def _words(text: str) -> str:
    """A text as a part of a code, as medzoo.errors makes it."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))
