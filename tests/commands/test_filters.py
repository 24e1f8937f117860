"""Every filter of the lists narrows them by its own fact, alone and together; expected rows by each entry's facts."""

import json
import shutil

import pytest
import sharing_samples

import medzoo
from medzoo.bench.results.store import ResultStore
from medzoo.data.task_description import modality_of, source_of
from medzoo.data.task_registry import list_tasks, task_info
from medzoo.zoo.registry.locations import cached_folder
from medzoo.zoo.registry.registry import names

FACTS = {
    "architecture": ("convnext_base", lambda entry: [entry.architecture]),
    "method": ("dino", lambda entry: [entry.pretraining.method] if entry.pretraining else []),
    "data": ("radimagenet", lambda entry: entry.pretraining.data if entry.pretraining else ()),
    "modality": ("MR", lambda entry: entry.pretraining.modalities if entry.pretraining else ()),
    "license": ("Apache-2.0", lambda entry: [entry.license.id]),
}


@pytest.mark.parametrize("option", FACTS)
def test_checkpoints_by_one_fact(run, option):
    value, of = FACTS[option]
    expected = [name for name in names() if value in of(medzoo.info(name))]
    assert 0 < len(expected) < len(names()) and medzoo.list_models(**{option: value}) == expected
    code, out, _ = run("list", f"--{option}", value, "--json")
    assert code == 0 and [row["name"] for row in json.loads(out)] == expected
    assert run("list", f"--{option}", "no-such-fact")[0] == 2


def test_checkpoints_by_several_facts(run):
    both = set(medzoo.list_models(data="radimagenet")) & set(medzoo.list_models(architecture="resnet50"))
    code, out, _ = run("list", "resnet*", "--data", "radimagenet", "--architecture", "resnet50", "--json")
    assert code == 0 and {row["name"] for row in json.loads(out)} == both != set(medzoo.list_models(data="radimagenet"))


@pytest.mark.parametrize("wanted", [True, False])
def test_checkpoints_that_may_be_published(wanted):
    expected = [name for name in names() if medzoo.info(name).license.redistributable is wanted]
    assert 0 < len(expected) < len(names()) and medzoo.list_models(redistributable=wanted) == expected


def test_checkpoints_that_are_here(tiny_hub, private_home):
    drawn = [name for name in names() if medzoo.info(name).random]
    assert medzoo.list_models(downloaded=True) == drawn
    shutil.copytree(tiny_hub / "lab" / "tiny", cached_folder("resnet50-imagenet"))
    assert set(medzoo.list_models(downloaded=True)) == {*drawn, "resnet50-imagenet"}
    assert set(medzoo.list_models(downloaded=False)) == set(names()) - {*drawn, "resnet50-imagenet"}


TASKS = {
    "--kind": ("multilabel", lambda facts: facts.kind == "multilabel"),
    "--modality": ("ultrasound", lambda facts: "ultrasound" in modality_of(facts)),
    "--source": ("download", lambda facts: source_of(facts) == "download"),
    "--about": ("pneumonia", lambda facts: "pneumonia" in " ".join([facts.name, facts.title, *facts.classes]).lower()),
}


@pytest.mark.parametrize("option", TASKS)
def test_tasks_by_one_fact(run, option):
    value, holds = TASKS[option]
    expected = {name for name in list_tasks() if holds(task_info(name))}
    code, out, _ = run("tasks", "list", option, value, "--json")
    assert code == 0 and {row["name"] for row in json.loads(out)} == expected and 0 < len(expected) < len(list_tasks())
    page = run("tasks", "list", option, value)[1]
    shown = {line.split()[0] for line in page.splitlines() if line.startswith("  ")}
    assert shown == expected


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Runs that differ from the first one by one fact each."""
    store = ResultStore(tmp_path / "results")
    for facts in (
        {}, {"task": "phantom_oct"}, {"checkpoint": "resnet18-imagenet"}, {"protocol": "other"}, {"seed": 1, "status": "diverged"},
    ):  # fmt: skip
        store.put(*sharing_samples.run(**facts))
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("option", "value", "count"),
    [
        ("--task", "phantom_oct", 1), ("--task", "phantom_*", 5), ("--checkpoint", "*-imagenet", 1), ("--protocol", "other", 1),
        ("--protocol", "medzoo", 4), ("--status", "diverged", 1), ("--status", "ok", 4), ("--status", "failed", 0),
    ],
)  # fmt: skip
def test_results_by_one_fact(run, stored, option, value, count):
    code, out, _ = run("results", "list", stored, option, value, "--json")
    assert code == 0 and len(json.loads(out)) == count
