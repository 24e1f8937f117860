"""Every option of every recipe, fed with nonsense of several kinds: one clear sentence, and nothing is loaded or decoded."""

import runpy
import sys

import pytest

from medzoo.bench.campaign.slurm_options import SlurmOptions
from medzoo.bench.cell_options import NOT_IN_A_PROBE, CellOptions
from medzoo.paths import data_dir
from medzoo.training.objectives import list_methods, method
from medzoo.training.options.fields import flag, options_of
from medzoo.training.pretrain_options import NOT_FROM_CHECKPOINT, NOT_FROM_RANDOM, PretrainOptions

TASK = "phantom_oct,n=8,n_validation=4,n_test=4"
CELL = {"checkpoint": "lab/tiny", "task": TASK}
RECIPES = {
    "finetune": ([CellOptions], {}, CELL),
    "probe": ([CellOptions], NOT_IN_A_PROBE, CELL),
}
for name in list_methods():
    types = [PretrainOptions, method(name).Options]
    RECIPES[f"pretrain {name}"] = (types, NOT_FROM_RANDOM, {"method": name, "architecture": "resnet18", "task": TASK})
    RECIPES[f"continue_pretrain {name}"] = (
        types,
        NOT_FROM_CHECKPOINT,
        {"method": name, "checkpoint": "lab/tiny", "task": TASK},
    )
BENCHMARK = runpy.run_path(str(data_dir("recipes") / "benchmark.py"))["Options"]
RECIPES["benchmark"] = ([BENCHMARK, SlurmOptions], {}, {"suite": "mini"})
WORDS = [
    "",
    "x" * 5000,
    "a\nb",
    "\udcff",
    "no/such/place",
    "FILE",
    "FILE/x",
    "-x",
    "--",
    "~nobody/x",
    "a:b",
    ",,=",
    ".",
]
NONSENSE = {
    int: ["", "x", "1.5", "-3", "nan", "inf", "1e3", "9" * 40, "9" * 5000, "True", "0x10", "\udcff"],
    float: ["", "x", "nan", "inf", "-inf", "-1", "1e400", "True", "1,5"],
    bool: ["maybe", "2", "", "nan"],
    str: WORDS,
}
# Odd, but what they say can be done: new folders, the working folder, words of no meaning, no hub.
NEW = ["-x", "no/such/place", "a:b", ",,=", "."]
TAKEN = {
    "out": [*NEW, "~nobody/x"], "results": [*NEW, "~nobody/x"], "data_name": [*NEW, "FILE", "FILE/x", "~nobody/x", "x" * 5000, ""],
    "name": ["", "FILE"], "root": ["", "."], "hub": ["", "."], "resume": ["."], "set": [""],
}  # fmt: skip
CASES = [
    (recipe, one.name, kind, words)
    for recipe, (types, without, _) in RECIPES.items()
    for owner in types
    for one, kind, words in options_of(owner)
    if one.name not in without
    if owner is not PretrainOptions or recipe.endswith(list_methods()[0])  # the shared ones once
]


class Reached(Exception):  # noqa: N818 - it ends a test, and is no error
    """The options were taken, and work would begin."""


@pytest.fixture
def run(tiny_hub, tmp_path, monkeypatch, capsys):
    def stop(*arguments, **options):
        raise Reached

    for place in (
        "zoo.loading.assemble.assemble",
        "zoo.loading.assemble.draw",
        "data.decode_cache.cache.decoded",
        "bench.engines.fill",
    ):
        monkeypatch.setattr(f"medzoo.{place}", stop)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDZOO_HUB", str(tiny_hub))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "FILE").write_text("a file")

    def call(recipe: str, options: dict[str, str], *arguments: str) -> tuple[int | None, str]:
        path = data_dir("recipes") / f"{recipe.partition(' ')[0]}.py"
        given = {"out": str(tmp_path / "new"), **options}
        monkeypatch.setattr(
            sys, "argv", [str(path), *(f"{flag(key)}={value}" for key, value in given.items()), *arguments]
        )
        code: int | None = None
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            code = int(end.code or 0)
        except Reached:
            pass
        else:
            pytest.fail("the recipe ran to its end")
        said = capsys.readouterr()
        return code, said.err + said.out

    return call


@pytest.mark.parametrize(("recipe", "name", "kind", "words"), CASES, ids=[f"{row[0]}-{row[1]}" for row in CASES])
def test_nonsense_is_one_clear_sentence(run, tmp_path, recipe, name, kind, words):
    base = RECIPES[recipe][2]
    for value in NONSENSE[str if words else kind]:
        code, said = run(recipe, {**base, name: value})
        assert "Traceback" not in said
        lines = [line for line in said.splitlines() if line.strip()]
        if code is None:
            assert kind is str and words is None and value in TAKEN.get(name, ()), (
                f"{flag(name)}={value!r:.40} was taken"
            )
            continue
        assert code in (1, 2) and len(lines) == 1 and "error: " in lines[0], (value[:20], said[:500])
        assert code == 2 or kind is str
    assert not (tmp_path / "new").exists() and not (tmp_path / "results").exists()
