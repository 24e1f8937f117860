"""The templates, copied and filled in as the pages of docs/how_to say, are a task, an objective and an analysis that run."""

import json
import pickle
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from contract_samples import check_analysis, check_family, check_objective
from expect import raises
from matplotlib.figure import Figure
from safetensors.torch import load_file
from tiny import TinyNet, decoded_rows

import medzoo.analysis
import medzoo.data.tasks
import medzoo.training.objectives
from medzoo.analysis import list_analyses, open_analysis
from medzoo.analysis.inputs.inputs import ComparedInputs
from medzoo.analysis.inputs.options import CompareOptions
from medzoo.data import task_registry
from medzoo.data.task_description import info_text
from medzoo.data.task_registry import list_tasks, load_task, open_family, task_info, task_names
from medzoo.data.transforms.apply import InputConvention
from medzoo.data.validation.check import check_task
from medzoo.errors import DataContractError, UsageError
from medzoo.training.inputs.batches import Batches
from medzoo.training.objectives import list_methods, method
from medzoo.training.options.fields import options_of
from medzoo.training.pretrain import PretrainOptions, pretrain

ROOT = Path(__file__).resolve().parents[1]
COPIES = [
    copied
    for page in sorted((ROOT / "docs" / "how_to").glob("add_*.md"))
    for copied in re.findall(r"^cp (medzoo/\S+/_template\.py) (medzoo/\S+)/(\w+)\.py$", page.read_text(), re.M)
]
FINDERS = {  # where a finder looks for files
    "medzoo/data/tasks": (medzoo.data.tasks, task_registry),
    "medzoo/training/objectives": (medzoo.training.objectives, medzoo.training.objectives),
    "medzoo/analysis": (medzoo.analysis, medzoo.analysis),
}


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """Copies a template to a folder of its own that its finder reads: other tests, also those beside it, never see the file."""
    modules = []

    def copy(folder, replacements):
        (template, name) = next((template, name) for template, target, name in COPIES if target == folder)
        package, finder = FINDERS[folder]
        place = tmp_path / "copies" / folder
        place.mkdir(parents=True)
        text = (ROOT / template).read_text()
        for old, new in {**replacements, "FILL IN: ": ""}.items():
            assert old in text, f"{template} has no {old!r}"
            text = text.replace(old, new)
        assert "FILL IN" not in text
        (place / f"{name}.py").write_text(text)
        monkeypatch.setattr(finder, "_FOLDER", place)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(place)])
        task_names.cache_clear()
        modules.append((package, name))
        return name

    yield copy
    task_names.cache_clear()
    for package, name in modules:
        sys.modules.pop(f"{package.__name__}.{name}", None)
        vars(package).pop(name, None)


def test_contributing_copies_each_template():
    assert {target for _, target, _ in COPIES} == set(FINDERS)
    assert sorted(template for template, _, _ in COPIES) == sorted(
        str(path.relative_to(ROOT)) for path in (ROOT / "medzoo").rglob("_template.py")
    )


@pytest.mark.parametrize(("template", "folder"), [copy[:2] for copy in COPIES])
def test_a_template_is_not_found_by_itself(template, folder):
    """It is a module that can be imported and checked, and no task, method or analysis."""
    assert "FILL IN" in (ROOT / template).read_text() and Path(template).parent == Path(folder)
    import_module(template.removesuffix(".py").replace("/", "."))
    assert "template" not in list_tasks() and "_template" not in task_names().values()
    assert not {"_template", "template"} & {*list_methods(), *list_analyses()}


@pytest.fixture
def my_task(copied, tmp_path):
    name = copied("medzoo/data/tasks", {"template": "my_task", '"normal", "pneumonia"': '"benign", "malignant"'})
    open_family(name).fake(tmp_path / "root", 12)
    return name


def test_the_task_keeps_the_contract_and_decodes(my_task, tmp_path):
    check_family(open_family(my_task))
    assert list_tasks() == [my_task] and "labels.csv" in info_text(task_info(my_task))
    task = load_task(my_task, root=tmp_path / "root")
    assert task.classes == ("benign", "malignant") and set(task.splits) == {"train", "validation", "test"}
    for split, table in task.tables.items():
        for row in range(table.num_rows):
            pixels, label = pickle.loads(pickle.dumps(task)).read(split, row)
            assert pixels.array.shape == (32, 32) and label == task.labels(split)[row]
    assert load_task(my_task, root=tmp_path / "root", fold=1).split_hash != task.split_hash


def test_the_task_takes_its_choice_and_no_other_option(my_task, tmp_path):
    root = tmp_path / "root"
    frontal = load_task(f"{my_task},view=frontal", root=root)
    assert frontal.name == "my_task,view=frontal" and set(frontal.column("train", "view")) == {"frontal"}
    assert "lateral" in load_task(f"{my_task},view=all", root=root).column("train", "view")
    for wrong, options in (("side=left", {}), ("view=left", {}), ("view=all", {"label_policy": "zero"})):
        with pytest.raises(UsageError):
            load_task(f"{my_task},{wrong}", root=root, **options)


def test_the_task_reports_all_problems_of_the_data(my_task, tmp_path):
    root = tmp_path / "root"
    assert check_task(my_task, root=root, progress=False).passed
    table = root / "labels.csv"
    lines = table.read_text().splitlines()
    lines[1], lines[2] = lines[1].replace("benign", "unclear"), lines[2].replace(",train,", ",trial,")
    table.write_text("\n".join(lines) + "\n")
    (root / "images" / lines[3].partition(",")[0]).unlink()
    with raises(DataContractError, "label-outside-classes", match=r"train0_0\.png"):
        load_task(my_task, root=root)
    report = check_task(my_task, root=root, progress=False)
    assert not report.passed and report.splits["train"].images == 9  # the other rows are read
    for line in lines[1:4]:
        assert any(line.partition(",")[0] in str(problem) for problem in report.problems)


def test_the_objective_trains_two_steps(copied, tmp_path, tiny_hub):
    name = copied("medzoo/training/objectives", {"template": "my_method"})
    assert list_methods() == [name]
    module = method(name)

    def batches(views):
        return Batches(decoded_rows(), views, InputConvention(), size=16, batch_size=5, seed=0)

    check_objective(module, TinyNet, batches)
    assert [field.name for field, _, _ in options_of(module.Options)] == ["projection", "min_area", "flip"]
    task = "phantom_oct,n=8,n_validation=4,n_test=4"
    options = PretrainOptions(
        method=name, checkpoint="lab/tiny", hub=str(tiny_hub), task=task, size=32, epochs=2, batch_size=8, precision="fp32",
        out=str(tmp_path / "run"), license="apache-2.0", device="cpu",
    )  # fmt: skip
    folder = pretrain(options, module.Options(projection=16))
    logged = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert logged[-1]["step"] == 2 and any("similarity" in line for line in logged)
    start = load_file(tiny_hub / "lab" / "tiny" / "model.safetensors")
    trained = load_file(folder / "checkpoint" / "model.safetensors")
    assert start.keys() == trained.keys() and any(not torch.equal(start[key], trained[key]) for key in start)


def test_the_analysis_gives_rows_a_figure_and_a_sentence(copied):
    name = copied("medzoo/analysis", {'"Template"': '"Brightness"'})
    assert list_analyses() == [name]
    module = open_analysis(name)
    check_analysis(module)
    two = ["resnet18-random", "resnet18-random"]
    inputs = ComparedInputs(CompareOptions(checkpoints=two, task="phantom_ct,n=8,n_validation=4,n_test=8", size=32))
    rows = module.run(inputs, module.Options())
    assert rows == json.loads(json.dumps(rows)) and sum(row["images"] for row in rows) == 8
    assert all(0 <= row["value"] <= 1 for row in rows if row["images"])
    figure = module.plot(rows)
    assert isinstance(figure, Figure) and len(figure.axes[0].patches) == sum(row["images"] > 0 for row in rows)
    assert module.sentence(rows) and [row["images"] for row in module.table(rows)] == [row["images"] for row in rows]
    with pytest.raises(UsageError):
        module.run(inputs, module.Options(share=2.0))


@pytest.mark.parametrize("folder", FINDERS)
def test_a_copy_is_not_in_the_package(copied, tmp_path, folder):
    """A test that fails leaves no file that other tests, or another process of pytest, would find."""
    name = copied(folder, {})
    assert import_module(f"{folder.replace('/', '.')}.{name}").__file__.startswith(str(tmp_path))
    assert not list((ROOT / "medzoo").rglob(f"{name}.py"))
