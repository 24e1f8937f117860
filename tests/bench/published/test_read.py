"""Published numbers: a closed form with lines in its errors, the numbers of the sources, and the p values that follow from them."""

import pytest
from expect import raises

from medzoo.bench.published.read import list_published, load_published
from medzoo.bench.published.schema import Value
from medzoo.bench.statistics.hypothesis_tests import two_sample_t, welch, welch_of_summaries
from medzoo.data.task_registry import task_info
from medzoo.errors import ResultError, UnknownNameError, UsageError

TEXT = """title = "A study"
url = "https://example.org"

[[checkpoints]]
name = "ImageNet"
checkpoint = "resnet50-imagenet"

[[checkpoints]]
name = "own"

[[tables]]
name = "main"
title = "a table"
source = "https://example.org/table"
obtained = "exact"
protocol = "medzoo"
scale = 0.01
ddof = 0
runs = 4
columns = [
  { name = "knee", task = "knee", metric = "auroc" },
  { name = "private", metric = "accuracy" },
]
cells = [
  { row = "ImageNet", column = "knee", mean = 80.0, sd = 3.0 },
  { row = "own", column = "knee", runs = [70, 72.0, 74.0] },
  { row = "own", column = "private", mean = 90.0 },
]
"""


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return str(path)

    return written


@pytest.mark.parametrize("name", list_published())
def test_every_number_is_on_the_scale_of_its_metric(name):
    study = load_published(name)
    assert study.title and study.url.startswith("https://") and study.tables
    for table in study.tables:
        assert table.source.startswith("https://") and table.cells
        for cell in table.cells:
            value = table.value(cell)
            assert 0 < value.mean < 1 and (value.sd is None or value.sd < 0.5), cell
            assert not table.names_of_runs or len(value.runs) == len(table.names_of_runs)


def test_a_file_is_read(write):
    study = load_published(write(TEXT))
    table = study.table("main")
    mean, runs, private = (table.value(cell) for cell in table.cells)
    assert (mean.mean, mean.sd, mean.n) == (pytest.approx(0.8), pytest.approx(0.03), 4)
    assert mean.sample_sd == pytest.approx(0.03 * (4 / 3) ** 0.5)
    assert (runs.mean, runs.sd, runs.n) == (pytest.approx(0.72), pytest.approx(0.02), 3)
    assert private.sd is None and private.n == 4
    assert study.row("own").label == "own (not in medzoo)" and study.row("ImageNet").label == "ImageNet"
    assert table.column("private").label == "private (not in medzoo)"


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ("runs = [70,", "rusn = [70,", "unknown-key", 26),
        ('name = "private", metric', 'name = "private", metrik', "unknown-key", 22),
        ('title = "a table"', 'titel = "a table"', "unknown-key", 13),
        ('checkpoint = "resnet50-imagenet"', 'checkpiont = "resnet50-imagenet"', "unknown-key", 6),
        ('url = "https', 'adress = "https', "unknown-key", 2),
        ("mean = 80.0", 'mean = "80"', "wrong-type", 25),
        ("sd = 3.0", "sd = -3.0", "out-of-range", 25),
        ('"resnet50-imagenet"', '"resnet50-imagenett"', "published-checkpoint-wrong", 6),
        ('task = "knee"', 'task = "kne"', "published-task-wrong", 21),
        ('metric = "accuracy"', 'metric = "acc"', "published-metric-wrong", 22),
        ('protocol = "medzoo"', 'protocol = "medzo"', "published-protocol-wrong", 16),
        ('row = "own", column = "private"', 'row = "mine", column = "private"', "published-row-wrong", 27),
        ('column = "private", mean', 'column = "secret", mean', "published-column-wrong", 27),
        ("mean = 90.0", "sd = 1.0", "published-value-wrong", 27),
        ("runs = [70, 72.0, 74.0]", "runs = [70.0], mean = 70.0", "published-value-wrong", 26),
        ("runs = [70, 72.0, 74.0]", "runs = [70.0], sd = 1.0", "published-value-wrong", 26),
        ('row = "own", column = "private"', 'row = "own", column = "knee"', "published-cell-wrong", 27),
        ('obtained = "exact"', 'obtained = "figure"', "published-error-wrong", 11),
        ('obtained = "exact"', 'obtained = "guessed"', "not-a-choice", 15),
        ('name = "own"', 'name = "ImageNet"', "published-name-wrong", 8),
    ],
)
def test_an_error_names_its_line(write, old, new, code, line):
    assert TEXT.count(old) == 1
    with raises(UsageError, code, match=rf"study\.toml:{line}:"):
        load_published(write(TEXT.replace(old, new)))


def test_an_unknown_study_is_named_with_the_known_ones():
    with raises(UnknownNameError, "unknown-published-study", match="juodelyte2023"):
        load_published("juodelyte")
    with raises(UnknownNameError, "unknown-published-study"):
        load_published("claims")  # another form in the same folder
    with raises(UsageError, "toml-unreadable"):
        load_published("nowhere.toml")


def value(study, table, row, column):
    found = load_published(study).table(table)
    return found.value(found.find(row, column))


@pytest.mark.parametrize(
    ("study", "table", "row", "column", "mean", "sd"),
    [
        ("hosseinzadeh2021", "domain_adaptive", "ImageNet→CheXpert", "TXC", 97.33, 0.26),
        ("hosseinzadeh2021", "ssl", "SeLa-v2", "VFS", 79.65, 0.19),
        ("hosseinzadeh2025", "architectures", "ConvNeXt-B", "Breast", 83.45, None),
        ("juodelyte2023", "finetune", "RadImageNet", "knee", 89.30, 6.32),
        ("juodelyte2023", "frozen", "RadImageNet", "breast", 72.37, 22.10),
        ("jonske2023", "full", "Scratch", "LiTS lesion", 73.37, 20.31),
        ("jonske2023", "less_data", "I1k", "LiTSS lesion", 61.10, 40.57),
        ("jonske2023", "continual", "IxRS", "R", 88.15, 4.98),
        ("krones2024", "vit", "0.2.1_scratch_NIH_1D_v1", "Xray14_test_official 14_diseases", 79.83, 0.85),
        ("krones2024", "resnet50", "ResNet50_imagenet", "PADCHEST 5_diseases", 87.18, 1.35),
    ],
)
def test_numbers_of_the_sources(study, table, row, column, mean, sd):
    found = value(study, table, row, column)
    assert 100 * found.mean == pytest.approx(mean, abs=0.0051)
    assert found.sd == (None if sd is None else pytest.approx(sd / 100, abs=0.000051))


def test_the_tasks_print_the_same_numbers():
    rows = [("hosseinzadeh2021", "domain_adaptive", "ImageNet", column, task) for column, task in (
        ("DXC14", "chestxray14"), ("DXC5", "chexpert"), ("TXC", "shenzhen"))]  # fmt: skip
    rows += [("juodelyte2023", "finetune", "ImageNet", column, task) for column, task in (
        ("thyroid", "thyroid"), ("breast", "breast"), ("knee", "knee"), ("isic", "isic"), ("pcam-small", "pcam"))]  # fmt: skip
    rows.append(("jonske2023", "full", "I1k", "CX8", "cx8"))
    for study, table, row, column, task in rows:
        found, printed = value(study, table, row, column), task_info(task).published
        assert (found.mean, found.sd) == (
            pytest.approx(printed["auroc"], abs=6e-4),
            pytest.approx(printed["sd"], abs=6e-4),
        ), task


@pytest.mark.parametrize(
    ("study", "table", "column", "row", "against", "p"),
    [
        # https://arxiv.org/abs/2302.08272, results/AUC.csv
        ("juodelyte2023", "finetune", "thyroid", "ImageNet", "RadImageNet", 0.65),
        ("juodelyte2023", "finetune", "isic", "ImageNet", "RadImageNet", 0.002),
        ("juodelyte2023", "finetune", "pcam-small", "ImageNet", "RadImageNet", 0.0014),
        ("juodelyte2023", "frozen", "thyroid", "ImageNet", "RadImageNet", 0.032),
        ("juodelyte2023", "frozen", "isic", "ImageNet", "RadImageNet", 0.071),
        ("juodelyte2023", "frozen", "knee", "ImageNet", "RadImageNet", 0.0001),
        # https://arxiv.org/abs/2306.17555, test.log of the runs
        ("jonske2023", "full", "I1k", "R", "I1k", 0.0076),
        ("jonske2023", "full", "CX8", "RF", "I1k", 0.112),
        ("jonske2023", "full", "LiTS lesion", "Scratch", "I1k", 0.3179),
        ("jonske2023", "less_data", "BraTSM whole tumour", "R", "I1k", 0.0056),
        ("jonske2023", "less_data", "RXXS", "RF", "I1k", 0.042),
        ("jonske2023", "linear", "R", "R", "I1k", 0.001),
        ("jonske2023", "linear", "BraTS tumour core", "RF", "I1k", 0.0035),
        ("jonske2023", "continual", "I1k", "IxRM", "I1k", 0.4493),
        ("jonske2023", "continual_linear", "R", "IxRM", "I1k", 0.0013),
    ],
)
def test_welch_on_the_runs_gives_the_p_values_of_the_studies(study, table, column, row, against, p):
    one, two = (value(study, table, name, column) for name in (row, against))
    digits = len(str(p).partition(".")[2])
    assert welch(one.runs, two.runs).p == pytest.approx(p, abs=0.51 * 10**-digits)
    summaries = [(found.mean, found.sample_sd, found.n) for found in (one, two)]
    assert welch_of_summaries(*summaries).p == pytest.approx(welch(one.runs, two.runs).p, rel=1e-9)
    assert two_sample_t(one.runs, two.runs).p != pytest.approx(welch(one.runs, two.runs).p, rel=1e-6)


def test_a_summary_needs_two_runs():
    with raises(ResultError, "too-few-values"):
        welch_of_summaries((0.9, 0.01, 1), (0.8, 0.01, 5))
    assert Value(0.9, 0.01, 5).sample_sd is None  # the kind of deviation is not known
