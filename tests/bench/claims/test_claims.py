"""The claims of the studies: from published numbers alone, and from a small store of own results."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from expect import raises

from medzoo.bench import metrics
from medzoo.bench.claims.from_published import published_differences
from medzoo.bench.claims.from_results import contrasts, own_differences
from medzoo.bench.claims.read import choose, load_claims
from medzoo.bench.claims.report import check_claims, markdown, text
from medzoo.bench.results import store as results
from medzoo.bench.results.store import ResultStore
from medzoo.bench.statistics.hypothesis_tests import holm
from medzoo.cli import main
from medzoo.errors import UnknownNameError, UsageError
from medzoo.paths import data_dir

CLAIMS = {claim.name: claim for claim in load_claims()}


@pytest.fixture
def stored(tmp_path, make_run):
    """Three seeds of two checkpoints on two of the study's tasks; the second is better on both."""
    store = ResultStore(tmp_path / "results")
    labels, ids = np.arange(200) % 2, [f"image{i}" for i in range(200)]
    for number, task in enumerate(("shenzhen", "siim_pneumothorax")):
        shown = np.random.default_rng(number).normal(size=200)
        for net, quality in (("resnet50-imagenet", 0.5), ("resnet50-imagenet-chexpert", 2.0)):
            for seed in range(3):
                rng = np.random.default_rng([number, seed, len(net)])
                scores = 1 / (1 + np.exp(-quality * labels - shown - 0.3 * rng.normal(size=200)))
                result, _ = make_run(checkpoint=net, task=task, seed=seed, checkpoint__arch="resnet50")
                table = results.predictions(("no", "yes"), "binary", ids, ids, labels, scores)
                made = results.make_result(
                    result["identity"], status="ok", metric="auroc", selection={}, environment=result["environment"],
                    metrics=metrics.compute("binary", ("no", "yes"), labels, scores, ids), predictions=table, train={},
                )  # fmt: skip
                store.put(made, table)
    return store.root


def test_the_claims_of_all_studies_are_there():
    assert {claim.study for claim in CLAIMS.values()} == {
        "hosseinzadeh2021", "juodelyte2023", "jonske2023", "krones2024",
    }  # fmt: skip
    for claim in CLAIMS.values():
        assert published_differences(claim), claim.name


def test_published_runs_give_tests_with_holm():
    found = published_differences(CLAIMS["imagenet-or-radimagenet"])
    assert len(found) == 14 and all(one.runs == (5, 5) for one in found)
    assert [one.p_holm for one in found] == holm([one.p for one in found])
    isic = next(one for one in found if one.column == "ISIC 2018" and one.table == "all layers from the start")
    assert (round(isic.p, 3), round(isic.delta, 4)) == (0.002, 0.0340)
    assert not isic.false and "7 labels" in isic.why_not_false  # not invented
    breast = next(one for one in found if one.column == "breast ultrasound")
    assert [one.assumption for one in breast.false] == ["correlation 0", "correlation 0.6"]
    assert set(breast.uses) == {"runs", "holm", "flat", "auroc", "folds"}


def test_what_is_missing_has_a_reason():
    figure = published_differences(CLAIMS["inat2021-segmentation"])
    assert {one.printed_p for one in figure} == {0.19, 0.15, 0.069} and all(one.p > 0.2 for one in figure)
    assert all("standard deviation over test images" in one.why_not_false and not one.false for one in figure)
    no_runs = published_differences(replace(CLAIMS["inat2021-segmentation"], assumed_runs=None))
    assert all(one.p is None and "number of runs" in one.why_no_test for one in no_runs)
    no_sd = replace(CLAIMS["inat2021-segmentation"], pairs=(("ImageNet", "Scratch"),))
    assert all(one.p is None and "neither runs" in one.why_no_test for one in published_differences(no_sd))
    assumed = published_differences(CLAIMS["continual-pretraining"])
    assert all(one.runs == (10, 10) and one.p is not None for one in assumed)
    (checked,) = check_claims([CLAIMS["continual-pretraining"]])
    assert "10 runs are assumed" in text([checked])


def test_the_error_bars_of_a_figure_give_its_marks():
    """The figure of 14 self-supervised models marks these as better (its VFS panel does not agree with its own error bars)."""
    found = published_differences(CLAIMS["ssl-or-supervised"])
    better = {(one.column, one.better.partition(",")[0]) for one in found if one.p < 0.05 and one.delta > 0}
    six = ("SimCLR-v1", "SeLa-v2", "BYOL", "DeepCluster-v2", "SwAV", "Barlow Twins")
    marked = {(column, name) for column in ("SIIM pneumothorax", "RSNA PE") for name in six}
    marked |= {("ChestX-ray14", "SwAV"), ("CheXpert", "SimCLR-v1")}
    assert {pair for pair in better if pair[0] != "DRIVE vessels"} == marked


def test_stated_gains_are_next_to_the_numbers_of_the_logs():
    found = {(one.table, one.column, one.better): one for one in published_differences(CLAIMS["radnet-gain"])}
    linear = found["frozen encoder", "RadNet body region (private data)", "SimCLR, RadNet-1.28M"]
    assert linear.stated.delta == 0.0207 and round(linear.delta, 4) == 0.0199
    assert [one.assumption for one in linear.false] == ["independent errors", "largest possible agreement"]
    assert max(one.probability for one in linear.false) < 0.001
    full = found["all training data, all layers", "RadNet body region (private data)", "SimCLR, RadNet-1.28M"]
    assert full.stated.p == 0.541 and round(full.p, 4) == 0.8442  # the abstract and the logs differ


def test_without_rows_the_command_is_printed():
    (checked,) = check_claims([CLAIMS["matching-modality"]])
    assert "no rows yet: run" in text([checked]) and "recipes/suites/krones2024.toml" in text([checked])
    for claim in CLAIMS.values():
        for suite in claim.suites:
            assert (data_dir("recipes") / "suites" / f"{suite}.toml").is_file()


def test_own_rows_give_differences_and_their_mean(stored):
    claim = CLAIMS["continual-pretraining"]
    found = own_differences(claim, stored)
    assert [(one.task, one.better, one.than, one.verdict, one.runs) for one in found] == [
        (task, "resnet50-imagenet-chexpert", "resnet50-imagenet", "better", (3, 3))
        for task in ("shenzhen", "siim_pneumothorax")
    ]
    assert all(one.low < one.delta < one.high for one in found)
    (mean,) = contrasts(found)
    assert mean.delta == pytest.approx(np.mean([one.delta for one in found])) and mean.verdict == "better"
    widths = [one.high - one.low for one in found]
    assert mean.high - mean.low == pytest.approx(np.hypot(*widths) / 2, rel=0.03)  # tasks are independent
    (checked,) = check_claims([claim], stored)
    shown = text([checked])
    assert "mean of 2 tasks" in shown and "no rows yet" not in shown
    assert "mean of 2 tasks" in markdown([checked])


def test_a_mean_over_tasks_needs_one_metric(stored):
    one, two = own_differences(CLAIMS["continual-pretraining"], stored)
    assert contrasts([one]) == [] and contrasts([one, replace(two, metric="accuracy")]) == []
    assert contrasts([one, replace(two, how="another protocol")]) == []


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('"IxRS"', '"IxRX"', "claim-name-unknown"),
        ('"full"', '"ful"', "claim-name-unknown"),
        ('"R"]', '"Q"]', "claim-name-unknown"),
        ('"jonske2023"]', '"jonske"]', "claim-name-unknown"),
        ('["IxRS", "R"]', '["IxRS"]', "claim-pair-invalid"),
        ("pairs =", "pair =", "unknown-key"),
        ('study = "jonske2023"', 'study = "jonske"', "unknown-published-study"),
    ],
)
def test_a_wrong_file_of_claims_is_refused(tmp_path, old, new, code):
    content = """[[claims]]
name = "x"
study = "jonske2023"
statement = "x"
source = "https://example.org"
tables = ["full"]
columns = ["CX8"]
pairs = [["IxRS", "R"]]
suites = ["jonske2023"]
"""
    file = tmp_path / "claims.toml"
    file.write_text(content.replace(old, new))
    if old == '"R"]':
        file.write_text(content.replace('["CX8"]', '["CX"]'))
    with raises(UsageError, code):
        load_claims(file)
    file.write_text(content + content)
    with raises(UsageError, "claim-twice"):
        load_claims(file)


def test_claims_are_chosen_by_name_or_study():
    assert [claim.name for claim in choose(load_claims(), ["krones2024"])] == ["matching-modality", "in-domain-ssl"]
    with raises(UnknownNameError, "unknown-claim", match="in-domain-ssl"):
        choose(load_claims(), ["in-domain"])


def test_the_command(tmp_path, monkeypatch, capsys, stored):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["medzoo", *words])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0), capsys.readouterr()
        return 0, capsys.readouterr()

    out = tmp_path / "claims.md"
    code, said = call("claims", "--only", "in-domain-ssl", "--out", str(out))
    assert code == 0 and "8 of 8 differences" in said.out and "8 of 8 differences" in out.read_text(encoding="utf-8")
    code, said = call("claims", str(stored), "--only", "hosseinzadeh2021", "--json")
    found = {one["name"]: one for one in json.loads(said.out)}
    assert code == 0 and found["continual-pretraining"]["own"][0]["verdict"] == "better"
    assert found["inat2021-segmentation"]["commands"] and len(found["ssl-or-supervised"]["published"]) == 98
    assert call("claims", "nowhere")[0] == 2 and call("claims", "--only", "nobody")[0] == 2
    code, said = call("table", "--suite", "juodelyte2023", "--study-tests", "--out", str(tmp_path / "t"))
    assert code == 0 and "As in the study; uncorrected" in said.out and "0.0014" in said.out
    forms = {f"table.{suffix}" for suffix in ("csv", "html", "md", "parquet", "png", "tex")}
    assert {path.name for path in (tmp_path / "t").iterdir()} == {"study_tests.md", *forms}
    assert call("table")[0] == 2 and call("table", "--suite", "nobody")[0] == 2
    assert call("table", "--suite", "juodelyte2023", "--task", "knee")[0] == 2
    assert call("table", str(stored), "--study-tests")[0] == 2  # needs a control
    code, said = call("table", str(stored), "--study-tests", "--control", "resnet50-imagenet", "--no-statistics")
    assert code == 0 and "Welch p" in said.out
