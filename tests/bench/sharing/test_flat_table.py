"""Results as one flat table: a row for every number, one of them the run's own, and the whole result once."""

import csv
import json

import pytest
import sharing_samples as samples

from medzoo.bench.sharing.flat_table import export, flat_table, read_flat, results_of
from medzoo.bench.sharing.layout import run_file


@pytest.fixture(scope="module")
def found():
    runs = [
        samples.run("chestmnist"), samples.run("phantom_oct", seed=1), samples.run(seed=2, status="diverged", reason="NaN"),
        samples.reported(),
    ]  # fmt: skip
    return [(run_file(result["identity"]), result) for result, _ in runs]


def test_one_number_of_a_run_is_its_main_one(found):
    """That of the whole task, not of the fourteen findings under the same name."""
    rows = flat_table(found).to_pylist()
    for _, result in found:
        mine = [row for row in rows if row["run_id"] == result["run_id"]]
        main = [row for row in mine if row["primary"]]
        assert len(mine) == max(1, len(result["metrics"])) and len(main) == 1
        assert (main[0]["metric"], main[0]["label"]) == (result["metric"], None)
        stated = [row["value"] for row in result["metrics"] if row["name"] == result["metric"] and row["label"] is None]
        assert main[0]["value"] == (stated[0] if stated else None)


def test_every_row_says_what_it_is_of(found):
    rows = flat_table(found).to_pylist()
    for _, result in found:
        identity = result["identity"]
        for row in (row for row in rows if row["run_id"] == result["run_id"]):
            assert (row["task"], row["checkpoint"]) == (identity["task"]["id"], identity["checkpoint"]["id"])
            assert (row["seed"], row["fold"], row["status"]) == (identity["seed"], identity["fold"], result["status"])
            assert row["reported"] is (result["provenance"]["origin"] == "reported")
    numbers = {(row["run_id"], row["metric"], row["label"]): row["value"] for row in rows}
    for _, result in found:
        for row in result["metrics"]:
            assert numbers[result["run_id"], row["name"], row["label"]] == row["value"]


def test_copied_numbers_come_last_and_the_order_of_asking_says_nothing(found):
    table = flat_table(found)
    reported = table["reported"].to_pylist()
    assert reported == sorted(reported) and True in reported
    assert flat_table(reversed(found)).equals(table)


def test_the_results_come_out_as_they_went_in(found):
    table = flat_table(found)
    assert sum(text is not None for text in table["result"].to_pylist()) == len(found)
    back = {file: json.loads(json.dumps(result)) for file, result in results_of(table)}
    assert back == {file: json.loads(json.dumps(result)) for file, result in found}


def test_a_spreadsheet_shows_names_as_text(tmp_path):
    """Only in CSV, which `import` does not read: the Parquet file keeps the name, and numbers stay numbers."""
    result, _ = samples.run(checkpoint="@SUM(1+1)")
    result["metrics"][0] |= {"value": -0.25, "undefined": None}
    found = [(run_file(result["identity"]), result)]
    export(found, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["checkpoint"] for row in rows} == {"'@SUM(1+1)"}
    assert rows[0]["value"] == "-0.25" and rows[0]["task"] == "phantom_chest" and rows[0]["source_url"] == ""
    export(found, tmp_path / "a.parquet")
    assert read_flat(tmp_path / "a.parquet") == found
