"""What the catalog knows: every checkpoint and task, their lineage, and nothing about this machine."""

import json
from dataclasses import replace

import pytest

from medzoo.bench.catalog.build import build_catalog, terms_of
from medzoo.bench.catalog.lineage import lineages
from medzoo.bench.catalog.shown_facts import checkpoint_lines, task_lines, weight_steps
from medzoo.data.task_registry import list_tasks
from medzoo.zoo.registry.registry import info, names, own_dir, shipped


@pytest.fixture(scope="module")
def made():
    return build_catalog()


def named(entries, name):
    return next(one for one in entries if one.name == name)


def test_every_checkpoint_and_every_task_is_in_it(made):
    assert [one.name for one in made.checkpoints] == [entry.name for entry in shipped()] and len(made.checkpoints) > 90
    assert [one.name for one in made.tasks] == list_tasks() and made.runs == 0
    json.dumps(made.to_dict(), allow_nan=False)


def test_it_does_not_depend_on_this_machine(made, private_home):
    own = own_dir() / "resnet18-imagenet-ours.toml"
    own.parent.mkdir(parents=True)
    own.write_bytes((own.parents[0] / "x").name.encode())  # any text: it is never read
    folder = private_home / "checkpoints" / "resnet50-imagenet"
    folder.mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        (folder / file).write_text("{}")
    assert "resnet18-imagenet-ours" in names()
    assert build_catalog() == made and named(made.checkpoints, "resnet50-imagenet").weights == "download"


@pytest.mark.parametrize(
    ("name", "base", "evidence", "methods"),
    [
        ("resnet50-mocov3-imagenet-mimic", "resnet50-mocov3-imagenet", "recipe", ["mocov3", "mocov3"]),
        ("vit_small-gmml-imagenet-oct", "vit_small-imagenet", "recipe", ["supervised", "gmml"]),
        ("swin_base-simmim-imagenet-cxr926k", "swin_base-simmim-imagenet", "name", ["", "simmim"]),
        ("resnet50-simclr-imagenet-radnet1m", None, None, ["", "simclr"]),
        ("vit_small-mocov3-chestxray14", None, None, ["mocov3"]),
        ("resnet50-random", None, None, []),
    ],
)
def test_lineage(made, name, base, evidence, methods):
    found = named(made.checkpoints, name).lineage
    assert [stage.method for stage in found.stages] == methods
    assert (found.base and (found.base.name, found.base.evidence)) == (base and (base, evidence))
    if base:
        assert name in [child.name for child in named(made.checkpoints, base).lineage.children]


def test_equal_names_of_another_architecture_or_other_data_are_not_a_lineage():
    one, base = info("resnet50-imagenet-chestxray14"), info("resnet50-imagenet")
    assert lineages({one.name: one, base.name: base})[one.name].base.name == base.name
    for other in (
        replace(base, architecture="resnet50_v1"),
        replace(base, pretraining=replace(base.pretraining, data=("x",))),
    ):
        assert lineages({one.name: one, base.name: other})[one.name].base is None


def test_the_lines_of_a_checkpoint_have_its_facts(made):
    lines = {line.term: line for line in checkpoint_lines(named(made.checkpoints, "resnet50-radimagenet_keras"))}
    assert (
        "variant" in lines["Architecture"].text
        and "23.51 M" in lines["Network"].text
        and "94 MB" in lines["Network"].text
    )
    assert lines["Training"].text == "supervised, 1,350,000 images" and "256 px" in lines["Input"].text
    assert lines["Licence"].text == "unknown, not redistributable" and "accept" in lines["Terms"].text
    assert (
        lines["Paper"].link == "https://doi.org/10.1148/ryai.210315"
        and "Xueyan Mei and 14 others" in lines["Paper"].text
    )
    assert lines["Saw images of"].entries == (("t-radimagenet", "radimagenet"),)


def test_the_steps_to_the_weights_are_commands(made):
    text, commands = weight_steps(named(made.checkpoints, "resnet50-radimagenet"))
    assert commands == ("medzoo convert ResNet50.pt resnet50-radimagenet",) and "the command below" in text
    text, commands = weight_steps(named(made.checkpoints, "vit_small-gmml-imagenet-oct"))
    assert len(commands) == 1 and "--checkpoint vit_small-imagenet" in commands[0] and "accelerate" not in text
    assert weight_steps(named(made.checkpoints, "resnet50-imagenet")) == ("", ())
    for one in made.checkpoints:
        if one.weights in ("by hand", "recipe"):
            text, commands = weight_steps(one)
            assert text.count("`") % 2 == 0 and "below" in text and len(commands) == 1, one.name
            assert commands[0].startswith(("medzoo convert ", "accelerate launch ")) and one.name in commands[0]


def test_the_lines_of_a_task_have_its_facts(made):
    one = named(made.tasks, "chestxray14")
    lines = {line.term: line for line in task_lines(one)}
    assert lines["Classes"].text.startswith("14: Atelectasis") and lines["Scored"].text == "AUROC for each image"
    assert lines["Patients"].text == "grouped by Patient ID" and "112,120" in lines["Note"].text
    assert ("c-resnet50-imagenet-chestxray14", "resnet50-imagenet-chestxray14") in lines["Seen by"].entries
    assert one.commands == (
        "medzoo tasks info chestxray14",
        "medzoo tasks check chestxray14 --root FOLDER",
        "accelerate launch recipes/finetune.py --checkpoint resnet50-imagenet --task chestxray14 --root FOLDER",
    )


def test_your_own_data_are_of_any_kind_and_commands_have_no_optional_words(made):
    assert {one.kind for one in made.tasks if one.source == "your own"} == {"any kind"}
    assert "any kind" not in {one.kind for one in made.tasks if one.source != "your own"}
    assert not [command for one in made.tasks for command in one.commands if set(command) & set("[]<>*?")]


def test_seen_is_the_same_from_both_sides(made):
    for one in made.checkpoints:
        for task in one.seen_tasks:
            assert one.name in named(made.tasks, task).seen_by
    assert named(made.checkpoints, "resnet50-random").seen_tasks == ()


def test_terms_are_few_kinds(made):
    assert {one.terms for one in made.tasks} >= {"CC-BY-4.0", "own terms", "not stated", "your data's"}
    assert len({one.terms for one in made.tasks}) < 12 and terms_of("cc0-1.0") == "CC0-1.0"
