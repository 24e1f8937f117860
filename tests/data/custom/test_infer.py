import numpy as np
import pytest
from custom_samples import table, tree
from expect import raises
from hypothesis import given
from hypothesis import strategies as st

from medzoo.data.custom.infer import infer_labels, plain_number
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError

HEADER = ["image", "label", "patient_id"]


def task_of(root, words, choices=""):
    rows = [(f"i{k}.png", words[k % len(words)], f"p{k}") for k in range(40)]
    return load_task(table(root, HEADER, rows) + choices)


@pytest.mark.parametrize(
    "words",
    [
        ("1_1", "1_2", "2_1", "11"), ("1E2", "100", "2E1", "20"), ("001", "010", "100", "1"), ("0x10", "16"), ("+1", "1"),
        ("1e3", "1000"), ("inf", "nano"), ("1j", "1"), ("Infinity", "0"), ("\u0661", "1"), ("4A", "4B", "4"), ("1-2", "3"),
        ("00", "0"), ("-01", "-1"), ("1.", "1"),
    ],
)  # fmt: skip
def test_words_that_differ_stay_classes_with_their_names(tmp_path, words):
    task = task_of(tmp_path, words)
    assert task.classes == tuple(sorted(words)) and task.kind == ("binary" if len(words) == 2 else "multiclass")
    labels = {split: task.labels(split) for split in task.tables}
    for split, ids in ((split, task.column(split, "id")) for split in task.tables):
        assert [task.classes[n] for n in labels[split]] == [words[int(key[1:-4]) % len(words)] for key in ids]


@pytest.mark.parametrize(
    "words, classes", [(("10", "9", "1"), ("1", "9", "10")), (("-1", "1"), ("-1", "1")), (("1.0", "0.0"), ("0", "1"))]
)
def test_plain_whole_numbers_are_classes_in_their_order(tmp_path, words, classes):
    assert task_of(tmp_path, words).classes == classes


@pytest.mark.parametrize("words", [("1", "1.0", "2"), ("0", "-0"), ("3", "3.00")])
def test_one_number_in_two_spellings_is_told_and_never_merged(tmp_path, words):
    with raises(DataContractError, "label-spelled-differently", match=" = "):
        task_of(tmp_path, words)


@pytest.mark.parametrize("words", [("0.5", "1e-05"), ("1.5", "-2"), ("0.1", "2.5e+03", "7")])
def test_numbers_with_fractions_are_values(tmp_path, words):
    task = task_of(tmp_path, words)
    found = {float(value) for split in task.tables for value in task.labels(split)}
    assert task.kind == "regression" and found == {float(np.float32(word)) for word in words}


def test_a_value_that_is_no_number_among_values_is_told(tmp_path):
    rows = [(f"i{k}.png", k + 0.5 if k != 7 else "n.v.", f"p{k}") for k in range(40)]
    with raises(DataContractError, "label-not-a-number", match=r"i7\.png: 'n\.v\.'"):
        load_task(table(tmp_path, HEADER, rows))


def test_accents_in_two_encodings_are_one_class(tmp_path):
    assert task_of(tmp_path, ("caf\u00e9", "cafe\u0301", "tee")).classes == ("caf\u00e9", "tee")


def test_numbers_that_may_name_or_count_named_classes(tmp_path):
    (tmp_path / "classes.json").write_text('["1", "2", "3"]')
    with raises(DataContractError, "class-numbers-ambiguous", match="unclear"):
        task_of(tmp_path, ("0", "1", "2"))
    assert task_of(tmp_path, ("3", "1", "2")).classes == ("1", "2", "3")
    (tmp_path / "classes.json").write_text('["benign", "malignant"]')
    task = task_of(tmp_path, ("0", "1"))
    assert task.classes == ("benign", "malignant") and task.counts("train") == {"benign": 14, "malignant": 14}


@given(
    st.lists(
        st.text(min_size=1, max_size=4).filter(lambda w: w.strip() == w and w), min_size=2, max_size=6, unique=True
    )
)
def test_no_two_words_become_one_class(words):
    import unicodedata

    try:
        kind, classes, labels = infer_labels(words, range(len(words)), None, "t")
    except DataContractError:
        return
    distinct = len({unicodedata.normalize("NFC", word) for word in words})
    assert len(set(labels)) == distinct and (kind == "regression" or len(classes) == distinct)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_numbers_as_python_prints_them_are_numbers(value):
    number = plain_number(repr(value))
    assert number is None or number == value
    if 1e-4 <= abs(value) < 1e15:
        assert number == value


def test_notes_say_which_class_is_positive(tmp_path):
    """Only for two classes; a list of names sets another order, and the data stay the same."""
    task = task_of(tmp_path, ("Verschattung", "unauffällig"))
    expected = "2 classes (Verschattung, unauffällig); positive: unauffällig, the last one (classes.json next to the table sets"
    assert any(expected in note for note in task.notes)
    (tmp_path / "classes.json").write_text('["unauffällig", "Verschattung"]', encoding="utf-8")
    turned = load_task(f"folder:{tmp_path}")
    assert (
        "labels: column label, 2 classes (unauffällig, Verschattung); positive: Verschattung, the last one"
        in turned.notes
    )
    place = task.column("train", "id").index(turned.column("train", "id")[0])
    assert task.labels("train")[place] == 1 - turned.labels("train")[0]
    assert not any("positive" in note for note in task_of(tmp_path / "3", ("a", "b", "c")).notes)
    folders = load_task(tree(tmp_path / "f", [f"{c}/{k}.png" for c in "xy" for k in range(20)]), groups="none")
    assert any("2 class folders (x, y); positive: y, the last one" in note for note in folders.notes)
