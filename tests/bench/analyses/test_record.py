"""Stored analyses: written whole, found again by their identity, checked when they are read."""

import json

import pytest
from analysis_samples import analysis_content
from expect import raises

from medzoo import store
from medzoo.bench.analyses.record import analysis_id, get_analysis, put_analysis, stored_analyses
from medzoo.errors import ResultError

FIGURES = {"svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "png": b"\x89PNG"}


def test_what_was_put_is_found(tmp_path):
    content = analysis_content()
    made = put_analysis(tmp_path, content, FIGURES)
    assert made.path.parent == tmp_path / "analyses" / "phantom_oct@1"
    found = get_analysis(tmp_path, content["identity"])
    assert found == made and found.rows == content["rows"] and found.name == "weights"
    assert found.figure("svg").read_bytes() == FIGURES["svg"]
    assert stored_analyses(tmp_path) == [made] == stored_analyses(tmp_path, name="weights", task="phantom_oct")
    assert not stored_analyses(tmp_path, name="other") and not stored_analyses(tmp_path / "nothing")


@pytest.mark.parametrize("part", ["task", "options", "inputs", "subjects", "analysis"])
def test_everything_in_the_identity_counts(part):
    identity = analysis_content()["identity"]
    assert analysis_id({**identity, part: "other"}) != analysis_id(identity)


def test_a_part_that_is_missing_means_that_it_is_made_again(tmp_path):
    made = put_analysis(tmp_path, analysis_content(), FIGURES)
    made.figure("png").unlink()
    assert get_analysis(tmp_path, made.content["identity"]) is None


def test_a_crash_while_writing_leaves_nothing(tmp_path, monkeypatch):
    write = store.write_json

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "write_json", stop)
    content = analysis_content()
    with pytest.raises(KeyboardInterrupt):
        put_analysis(tmp_path, content, FIGURES)
    assert get_analysis(tmp_path, content["identity"]) is None and not stored_analyses(tmp_path)
    monkeypatch.setattr(store, "write_json", write)
    assert put_analysis(tmp_path, content, FIGURES) == get_analysis(tmp_path, content["identity"])


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([{"value": float("nan")}], "analysis-number-not-finite"),
        ([{"value": float("inf")}], "analysis-number-not-finite"),
        ([{"value": [1, 2]}], "analysis-row-nested"),
        ([{"value": {"a": 1}}], "analysis-row-nested"),
    ],
)
def test_rows_are_flat_and_finite(tmp_path, rows, code):
    for key in ("rows", "table"):
        with raises(ResultError, code):
            put_analysis(tmp_path, {**analysis_content(), key: rows}, FIGURES)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("change", [{"schema": "medzoo.analysis/9"}, {"more": 1}, {"id": "0" * 64}, {"identity": {}}])
def test_a_changed_file_is_left_out_with_a_warning(tmp_path, change):
    made = put_analysis(tmp_path, analysis_content(), FIGURES)
    made.path.write_text(json.dumps({**made.content, **change}))
    with pytest.warns(UserWarning, match=made.path.name):
        assert stored_analyses(tmp_path) == []


def test_an_analysis_that_is_made_again_replaces_the_first(tmp_path):
    first = put_analysis(tmp_path, analysis_content(), FIGURES)
    second = put_analysis(
        tmp_path, analysis_content(sentence="layer1 moved most: 0.600."), {"svg": b"<svg/>", "png": b"\x89PNG2"}
    )
    assert second.path == first.path and stored_analyses(tmp_path) == [second]
    assert second.figure("svg").read_bytes() == b"<svg/>"
