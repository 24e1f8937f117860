"""medzoo.bench.results.store: a closed schema, immutable files, one writer, and nothing broken ever counted."""

import copy
import json
import threading
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
from expect import raises

from medzoo.bench.results import store as results
from medzoo.bench.results.store import ResultStore
from medzoo.errors import ResultError, RunFolderError


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "results")


def files(store, pattern="*"):
    return sorted(path.name for path in store.root.glob(f"*@*/*/*/{pattern}"))


def test_a_result_goes_in_and_comes_out(store, make_run, identity):
    result, table = make_run()
    path = store.put(result, table)
    assert path == store.path(identity())
    assert path.relative_to(store.root).parts[:3] == ("phantom_chest@1", "resnet18-imagenet", "medzoo")
    assert store.get(identity()) == store.get(result["run_id"]) == result
    assert results.headline_value(result) == 0.75
    assert store.all() == [(path, result)]
    predictions = results.predictions_path(path)
    assert files(store) == sorted([path.name, predictions.name])
    assert result["predictions"] == {"sha256": results.hashlib.sha256(predictions.read_bytes()).hexdigest(), "rows": 20}
    assert pq.read_table(predictions).equals(table)
    assert store.get(identity(seed=1)) is None


def test_predictions_hold_salted_ids_masks_and_one_column_a_class():
    labels, scores = np.array([[1.0, np.nan], [0.0, 1.0]]), np.array([[0.9, 0.4], [0.2, 0.6]])
    table = results.predictions(["Mass", "Edema"], "multilabel", ["a.png", "b.png"], ["p1", "p1"], labels, scores)
    assert table.column_names == [
        "sample", "patient", "label:Mass", "label:Edema", "mask:Mass", "mask:Edema", "probability:Mass",
        "probability:Edema",
    ]  # fmt: skip
    assert table["label:Edema"].to_pylist() == [None, 1]
    assert table["mask:Edema"].to_pylist() == [False, True]
    assert table["patient"][0] == table["patient"][1]
    assert "a.png" not in str(table.to_pylist()) and len(table["sample"][0].as_py()) == 32
    other = results.predictions(
        ["Mass", "Edema"], "multilabel", ["a.png", "b.png"], ["p1", "p1"], labels, scores, salt="x"
    )
    assert other["sample"] != table["sample"]
    binary = results.predictions(["n", "p"], "binary", ["a", "b"], ["a", "b"], np.array([0, 1]), np.array([0.1, 0.8]))
    assert binary["probability:n"].to_pylist() == pytest.approx([0.9, 0.2])
    assert binary["label"].to_pylist() == [0, 1]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("status",), "good", "result-type-wrong"),
        (("identity", "seed"), "0", "result-type-wrong"),
        (("identity", "seed"), True, "result-type-wrong"),
        (("identity", "checkpoint", "weights_sha256"), "abc", "result-type-wrong"),
        (("identity", "protocol", "epochs"), 3, "result-field-unknown"),
        (("metrics", 0, "value"), float("nan"), "result-number-not-finite"),
        (("metrics", 0, "n"), None, "result-type-wrong"),
        (("metrics", 0, "value"), None, "metric-value-or-reason"),
        (("metrics",), [], "metric-missing"),
        (("train",), None, "result-type-wrong"),
        (("hostname",), "x", "result-field-unknown"),
        (("run_id",), "0" * 64, "run-id-mismatch"),
        (("identity", "seed"), 5, "run-id-mismatch"),
        (("schema",), "medzoo.result/2", "result-schema-other-version"),
    ],
)
def test_validate_names_the_offending_field(make_run, path, value, words):
    result = copy.deepcopy(make_run()[0])
    place = result
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with raises(ResultError, words):
        results.validate(result)


def test_a_missing_field_is_named(make_run):
    result = make_run()[0]
    del result["identity"]["dataset"]["split_hash"]
    with raises(ResultError, "result-field-missing"):
        results.validate(result)


def test_results_carry_no_place_of_a_machine(make_run, identity):
    with raises(ResultError, "identity-contains-path"):
        results.run_id(identity(checkpoint="/home/me/nets/a"))
    with raises(ResultError, "identity-contains-path"):
        results.run_id(identity(task="parquet:/data/busi"))
    result, _ = make_run(status="failed", reason="cannot read /data/x/a.png: truncated; see https://a.b/c/d")
    assert result["train"]["reason"] == "cannot read a.png: truncated; see https://a.b/c/d"
    environment = results.environment("fp32")
    assert environment["precision"] == "fp32" and environment["torch"] and environment["device"]["count"] >= 1
    import getpass
    import socket

    flat = json.dumps(environment)
    assert socket.gethostname() not in flat and f'"{getpass.getuser()}"' not in flat


def test_run_id_depends_on_every_part_of_the_identity_and_not_on_the_order_of_keys(identity):
    base = identity()
    changed = [identity(seed=1), identity(dataset__split_hash="x"), identity(checkpoint__weights_sha256="0" * 64)]
    assert len({results.run_id(row) for row in [base, *changed]}) == 4
    assert results.run_id(dict(reversed(base.items()))) == results.run_id(base)
    assert results.run_id(base) == results.run_id(json.loads(json.dumps(base)))


NAMES = [
    "a/b",
    "a_b",
    "a:b",
    "../../etc",
    "näme",
    "name",
    "..",
    ".",
    "",
    "x" * 400,
    "x" * 401,
    "con\n",
    "-rf",
    "hf-hub:o/n@rev",
    "A",
]


def test_any_name_gives_its_own_folder_inside_the_store(store, identity):
    paths = [store.path(identity(checkpoint=name)) for name in NAMES]
    assert len({path.parent.as_posix().lower() for path in paths}) == len(NAMES)
    for path in paths:
        parts = path.relative_to(store.root).parts
        assert len(parts) == 4 and ".." not in parts and max(map(len, parts)) <= 100
    assert results.safe_name("resnet50-simclr-radnet12m") == "resnet50-simclr-radnet12m"


def test_odd_names_go_in_and_come_out(store, make_run, identity):
    for name in NAMES[:6]:
        store.put(*make_run(checkpoint=name))
    assert {result["identity"]["checkpoint"]["id"] for _, result in store.all()} == set(NAMES[:6])
    assert store.get(identity(checkpoint="../../etc"))["identity"]["checkpoint"]["id"] == "../../etc"


def test_the_same_numbers_again_add_nothing_whatever_the_machine(store, make_run):
    result, table = make_run()
    path = store.put(result, table)
    before = path.read_bytes()
    again = copy.deepcopy(result)
    again["environment"]["device"]["name"] = "another"
    again["train"]["wall_s"] = 3.5
    again["provenance"]["started"] = "2030-01-01T00:00:00+00:00"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.put(again, table) == path
    assert path.read_bytes() == before and len(files(store, "*.json")) == 1


def test_other_numbers_of_the_same_run_are_a_replicate_that_is_not_counted(store, make_run, identity):
    path = store.put(*make_run(value=0.75))
    before = path.read_bytes()
    with pytest.warns(UserWarning, match="differs in metrics; .*r2.json and not counted"):
        assert store.put(*make_run(value=0.76)) == path
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.put(*make_run(value=0.76))  # the replicate is known
    assert path.read_bytes() == before
    assert [row["metrics"][0]["value"] for _, row in store.all()] == [0.75]
    assert [row["metrics"][0]["value"] for _, row in store.all(replicates=True)] == [0.75, 0.76]
    assert results.headline_value(store.get(identity())) == 0.75


def test_a_failed_run_makes_way_and_is_kept_but_a_diverged_one_stays(store, make_run, identity):
    path = store.put(*make_run(status="failed", reason="the disk was full"))
    assert results.headline_value(store.get(identity())) is None
    assert store.put(*make_run()) == path
    assert store.get(identity())["status"] == "ok" and len(store.all()) == 1
    assert path.with_suffix("").name + ".failed-1.json" in files(store)
    store.put(*make_run(status="diverged", seed=1))
    with pytest.warns(UserWarning, match="status"):
        store.put(*make_run(seed=1))
    assert store.get(identity(seed=1))["status"] == "diverged"


def test_predictions_must_be_those_of_the_result(store, make_run):
    result, _ = make_run()
    with raises(ResultError, "predictions-hash-mismatch"):
        store.put(result, make_run(draw=1)[1])
    with raises(ResultError, "predictions-hash-mismatch"):
        store.put(result, None)
    assert store.all() == []


@pytest.mark.parametrize("damage", ["truncated", "edited", "foreign", "binary"])
def test_broken_files_go_to_quarantine_and_are_reported(store, make_run, identity, damage):
    good = store.put(*make_run(seed=1))
    path = store.put(*make_run())
    content = path.read_text()
    path.write_bytes(
        {
            "truncated": content[: len(content) // 2].encode(),
            "edited": content.replace('"seed": 0', '"seed": 7').encode(),
            "foreign": b"{}",
            "binary": b"\xff\xfe\x00",
        }[damage]
    )
    with pytest.warns(UserWarning, match="It is not counted and was moved to .*quarantine"):
        assert [found for found, _ in store.all()] == [good]
    assert not path.exists() and len(list((store.root / "quarantine").iterdir())) == 2
    assert store.get(identity()) is None
    assert store.put(*make_run()) == path and len(store.all()) == 2


def test_f42_half_written_files_and_strangers_are_no_results(store, make_run):
    path = store.put(*make_run())
    path.with_name(".tmp-123-abc.json").write_text("{")
    path.with_name("notes.json").write_text("{")
    (path.parent / "deadbeefdeadbeef.txt").write_text("x")
    assert [found for found, _ in store.all()] == [path]
    assert ResultStore(store.root / "nowhere").all() == []


def test_f41_writers_in_parallel_leave_one_whole_result(store, make_run):
    runs = [make_run(value=0.5 + i % 2 / 4) for i in range(8)]
    errors = []

    def put(run):
        try:
            store.put(*run)
        except Exception as error:
            errors.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        threads = [threading.Thread(target=put, args=(run,)) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    assert len(store.all()) == 1 and len(store.all(replicates=True)) == 2
    assert not list((store.root / "claims").iterdir())


def test_f41_a_run_is_claimed_once(store, identity):
    with store.claim(identity()):
        with store.claim(identity(seed=1)):
            pass
        with raises(RunFolderError, "lock-held"), store.claim(identity()):
            pass
    with store.claim(identity()):
        pass


def test_a_store_without_links_still_takes_results(store, make_run, monkeypatch):
    def refused(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", refused)
    path = store.put(*make_run())
    assert [found for found, _ in store.all()] == [path]


def test_a_copy_is_checked_too(tmp_path, make_run):
    result, _ = make_run()
    results.write_copy(tmp_path / "result.json", result)
    assert results.read_result(tmp_path / "result.json") == result
    with raises(ResultError, "result-unreadable"):
        results.read_result(tmp_path / "absent.json")
    with raises(ResultError, "result-field-missing"):
        results.write_copy(tmp_path / "bad.json", {"schema": "medzoo.result/1"})


def test_where_the_weights_lay_is_no_part_of_the_key(tmp_path, identity, make_run):
    here = identity()
    there = {**here, "checkpoint": {**here["checkpoint"], "repo": "lab/net", "revision": "0" * 40}}
    assert results.run_id(here) == results.run_id(there)
    assert results.run_id({**here, "checkpoint": {**here["checkpoint"], "weights_sha256": "1" * 64}}) != results.run_id(
        here
    )
    store = results.ResultStore(tmp_path)
    result, table = make_run()
    moved = {
        **result,
        "identity": {**result["identity"], "checkpoint": {**result["identity"]["checkpoint"], "repo": "lab/net"}},
    }
    assert store.put(result, table) == store.put(moved, table) and len(store.all(replicates=True)) == 1
