"""reference/recipes.md: each recipe with its docstring and all its options, and the options of each pre-training method."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medzoo.analysis.comparison.options import analysis_options
from medzoo.training.objectives import list_methods, method
from medzoo.training.options.fields import options_of
from medzoo.training.options.help_page import option_helps
from site_pages.markdown import as_text, docstring, front_matter
from site_pages.option_tables import command_line_options

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
ORDER = ("finetune", "probe", "pretrain", "continue_pretrain", "benchmark", "compare")
INTRODUCTION = """\
A recipe is one short file that a user starts, with `accelerate launch` for several processes or GPUs, or with
`python`. `--help` prints the same text. Every recipe also has `--config FILE.toml`: options by name, as in a run's
`options.toml`; typed options win. Options are written with `-` or `_`. Exit codes: 0 done (or stopped by a signal and
saved), 1 failed, 2 wrong usage.
"""


class _Read(Exception):  # noqa: N818 - it ends a recipe after its options are known
    """A recipe asked for its options."""


@dataclass(frozen=True)
class RecipeOptions:
    """What a recipe gives to its parser: the arguments of `medzoo.recipe_args.parse`.

    Args:
        types: dataclasses of options.
        description: its docstring.
        without: options that it does not use.
        defaults: texts for defaults that follow from other options.
    """

    types: Sequence[type]
    description: str
    without: Mapping[str, str]
    defaults: Callable[[Callable[[str], str | None]], Mapping[str, str]] | None = None


def recipe_options(path: Path) -> RecipeOptions:
    """Start a recipe without arguments, and stop it where it parses them.

    Args:
        path: of its file.
    """
    spec = importlib.util.spec_from_file_location(f"site_pages_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    found: list[RecipeOptions] = []

    def read(types: Sequence[type], description: str, arguments: object = None, **given: Any) -> None:  # noqa: ANN401
        found.append(RecipeOptions(types, description, given.get("without") or {}, given.get("defaults")))
        raise _Read

    module.parse = read
    typed = sys.argv
    sys.argv = [str(path)]
    try:
        module.main()
    except _Read:
        pass
    finally:
        sys.argv = typed
        del sys.modules[spec.name]
    return found[0]


def recipes_page() -> str:
    """The page as Markdown."""
    files = sorted(
        RECIPES.glob("*.py"), key=lambda path: (ORDER.index(path.stem) if path.stem in ORDER else 99, path.stem)
    )
    parts = [front_matter("Recipes", "All recipes with their options"), INTRODUCTION]
    parts += [_recipe(path) for path in files]
    parts += [
        "## Methods of pre-training {#methods}\n",
        "Options that `--method NAME` adds to recipes/pretrain.py and recipes/continue_pretrain.py.\n",
    ]
    parts += [_method(name) for name in list_methods()]
    return "\n".join(parts)


def _recipe(path: Path) -> str:
    recipe = recipe_options(path)
    added = tuple(analysis_options().values())
    kinds = [kind for kind in recipe.types if kind not in added]
    first, _, rest = recipe.description.partition("\n\n")
    parts = [f"## {path.stem}.py {{#{path.stem}}}\n", as_text(first) + "\n", docstring(rest), _options(kinds, recipe)]
    for name, kind in analysis_options().items():
        if kind in recipe.types and any(True for _ in options_of(kind)):
            parts.append(f"### Analysis: {name} {{#analysis-{name}}}\n\n{_options([kind], recipe, heading=False)}")
    return "\n".join(parts)


def _method(name: str) -> str:
    module = method(name)
    text = (getattr(module, "__doc__", "") or "").strip()
    supervised = "It needs labels." if module.SUPERVISED else "It needs no labels."
    options = _options([module.Options], RecipeOptions([], "", {}), heading=False) or "It has no options.\n"
    return f"### {name} {{#method-{name}}}\n\n{docstring(text)}\n{supervised}\n\n{options}"


def _options(kinds: Sequence[type], recipe: RecipeOptions, *, heading: bool = True) -> str:
    """The options of some dataclasses by section."""
    rows = {one.name: one for kind in kinds for one, *_ in options_of(kind) if one.name not in recipe.without}
    defaults = recipe.defaults(lambda _: None) if recipe.defaults else {}
    text = command_line_options(option_helps(kinds, rows, defaults), rows, kinds)
    return text if heading else text.partition("\n\n")[2]
