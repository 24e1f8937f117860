import math

import pytest
import yaml
from expect import raises
from huggingface_hub import EvalResultEntry
from zoo_samples import CARD, small_model

import medzoo
from medzoo.errors import CardError
from medzoo.zoo.folder.card_results import ResultRow, check_rows, eval_results, model_index

ROW = {
    "task": "chestxray14", "metric": "auroc", "value": 0.8437, "split": "test", "protocol": "finetune-224", "seeds": [0, 1, 2],
    "sd": 0.002, "ci": [0.83, 0.857], "n": 25596, "patients": 2797, "dataset": "medzoo/results", "date": "2026-11-24",
    "source": "https://huggingface.co/datasets/medzoo/results",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"value": math.nan}, "result-not-finite"), ({"sd": math.inf}, "result-not-finite"),
        ({"ci": [0.9, 0.8]}, "result-ci-invalid"),
        ({"ci": [0.9]}, "result-ci-invalid"), ({"seeds": [0]}, "result-sd-without-seeds"), ({"valu": 1}, "unknown-key"),
        ({"value": "0.8"}, "wrong-type"), ({"task": None}, "wrong-type"),
    ],
)  # fmt: skip
def test_rows_that_are_refused(change, says):
    with raises(CardError, says):
        check_rows([{**ROW, **change}])


def test_the_models_index_keeps_interval_and_seeds():
    (model,) = model_index("m", check_rows([ROW]))
    (result,) = model["results"]
    assert result["metrics"] == [
        {"type": "auroc", "value": 0.8437, "args": {"seeds": [0, 1, 2], "sd": 0.002, "ci95": [0.83, 0.857], "n": 25596}}
    ]
    assert result["dataset"] == {"type": "medzoo/results", "name": "chestxray14", "split": "test"}
    assert model_index("m", (ResultRow("s", "dice", 0.9, kind="segmentation"),))[0]["results"][0]["task"] == {
        "type": "image-segmentation"
    }


def test_the_hub_reads_the_evaluation_files():
    files = eval_results(check_rows([ROW, {**ROW, "task": "local", "dataset": None}, {**ROW, "label": "Mass"}]))
    ((path, text),) = files.items()
    assert path == ".eval_results/chestxray14.yaml"
    (entry,) = yaml.safe_load(text)
    assert entry["value"] == 0.8437 and entry["dataset"] == {"id": "medzoo/results", "task_id": "chestxray14"}
    assert "95 % interval 0.8300 to 0.8570" in entry["notes"] and "3 seeds" in entry["notes"]
    read = EvalResultEntry(
        dataset_id=entry["dataset"]["id"], task_id=entry["dataset"]["task_id"], value=entry["value"],
        notes=entry["notes"], date=str(entry["date"]), source_url=entry["source"]["url"],
    )  # fmt: skip
    assert read.value == 0.8437


def test_the_card_shows_what_stands_behind_a_number(tmp_path):
    text = (medzoo.save(small_model(), tmp_path / "f", card={**CARD, "results": [ROW]}) / "README.md").read_text()
    shown = "| chestxray14 (test) | auroc | 0.8437 | 95 % interval 0.8300 to 0.8570, sd 0.0020, 3 seeds | 25596 | finetune-224 |"
    assert shown in text
