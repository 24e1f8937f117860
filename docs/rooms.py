"""The rooms of medzoo and who imports whom, read from the source; draws `rooms.svg`, the picture of ARCHITECTURE.md.

    python docs/rooms.py            # draw docs/rooms.svg again, after files were moved or imports changed

Imports inside functions, for type checking and by `import_module` count like any other.
"""

from __future__ import annotations

import ast
from functools import cache
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = Path(__file__).with_name("rooms.svg")
BY_NAME = ("import_module", "__import__")
Graph = dict[str, dict[str, int]]  # importer → imported → line of the import


# --- reading the imports ---


def name_of(path: Path, root: Path = ROOT) -> str:
    """The module name of a file."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file; read again only if the file changed."""
    return _parse(path, path.stat().st_mtime_ns)


@cache
def _parse(path: Path, mtime_ns: int) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, modules: set[str], root: Path = ROOT) -> list[tuple[str, int]]:
    """Every module that a file imports, with the line.

    Args:
        path: the file.
        modules: names of all modules, to know `from package import module` from `from module import name`.
        root: folder of the package.
    """
    tree = parsed(path)
    package = name_of(path, root) if path.name == "__init__.py" else name_of(path, root).rpartition(".")[0]
    rows = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            rows += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                rows.append((full if full in modules or base == "medzoo" else base, node.lineno))
        elif isinstance(node, ast.Call) and node.args and last_word(node.func) in BY_NAME:
            name = node.args[0]
            if isinstance(name, ast.Constant):
                rows.append((str(name.value), node.lineno))
            elif isinstance(name, ast.JoinedStr) and isinstance(name.values[0], ast.Constant):
                start = str(name.values[0].value)  # f"medzoo.data.tasks.{family}" stands for every family
                rows += [(one, node.lineno) for one in sorted(modules) if one.startswith(start)]
    return rows


def last_word(function: ast.expr) -> str:
    """import_module of `importlib.import_module`."""
    return getattr(function, "attr", getattr(function, "id", ""))


def graph_of(files: list[Path], root: Path = ROOT) -> Graph:
    """Module → the modules among these files that it imports."""
    modules = {name_of(path, root) for path in files}
    found = {}
    for path in files:
        name = name_of(path, root)
        found[name] = {
            module: line for module, line in imports(path, modules, root) if module in modules and module != name
        }
    return found


def circles(graph: Graph) -> list[list[str]]:
    """The strongly connected components of two or more nodes (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, {}):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            place = stack.index(node)
            if len(stack) - place > 1:
                found.append(sorted(stack[place:]))
            del stack[place:]

    for node in graph:
        if node not in index:
            visit(node)
    return found


def levels(graph: Graph) -> dict[str, Graph]:
    """For each folder: its files and its rooms as nodes, and who imports whom."""
    found: dict[str, Graph] = {}
    for name, others in graph.items():
        for other, line in others.items():
            mine, theirs = name.split("."), other.split(".")
            depth = next((k for k, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), None)
            if depth is not None:
                level = found.setdefault(".".join(mine[:depth]), {})
                level.setdefault(mine[depth], {})[theirs[depth]] = line
    return found


# --- the picture ---

GROUND = (
    "child_process",
    "closed_schema",
    "errors",
    "http_download",
    "paths",
    "locks",
    "store",
    "cores",
    "precision",
    "progress",
)
TOP = ("cli", "commands", "moved", "recipe_args", "__main__", "__init__")
WIDTH, GAP, ROW, HEIGHT = 1120, 14, 62, 26  # pixels: the picture, between boxes, between rows, of a box


def panels(root: Path = ROOT) -> list[tuple[str, Graph, set[str]]]:
    """What is drawn: a title, the graph, and which nodes are rooms."""
    files = sorted((root / "medzoo").rglob("*.py")) + sorted((root / "recipes").glob("*.py"))
    graph = graph_of(files, root)
    overview: Graph = {}
    for name, others in graph.items():
        for other in others:
            mine, theirs = _group(name), _group(other)
            if mine != theirs:
                overview.setdefault(mine, {})[theirs] = 0
    rows = [("medzoo", overview, set(overview) | {theirs for row in overview.values() for theirs in row})]
    by_level = levels(graph)
    for room in ("zoo", "data", "training", "bench"):
        here = by_level[f"medzoo.{room}"]
        folders = {path.parent.name for path in (root / "medzoo" / room).glob("*/__init__.py")}
        for path in sorted((root / "medzoo" / room).glob("[!_]*.py")):
            here.setdefault(path.stem, {})  # a file that imports none of its neighbours
        rows.append((f"medzoo/{room}", here, folders))
    return rows


def _group(module: str) -> str:
    parts = module.split(".")
    if parts[0] == "recipes":
        return "recipes"
    if len(parts) == 1 or parts[1] in TOP:
        return "cli, commands"
    return "store, locks, paths, errors, …" if parts[1] in GROUND else parts[1]


def reduced(graph: Graph) -> dict[str, list[str]]:
    """The arrows without those that a longer way implies."""
    below: dict[str, set[str]] = {}

    def reach(node: str) -> set[str]:
        if node not in below:
            below[node] = set()
            for other in graph.get(node, {}):
                below[node] |= {other} | reach(other)
        return below[node]

    return {
        node: sorted(one for one in others if not any(one in reach(other) for other in others if other != one))
        for node, others in sorted(graph.items())
    }


def ranks(arrows: dict[str, list[str]]) -> dict[str, int]:
    """How many arrows lead from a node down to the lowest one, on the longest way."""
    found: dict[str, int] = {}

    def rank(node: str) -> int:
        if node not in found:
            found[node] = 1 + max((rank(other) for other in arrows.get(node, [])), default=-1)
        return found[node]

    for node, others in arrows.items():
        rank(node)
        for other in others:
            rank(other)
    return found


def draw(root: Path = ROOT) -> str:
    """The picture as SVG; the same source gives the same bytes."""
    parts, top = [], 10
    for title, graph, rooms in panels(root):
        arrows = reduced(graph)
        rank = ranks(arrows)
        height = (max(rank.values()) + 1) * ROW
        parts.append(f'<text class="title" x="16" y="{top + 20}">{escape(title)}</text>')
        places = _places(rank, arrows, top + 34, max(rank.values()))
        for node, others in arrows.items():
            for other in others:
                (x1, y1, w1), (x2, y2, w2) = places[node], places[other]
                parts.append(
                    f'<line x1="{x1 + w1 / 2:.0f}" y1="{y1 + HEIGHT}" x2="{x2 + w2 / 2:.0f}" y2="{y2}" marker-end="url(#a)"/>'
                )
        for node, (x, y, width) in places.items():
            kind = "room" if node in rooms else "file"
            parts.append(f'<rect class="{kind}" x="{x:.0f}" y="{y}" width="{width:.0f}" height="{HEIGHT}" rx="4"/>')
            parts.append(f'<text x="{x + width / 2:.0f}" y="{y + 17}">{escape(node)}</text>')
        top += height + 50
    style = (
        "text{font:12px sans-serif;text-anchor:middle;fill:#222}.title{font-weight:bold;font-size:15px;text-anchor:start}"
        "rect{stroke:#557}.room{fill:#dde7f7}.file{fill:#fff}line{stroke:#99a;stroke-width:1}"
    )
    arrow = '<marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}">',
        f"<style>{style}</style>", f'<rect x="0" y="0" width="{WIDTH}" height="{top}" style="fill:#fff;stroke:none"/>',
        f'<defs>{arrow}<path d="M0,0 L8,4 L0,8 z" fill="#99a"/></marker></defs>', *parts, "</svg>\n",
    ])  # fmt: skip


def _places(
    rank: dict[str, int], arrows: dict[str, list[str]], top: int, highest: int
) -> dict[str, tuple[float, int, float]]:
    """Left, top and width of each box: a row a rank, in the order of the boxes that point at them."""
    places: dict[str, tuple[float, int, float]] = {}
    for row in range(highest, -1, -1):
        nodes = sorted(node for node, value in rank.items() if value == row)
        above = {
            node: [places[one][0] for one, others in arrows.items() if node in others and one in places]
            for node in nodes
        }
        nodes.sort(key=lambda node: (sum(above[node]) / len(above[node]) if above[node] else WIDTH / 2, node))
        widths = [7.2 * len(node) + 16 for node in nodes]
        free = (WIDTH - 40 - sum(widths)) / (len(nodes) + 1)
        left = 20 + max(free, GAP)
        for node, width in zip(nodes, widths, strict=True):
            places[node] = (left, top + (highest - row) * ROW, width)
            left += width + max(free, GAP)
    return places


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    print(PICTURE)
