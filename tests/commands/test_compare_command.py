"""`medzoo compare`: two checkpoints by position, a report, and wrong usage that exits with 2."""

import json

import pytest

TASK = "phantom_oct,n=8,n_validation=4,n_test=8"


def test_a_report_is_written_and_its_path_printed(run, tmp_path):
    store = tmp_path / "results"
    words = ["resnet18-random", "resnet34-random", "--task", TASK, "--size", "32", "--only", "representation"]
    code, out, err = run("compare", *words, "--layers", "layer1", "--results", store)
    assert code == 0 and out.strip() == str(store / "analyses" / "report" / "report.html"), err
    page = (store / "analyses" / "report" / "report.html").read_text()
    assert (
        "resnet18-random and resnet34-random" in page
        and "--only representation --size 32" in page
        and "--layers layer1" in page
    )
    (record,) = store.rglob("representation-*.json")
    content = json.loads(record.read_text())
    assert content["identity"]["options"]["layers"] == ["layer1"] and content["sentence"] in err
    code, _, err = run("compare", *words, "--layers", "layer1", "--results", store)  # the second time it is read
    assert code == 0 and "in the store" in err and list(store.rglob("representation-*.json")) == [record]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["resnet18-random", "--task", TASK], "two checkpoints"),
        (["resnet18-random", "resnet18-random"], "--task"),
        (["resnet18-random", "resnet18-random", "--task", TASK, "--only", "wieghts"], "weights"),
        (["resnet18-random", "resnet18-random", "--task", TASK, "--laeyrs", "x"], "--layers"),
        (
            ["resnet18-random", "resnet18-random", "--task", TASK, "--only", "representation", "--layers", "layr1"],
            "layer1",
        ),
    ],
)
def test_wrong_usage_exits_with_2_and_a_hint(run, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("compare", *words)
    assert code == 2 and said in err and not out and not list(tmp_path.rglob("*.json"))


def test_a_config_file_has_lists(run, tmp_path):
    config = tmp_path / "compare.toml"
    config.write_text(
        'checkpoints = ["resnet18-random", "resnet18-random"]\nonly = ["representation"]\nsize = 32\nlayers = ["layer1"]\n'
        f'task = "{TASK}"\nresults = "{tmp_path / "results"}"\n'
    )
    code, _, err = run("compare", "--config", config)
    assert code == 0, err
