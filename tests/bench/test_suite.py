"""medzoo.bench.suite: a closed schema with near matches, paths below the root, and cells in a useful order."""

import pytest
from expect import raises

from medzoo.bench.suite import list_suites, load_suite
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
    ],
)
def test_mistakes_are_named(write, old, new, words):
    assert old in TEXT
    with raises(UsageError, words):
        load_suite(write(TEXT.replace(old, new)))


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
