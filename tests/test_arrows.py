"""The rooms and their one-way arrows, read from the source: imports inside functions count too."""

import ast
import re
from pathlib import Path

from rooms import PICTURE, ROOT, circles, draw, graph_of, imports, last_word, levels, name_of, parsed

PACKAGE = sorted((ROOT / "medzoo").rglob("*.py"))
RECIPES = sorted((ROOT / "recipes").rglob("*.py"))
FILES = PACKAGE + RECIPES
# Who stands above whom. A room imports from its own floor only itself; zoo and data share a floor and do not know each other.
FLOOR = {
    "errors": 0,
    "paths": 1,
    "locks": 1,
    "store": 1,
    "child_process": 1,
    "closed_schema": 1,
    "cores": 1,
    "http_download": 1.5,  # above store
    "precision": 1,
    "progress": 0.5,  # store hashes files with its bar
    "zoo": 2,
    "data": 2,
    "training": 3,
    "bench": 4,
    "analysis": 5,
    "top": 6,
}
TOP = {
    "__init__",
    "__main__",
    "cli",
    "commands",
    "recipe_args",
    "moved",
}  # thin files beside the rooms


def room_of(module: str) -> str:
    """medzoo.zoo.loading.load → zoo; medzoo and medzoo.cli → top."""
    parts = module.split(".")
    if parts[0] == "recipes" or len(parts) == 1 or parts[1] in TOP:
        return "top"
    return parts[1]


MODULES = {name_of(path) for path in FILES}


def worded(graph: dict[str, dict[str, int]], circle: list[str]) -> str:
    lines = [
        f"  {one}:{line} imports {other}" for one in circle for other, line in graph[one].items() if other in circle
    ]
    return "\n".join(["a circle of imports:", *lines])


def test_no_two_files_import_each_other_in_a_circle():
    graph = graph_of(PACKAGE)
    assert not circles(graph), "\n".join(worded(graph, circle) for circle in circles(graph))


def test_no_two_rooms_import_each_other_in_a_circle():
    """Inside of each folder, its files and its rooms have an order."""
    wrong = [
        f"in {level}: "
        + ", ".join(f"{one}:{line} imports {other}" for one in circle for other, line in rows[one].items())
        for level, rows in levels(graph_of(PACKAGE)).items()
        for circle in circles(rows)
    ]
    assert not wrong, "\n".join(wrong)


# Rooms with a file for each of their things: adding a file adds a task, a format, an objective, an analysis, a command.
OPEN_ROOMS = {
    "medzoo/data/tasks",
    "medzoo/zoo/convert/formats",
    "medzoo/training/objectives",
    "medzoo/analysis",
    "medzoo/commands",
}


# The tests below go through all files and name each problem: a test for each file would take longer to collect than to run.


def test_a_room_holds_a_dozen_files():
    wrong = []
    for room in sorted({path.parent for path in PACKAGE}):
        names = [path.name for path in room.glob("*.py") if not path.name.startswith("__")]
        if str(room.relative_to(ROOT)) not in OPEN_ROOMS and len(names) > 13:
            wrong.append(f"{room} holds {len(names)} files: {', '.join(sorted(names))}")
    assert not wrong, "\n".join(wrong)


def wrong_arrows(path: Path) -> list[str]:
    """The imports of a file that the design does not allow."""
    mine = room_of(name_of(path))
    if mine not in FLOOR:
        return [f"{path} is in no room of the design"]
    wrong = []
    for module, line in imports(path, MODULES):
        if (module.split(".")[0] == "recipes" or module.startswith("medzoo.recipes")) and path not in RECIPES:
            wrong.append(f"{path}:{line} imports recipes; library code finds data there by its path")
        if module.split(".")[0] != "medzoo":
            continue
        theirs = room_of(module)
        if theirs == "top" and module == "medzoo":
            if mine != "top":
                wrong.append(f"{path}:{line} imports the package from inside; import the module")
            continue
        allowed = theirs == mine or FLOOR[theirs] < FLOOR[mine]
        if not allowed and not (mine == "store" and theirs in ("paths", "locks")):
            wrong.append(f"{path}:{line}: {mine} may not import {theirs} ({module})")
    return wrong


def test_arrows_run_one_way():
    wrong = [line for path in FILES for line in wrong_arrows(path)]
    assert not wrong, "\n".join(wrong)


FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "torch.save", "evaluate.load", "torch.hub.load"}
LAST_WORDS = {name.rpartition(".")[2] for name in FORBIDDEN_CALLS}  # the full name of every call would take seconds
FORBIDDEN_NAMES = {"load_state_dict_from_url", "trust_remote_code", "load_model"}
FORBIDDEN_MODULES = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def sins(path: Path) -> list[str]:
    """What a file must not do, as lines for the message."""
    found = []
    for node in ast.walk(parsed(path)):
        where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call):
            word = last_word(node.func)
            if word in LAST_WORDS and (name := ast.unparse(node.func)) in FORBIDDEN_CALLS:
                found.append(f"{where} calls {name}")
            lenient = [row for row in node.keywords if row.arg == "strict" and ast.unparse(row.value) == "False"]
            if lenient and word != "zip":
                found.append(f"{where} says strict=False")
            if [row for row in node.keywords if row.arg == "allow_pickle" and ast.unparse(row.value) != "False"]:
                found.append(f"{where} allows pickle")
        names = {getattr(node, key, None) for key in ("id", "attr", "arg")}
        found += [f"{where} names {name}" for name in names & FORBIDDEN_NAMES]
    modules = [row for row in imports(path, MODULES, ROOT) if row[0].split(".")[0] in FORBIDDEN_MODULES]
    return found + [f"{path.relative_to(ROOT)}:{line} imports {module}" for module, line in modules]


def test_nothing_that_runs_code_from_a_file():
    wrong = []
    for path in FILES:
        if path.is_relative_to(ROOT / "medzoo" / "zoo" / "convert"):
            wrong += [f"{path}: {call}" for call in torch_loads(path) if call not in SAFE_LOADS]
        else:
            wrong += sins(path)
    assert not wrong, "\n".join(wrong)


# Conversion reads foreign pickles: with torch's safe reader, or with ours that resolves no name outside its own short table.
SAFE_LOADS = (
    "torch.load(path, map_location='cpu', weights_only=True)",
    "torch.load(path, map_location='cpu', weights_only=False, pickle_module=pickles.RESTRICTED)",
)


def torch_loads(path: Path) -> list[str]:
    calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    loads = [call for call in calls if last_word(call.func) == "load" and ast.unparse(call.func) == "torch.load"]
    return [ast.unparse(call) for call in loads]


def test_files_stay_readable():
    lengths = {path: path.read_text(encoding="utf-8").count("\n") for path in FILES}
    assert not [f"{path} has {lines} lines; split it by subject" for path, lines in lengths.items() if lines > 300]


def test_a_class_name_means_one_thing():
    """Files that are found by name hold the same names on purpose."""
    places: dict[str, list[str]] = {}
    for path in PACKAGE:
        if str(path.parent.relative_to(ROOT)) not in OPEN_ROOMS:
            for node in parsed(path).body:
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(name_of(path))
    assert not {name: files for name, files in places.items() if len(files) > 1}


def test_the_walk_sees_hidden_imports(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "medzoo" / "zoo").mkdir(parents=True)
    path = tmp_path / "medzoo" / "zoo" / "x.py"
    path.write_text(
        "if TYPE_CHECKING:\n    from medzoo.zoo.y import z\ndef f():\n    from ..data import pixels\n    import medzoo.bench.run\n"
        "    import_module('medzoo.training')\n    import_module(f'medzoo.tasks.{name}')\n"
    )
    seen = {module for module, _ in imports(path, {"medzoo.tasks.a", "medzoo.tasks.b", "medzoo.data.pixels"}, tmp_path)}
    assert seen == {
        "medzoo.zoo.y", "medzoo.data.pixels", "medzoo.bench.run", "medzoo.training", "medzoo.tasks.a", "medzoo.tasks.b",
    }  # fmt: skip
    path.write_text("import pickle\ntorch.load(x)\nm.load_state_dict(s, strict=False)\neval('1')\nm.eval()\n")
    assert len(sins(path)) == 4


def test_a_circle_is_found_and_named():
    graph = {
        "m.a.x": {"m.b.y": 3},
        "m.b.y": {"m.c": 4},
        "m.c": {"m.a.x": 5, "m.d": 6},
        "m.d": {},
        "m.b.z": {},
    }
    assert circles(graph) == [["m.a.x", "m.b.y", "m.c"]]
    assert "m.c:5 imports m.a.x" in worded(graph, circles(graph)[0])
    assert circles(levels({"m.a.x": {"m.b.y": 3}, "m.b.z": {"m.a.x": 7}})["m"]) == [["a", "b"]]


def test_the_picture_of_the_architecture_is_drawn_from_these_imports():
    assert PICTURE.read_text(encoding="utf-8") == draw(), "draw it again: python docs/rooms.py"


def test_the_page_of_the_architecture_names_what_there_is():
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = {str(path.parent.relative_to(ROOT)) for path in PACKAGE if path.name == "__init__.py"} - {"medzoo"}
    assert not [room for room in rooms if not re.search(rf"[`/]{room.rpartition('/')[2]}/`", page)]
    for name in re.findall(r"`((?:medzoo|recipes|tests|docs|hub_configs|benchmarks)/[\w./-]+)`", page):
        assert (ROOT / name).exists(), name
