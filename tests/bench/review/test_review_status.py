"""What a contributed run may state: numbers that fit its status, its origin and its task, each once, of weights at a commit."""

import json

import numpy as np
import pytest
import sharing_samples as samples
from review_samples import Folder

from medzoo.bench import metrics
from medzoo.bench.results import store as results
from medzoo.bench.results.store import ResultStore
from medzoo.bench.review.review import review
from medzoo.bench.sharing import identity_check
from medzoo.bench.sharing.identity_check import check_address
from medzoo.bench.sharing.layout import predictions_file, run_file
from medzoo.bench.sharing.prepare_upload import prepare_upload
from medzoo.data.task_registry import task_info


@pytest.fixture
def folder(tmp_path, monkeypatch):
    samples.read_here(monkeypatch)
    return Folder(tmp_path / "contribution")


def found_in(folder, name):
    return {check for check, file in folder.judge() if file == name}


@pytest.mark.parametrize(("status", "found"), [("failed", {"status"}), ("diverged", set())])
def test_a_run_without_numbers(folder, status, found):
    """One that diverged is a result, one that failed is none, also where nothing else is wrong with it."""
    (folder.root / predictions_file(folder.name())).unlink()

    def emptied(result):
        result.update(status=status, metrics=[], predictions={"sha256": None, "rows": 0}, selection={})

    assert found_in(folder, folder.edit(emptied)) == found


def test_a_number_of_a_label_stands_once(folder):
    """The second one may be the better one; the schema knows only the metrics of the whole task."""

    def doubled(result):
        row = next(row for row in result["metrics"] if row["label"] is not None)
        result["metrics"].append(dict(row))

    assert found_in(folder, folder.edit(doubled, "chestmnist")) == {"metrics"}


def test_a_number_from_a_publication_has_no_predictions(folder):
    """Or they would be taken for those that it was computed from."""
    source = {"origin": "reported", "source_url": "https://doi.org/10.1/x"}
    name = folder.edit(lambda result: result.update(provenance=source))
    assert found_in(folder, name) == {"reported"}

    def named_only(result):
        result.update(predictions={"sha256": "0" * 64, "rows": 20})

    (folder.root / predictions_file(name)).unlink()
    path = folder.root / name
    result = json.loads(path.read_text())
    named_only(result)
    path.write_text(json.dumps(result))
    assert found_in(folder, name) == {"reported"}
    result["predictions"] = {"sha256": None, "rows": 0}
    path.write_text(json.dumps(result))
    assert found_in(folder, name) == set()


@pytest.mark.parametrize("over", ["scored", "all"])
def test_means_are_over_the_labels_that_the_task_scores(tmp_path, monkeypatch, over):
    """CheXpert has fourteen findings and is scored on five."""
    samples.read_here(monkeypatch)
    facts, (images, patients) = task_info("chexpert"), samples.ids("chexpert")
    labels, scores = samples.drawn("chexpert", 3)
    rows = metrics.compute(
        facts.kind, facts.classes, labels, scores, patients, facts.scored if over == "scored" else ()
    )
    table = results.predictions(facts.classes, facts.kind, images, patients, labels, scores)
    result = results.make_result(
        samples.identity("chexpert"), status="ok", metric="auroc", selection=samples.SELECTION, metrics=rows,
        predictions=table, train={"steps": 1}, environment=samples.ENVIRONMENT,
    )  # fmt: skip
    ResultStore(tmp_path / "results").put(result, table)
    prepare_upload(tmp_path / "results", tmp_path / "up", samples.SALT)
    if facts.labels_stay:  # the terms keep labels here, and nobody can compute anything without them
        assert {row.check for row in review(tmp_path / "up")} == {"labels"}
    name = run_file(result["identity"])
    held = json.loads((tmp_path / "up" / name).read_text())
    monkeypatch.setattr("medzoo.bench.review.numbers.has_labels", lambda _: True)
    monkeypatch.setattr(
        "medzoo.bench.review.numbers.unpacked",
        lambda _: ("multilabel", facts.classes, labels, scores, np.array(patients)),
    )
    from medzoo.bench.review.numbers import check_numbers

    told = {check for check, _ in check_numbers(held, tmp_path / "up" / predictions_file(name))}
    assert told == (set() if over == "scored" else {"metrics", "counts"})


@pytest.mark.parametrize(
    ("name", "more", "right"),
    [
        ("hf-hub:lab/net", {}, False),
        ("hf-hub:lab/net@main", {}, False),
        ("lab/net@" + "a" * 39, {}, False),
        ("hf-hub:lab/net@" + "a" * 40, {}, True),
        ("own", {"repo": "lab/net", "revision": "b" * 40}, True),
        ("own", {"repo": "lab/net", "revision": "v1"}, False),
        ("own", {}, False),
        ("resnet50-imagenet", {}, True),
    ],
)
def test_a_checkpoint_is_named_by_its_commit(monkeypatch, name, more, right):
    """A branch may be another network tomorrow; nothing is contacted to know it."""
    monkeypatch.setattr(identity_check, "_on_the_hub", lambda *_: pytest.fail("the Hub was asked"))
    result, _ = samples.run(checkpoint=name) if name == "resnet50-imagenet" else samples.run()
    result["identity"]["checkpoint"] |= {"id": name, **more}
    assert [check for check, _ in check_address(result)] == ([] if right else ["checkpoint"])


def test_a_result_of_medzoo_0_1_0_has_fewer_metrics(folder):
    """It is right as it is; a result with one of the later metrics has all of them."""
    first = metrics.NAMES_0_1_0["binary"]

    def earlier(result):
        result["metrics"] = [row for row in result["metrics"] if row["name"] in first]

    name = folder.edit(earlier)
    assert found_in(folder, name) == set()
    without = folder.edit(
        lambda result: result.update(metrics=[row for row in result["metrics"] if row["name"] != "auprc"])
    )
    assert found_in(folder, without) == {"metrics"}


def test_a_later_metric_left_out(folder):
    rest = lambda result: result.update(metrics=[row for row in result["metrics"] if row["name"] != "f1"])  # noqa: E731
    assert found_in(folder, folder.edit(rest)) == {"metrics"}
