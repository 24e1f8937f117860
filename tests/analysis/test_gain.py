"""Gain against similarity, from stored analyses and results."""

import shutil

import numpy as np
import pytest
from expect import raises
from stored_samples import StoreMaker

from medzoo.analysis import gain
from medzoo.bench.analyses.record import put_analysis
from medzoo.errors import NotApplicableError

TASKS = ("phantom_chest", "phantom_ct", "phantom_oct", "phantom_fundus", "phantom_derma")


class Similarities:
    """A store with similarities of runs to the checkpoint that they began with."""

    def __init__(self, root):
        self.made = StoreMaker(root, images=60)

    def add(self, task, values, *, begin="net-a", subject=None, run_ids=True, **run):
        path = self.made.put(begin, task=task, **run)
        result = next(result for file, result in self.made.store.all() if file == path)
        rows = [
            {"measure": measure, "layer": layer, "value": value, "null": 0.1, "baseline": 0.3}
            for layer, value in values.items()
            for measure in ("mean_cca", "cka")
        ]
        inputs = (
            {"run_ids": [None, result["run_id"]]}
            if run_ids is True
            else {}
            if run_ids is None
            else {"run_ids": run_ids}
        )
        subjects = [subject or begin, str(path)]
        identity = {
            "analysis": "representation", "task": {"id": task, "version": "1"}, "subjects": subjects, "options": {},
            "inputs": inputs,
        }  # fmt: skip
        content = {"title": "", "question": "", "sentence": "", "rows": rows, "environment": {}}
        put_analysis(self.made.store.root, {"identity": identity, **content}, {})
        return path, result

    def run(self, **options):
        rows = gain.run(self.made.inputs(), gain.Options(**options))
        assert gain.sentence(rows)
        gain.plot(rows)
        return rows


@pytest.fixture
def store(tmp_path):
    return Similarities(tmp_path / "results")


def auroc(result):
    return next(row["value"] for row in result["metrics"] if row["name"] == "auroc" and row["label"] is None)


def test_points_join_similarity_and_score(store):
    for number, task in enumerate(TASKS):
        store.made.put("resnet18-random", 0, 0.2, task=task)
        store.made.put("resnet18-random", 1, 0.3, task=task)
        store.made.put("resnet34-random", 0, 2.0, task=task, arch="resnet34")
        store.add(task, {"layer1": 0.9 - 0.1 * number, "layer4": 0.2}, quality=0.4 + 0.3 * number)
    rows = store.run()
    points = [row for row in rows if row["measure"] == "point"]
    assert len(points) == 10 and {row["random_runs"] for row in points} == {2}
    scores = {}
    for _, result in store.made.store.all():
        identity = result["identity"]
        scores.setdefault((identity["task"]["id"], identity["checkpoint"]["id"]), []).append(auroc(result))
    for row in points:
        random = np.mean(scores[row["task"], "resnet18-random"])
        assert row["value"] == pytest.approx((scores[row["task"], "net-a"][0] - random) / random)
    line = next(row for row in rows if (row["measure"], row["layer"]) == ("pearson_r", "layer1"))
    some = [row for row in points if row["layer"] == "layer1"]
    assert line["value"] == pytest.approx(
        np.corrcoef([p["similarity"] for p in some], [p["value"] for p in some])[0, 1]
    )
    assert line["value"] < -0.5 and (line["n_points"], line["n_tasks"]) == (5, 5)
    flat = next(row for row in rows if (row["measure"], row["layer"]) == ("pearson_r", "layer4"))
    assert flat["value"] is None and "same value" in flat["reason"]


def ranked(area):
    """Scores whose AUROC is about `area`: that share of the positives has the highest scores, the others the lowest."""

    def scores(labels):
        above = np.cumsum(labels == 1) <= area * (labels == 1).sum()
        return np.where(labels == 1, np.where(above, 0.9, 0.1), 0.5)

    return scores


def test_a_clear_correlation_is_concluded(store):
    for number, task in enumerate(TASKS):
        store.made.put("resnet18-random", 0, task=task, scores=ranked(0.5))
        for seed in range(3):
            store.add(task, {"layer1": 0.9 - 0.1 * number + 0.04 * seed}, seed=seed, scores=ranked(0.6 + 0.08 * number))
    assert "networks that change more gain more for net-a, layer1" in gain.sentence(store.run())


def test_what_gives_no_point_is_named(store, tmp_path):
    store.made.put("resnet18-random", task=TASKS[0])
    store.add(TASKS[0], {"layer1": 0.5})
    store.add(TASKS[1], {"layer1": 0.5})  # no run from random weights
    store.add(TASKS[0], {"layer1": 0.5}, seed=1, subject="net-x")
    store.add(TASKS[0], {"layer1": 0.5}, seed=2, fraction=0.1)
    store.add(TASKS[0], {"layer1": 0.5}, seed=3, run_ids=[None, "0" * 64])
    store.add(TASKS[0], {"layer1": 0.5}, seed=4, run_ids=None)
    reasons = " ".join(row["reason"] for row in store.run() if row["measure"] == "left_out")
    for text in (
        "no run from random weights",
        "another checkpoint",
        "a part of the training",
        "not in the store",
        "neither",
    ):
        assert text in reasons
    assert len([row for row in store.run() if row["measure"] == "point"]) == 1


def test_the_run_folder_itself_gives_the_run(store, tmp_path):
    store.made.put("resnet18-random", task=TASKS[0])
    folder = tmp_path / "out"
    (folder / "checkpoint").mkdir(parents=True)
    path, _ = store.add(TASKS[0], {"layer1": 0.5}, seed=7)
    shutil.copy(path, folder / "result.json")
    identity = {
        "analysis": "representation", "task": {"id": TASKS[0], "version": "1"},
        "subjects": ["net-a", str(folder / "checkpoint")], "options": {"other": 1}, "inputs": {},
    }  # fmt: skip
    rows = [{"measure": "mean_cca", "layer": "layer2", "value": 0.4}]
    content = {"title": "", "question": "", "sentence": "", "rows": rows, "environment": {}}
    put_analysis(store.made.store.root, {"identity": identity, **content}, {})
    found = [row for row in store.run() if row["measure"] == "point"]
    assert {(row["layer"], row["seed"]) for row in found} == {("layer1", 7), ("layer2", 7)}


def test_a_store_without_similarities(store):
    store.made.put("net-a")
    with raises(NotApplicableError, "no-similarities-of-runs"):
        store.run()
    store.made.put("resnet18-random", task=TASKS[0])
    store.add(TASKS[0], {"layer1": 0.5})
    with raises(NotApplicableError, "no-similarities-of-runs", match="no value of svcca"):
        store.run(gain_measure="svcca")


def test_few_tasks_conclude_nothing(store):
    store.made.put("resnet18-random", task=TASKS[0])
    store.add(TASKS[0], {"layer1": 0.5})
    assert "nothing can be concluded" in gain.sentence(store.run())


def test_a_smaller_error_is_a_positive_gain(store):
    store.made.put("resnet18-random", 0, 0.2, task=TASKS[0])
    store.add(TASKS[0], {"layer1": 0.5}, quality=2.0)
    (row,) = (row for row in store.run(gain_metric="brier") if row["measure"] == "point")
    assert row["score"] < row["random_score"]
    assert row["value"] == pytest.approx((row["random_score"] - row["score"]) / row["random_score"])
