"""`medzoo predict`: tables that equal the DataFrame, exit codes, and no half file."""

import csv

import pandas
import pytest
from predict_samples import cells, dicom, pngs, trained

import medzoo
from medzoo.training.predict import job, table_writer


@pytest.fixture
def place(tmp_path):
    trained(tmp_path / "net", "binary")
    pngs(tmp_path / "films", 5)
    dicom(tmp_path / "films" / "z.dcm", PatientID="007")
    return tmp_path


def test_csv_and_parquet_equal_the_dataframe(run, place, monkeypatch):
    monkeypatch.setattr(table_writer, "ROWS_AT_ONCE", 2)
    frame = medzoo.predict(place / "net", place / "films", device="cpu", batch_size=4)
    for name in ("out.csv", "new/out.parquet"):
        code, out, err = run(
            "predict", place / "net", place / "films", "--out", place / name, "--device", "cpu", "--batch-size", 4
        )
        assert code == 0 and "6 images" in out, err
    read = pandas.read_csv(place / "out.csv", dtype={"key": object, "patient_id": object}, float_precision="round_trip")
    assert list(read) == list(frame) and all(cells(read[name]) == cells(frame[name]) for name in frame)
    pandas.testing.assert_frame_equal(pandas.read_parquet(place / "new" / "out.parquet"), frame, check_exact=True)
    assert cells(frame.patient_id)[-1] == "007"
    assert sorted(path.name for path in place.iterdir()) == ["films", "net", "new", "out.csv"]


def test_errors_are_in_a_table_and_the_exit_code_is_1(run, place):
    (place / "films" / "002.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    command = (
        "predict",
        place / "net",
        place / "films",
        place / "nothing.png",
        "--out",
        place / "t.csv",
        "--device",
        "cpu",
    )
    code, _, err = run(*command)
    assert code == 1 and "2 images without a prediction" in err and "nothing.png" in err and "Traceback" not in err
    rows = list(csv.DictReader((place / "t.errors.csv").open()))
    assert [row["path"] for row in rows] == [str(place / "films" / "002.png"), str(place / "nothing.png")]
    assert all(row["code"] and row["reason"] for row in rows)
    assert len(list(csv.DictReader((place / "t.csv").open()))) == 5
    # an older list of errors disappears when all is well
    code, _, _ = run("predict", place / "net", place / "films" / "001.png", "--out", place / "t.csv", "--device", "cpu")
    assert code == 0 and not (place / "t.errors.csv").exists()
    # nothing was read: the older table stays
    code, _, err = run("predict", place / "net", place / "nothing.png", "--out", place / "t.csv", "--device", "cpu")
    assert code == 1 and "No image" in err and len((place / "t.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_interruption_leaves_no_half_file(run, place, monkeypatch, ending):
    (place / f"t.{ending}").write_text("older")
    (place / "films" / "000.png").write_bytes(b"broken")
    calls = []

    def stop(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    real = job.LabelRows.rows
    monkeypatch.setattr(job.LabelRows, "rows", stop)
    out = place / f"t.{ending}"
    code, _, err = run("predict", place / "net", place / "films", "--out", out, "--batch-size", 2, "--device", "cpu")
    assert code == 130 and "Stopped" in err and out.read_text() == "older"
    assert sorted(path.name for path in place.iterdir()) == ["films", "net", out.name]


def test_wrong_usage(run, place):
    films = place / "films"
    for words, code in (
        (("--out", place / "t.txt"), 2),
        (("--out", place / "t.csv", "--embeddings"), 2),
        (("--out", place / "t.csv", "--by", "study"), 2),
        (("--out", place / "t.csv", "--window", "1:x"), 2),
        (("--out", place / "t.csv", "--explain", "attention", "--explain-out", place / "maps"), 2),
    ):
        got, _, err = run("predict", place / "net", films, *words)
        assert got == code and err.strip() and "Traceback" not in err, words
    (place / "none").mkdir()
    assert run("predict", place / "net", place / "none", "--out", place / "t.csv")[0] == 1
    code, _, err = run("predict", "resnet10t-random", films, "--out", place / "t.csv")
    assert code == 2 and "recipes/finetune.py" in err


def test_embeddings_by_patient_and_heat_maps(run, place):
    films = place / "films"
    code, _, err = run("predict", place / "net", films, "--out", place / "e.parquet", "--embeddings", "--device", "cpu")
    assert code == 0 and len(pandas.read_parquet(place / "e.parquet").embedding[0]) == 96, err
    code, out, _ = run("predict", place / "net", films / "z.dcm", "--out", place / "p.csv", "--by", "patient")
    assert code == 0 and "1 patient (mean" in out
    assert next(csv.DictReader((place / "p.csv").open()))["patient_id"] == "007"


def test_csv_needs_neither_pandas_nor_pyarrow(place):
    import os
    import subprocess
    import sys

    text = (
        "import sys\nfor name in ('pandas', 'pyarrow', 'sklearn', 'datasets', 'accelerate'): sys.modules[name] = None\n"
        "from pathlib import Path\nfrom medzoo.training.predict.predict import predict_to_file, predict\n"
        f"place = Path({str(place)!r})\nprint(predict_to_file(place / 'net', place / 'films', place / 't.csv').images)\n"
        "try: predict(place / 'net', place / 'films')\nexcept Exception as error: print(error.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout.split() == ["6", "missing-pandas"], done.stderr[-2000:]
