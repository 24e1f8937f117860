"""medzoo.bench.suite: a closed schema with near matches, paths below the root, and cells in a useful order."""

import pytest
from expect import raises

from medzoo.bench.suites.read import list_suites, load_suite
from medzoo.errors import UnknownNameError, UsageError

TEXT = """
name = "mini"
title = "A small table"
seeds = [0, 1]
mode = "linear"
results = "results"
protocols = ["medzoo"]
checkpoints = ["resnet18-random", { name = "resnet18-own", label = "own" }]

[[pretrain]]
name = "resnet18-own"
method = "simclr"
architecture = "resnet18"
task = "parquet:medical_mnist_64"
temperature = 0.2

[[tasks]]
name = "pneumoniamnist"
title = "PneumoniaMNIST"
root = "medmnist"
size = 28
learning_rate = 1

[[tasks]]
name = "folder:scans/knee"
groups = "patient"
fraction = 0.1
metric = "auprc"
"""


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "mini.toml"
        path.write_text(text)
        return path

    return written


def test_a_suite_is_read_whole(write):
    suite = load_suite(write(TEXT), root="/data")
    assert (suite.name, suite.title, suite.mode, suite.seeds, suite.results) == (
        "mini", "A small table", "linear", (0, 1), "results",
    )  # fmt: skip
    assert suite.labels() == {"resnet18-random": "resnet18-random", "resnet18-own": "own"}
    assert suite.titles() == {"pneumoniamnist": "PneumoniaMNIST", "folder:/data/scans/knee": "knee"}
    assert suite.metrics() == {"folder:/data/scans/knee": "auprc"}
    (step,) = suite.pretrain
    assert step["task"] == "parquet:/data/medical_mnist_64" and step["temperature"] == 0.2
    cells = suite.cells()
    assert len(cells) == 2 * 2 * 2 and [cell.seed for cell in cells] == [0] * 4 + [1] * 4
    assert cells[0].options == {"root": "/data/medmnist", "size": 28, "learning_rate": 1}
    assert (cells[2].task, cells[2].metric, cells[2].options) == (
        "folder:/data/scans/knee", "auprc", {"groups": "patient", "fraction": 0.1},
    )  # fmt: skip
    assert len({cell.folder for cell in cells}) == len(cells) == len(set(cells))
    assert not any(cell.folder.is_absolute() for cell in cells)


def test_without_a_root_paths_stay_as_they_are(write):
    suite = load_suite(write(TEXT))
    assert [task["name"] for task in suite.tasks] == ["pneumoniamnist", "folder:scans/knee"]
    assert suite.tasks[0]["root"] == "medmnist"
    absolute = load_suite(write(TEXT.replace("folder:scans/knee", "folder:/mnt/knee")), root="/data")
    assert absolute.tasks[1]["name"] == "folder:/mnt/knee"


def test_defaults(write):
    suite = load_suite(write('checkpoints = ["a"]\ntasks = [{ name = "phantom_ct" }]'))
    assert (suite.name, suite.title, suite.protocols, suite.mode, suite.seeds) == (
        "mini", "mini", ("medzoo",), "finetune", (0, 1, 2),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seeds =", "seed =", "unknown-key"),
        ("size = 28", "sise = 28", "unknown-key"),
        ("label =", "lable =", "unknown-key"),
        ("size = 28", 'size = "28"', "wrong-type"),
        ("size = 28", "size = true", "wrong-type"),
        ("seeds = [0, 1]", 'seeds = ["0"]', "wrong-type"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "suite-value-twice"),
        ("seeds = [0, 1]", "seeds = []", "suite-value-missing"),
        ('mode = "linear"', 'mode = "knnn"', "not-a-choice"),
        ('"auprc"', '"auprcc"', "unknown-metric"),
        ("fraction = 0.1", "fraction = 10.0", "out-of-range"),
        ('name = "pneumoniamnist"', "", "missing-key"),
        ('name = "resnet18-own"\nmethod', "method", "missing-key"),
        ('title = "PneumoniaMNIST"', 'title = "knee"', "suite-value-twice"),
        ('"resnet18-random",', '"resnet18-own",', "suite-value-twice"),
        ('name = "mini"', 'name = "a/b"', "suite-name-invalid"),
        ('name = "mini"', "name = ", "toml-invalid"),
        ('label = "own"', 'label = "own", control = "resnet18"', "control-not-a-row"),
        ('label = "own"', 'label = "own", control = ["resnet18-own"]', "suite-value-twice"),
        ("size = 28", "seeds = []", "suite-value-missing"),
        ("size = 28", "seeds = [1, 1]", "suite-value-twice"),
        ("size = 28", 'mode = "knnn"', "not-a-choice"),
    ],
)
def test_mistakes_are_named(write, old, new, words):
    assert old in TEXT
    with raises(UsageError, words):
        load_suite(write(TEXT.replace(old, new)))


def test_a_row_has_controls_of_its_own(write):
    text = TEXT.replace('label = "own"', 'label = "own", control = ["resnet18-random"]')
    assert load_suite(write(text)).controls == {"resnet18-own": ("resnet18-random",)}
    assert load_suite(write(text.replace('["resnet18-random"]', '"resnet18-random"'))).controls == {
        "resnet18-own": ("resnet18-random",)
    }
    assert load_suite(write(TEXT)).controls == {}


def test_a_task_has_a_mode_and_seeds_of_its_own(write):
    suite = load_suite(
        write(TEXT.replace("size = 28\nlearning_rate = 1", 'size = 28\nmode = "finetune"\nseeds = [7, 1]'))
    )
    assert suite.modes() == ("finetune", "linear")
    found = {(cell.task, cell.mode, cell.seed) for cell in suite.cells()}
    tuned, probed = ("pneumoniamnist", "finetune"), ("folder:scans/knee", "linear")
    assert found == {(*tuned, 7), (*tuned, 1), (*probed, 0), (*probed, 1)}
    assert not any({"mode", "seeds"} & cell.options.keys() for cell in suite.cells())
    assert len({cell.folder for cell in suite.cells()}) == len(suite.cells())


def test_an_unknown_suite_names_its_neighbours(tmp_path):
    assert "demo" in list_suites()
    with raises(UnknownNameError, "unknown-suite"):
        load_suite("dem")
    with raises(UnknownNameError, "unknown-suite", match="Known: "):
        load_suite(tmp_path / "absent.toml")


@pytest.mark.parametrize("name", list_suites())
def test_the_suites_that_ship_are_valid(name):
    suite = load_suite(name)
    assert suite.cells()
    own = [step["name"] for step in suite.pretrain]
    for i, step in enumerate(suite.pretrain):
        if step.get("checkpoint") in own:
            assert step["checkpoint"] in own[:i], "a step continues one that comes later"


AXES = """
mode = "linear"
seeds = [0]
checkpoints = ["resnet18-random"]
{top}
[[tasks]]
name = "phantom_oct"
title = "OCT"
{row}
"""


def columns(write, row, top=""):
    suite = load_suite(write(AXES.format(row=row, top=top)))
    return {task["title"]: {k: v for k, v in task.items() if k not in ("name", "title")} for task in suite.tasks}


def test_parts_and_sizes_are_columns_with_plain_names(write):
    assert columns(write, "per_class = [1, 5]\nfractions = [0.01, 1.0]\nsizes = [224, 512]") == {
        f"OCT, {words}, {size} px": {**options, "size": size}
        for words, options in {
            "1 per class": {"per_class": 1, "draws": 10}, "5 per class": {"per_class": 5, "draws": 10},
            "1 % of train": {"fraction": 0.01}, "100 % of train": {},
        }.items()
        for size in (224, 512)
    }  # fmt: skip
    assert columns(write, "per_class = 5") == {"OCT, 5 per class": {"per_class": 5, "draws": 10}}
    assert columns(write, "fractions = [0.1, 1.0]\ndraws = 12") == {
        "OCT, 10 % of train": {"fraction": 0.1, "draws": 12}, "OCT, 100 % of train": {},
    }  # fmt: skip


def test_axes_of_the_suite_are_those_of_every_task_that_sets_none(write):
    assert list(columns(write, "", top="sizes = [32, 64]\nfolds = [0, 1]")) == ["OCT, 32 px", "OCT, 64 px"]
    assert columns(write, "size = 48", top="sizes = [32, 64]\nfolds = [0, 1]") == {"OCT": {"size": 48, "folds": (0, 1)}}
    assert columns(write, "fractions = [0.5]", top="per_class = 3\ndraws = 2") == {
        "OCT, 50 % of train": {"fraction": 0.5, "draws": 2}
    }
    assert columns(write, "", top="per_class = 3\ndraws = 2") == {"OCT, 3 per class": {"per_class": 3, "draws": 2}}


def test_every_cell_gets_its_first_draw_before_any_gets_a_second(write):
    suite = load_suite(write(AXES.format(top="", row="per_class = [1, 5]\nfractions = [1.0]\ndraws = 3")))
    cells = suite.cells()
    assert [(cell.title, cell.options.get("draw")) for cell in cells] == [
        ("OCT, 1 per class", 0), ("OCT, 5 per class", 0), ("OCT, 100 % of train", None), ("OCT, 1 per class", 1),
        ("OCT, 5 per class", 1), ("OCT, 1 per class", 2), ("OCT, 5 per class", 2),
    ]  # fmt: skip
    assert len({cell.folder for cell in cells}) == 7 and "draws" not in cells[0].options
    assert str(cells[3]) == "resnet18-random on OCT, 1 per class, seed 0, draw 1"


@pytest.mark.parametrize(
    ("row", "top", "code"),
    [
        ("per_class = [1, 1]", "", "axis-invalid"),
        ("sizes = []", "", "axis-invalid"),
        ("sizes = [32]\nsize = 32", "", "axis-and-value-given"),
        ("fractions = [0.5]\nfraction = 0.5", "", "axis-and-value-given"),
        ("per_class = 1\nfraction = 0.5", "", "per-class-with-fraction"),
        ("per_class = 1\nfolds = [0, 1]", "", "folds-with-draws"),
        ("draws = 3", "", "draws-without-part"),
        ("", "draws = 3", "draws-without-part"),
        ("fractions = [1.0]\ndraws = 3", "", "draws-without-part"),
        ("per_class = [0]", "", "out-of-range"),
        ("sizes = [4]", "", "out-of-range"),
        ("fractions = [2.0]", "", "out-of-range"),
    ],
)
def test_axes_that_cannot_be_are_refused(write, row, top, code):
    with raises(UsageError, code):
        load_suite(write(AXES.format(row=row, top=top)))
