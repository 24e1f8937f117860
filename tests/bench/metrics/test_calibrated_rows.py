"""The test metrics at the thresholds and the temperature of validation: by hand, in a run, and computed again by a reviewer."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from expect import raises

from medzoo.bench import metrics
from medzoo.bench.results import store as results
from medzoo.bench.review.numbers import check_numbers
from medzoo.bench.run import CellOptions, run_cell
from medzoo.bench.sharing.pseudonymize import salted
from medzoo.errors import ResultError


def values(rows, label=None):
    return {row["name"]: row["value"] for row in rows if row["label"] == label}


def test_by_hand():
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.3, 0.9])
    rows = metrics.calibrated_rows("binary", ("no", "yes"), labels, scores, None, (), 2.0, {"yes": 0.35})
    odds = np.sqrt(scores / (1 - scores))
    scaled = odds / (1 + odds)  # 0.25, 0.55, 0.40, 0.75
    found = values(rows)
    assert found["sensitivity_at_threshold"] == 1 and found["specificity_at_threshold"] == 0.5
    assert found["accuracy_at_threshold"] == 0.75 and found["f1_at_threshold"] == pytest.approx(0.8)
    assert found["brier_calibrated"] == pytest.approx(np.mean((scaled - labels) ** 2))
    assert set(found) == metrics.CALIBRATED_NAMES


def test_labels_without_a_threshold():
    labels, scores = np.array([[0, 1], [1, 0]]), np.array([[0.2, 0.6], [0.4, 0.3]])
    rows = metrics.calibrated_rows("multilabel", ("a", "b"), labels, scores, None, (), 1.0, {"a": 0.3})
    assert values(rows, "a")["accuracy_at_threshold"] == 1 and values(rows, "b")["accuracy_at_threshold"] is None
    assert values(rows)["accuracy_at_threshold"] == 1
    with raises(ResultError, "threshold-label-unknown"):
        metrics.calibrated_rows("multilabel", ("a", "b"), labels, scores, None, (), 1.0, {"c": 0.3})


def test_a_run_has_these_rows_and_a_reviewer_computes_them(tiny_hub, tmp_path):
    outcome = run_cell(
        CellOptions(
            checkpoint="lab/tiny", hub=str(tiny_hub), task="phantom_oct,n=24,n_validation=12,n_test=8", size=32, epochs=1,
            batch_size=8, precision="fp32", device="cpu", out=str(tmp_path / "run"), results=str(tmp_path / "results"),
        )
    )  # fmt: skip
    result = outcome.result
    assert {row["name"] for row in result["metrics"]} >= metrics.CALIBRATED_NAMES
    table, path = salted(pq.read_table(results.predictions_path(outcome.path)), "a secret of sixteen"), tmp_path / "p"
    pq.write_table(table, path)
    from medzoo.store import sha256_file

    def judged(rows, **selection):
        changed = {
            **result, "metrics": rows, "selection": {**result["selection"], **selection},
            "predictions": {"sha256": sha256_file(path), "rows": table.num_rows},
        }  # fmt: skip
        return {check for check, _ in check_numbers(changed, path)}

    rows = result["metrics"]
    assert judged(rows) == set()
    assert judged([row for row in rows if row["name"] not in metrics.CALIBRATED_NAMES]) == set()  # of earlier versions
    assert judged(rows[:-1]) == {"metrics"}
    wrong = [{**row, "value": 0.123} if row["name"] == "ece_calibrated" else row for row in rows]
    assert judged(wrong) == {"metrics"} and judged(rows, temperature=19.0) == {"metrics"}
    assert judged(rows, temperature=-1.0) == {"metrics"}
