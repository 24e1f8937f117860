"""Published numbers next to a suite's own columns: shown with their source, and in no mean, test or rank."""

from dataclasses import replace

import numpy as np
import pytest
from expect import raises

from medzoo.bench import metrics
from medzoo.bench.published.read import load_published
from medzoo.bench.results import store as results
from medzoo.bench.results.store import ResultStore
from medzoo.bench.suite_table import named_table
from medzoo.bench.suites.read import load_suite
from medzoo.bench.table.build import control_place
from medzoo.bench.table.reported.columns import with_reported
from medzoo.bench.table.reported.study_tests import markdown, study_tests, text
from medzoo.bench.table.table import suite_table
from medzoo.errors import ResultError, UsageError


def cell(made, row, title, detail=""):
    place = next(
        i for i, c in enumerate(made.columns) if c.title == title and c.reported and (not detail or detail in c.detail)
    )
    return made.grid[next(i for i, r in enumerate(made.rows) if r.label == row)][place]


@pytest.fixture
def stored(tmp_path, make_run):
    """Two seeds of three checkpoints on Shenzhen, with predictions."""
    store = ResultStore(tmp_path / "results")
    rng = np.random.default_rng(0)
    labels, ids = np.arange(160) % 2, [f"image{i}" for i in range(160)]
    shown = rng.normal(size=160)
    for net, quality in (("resnet50-random", 0.3), ("resnet50-imagenet", 2.0), ("resnet50-swav-imagenet", 2.1)):
        for seed in range(2):
            scores = 1 / (1 + np.exp(-quality * labels - shown - 0.3 * rng.normal(size=160)))
            result, _ = make_run(
                checkpoint=net, task="shenzhen", seed=seed, protocol__id="hosseinzadeh2021", checkpoint__arch="resnet50"
            )
            table = results.predictions(("no", "yes"), "binary", ids, ids, labels, scores)
            made = results.make_result(
                result["identity"], status="ok", metric="auroc", selection={}, environment=result["environment"],
                metrics=metrics.compute("binary", ("no", "yes"), labels, scores, ids), predictions=table, train={},
            )  # fmt: skip
            store.put(made, table)
    result, table = make_run(checkpoint="resnet50-imagenet", task="shenzhen", protocol__id="medzoo")
    store.put(result, table)
    return store.root


def test_without_results_only_the_published_numbers_are_shown():
    made = named_table(load_suite("hosseinzadeh2021"))
    assert [(c.title, c.reported) for c in made.columns][:4] == [
        ("ChestX-ray14", False), ("ChestX-ray14", True), ("CheXpert", False), ("CheXpert", True),
    ]  # fmt: skip
    assert all(
        c.worded(3) == "—" for cells in made.grid for c, k in zip(cells, made.columns, strict=True) if not k.reported
    )
    assert cell(made, "ImageNet, supervised", "Shenzhen").worded(3) == "0.9562 ± 0.0063"  # the exact table goes first
    assert cell(made, "SwAV, ImageNet", "Shenzhen").worded(3) == "0.9574 ± 0.0045 (figure)"
    assert not cell(made, "ChestX-ray14, supervised", "ChestX-ray14").runs  # the study did not test it
    notes = "\n".join(made.footnotes)
    assert "not part of any mean, test or rank" in notes and "population standard deviation" in notes
    assert "resnet50-swav-imagenet: no result" not in notes  # nothing was looked for
    assert "87.17" in notes  # the study contradicts itself


def test_published_runs_are_behind_the_mean():
    made = named_table(load_suite("juodelyte2023"))
    found = cell(made, "RadImageNet", "mammograms", "juodelyte2023_frozen")
    assert found.worded(3) == "0.6618 ± 0.0629 (5 folds)" and found.published.ddof == 1
    assert [run.name for run in found.runs] == [f"fold {k}" for k in range(5)]
    assert np.mean(found.values) == pytest.approx(found.mean)
    assert [c.detail for c in made.columns][1] == "protocol juodelyte2023"
    jonske = named_table(load_suite("jonske2023"))
    assert [run.name for run in cell(jonske, "ImageNet", "CX8").runs] == ["seed 42", "seed 1", "seed 2", "seed 3"]
    assert any("run f1 collapsed" in note for note in jonske.footnotes)  # outliers are named, and stay
    assert min(cell(jonske, "random", "LiTS lesion").values) < 0.43


def test_rows_and_data_that_medzoo_does_not_have_are_marked():
    made = named_table(load_suite("krones2024"))
    assert "ViT-S, GMML OCT, 1 channel (not in medzoo)" in [row.label for row in made.rows]
    assert "PadChest (trained on ChestX-ray14)" in [column.title for column in made.columns]
    assert made.columns[-1].title == "VinDr-CXR (trained on ChestX-ray14)"  # no task of the suite: at the end


def test_own_results_are_next_to_the_published_numbers(stored):
    suite = load_suite("hosseinzadeh2021")
    made = named_table(suite, stored)
    plain = named_table(replace(suite, published=None), stored)
    own = [i for i, column in enumerate(made.columns) if not column.reported]
    assert [made.columns[i].title for i in own] == [column.title for column in plain.columns]
    for cells, expected in zip(made.grid, plain.grid, strict=True):  # the published numbers change nothing
        assert [cells[i] for i in own] == list(expected)
    place = next(i for i in own if made.columns[i].task == "shenzhen")
    assert made.columns[place + 1].reported and made.columns[place + 1].task == "shenzhen"
    assert {run.seed for run in made.grid[1][place].runs} == {0, 1}  # not the run of another protocol
    assert any("1 results of other protocols" in note for note in made.footnotes)
    for cells in made.grid:
        assert all(c.statistics is None and not c.marks for c, k in zip(cells, made.columns, strict=True) if k.reported)
    assert made.grid[0][place].statistics.difference.verdict == "worse"  # than the suite's control
    assert made.columns[place + 1].statistics is None


def test_every_form_shows_them(stored, tmp_path):
    made = named_table(load_suite("hosseinzadeh2021"), stored)
    assert "(reported)" in made.to_text() and "0.9574 ± 0.0045 (figure)" in made.to_text()
    page, plain = made.to_html(tmp_path), made.to_markdown(tmp_path)
    assert 'class="reported"' in page and "0.9562" in page and "domain_adaptive.png" in page
    assert "published mean (14 self-supervised models): 0.9574" in plain
    assert "from 6 results" in plain and "from 6 result files" in page  # published numbers are not counted
    frame = made.to_frame()
    assert frame[~frame.reported].shape[0] == 6
    assert made.plot() is not None


def test_contradictions_of_a_study_are_named():
    study = load_published("hosseinzadeh2021")
    table = study.table("inat")
    wrong = replace(table, cells=tuple(replace(c, mean=c.mean + 1) if c.row == "Scratch" else c for c in table.cells))
    changed = replace(study, tables=tuple(wrong if one.name == "inat" else one for one in study.tables))
    suite = load_suite("hosseinzadeh2021")
    made = with_reported(named_table(replace(suite, published=None)), suite, changed)
    found = [note for note in made.footnotes if "Scratch on ChestX-ray14" in note]
    assert len(found) == 1 and "0.8031" in found[0] and "0.8131" in found[0]


def test_the_studies_own_tests_rebuild_their_tables():
    made = named_table(load_suite("jonske2023"))
    tests = study_tests(made, control_place("ImageNet", None, made.rows))
    of = {(one.row, one.column.partition(",")[0]): one for one in tests if "100 %" in one.column}
    found = of["RadNet-1.28M", "ImageNet-1k"]
    assert (round(found.welch, 4), round(found.population_sd, 4), found.runs) == (0.0076, 0.0028, 4)
    assert found.delta == pytest.approx(-0.0084, abs=5e-5) and found.reported
    shown = text(tests, "ImageNet")
    assert shown.startswith("As in the study; uncorrected") and "0.0076" in shown
    assert "| 0.0076 |" in markdown(tests, "ImageNet")


def test_without_runs_there_is_a_reason():
    made = named_table(load_suite("hosseinzadeh2021"))
    tests = study_tests(made, control_place("resnet50-imagenet", None, made.rows))
    found = next(one for one in tests if one.row == "ImageNet, then CheXpert" and one.column.startswith("Shenzhen"))
    assert found.welch is None and "number of runs" in found.why and found.population_sd == pytest.approx(0.0026)


def test_an_unknown_metric_or_control_is_refused(stored):
    suite = load_suite("hosseinzadeh2021")
    with raises(ResultError, "metric-missing"):
        named_table(suite, stored, metric="mae")
    with raises(UsageError, "control-not-a-row"):
        named_table(suite, control="nobody")


def test_a_suite_of_your_own_names_its_study(tmp_path):
    """Also in the table that recipes/benchmark.py writes."""
    (tmp_path / "study.toml").write_text(
        'title = "Ours 2020"\nurl = "https://example.org"\n\n[[checkpoints]]\nname = "random"\n'
        'checkpoint = "resnet18-random"\n\n[[tables]]\nname = "main"\ntitle = "a table"\nsource = "https://example.org/table"\n'
        'obtained = "exact"\nprotocol = "medzoo"\ncolumns = [\n  { name = "CT", task = "phantom_ct", metric = "auroc" },\n]\n'
        'cells = [\n  { row = "random", column = "CT", mean = 0.75 },\n]\n'
    )
    file = tmp_path / "ours.toml"
    study = str(tmp_path / "study.toml")
    file.write_text(
        f"published = {study!r}\ncheckpoints = ['resnet18-random', 'resnet18-imagenet']\ntasks = [{{ name = 'phantom_ct' }}]"
    )
    made = suite_table(load_suite(file), [])
    assert [column.heading for column in made.columns] == ["no results yet", "AUROC ↑ (reported)"]
    assert made.grid[0][1].worded(3) == "0.7500" and made.grid[1][1].worded(3) == "—"
    linear = suite_table(replace(load_suite(file), mode="linear"), [])
    assert len(linear.columns) == 1  # the study has no linear evaluation
