"""The options of a recipe: one spelling, sections, effective defaults, only what is used; and the same from a file."""

import re
import runpy
import sys

import pytest

from medzoo.bench.cell_options import IN_A_PROBE_ONLY, NOT_IN_A_PROBE, CellOptions, ProbeOptions
from medzoo.bench.suites.repeats import RepeatOptions
from medzoo.errors import UsageError
from medzoo.paths import data_dir
from medzoo.recipe_args import parse, peek
from medzoo.training.objectives import list_methods, method
from medzoo.training.options.config_file import read_config
from medzoo.training.options.fields import flag, options_of, shown_default
from medzoo.training.options.protocol import load_protocol
from medzoo.training.pretrain import DEFAULTS
from medzoo.training.pretrain_options import NOT_FROM_CHECKPOINT, NOT_FROM_RANDOM, PretrainOptions

RECIPES = {
    "finetune": (CellOptions, IN_A_PROBE_ONLY),
    "probe": (CellOptions, NOT_IN_A_PROBE),  # and ProbeOptions, RepeatOptions
    "pretrain": (PretrainOptions, NOT_FROM_RANDOM),
    "continue_pretrain": (PretrainOptions, NOT_FROM_CHECKPOINT),
}


@pytest.fixture
def run(monkeypatch, capsys):
    def call(recipe, *arguments):
        path = data_dir("recipes") / f"{recipe}.py"
        monkeypatch.setattr(sys, "argv", [str(path), *arguments])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(path), run_name="__main__")
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return call


def entries(page):
    """Option → the text of its entry, from a help page."""
    parts = re.split(r"^  (?=-)", page.partition("\nwhat to run:")[2], flags=re.MULTILINE)[1:]
    found = {}
    for part in parts:
        text = " ".join(part.partition("\n\n")[0].split())
        names = re.match(r"((?:-h, )?--[^ ]+)", text)[1]
        assert names.split(", ")[-1] not in found, f"{names} stands twice"
        found[names.split(", ")[-1].rstrip(",")] = text
    return found


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_option_stands_once_with_its_default(run, recipe):
    kind, without = RECIPES[recipe]
    code, page, _ = run(recipe, "--help")
    shown = entries(page)
    kinds = (kind, *{"probe": (ProbeOptions, RepeatOptions), "finetune": (RepeatOptions,)}.get(recipe, ()))
    used = {flag(one.name): one for each in kinds for one, *_ in options_of(each) if one.name not in without}
    assert code == 0 and set(shown) == {*used, "--help", "--config"}
    for name, one in used.items():
        word = "(required)" if shown_default(one) == "required" else "(default: "
        assert shown[name].count(word) == 1 and shown[name].endswith(")"), shown[name]
        assert one.metadata["help"].split()[0] in shown[name]
    options = page.partition("\nwhat to run:")[2]
    assert not re.search(r"--\w*_", page) and all(f"\n{name}:\n" in options for name in ("data", "device", "output"))
    assert page.startswith(f"usage: {recipe}.py --") and max(map(len, page.splitlines())) <= 126


def test_defaults_are_those_that_are_taken(run, tmp_path):
    law = load_protocol("medzoo", "finetune")
    shown = entries(run("finetune", "--help")[1])
    assert shown["--learning-rate"].endswith("(default: the protocol's, 5e-4)") and law.learning_rate == 5e-4
    assert f"the protocol's, {law.epochs})" in shown["--epochs"] and "the checkpoint's" in shown["--size"]
    (tmp_path / "mine.toml").write_text("[finetune]\nepochs = 7\nsize = 96\n[linear]\nbatch_size = 12\n")
    for written in (["--protocol", str(tmp_path / "mine.toml")], [f"--protocol={tmp_path / 'mine.toml'}"]):
        shown = entries(run("finetune", *written, "--help")[1])
        assert "the protocol's, 7)" in shown["--epochs"] and "the protocol's, 96)" in shown["--size"]
    assert "the protocol's, 12)" in entries(run("probe", *written, "--help")[1])["--batch-size"]
    assert "the protocol's)" in entries(run("finetune", "--protocol", "nowhere", "--help")[1])["--epochs"]
    shown = entries(run("pretrain", "--help")[1])
    assert f"(default: {DEFAULTS['epochs']})" in shown["--epochs"] and "(default: 1e-3)" in shown["--learning-rate"]


@pytest.mark.parametrize("name", list_methods())
def test_a_method_shows_its_own_options_under_its_name(run, name):
    page = run("pretrain", "--method", name, "--help")[1]
    own = {flag(one.name) for one, *_ in options_of(method(name).Options)}
    section = page.partition(f"\n{method(name).Options.__doc__.rstrip('.').replace('Options', 'options')}:\n")[2]
    assert own and set(re.findall(r"^  (--[a-z-]+)", section.partition("\n\n")[0], re.MULTILINE)) == own
    assert name in entries(run("pretrain", "--help")[1])["--method"]


@pytest.mark.parametrize(
    ("recipe", "name"), [(recipe, name) for recipe, (_, without) in RECIPES.items() for name in without]
)
def test_an_option_without_effect_is_refused_in_every_spelling(run, tmp_path, recipe, name):
    one = next(row for row, *_ in options_of(RECIPES[recipe][0]) if row.name == name)
    for written in (f"{flag(name)}=3", f"--{name}=3"):
        code, _, said = run(recipe, written)
        assert code == 2 and said.count("\n") == 1 and RECIPES[recipe][1][name] in said
    value = '"x"' if "str" in str(one.type) else "3"
    (tmp_path / "c.toml").write_text(f"{name} = {value}\n")
    code, _, said = run(recipe, "--config", str(tmp_path / "c.toml"))
    assert code == 2 and said.count("\n") == 1 and RECIPES[recipe][1][name] in said


def test_an_option_of_the_protocol_leads_to_the_protocol(run):
    for recipe in ("finetune", "probe"):
        code, _, said = run(recipe, "--weight-decay", "0.1")
        assert code == 2 and "--protocol FILE.toml" in said and said.count("\n") == 1
    assert "whole number" in run("finetune", "--epochs", "1.5")[2] and "number" in run("finetune", "--fraction", "x")[2]


def test_underscores_and_dashes_are_one_option():
    for words in (["--batch_size", "4", "--keep_weights=false"], ["--batch-size=4", "--no-keep-weights"]):
        (options,) = parse([CellOptions], "", words)
        assert options.batch_size == 4 and options.keep_weights is False
    assert peek(["--data_name", "x"], "data_name") == peek(["--data-name=x"], "data_name") == "x"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b'epochs = "3"', "whole number"), (b"epochs = 1.5", "whole number"), (b"epochs = true", "whole number"),
        (b"epochs = [1, 2]", "list"), (b"seed = 1979-05-27", "whole number"), (b'fraction = "0.1"', "a number"),
        (b"fraction = nan", "finite"), (b"task = 3", "text"), (b"keep_weights = 1", "true or false"),
        (b'precision = "fp16"', "invalid choice"), (b"[data]\nroot = 'x'", "data"), (b"epochs = {a = 1}", "table"),
        (b"epohcs = 3", "Did you mean epochs"),
        (b"protocol_epohcs = 3", "epohcs"), (b'protocol_regularisation = "ab"', "regularisation"),
        (b"protocol_flip = 'x'", "flip"), (b"protocol_flip = inf", "flip"), (b"epochs = ", "not TOML"), (b"\xff\xfee\x00", "UTF-8"),
        (b"task = 'b\xe9'", "UTF-8"), (b'task = "a\\u0000b"', "control"), (b'epohcs = 1\nmode = "linear"', "recipes/probe.py"),
        (b'mode = "knn"', "knn"), (b"epochs = 3\nprotocol_epochs = 4", "Remove one"), (b"batch-size = 1", "--batch-size"),
    ],
)  # fmt: skip
def test_a_config_file_with_a_mistake_is_one_sentence(run, tmp_path, text, says):
    path = tmp_path / "options.toml"
    path.write_bytes(text)
    code, _, said = run("finetune", "--config", str(path), "--task=phantom_oct", "--checkpoint=resnet18-random")
    assert code == 2 and says in said and said.count("\n") == 1 and "Traceback" not in said
    assert run("finetune", "--config")[0] == run("finetune", "--config=")[0] == 2
    for place in (tmp_path, tmp_path / "nowhere.toml", path / "x.toml"):
        code, _, said = run("finetune", "--config", str(place))
        assert code == 2 and said.count("\n") == 1


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path):
    path = tmp_path / "c.toml"
    path.write_bytes(b"\xef\xbb\xbfseed = 3\r\nbatch-size = 4\r\naccept_license = true\r\n")
    (options,) = parse([CellOptions], "", ["--config", str(path), "--batch-size", "8"])
    assert (options.seed, options.batch_size, options.accept_license) == (3, 8, True)
    path.write_text('name = "-x"\nlearning_rate = 1\nweight_decay = 5e-2\nhub = "--"\n')
    (options,) = parse([PretrainOptions], "", [f"--config={path}"])
    assert (options.name, options.learning_rate, options.weight_decay) == ("-x", 1.0, 0.05)


def test_a_later_file_wins_and_what_is_typed_wins_over_both(tmp_path):
    for name, text in (("a", "seed = 1\nepochs = 1\nprotocol_epochs = 1"), ("b", "seed = 2\nprotocol_flip = 0.5")):
        (tmp_path / name).write_text(text)
    words = ["--config", str(tmp_path / "a"), "--config", str(tmp_path / "b")]
    (options,) = parse([CellOptions], "", words, mode="finetune")
    assert options.seed == 2 and options.resolved == {"epochs": 1, "flip": 0.5}
    (options,) = parse([CellOptions], "", [*words, "--seed=5", "--epochs=9"], mode="finetune")
    assert (options.seed, options.epochs, options.resolved) == (5, 9, {"flip": 0.5})
    (tmp_path / "c").write_text('precision = "auto"\nprotocol_precision = "fp32"\n')
    assert read_config([tmp_path / "c"], [CellOptions], {}, "finetune", set()).resolved == {"precision": "fp32"}
    with pytest.raises(UsageError):
        read_config([tmp_path / "a"], [CellOptions], {}, None, set())


@pytest.mark.parametrize(
    "words", [["--partition", "gpu"], ["--parsl-config", "x.py"], ["--engine", "slurm", "--time-limit", "1"]]
)
def test_options_of_another_engine_are_refused(run, words):
    code, _, said = run("benchmark", "mini.toml", *words)
    assert code == 2 and "error: " in said
