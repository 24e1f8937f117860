"""The message of an error as a reader of its page sees it: the text of the source, with names for what is filled in."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from html import escape

PATHS = ("path", "name", "stem", "shape", "dtype", "parent")  # attributes that need the name of their object
WRAPPERS = ("str", "repr", "listed", "sorted", "list", "tuple", "set", "printable", "json.dumps", "map", "max", "min")
METHODS = (
    "rstrip",
    "lstrip",
    "strip",
    "removesuffix",
    "removeprefix",
    "lower",
    "resolve",
    "absolute",
    "expanduser",
    "as_posix",
)
OPEN, CLOSE = "\x02", "\x03"  # around a name; escaped later


def text_of(expression: ast.expr | None, names: Mapping[str, ast.expr]) -> str:
    """The text that an expression makes, with a name between two marks for each value that is filled in.

    Args:
        expression: the message in the source.
        names: what the names of the function and of the module stand for, where the source says it.
    """
    match expression:
        case None:
            return ""
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part, names) for part in parts)
        case ast.FormattedValue(value=value):
            return _filled_in(value, names)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return text_of(left, names) + text_of(right, names)
        case ast.IfExp(body=body, orelse=other):
            return _either(text_of(body, names), text_of(other, names))
        case ast.Call(func=ast.Attribute(value=inner, attr=attr)) if attr in METHODS and _is_text(inner, names):
            return text_of(inner, names)
        case ast.Name(id=name) if name in names:
            rest = {key: value for key, value in names.items() if key != name}
            return text_of(names[name], rest)
    return OPEN + word(expression) + CLOSE


def _is_text(expression: ast.expr, names: Mapping[str, ast.expr]) -> bool:
    known = names.get(expression.id) if isinstance(expression, ast.Name) else expression
    return isinstance(known, ast.Constant | ast.JoinedStr | ast.BinOp | ast.IfExp)


def _filled_in(value: ast.expr, names: Mapping[str, ast.expr]) -> str:
    """A value inside an f-string: its text if the source contains it, else its name."""
    if isinstance(value, ast.IfExp | ast.JoinedStr) or (
        isinstance(value, ast.Constant) and isinstance(value.value, str)
    ):
        return text_of(value, names)
    if isinstance(value, ast.Name) and _is_text(value, names):
        return text_of(value, names)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in METHODS:
        return text_of(value, names)
    return OPEN + word(value) + CLOSE


def _either(first: str, second: str) -> str:
    """Two texts of which the message has one."""
    if not first.strip() or not second.strip():
        only = first if first.strip() else second
        return f"{only[: len(only) - len(only.lstrip())]}[{only.strip()}]{only[len(only.rstrip()) :]}"
    return f"{first} / {second}"


def word(expression: ast.expr) -> str:
    """A short name for the value of an expression.

    Args:
        expression: of the source.

    >>> [word(ast.parse(text, mode="eval").body) for text in ("listed(self.bad_files)", "len(rows)", "task.name", "a[0]")]
    ['bad files', 'number of rows', 'task name', 'a']
    """
    match expression:
        case ast.Name(id=name):
            return name.strip("_").replace("_", " ")
        case ast.Attribute(value=ast.Name(id=owner), attr=attr) if attr in PATHS and owner not in ("self", "cls"):
            return f"{owner.strip('_').replace('_', ' ')} {attr}"
        case ast.Attribute(attr=attr):
            return attr.strip("_").replace("_", " ")
        case ast.Call(func=ast.Name(id="len"), args=[inner]):
            return f"number of {word(inner)}"
        case ast.Call(func=ast.Attribute(attr="join"), args=[inner]):
            return word(inner)
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(key)), *_]):
            return key.replace("_", " ")
        case ast.Call(func=function, args=[*_, inner]) if ast.unparse(function) in WRAPPERS:
            return word(expression.args[0] if ast.unparse(function) != "map" else inner)
        case ast.Call(func=ast.Attribute(value=inner, attr=attr)):
            return word(inner) if attr in METHODS else attr.strip("_").replace("_", " ")
        case ast.Call(func=ast.Name(id=name)):
            return name.strip("_").replace("_", " ")
        case ast.Subscript(value=inner, slice=ast.Constant(value=str(key))):
            return key.replace("_", " ") if key else word(inner)
        case (
            ast.Subscript(value=inner) | ast.Starred(value=inner) | ast.NamedExpr(value=inner) | ast.Await(value=inner)
        ):
            return word(inner)
        case ast.BoolOp(values=[first, *_]) | ast.BinOp(left=first) | ast.UnaryOp(operand=first):
            return word(first) if not isinstance(first, ast.Constant) else "number"
        case ast.IfExp(body=body):
            return word(body)
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element) | ast.SetComp(elt=element):
            return word(element)
        case ast.List(elts=[first, *_]) | ast.Tuple(elts=[first, *_]):
            return word(first)
        case ast.JoinedStr(values=parts):
            inner = next((part.value for part in parts if isinstance(part, ast.FormattedValue)), None)
            return word(inner) if inner is not None else "…"
    return "…"


def as_html(text: str) -> str:
    """A message as HTML: names in italics, commands and keys in backticks as code.

    Args:
        text: from `text_of`.

    >>> as_html(f"{OPEN}path{CLOSE} has <1 file: run `medzoo check`.")
    '<em>path</em> has &lt;1 file: run <code>medzoo check</code>.'
    >>> as_html(f"It is bad.{OPEN}hint{CLOSE}{OPEN}how{CLOSE}Remove it.")
    'It is bad. <em>hint</em> <em>how</em> Remove it.'
    """
    apart = re.sub(f"{CLOSE}(?={OPEN}|[A-Z])", f"{CLOSE} ", text)  # the blank between two sentences may be in a value
    apart = re.sub(rf"(?<=\w[.?!]){OPEN}", f" {OPEN}", apart)
    escaped = escape(" ".join(apart.split()), quote=False)
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    return escaped.replace(OPEN, "<em>").replace(CLOSE, "</em>")


def as_plain(text: str) -> str:
    """A message as plain text, with names in braces.

    Args:
        text: from `text_of`.
    """
    return " ".join(text.split()).replace(OPEN, "{").replace(CLOSE, "}")
