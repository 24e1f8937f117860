"""Cards that are wrong in the ways that huggingface_hub lets pass offline."""

import pytest
import yaml
from expect import raises
from hypothesis import given
from hypothesis import strategies as st
from zoo_samples import CARD, small_model

import medzoo
from medzoo.errors import CardError
from medzoo.zoo.folder.card_checks import check_card, problems

BODY = "".join(f"## {name}\n\nx\n\n" for name in ("Use", "Input", "Training", "Licence", "Not tested"))
GOOD = {"license": "mit", "tags": ["timm"], "pipeline_tag": "image-classification"}
RESULT = {
    "task": {"type": "image-classification"}, "dataset": {"type": "x", "name": "x"},
    "metrics": [{"type": "auroc", "value": 0.9}],
}  # fmt: skip


def card(body=BODY, **front):
    return f"---\n{yaml.safe_dump({**GOOD, **front})}---\n\n{body}"


def index(**changes):
    return [{"name": "m", "results": [{**RESULT, **changes}]}]


def test_a_good_card():
    assert problems(card()) == []
    assert problems(card(license="other", license_name="asu", license_link="https://example.org/LICENSE")) == []
    assert (
        problems(card(base_model=["org/base"], base_model_relation="finetune", datasets=["ILSVRC/imagenet-1k"])) == []
    )
    assert problems(card(**{"model-index": index(source={"name": "r", "url": "https://example.org"})})) == []


@pytest.mark.parametrize(
    ("front", "says"),
    [
        ({"license": None}, "license is missing"), ({"license": "not-a-license"}, "not an id of the Hub"),
        ({"license": "MIT"}, "not an id of the Hub"), ({"license": "other"}, "needs license_name"),
        ({"license": "other", "license_name": "x", "license_link": "http://example.org"}, "must be an https"),
        ({"base_model": "../up"}, "base_model '../up' is not an id"), ({"datasets": [3]}, "datasets 3 is not an id"),
        ({"base_model": "a/b", "base_model_relation": "continued"}, "must be one of adapter"),
        ({"base_model_relation": "finetune"}, "needs base_model"), ({"tags": "timm"}, "tags must be a list"),
        ({"pipeline_tag": "text-generation"}, "must be a task of an image"), ({"new_version": "a b"}, "new_version"),
        ({"model-index": "x"}, "must be a list of models"), ({"model-index": [{"name": "m", "results": []}]}, "has no results"),
        ({"model-index": index(task={})}, "lacks task.type"), ({"model-index": index(dataset={"type": "x"})}, "dataset.name"),
        ({"model-index": index(metrics=[])}, "has no metrics"),
        ({"model-index": index(metrics=[{"type": "auroc", "value": float("nan")}])}, "is nan"),
        ({"model-index": index(metrics=[{"type": "auroc", "value": "0.9"}])}, "must be a number"),
        ({"model-index": index(metrics=[{"type": "auroc", "value": True}])}, "must be a number"),
        ({"model-index": index(source={"url": "ftp://x"})}, "https url"),
    ],
)  # fmt: skip
def test_front_matter_that_is_wrong(front, says):
    found = problems(card(**front))
    assert any(says in problem for problem in found), found
    with raises(CardError, "card-invalid", match=r"README\.md"):
        check_card(card(**front), "README.md")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# x", "no front matter"), ("---\n- a\n---\n", "not a table"), ("---\na: [\n---\n", "not plain YAML"),
        ("---\nlicense: mit\nlicense: gpl\n---\n", "occurs twice"),
        ("---\nlicense: !!python/object/apply:os.system ['true']\n---\n", "not plain YAML"),
        (card(BODY + "[More Information Needed]"), "More Information Needed"), (card(BODY + "{{ name }}"), "template"),
        (card("## Use\n"), "lacks the sections Input, Training"), ("x" * 2_000_000, "bytes"),
    ],
)  # fmt: skip
def test_texts_that_are_no_card(text, says):
    assert any(says in problem for problem in problems(text))


def test_a_card_of_somebody_else_needs_no_sections():
    assert problems(card("hello"), ours=False) == []


@given(st.text(max_size=300))
def test_any_text_gets_an_answer(text):
    assert problems(f"---\n{text}\n---\n")


def test_the_cards_that_are_written_hold(tmp_path):
    rows = [{"task": "t", "metric": "auroc", "value": 0.9, "ci": [0.8, 0.95], "seeds": [0, 1], "sd": 0.01}]
    folder = medzoo.save(small_model(), tmp_path / "f", card={**CARD, "results": rows})
    assert problems((folder / "README.md").read_text()) == []
