"""A suite: one precision for all its runs, kept by its folder; lines that say where it is; what will fail is told first."""

import json
import shutil

import pytest
from expect import raises

from medzoo import precision
from medzoo.bench.engines import fill
from medzoo.bench.suite_options import Places, pretrain_options
from medzoo.bench.suites.read import load_suite
from medzoo.errors import UsageError

TEXT = """
name = "s"
seeds = [0]
checkpoints = [{ name = "NET", label = "net" }, "own"]

[[pretrain]]
name = "own"
method = "simclr"
checkpoint = "NET"
task = "phantom_oct,n=16,n_validation=8,n_test=8"
size = 32
epochs = 1
batch_size = 16
license = "apache-2.0"

[[tasks]]
name = "phantom_oct,n=16,n_validation=8,n_test=8"
title = "OCT"
size = 32
epochs = 1
batch_size = 16
"""


@pytest.fixture
def suite(tmp_path, tiny_hub):
    def make(text=TEXT, **top):
        file = tmp_path / "s.toml"
        text = text.replace("NET", str(tiny_hub / "lab" / "tiny"))
        file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in top.items()) + text)
        return load_suite(file)

    return make


@pytest.fixture
def suits(monkeypatch):
    """What this machine's CPU computes well."""

    def is_(chosen):
        monkeypatch.setattr(precision, "is_native", lambda kind: chosen == "bf16")

    is_("fp32")
    return is_


def places(out, **settled):
    return Places(out / "runs", out / "results", out / "hub", common={"device": "cpu"}, **settled)


def go(suite, out):
    filled, failures = fill(suite, places(out))
    return [outcome for _, outcome in filled], failures


def precisions(out):
    cells = [json.loads(path.read_text())["environment"]["precision"] for path in out.glob("results/*@*/**/*.json")]
    steps = [json.loads(path.read_text())["identity"]["precision"] for path in out.glob("runs/pretrain/*/status.json")]
    return cells, steps


@pytest.mark.parametrize("top", [{}, {"precision": "auto"}])
def test_a_suite_goes_on_in_the_precision_that_it_began_with(suite, suits, tmp_path, top, capsys):
    suits("bf16")
    outcomes, failures = go(suite(**top), tmp_path)
    assert failures == [] and precisions(tmp_path) == (["bf16"] * 2, ["bf16"])
    shutil.rmtree(tmp_path / "results")
    shutil.rmtree(tmp_path / "runs" / "OCT")
    capsys.readouterr()
    suits("fp32")  # another machine goes on
    with pytest.warns(UserWarning, match="7 to 30 times") as told:
        again, failures = go(suite(**top), tmp_path)
    assert failures == [] and precisions(tmp_path) == (["bf16"] * 2, ["bf16"])
    assert {outcome.result["run_id"] for outcome in again} == {outcome.result["run_id"] for outcome in outcomes}
    assert sum("emulated" in str(row.message) for row in told) == 1  # once for all its runs
    assert "precision bf16 (as before)" in capsys.readouterr().err.splitlines()[0]


def test_a_folder_without_a_record_says_its_precision_by_its_runs(suite, suits, tmp_path):
    suits("bf16")
    go(suite(), tmp_path)
    (tmp_path / "runs" / "suite.json").unlink()
    shutil.rmtree(tmp_path / "results")
    shutil.rmtree(tmp_path / "runs" / "OCT")
    suits("fp32")
    with pytest.warns(UserWarning, match="emulated"):
        assert go(suite(), tmp_path)[1] == []
    assert precisions(tmp_path) == (["bf16"] * 2, ["bf16"])


@pytest.mark.parametrize("stated", ["fp32", "bf16"])
def test_what_a_suite_states_is_what_machines_do(suite, suits, tmp_path, stated):
    suits("bf16" if stated == "fp32" else "fp32")
    if stated == "bf16":
        with pytest.warns(UserWarning, match="emulated"):
            assert go(suite(precision=stated), tmp_path)[1] == []
    else:
        assert go(suite(precision=stated), tmp_path)[1] == []
    assert precisions(tmp_path) == ([stated] * 2, [stated])
    with raises(UsageError, "suite-precision-changed"):
        go(suite(precision="fp32" if stated == "bf16" else "bf16"), tmp_path)


def test_probes_stay_in_the_precision_of_their_protocol(suite, suits, tmp_path):
    suits("bf16")
    first, _, last = TEXT.rpartition("epochs = 1\n")  # a probe has none
    _, failures = go(suite(first + last, mode="linear"), tmp_path)
    assert failures == [] and precisions(tmp_path) == (["fp32"] * 2, ["bf16"])


@pytest.mark.parametrize(
    ("top", "tasks", "cause"),
    [
        ("", ['"fp32"', '"fp32"'], None),
        ('precision = "fp32"\n', ['"fp32"', None], None),
        ("", ['"fp32"', '"bf16"'], "suite-precision-mixed"),
        ("", ['"fp32"', None], "suite-precision-mixed"),
        ('precision = "bf16"\n', ['"fp32"', None], "suite-precision-mixed"),
        ('precision = "fp16"\n', [None, None], "not-a-choice"),
        ("precision = 32\n", [None, None], "not-a-choice"),
    ],
)
def test_a_suite_has_one_precision(tmp_path, top, tasks, cause):
    rows = [
        f'{{ name = "t{number}"{"" if stated is None else f", precision = {stated}"} }}'
        for number, stated in enumerate(tasks)
    ]
    (tmp_path / "s.toml").write_text(f'{top}checkpoints = ["a"]\ntasks = [{", ".join(rows)}]\n')
    if cause:
        with raises(UsageError, cause, match="precision"):
            load_suite(tmp_path / "s.toml")
        return
    suite = load_suite(tmp_path / "s.toml")
    assert suite.precision == "fp32" and all("precision" not in cell.options for cell in suite.cells())


def test_a_step_of_auto_follows_the_suite(suite, tmp_path):
    step = {"name": "own", "method": "simclr", "precision": "auto"}
    options, _ = pretrain_options(suite(), step, places(tmp_path, precision="bf16"))
    assert options.precision == "bf16"


def test_a_suite_says_where_it_is(suite, suits, tmp_path, capsys):
    go(suite(), tmp_path)
    told = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("decoded")]
    assert told[0].startswith("suite s: ") and "precision fp32" in told[0] and "2 runs" in told[0]
    assert told[1] == "pre-training 1 of 1: own"
    for number, name in enumerate(("net", "own"), start=1):
        begun, ended = told[2 * number], told[2 * number + 1]
        assert begun == f"run {number} of 2: {name} on OCT, seed 0"
        assert ended.startswith(f"{begun}: auroc 0.") and ("ETA" in ended) == (number == 1)
    assert len(told) == 6
    go(suite(), tmp_path)
    told = capsys.readouterr().err.splitlines()
    assert "(as before)" in told[0] and len(told) == 3  # nothing was left to do
    assert all("(in the store)" in line for line in told[1:])


def test_an_undefined_run_of_a_suite_is_no_failure_and_says_why(suite, suits, tmp_path, capsys):
    from PIL import Image

    (tmp_path / "d").mkdir()
    lines = ["image,patient,split,label"]
    for n in range(20):
        split = "train" if n < 12 else "validation" if n < 16 else "test"
        Image.new("L", (8, 8), 10 * n).save(tmp_path / "d" / f"{n}.png")
        lines.append(f"{n}.png,p{n},{split},{n % 2 if split != 'test' else 1}")
    (tmp_path / "d" / "labels.csv").write_text("\n".join(lines))
    text = TEXT.replace('"phantom_oct,n=16,n_validation=8,n_test=8"\ntitle', f'"folder:{tmp_path / "d"}"\ntitle')
    with pytest.warns(UserWarning, match="undefined on the test split") as told:
        outcomes, failures = go(suite(text), tmp_path)
    assert failures == [] and [outcome.headline for outcome in outcomes] == [None, None]
    assert sum("undefined" in str(row.message) for row in told) == 1
    err = capsys.readouterr().err
    assert err.count("auroc undefined: no negative case") == 2 and "diverged" not in err


def test_what_will_fail_is_told_before_anything_is_trained(suite, suits, tmp_path, monkeypatch):
    from medzoo.bench import engines

    trained = []
    monkeypatch.setattr(engines, "run_pretraining", lambda *a, **k: (trained.append(len(told)), [])[1])
    text = TEXT + '\n[[tasks]]\nname = "folder:nowhere"\n'
    with pytest.warns(UserWarning, match="The runs on nowhere will fail") as told:
        _, failures = go(suite(text), tmp_path)
    assert trained[0] > 0 and any("on nowhere, seed 0" in failure for failure in failures)
