import pytest
from zoo_samples import CARD, small_model

import medzoo
from medzoo.errors import CardError
from medzoo.zoo.cards import card_of
from medzoo.zoo.licenses import check_license

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
    phrases = [
        "| imagenet | mocov2 | not known | 800 |",
        "learning_rate | 0.001",
        "0.9123",
        "A paper, 2020",
        "terms bind too",
    ]
    phrases += ["medzoo.load(", "timm.create_model(", "AutoModel.from_pretrained(", "Not tested", "| size | 64 x 64"]
    for phrase in phrases:
        assert phrase in text, phrase
    assert "None" not in text and "{{" not in text


def test_nothing_is_invented(tmp_path):
    front, text = card(tmp_path)
    assert set(front) == {"license", "library_name", "pipeline_tag", "tags"}
    assert "| 1 | drawn | supervised | not known | not known | apache-2.0 |" in text
    assert "No score was measured" in text and "## Cite" not in text and "imagenet" not in text.lower()


def test_own_terms_need_an_address(tmp_path):
    with pytest.raises(CardError, match="no url"):
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


@pytest.mark.parametrize(("identifier", "says"), [(None, "no licence"), ("  ", "no licence"), ("gpl3", "Did you mean")])
def test_licences(identifier, says):
    with pytest.raises(CardError, match=says):
        check_license(identifier, "It")
    assert check_license("CC-BY-NC-4.0", "It") == "cc-by-nc-4.0"


def test_the_hub_client_reads_the_front_matter(tmp_path):
    from huggingface_hub import ModelCard

    folder = medzoo.save(
        small_model(), tmp_path / "f", card={**CARD, "results": [{"task": "t", "metric": "auroc", "value": 0.5}]}
    )
    data = ModelCard.load(folder / "README.md").data
    assert data.license == "apache-2.0" and data.eval_results[0].metric_value == 0.5


def test_card_of_a_name_and_of_a_run_folder(tmp_path):
    assert "radimagenet" in card_of("resnet50-radimagenet")
    medzoo.save(small_model(), tmp_path / "run" / "checkpoint", card=CARD)
    assert "# test_resnet-drawn" in card_of(str(tmp_path / "run"))
