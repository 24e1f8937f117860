"""Results of a regression and of a segmentation: uploaded, imported, computed again, and refused if their numbers are hostile."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sharing_samples
from expect import raises

from medzoo.bench import metrics
from medzoo.bench.metrics.masks.rows import MaskRows, mask_scores
from medzoo.bench.results import store as results
from medzoo.bench.results.record import mask_predictions, parquet_bytes
from medzoo.bench.results.untrusted import read_predictions
from medzoo.bench.review.numbers import check_numbers
from medzoo.bench.review.review import review
from medzoo.bench.sharing.import_runs import import_results
from medzoo.bench.sharing.prepare_upload import prepare_upload
from medzoo.bench.sharing.pseudonymize import is_salted
from medzoo.bench.sharing.push_pull import pull_results, push_results
from medzoo.errors import ResultError

SALT = "a secret of sixteen"
IDS, GROUPS = [f"image{k}" for k in range(6)], [f"patient{k // 2}" for k in range(6)]
COUNTS = np.array([[[3, 1, 0]], [[0, 2, 2]], [[5, 0, 1]], [[0, 0, 0]], [[1, 1, 1]], [[9, 0, 0]]])


def parts(kind):
    """Task, metric, rows and predictions of a run."""
    if kind == "segmentation":
        rows = MaskRows(("vessel",), COUNTS, np.full(6, 64), tuple(GROUPS), (0.5, None, 1.0, 0.2, 0.3, 0.4))
        table = mask_predictions(rows, IDS)
        return "drive", "dice", mask_scores(rows), table
    truth, found = np.array([40.0, 55, 61, 70, 82, 33]), np.array([[42.0], [50], [66], [70], [80], [30]])
    rows = metrics.compute("regression", (), truth, found, GROUPS)
    return "folder:ages", "mae", rows, results.predictions(["value"], "regression", IDS, GROUPS, truth, found)


@pytest.fixture(params=["regression", "segmentation"])
def uploaded(request, identity, make_run, tmp_path):
    """The folder that a push of one run would upload, and its result and predictions."""
    task, metric, rows, table = parts(request.param)
    example, _ = make_run(task=task)
    result = results.make_result(
        example["identity"], status="ok", metric=metric, selection=example["selection"], metrics=rows, predictions=table,
        train=example["train"], environment=example["environment"],
    )  # fmt: skip
    results.ResultStore(tmp_path / "results").put(result, table)
    (tmp_path / "upload").mkdir()
    [one], stays = prepare_upload(tmp_path / "results", tmp_path / "upload", SALT)
    assert not stays
    return tmp_path, request.param, one


def judged(one, table, tmp_path, **changes):
    """The checks that a changed table fails."""
    path = tmp_path / "changed.parquet"
    path.write_bytes(parquet_bytes(table))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    result = {**one.result, "predictions": {"sha256": digest, "rows": table.num_rows}, **changes}
    return {check for check, _ in check_numbers(result, path)}


def test_uploaded_imported_and_computed_again(uploaded):
    place, kind, one = uploaded
    assert {finding.check for finding in review(place / "upload")} <= {"task", "checkpoint", "sources"}
    taken = import_results(place / "upload", place / "other")
    assert len(taken.added) == 1 and not taken.left_out
    [(path, stored)] = results.ResultStore(place / "other").all()
    assert stored["metrics"] == one.result["metrics"]
    again = read_predictions(results.predictions_path(path))
    assert ("prediction" in again.column_names) == (kind == "regression") and again.num_rows == 6
    assert import_results(place / "upload", place / "other").known == 1


def test_to_the_hub_and_back(hub_server, uploaded, monkeypatch):
    """Over HTTP by the real client; what comes back has the same numbers, salted predictions, and passes the review."""
    sharing_samples.read_here(monkeypatch)
    place, kind, one = uploaded
    push_results(results.ResultStore(place / "results"), "lab/results", salt=SALT)
    taken = pull_results("lab/results", place / "pulled")
    assert len(taken.added) == 1 and not taken.left_out
    [(path, stored)] = results.ResultStore(place / "pulled").all()
    assert stored["metrics"] == one.result["metrics"] and stored["identity"]["task"] == one.result["identity"]["task"]
    table = read_predictions(results.predictions_path(path))
    assert is_salted(table) and ("prediction" in table.column_names) == (kind == "regression") and table.num_rows == 6
    assert not list(check_numbers(stored, results.predictions_path(path)))


def test_numbers_that_do_not_follow_from_the_predictions(uploaded):
    place, _, one = uploaded
    table = pq.read_table(one.predictions)
    assert judged(one, table, place) == set()
    first, *others = one.result["metrics"]
    assert judged(one, table, place, metrics=[{**first, "value": first["value"] + 0.01}, *others]) == {"metrics"}
    assert judged(one, table, place, metrics=others) == {"metrics"}


def test_hostile_values(uploaded):
    place, kind, one = uploaded
    table = pq.read_table(one.predictions)

    def changed(name, value, type_):
        rows = table[name].to_pylist()
        at = table.schema.get_field_index(name)
        return table.set_column(at, name, pa.array([value, *rows[1:]], type_))

    if kind == "regression":
        for value in (float("nan"), float("inf"), None):
            assert judged(one, changed("prediction", value, pa.float64()), place) == {"range"}
        assert judged(one, changed("label", float("nan"), pa.float64()), place) == {"metrics"}
        assert judged(one, changed("label", None, pa.float64()), place) == {"columns"}
        wrong = [
            table.append_column("probability:a", table["prediction"]),
            table.drop_columns(["mask"]),
            table.select(["sample", "patient", "mask", "label", "prediction"]),
        ]  # fmt: skip
    else:
        for value in (2**62, -1):
            both = changed("tp:vessel", value, pa.int64())
            at = both.schema.get_field_index("fp:vessel")
            both = both.set_column(at, "fp:vessel", pa.array([value, *both["fp:vessel"].to_pylist()[1:]], pa.int64()))
            assert judged(one, both, place) == {"range"}  # their sum does not fit into 64 bits
        for value in (0, 2**63 + 1):
            assert judged(one, changed("pixels", value, pa.uint64()), place) == {"range"}
        assert judged(one, changed("pixel_auroc", float("nan"), pa.float64()), place) == {"range"}
        wrong = [table.append_column("prediction", table["pixel_auroc"]), table.drop_columns(["fn:vessel"])]
    for other in wrong:
        (place / "w.parquet").write_bytes(parquet_bytes(other))
        with raises(ResultError, "predictions-columns-wrong"):
            read_predictions(place / "w.parquet")
