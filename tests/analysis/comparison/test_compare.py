"""Comparing two checkpoints: what applies is made once and stored, the rest is named with its reason."""

import json
from dataclasses import replace

import pytest
from expect import raises

import medzoo
from medzoo.analysis.comparison import compare
from medzoo.analysis.comparison.compare import compare_checkpoints
from medzoo.analysis.comparison.options import analysis_options, by_analysis
from medzoo.analysis.comparison.report import write_report
from medzoo.analysis.inputs.options import CompareOptions
from medzoo.bench.analyses.record import stored_analyses
from medzoo.errors import NotApplicableError, UnknownNameError, UsageError

TASK = "phantom_oct,n=8,n_validation=4,n_test=16"
TWO = ["resnet18-random", "resnet34-random"]


def options_of(folder, **changes):
    usual = {
        "checkpoints": TWO,
        "task": TASK,
        "size": 32,
        "only": ["representation"],
        "results": str(folder / "results"),
    }
    return CompareOptions(**{**usual, **changes})


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    return folder, compare_checkpoints(options_of(folder))


def test_the_record_names_the_device_that_computed(tmp_path, monkeypatch):
    """With --device cpu that is the CPU, also on a machine with a GPU."""
    asked, usual = [], compare.environment
    monkeypatch.setattr(compare, "environment", lambda **given: asked.append(given) or usual(**given))
    compare_checkpoints(options_of(tmp_path, device="cpu"))
    assert asked == [{"precision": "fp32", "kind": "cpu"}]


def test_an_analysis_is_stored_and_not_made_again(done, monkeypatch):
    folder, outcome = done
    (made,) = outcome.made
    assert stored_analyses(folder / "results") == [made] and made.subjects == TWO
    assert {row["analysis"] for row in outcome.rows} == {"representation"}
    monkeypatch.setattr("medzoo.analysis.representation.run", None)  # would fail if it were called
    assert compare_checkpoints(options_of(folder)).made == [made]
    with pytest.raises(TypeError):
        compare_checkpoints(options_of(folder, again=True))
    with pytest.raises(TypeError):
        compare_checkpoints(options_of(folder, seed=1))


def test_the_report_has_every_part(done, tmp_path):
    _, outcome = done
    page = write_report(outcome, tmp_path / "report", "medzoo compare A B").read_text()
    assert outcome.made[0].content["sentence"] in page and "medzoo compare A B" in page and "<script" not in page
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "report.html", *(f"representation.{form}" for form in ("csv", "md", "svg", "png"))
    }  # fmt: skip
    lines = (tmp_path / "report" / "representation.csv").read_text().splitlines()
    assert lines[0].startswith("measure,layer,") and len(lines) == len(outcome.rows) + 1


def test_what_is_left_out_is_in_the_report(done, tmp_path):
    _, outcome = done
    page = write_report(replace(outcome, left_out={"predictions": "There is no <run>."}), tmp_path).read_text()
    assert "Not made" in page and "There is no &lt;run&gt;." in page


def test_all_that_apply_are_made_and_the_others_are_named(tmp_path):
    """There are no stored runs: analyses of predictions do not apply, and the reason is there."""
    outcome = compare_checkpoints(options_of(tmp_path, only=None, images=16))
    names = {one.name for one in outcome.made}
    assert "representation" in names and not names & set(outcome.left_out)
    assert names | set(outcome.left_out) == set(analysis_options())
    assert all(reason for reason in outcome.left_out.values())


def test_the_api_gives_rows(tmp_path):
    rows = medzoo.compare(*TWO, TASK, size=32, only=["representation"], results=tmp_path / "results")
    assert rows == json.loads(json.dumps(rows)) and rows[0]["analysis"] == "representation"


def test_an_analysis_that_was_asked_for_and_does_not_apply_is_an_error(tmp_path):
    with raises(NotApplicableError, "no-runs-of-task"):
        compare_checkpoints(options_of(tmp_path, only=["predictions"]))


@pytest.mark.parametrize(
    ("changes", "kind", "code"),
    [
        ({"checkpoints": ["resnet18-random"]}, UsageError, "two-checkpoints-needed"),
        ({"checkpoints": None}, UsageError, "two-checkpoints-needed"),
        ({"task": ""}, UsageError, "task-missing"),
        ({"task": "phantom_octt"}, UnknownNameError, "unknown-task"),
        ({"only": ["representatoin"]}, UnknownNameError, "unknown-analysis"),
        ({"checkpoints": ["resnet18-random", "resnet19-random"]}, UnknownNameError, "unknown-checkpoint"),
        ({"split": "tset"}, UsageError, "split-unknown"),
        ({"images": 1}, UsageError, "option-out-of-range"),
        ({"device": "tpu"}, UsageError, "device-invalid"),
    ],
)
def test_bad_input(tmp_path, changes, kind, code):
    with raises(kind, code):
        compare_checkpoints(options_of(tmp_path, **changes))
    assert not list(tmp_path.rglob("*.json"))


def test_options_of_analyses_have_different_names():
    """They share one command line."""
    seen = {}
    for name, kind in {"compare": CompareOptions, **analysis_options()}.items():
        for field in kind.__dataclass_fields__:
            assert field not in seen, f"{name} and {seen[field]} both have --{field}"
            seen[field] = name
    assert by_analysis([analysis_options()["representation"]()])["representation"].samples == 10_000


def test_another_version_of_an_analysis_is_made_again(done, monkeypatch):
    folder, outcome = done
    monkeypatch.setattr("medzoo.analysis.representation.VERSION", 2, raising=False)
    monkeypatch.setattr("medzoo.analysis.representation.run", None)  # fails because it is called
    with pytest.raises(TypeError):
        compare_checkpoints(options_of(folder))
    assert stored_analyses(folder / "results") == outcome.made
