"""The rooms and their one-way arrows, read from the source: imports inside functions count too."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = sorted((ROOT / "medzoo").rglob("*.py"))
RECIPES = sorted((ROOT / "recipes").rglob("*.py"))
FILES = PACKAGE + RECIPES
# Who stands above whom. A room imports from its own floor only itself; zoo and data share a floor and do not know each other.
FLOOR = {
    "errors": 0,
    "paths": 1,
    "locks": 1,
    "store": 1,
    "cores": 1,
    "precision": 1,
    "progress": 1,
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
    "demo",
    "recipe_args",
    "config_file",
    "help_page",
}  # thin files beside the rooms


def room_of(module: str) -> str:
    """medzoo.zoo.loading.load → zoo; medzoo and medzoo.cli → top."""
    parts = module.split(".")
    if parts[0] == "recipes" or len(parts) == 1 or parts[1] in TOP:
        return "top"
    return parts[1]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> list[tuple[str, int]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    rows = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            rows += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            if base == "medzoo":
                rows += [(f"medzoo.{alias.name}", node.lineno) for alias in node.names]
            else:
                rows += [(base, node.lineno)]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            by_name = ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__")
            rows += [(str(node.args[0].value), node.lineno)] if by_name else []
    return rows


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_run_one_way(path):
    mine = room_of(name_of(path))
    assert mine in FLOOR, f"{path} is in no room of the design"
    for module, line in imports(path):
        if module.split(".")[0] == "recipes" or module.startswith("medzoo.recipes"):
            assert path in RECIPES, f"{path}:{line} imports recipes; library code finds data there by its path"
        if module.split(".")[0] != "medzoo":
            continue
        theirs = room_of(module)
        if theirs == "top" and module == "medzoo":
            assert mine == "top", f"{path}:{line} imports the package from inside; import the module"
            continue
        allowed = theirs == mine or FLOOR[theirs] < FLOOR[mine]
        if mine == "store" and theirs in ("paths", "locks"):
            allowed = True
        assert allowed, f"{path}:{line}: {mine} may not import {theirs} ({module})"


FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "torch.save", "evaluate.load", "torch.hub.load"}
FORBIDDEN_NAMES = {"load_state_dict_from_url", "trust_remote_code", "load_model"}
FORBIDDEN_MODULES = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def sins(path: Path) -> list[str]:
    """What a file must not do, as lines for the message."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in FORBIDDEN_CALLS:
                found.append(f"{where} calls {name}")
            lenient = [row for row in node.keywords if row.arg == "strict" and ast.unparse(row.value) == "False"]
            if lenient and name != "zip":
                found.append(f"{where} says strict=False")
            if [row for row in node.keywords if row.arg == "allow_pickle" and ast.unparse(row.value) != "False"]:
                found.append(f"{where} allows pickle")
        names = {getattr(node, key, None) for key in ("id", "attr", "arg")}
        found += [f"{where} names {name}" for name in names & FORBIDDEN_NAMES]
    modules = [row for row in imports(path) if row[0].split(".")[0] in FORBIDDEN_MODULES]
    return found + [f"{path.relative_to(ROOT)}:{line} imports {module}" for module, line in modules]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_runs_code_from_a_file(path):
    if path.is_relative_to(ROOT / "medzoo" / "zoo" / "convert"):
        assert [call for call in torch_loads(path) if call not in SAFE_LOADS] == []
        return
    assert sins(path) == []


# Conversion reads foreign pickles: with torch's safe reader, or with ours that resolves no name outside its own short table.
SAFE_LOADS = (
    "torch.load(path, map_location='cpu', weights_only=True)",
    "torch.load(path, map_location='cpu', weights_only=False, pickle_module=pickles.RESTRICTED)",
)


def torch_loads(path: Path) -> list[str]:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return [ast.unparse(call) for call in calls if ast.unparse(call.func) == "torch.load"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_readable(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 400, f"{path} has {lines} lines; split it by subject"


def test_the_walk_sees_hidden_imports(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "medzoo" / "zoo").mkdir(parents=True)
    path = tmp_path / "medzoo" / "zoo" / "x.py"
    path.write_text(
        "def f():\n    from ..data import pixels\n    import medzoo.bench.run\n    import_module('medzoo.training')\n"
    )
    assert {module for module, _ in imports(path)} == {"medzoo.data", "medzoo.bench.run", "medzoo.training"}
    path.write_text("import pickle\ntorch.load(x)\nm.load_state_dict(s, strict=False)\neval('1')\nm.eval()\n")
    assert len(sins(path)) == 4
