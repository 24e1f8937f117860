"""Results in the card of a folder: replaced from rows, without a change of what the user wrote."""

import json

import pytest
import timm
from expect import raises

import medzoo
from medzoo.errors import CardError
from medzoo.zoo.folder.card_checks import problems
from medzoo.zoo.folder.card_edit import differing_results, edited_card, write_results
from medzoo.zoo.folder.read_write import read_folder

ROW = {
    "task": "phantom_ct",
    "metric": "auroc",
    "value": 0.9,
    "ci": [0.88, 0.92],
    "seeds": [0, 1, 2],
    "protocol": "medzoo",
}


@pytest.fixture
def folder(tmp_path):
    card = {"name": "test_resnet-own", "license": "apache-2.0", "data": ["own"], "labels": ["a", "b"]}
    return medzoo.save(timm.create_model("test_resnet", num_classes=2), tmp_path / "own", card=card)


def card_of(folder):
    return (folder / "README.md").read_text()


def test_scores_are_added_replaced_and_removed(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert write_results(folder, [ROW]) and not write_results(folder, [ROW])
    assert "| phantom_ct | auroc | 0.9000 | 95 % interval 0.8800 to 0.9200, 3 seeds |" in card_of(folder)
    assert problems(card_of(folder)) == [] and read_folder(folder).facts.results[0].value == 0.9
    assert json.loads((folder / "config.json").read_text())["medzoo"]["results"][0]["ci"] == [0.88, 0.92]
    assert write_results(folder, [{**ROW, "value": 0.8, "ci": [0.7, 0.9]}]) and "0.9000 |" not in card_of(folder)
    assert write_results(folder, [])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_the_user_wrote_stays(folder):
    file = folder / "README.md"
    file.write_text(card_of(folder) + "\n## My own section\n\nMy own words.\n")
    write_results(folder, [ROW])
    assert card_of(folder).endswith("My own words.\n") and "| phantom_ct | auroc |" in card_of(folder)


def test_edited_scores_are_not_overwritten(folder):
    write_results(folder, [ROW])
    file, config = folder / "README.md", (folder / "config.json").read_bytes()
    file.write_text(card_of(folder).replace("| 0.9000 |", "| 0.9999 |"))
    assert len(differing_results(folder, [ROW])) == 1
    with raises(CardError, "card-edited"):
        write_results(folder, [{**ROW, "value": 0.8, "ci": None}])
    assert "0.9999" in card_of(folder) and (folder / "config.json").read_bytes() == config


def test_differences_are_named(folder):
    write_results(folder, [ROW])
    assert differing_results(folder, [ROW]) == []
    other, more = {**ROW, "value": 0.91}, {**ROW, "task": "phantom_chest"}
    assert [line.split(":")[0] for line in differing_results(folder, [other, more])] == [
        "phantom_ct, auroc, medzoo", "phantom_chest, auroc, medzoo",
    ]  # fmt: skip
    assert len(differing_results(folder, [])) == 1


def test_the_lines_around_a_change_decide_where_it_goes():
    before, after = "a\nb\nc\nd", "a\nB\nc\nd\ne"
    assert edited_card("x\na\nb\nc\nd\ny", before, after, "") == "x\na\nB\nc\nd\ne\ny"
    with raises(CardError, "card-edited"):
        edited_card("a\nb\nc\nd\na\nb\nc\nd", before, after, "")
