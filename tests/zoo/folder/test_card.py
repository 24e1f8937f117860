import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from expect import raises
from zoo_samples import CARD, small_model

import medzoo
from medzoo.errors import CardError
from medzoo.zoo.folder import card as cards
from medzoo.zoo.folder.card import card_of, committed_cards, data_facts, render_entry, untrue_cards
from medzoo.zoo.folder.card_checks import problems
from medzoo.zoo.loading.assemble import draw
from medzoo.zoo.loading.request import LoadRequest
from medzoo.zoo.publish.privacy_scan import scan
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.licenses import check_license
from medzoo.zoo.registry.locations import cached_folder

yaml = pytest.importorskip("yaml")


def card(tmp_path, **facts):
    folder = medzoo.save(small_model(), tmp_path / "f", card={**CARD, **facts})
    text = card_of(str(folder))
    front = yaml.safe_load(text.split("---\n")[1])
    return front, text


def test_a_full_card(tmp_path):
    front, text = card(
        tmp_path,
        license="cc-by-nc-4.0",
        note="A note: with | signs.",
        hyperparameters={"learning_rate": 0.001, "optimizer": "adamw", "betas": [0.9, 0.999]},
        results=[{"task": "phantom_ct", "metric": "auroc", "value": 0.91234, "n": 100, "label": None}],
        lineage=[
            {
                "data": "imagenet",
                "method": "mocov2",
                "license": "CC-BY-NC-4.0",
                "name": "base",
                "epochs": 800,
                "repo": "org/base",
            },
            {"data": "drawn", "method": "supervised", "images": 10},
        ],
        citation={"title": "A paper", "year": 2020},
    )
    assert front["license"] == "cc-by-nc-4.0" and front["library_name"] == "timm" and "medzoo" in front["tags"]
    assert front["base_model"] == ["org/base"] and front["pipeline_tag"] == "image-classification"
    metric = front["model-index"][0]["results"][0]["metrics"][0]
    assert metric == {"type": "auroc", "value": 0.91234, "args": {"n": 100}}
    assert front["base_model_relation"] == "finetune" and front["datasets"] == ["ILSVRC/imagenet-1k"]
    phrases = [
        "[ImageNet-1k (ILSVRC 2012)](https://www.image-net.org/download.php) | non-commercial research",
        "mocov2 | not known | 800 |",
        "learning_rate | 0.001",
        "0.9123",
        "A paper, 2020",
        "Its terms also apply",
    ]
    phrases += ["medzoo.load(", "timm.create_model(", "AutoModel.from_pretrained(", "Not tested", "| size | 64 x 64"]
    for phrase in phrases:
        assert phrase in text, phrase
    assert "None" not in text and "{{" not in text


@pytest.mark.parametrize(("window", "shown"), [("-45:105 HU", "-45 to 105 HU"), ("percentile:1,99", "percentile:1,99")])
def test_the_window_of_a_fine_tuning(tmp_path, window, shown):
    _, text = card(tmp_path, evaluation={"window": window})
    assert f"| clipped first to | {shown}, the window of its fine-tuning |" in text
    assert "AutoImageProcessor.from_pretrained" not in text
    assert f"transform do not do the clipping to the window {shown}." in text


def test_temperature_and_thresholds(tmp_path):
    chosen = {"temperature": 1.37, "rule": "youden", "split": "validation"}
    _, text = card(tmp_path, calibration=chosen)
    assert "| temperature | 1.37 |" in text and "chosen on validation" in text and "threshold" not in text
    several = {"problem_type": "multi_label_classification", "calibration": {**chosen, "thresholds": [0.3, 0.5, 0.71]}}
    _, text = card(tmp_path / "several", **several)
    for label, value in zip(CARD["labels"], (0.3, 0.5, 0.71), strict=True):
        assert f"| threshold of {label} | {value} (youden) |" in text
    model, two = small_model(num_classes=2), {**chosen, "thresholds": [0.4]}
    folder = medzoo.save(model, tmp_path / "two", card={**CARD, "labels": ["no", "a|b"], "calibration": two})
    assert "| threshold of a\\|b | 0.4 (youden) |" in card_of(str(folder))
    assert "temperature" not in card(tmp_path / "none")[1]


def test_nothing_is_invented(tmp_path):
    front, text = card(tmp_path)
    assert set(front) == {"license", "library_name", "pipeline_tag", "tags"}
    assert "| 1 | drawn | not known | supervised | not known | not known | apache-2.0 |" in text
    assert "No score was measured" in text and "## Cite" not in text and "imagenet" not in text.lower()


def test_own_terms_need_an_address(tmp_path):
    with raises(CardError, "license-url-missing"):
        card(tmp_path, license="other")
    front, text = card(
        tmp_path, license={"id": "other", "redistributable": False, "url": "https://example.org/t", "note": "own"}
    )
    assert (front["license_name"], front["license_link"]) == ("own", "https://example.org/t")
    assert "may not be published again" in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.9", None, True])
def test_results_are_numbers(tmp_path, value):
    with pytest.raises((CardError, ValueError)):
        card(tmp_path, results=[{"task": "t", "metric": "m", "value": value}])
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("identifier", "says"), [(None, "license-missing"), ("  ", "license-missing"), ("gpl3", "license-unknown")]
)
def test_licences(identifier, says):
    with raises(CardError, says):
        check_license(identifier, "It")
    assert check_license("CC-BY-NC-4.0", "It") == "cc-by-nc-4.0"


def test_the_hub_client_reads_the_front_matter(tmp_path):
    from huggingface_hub import ModelCard

    folder = medzoo.save(
        small_model(), tmp_path / "f", card={**CARD, "results": [{"task": "t", "metric": "auroc", "value": 0.5}]}
    )
    data = ModelCard.load(folder / "README.md").data
    assert data.license == "apache-2.0" and data.eval_results[0].metric_value == 0.5


NAMES = registry.names()


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_a_card(name):
    entry = medzoo.info(name)
    text = render_entry(entry)
    assert problems(text) == [] and scan(text, name) == []
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == entry.license.id.lower()
    assert "None" not in text and "\n\n\n" not in text and f"# {name}" in text
    assert entry.random or entry.citation.title in text
    assert all(data in data_facts() for data in (entry.pretraining.data if entry.pretraining else ()))
    assert ("import medzoo.zoo.variants" in text) == (entry.facts["variant"] and not entry.random)
    assert entry.license.redistributable or "may not be published again" in text


def test_the_committed_cards_say_what_the_facts_say():
    assert set(committed_cards()) == set(NAMES), "run `medzoo card --write`"
    assert untrue_cards() == [], "run `medzoo card --write`"


def test_a_committed_card_that_is_not_true_is_named(tmp_path, monkeypatch):
    changed = (real_cards := committed_cards())["resnet50-random"].read_text().replace("224 x 224", "256 x 256")
    (tmp_path / "resnet50-random.md").write_text(changed)
    (tmp_path / "resnet50-nothing.md").write_text("x")
    monkeypatch.setattr(cards, "committed_cards", lambda: {path.stem: path for path in sorted(tmp_path.glob("*.md"))})
    assert len(real_cards) > 90
    nothing, drawn = untrue_cards()
    assert "no checkpoint resnet50-nothing" in nothing and "'| size | 256 x 256 pixels |'; the facts give" in drawn


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


# A process with the libraries of all examples, and without medzoo: each example begins there anew, as in a fresh Python.
ANEW = """
import json, os, sys, traceback
import timm, torch, transformers.models.auto.modeling_auto, transformers.models.timm_wrapper.modeling_timm_wrapper
for line in sys.stdin:
    block, home, path = json.loads(line)
    assert not any(name.split(".")[0] == "medzoo" for name in sys.modules)
    child = os.fork()
    if not child:
        os.environ["MEDZOO_HOME"] = home
        for number in (1, 2):
            os.dup2(os.open(f"{path}-{number}", os.O_WRONLY | os.O_CREAT), number)
        try:
            exec(compile(block, "example", "exec"), {"__name__": "__main__"})
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
os._exit(0)
"""


@pytest.fixture(scope="module")
def anew():
    process = subprocess.Popen(
        [sys.executable, "-c", ANEW], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    yield process
    process.stdin.close()
    process.wait(60)
    process.stdout.close()


def run_blocks(anew, text, home):
    """Every example of a card, as a reader would paste it into a fresh Python."""
    found, size = blocks(text), int(re.search(r"\| size \| (\d+)", text)[1])
    assert len(found) == 3
    shown = f"\nimport torch\nprint(tuple(model.eval()(torch.zeros(1, 3, {size}, {size}))[0].shape), flush=True)\n"
    for number, block in enumerate(found):
        said = home / f"said-{number}"
        anew.stdin.write(json.dumps([block + shown, str(home), str(said)]) + "\n")
        anew.stdin.flush()
        assert anew.stdout.readline() == "0\n", block + Path(f"{said}-2").read_text()[-3000:]
        assert len(Path(f"{said}-1").read_text().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [pytest.param("test_resnet", marks=pytest.mark.long), "resnet18_cifar"])
def test_the_examples_of_a_folder_run(anew, tmp_path, private_home, architecture):
    folder = medzoo.save(small_model(architecture), tmp_path / "f", card={**CARD, "input": {"size": 64}})
    run_blocks(anew, (folder / "README.md").read_text().replace("path/to/this/folder", str(folder)), private_home)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("resnet18-imagenet", marks=pytest.mark.long),
        pytest.param("resnet50-byol-imagenet", marks=pytest.mark.long),  # convolutional: the example of a folder, above
        "vit_small-mocov3-imagenet",
    ],
)
def test_the_examples_of_a_name_run(anew, private_home, name):
    entry = medzoo.info(name)
    medzoo.save(draw(entry, LoadRequest(0, None, False, None, {})), cached_folder(name), card=entry)
    run_blocks(anew, render_entry(entry), private_home)


def test_card_of_a_name_and_of_a_run_folder(tmp_path):
    assert "radimagenet" in card_of("resnet50-radimagenet")
    medzoo.save(small_model(), tmp_path / "run" / "checkpoint", card=CARD)
    assert "# test_resnet-drawn" in card_of(str(tmp_path / "run"))
