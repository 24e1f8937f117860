"""Fixed parts of large training sets: shares of what is not for validation, nested, the same whoever asks."""

from itertools import pairwise

import pytest

from medzoo.data.splits.subsample import cut_training

IDS = [f"image{number}" for number in range(240)]
LABELS = [0] * 200 + [1] * 40


def cut(percent):
    words = cut_training(IDS, LABELS, percent)
    return {word: {key for key, chosen in zip(IDS, words, strict=True) if chosen == word} for word in set(words)}


@pytest.mark.parametrize(("percent", "first", "second"), [(100, 180, 36), (50, 90, 18), (10, 18, 4), (1, 2, 1)])
def test_a_share_is_of_what_is_not_for_validation(percent, first, second):
    """By hand: 20 and 4 images of the classes are for validation, and 180 and 36 are left; halves are rounded up."""
    parts = cut(percent)
    classes = [sum(IDS.index(key) < 200 for key in parts[word]) for word in ("train", "validation")]
    assert classes == [first, 20]
    assert len(parts["train"]) - first == second and len(parts["validation"]) == 24
    assert sum(map(len, parts.values())) == 240


def test_shares_are_nested_beside_one_validation_set():
    shares = [cut(percent) for percent in (1, 10, 50, 100)]
    assert all(part["validation"] == shares[0]["validation"] for part in shares)
    assert all(small["train"] < large["train"] for small, large in pairwise(shares))
    assert cut(10) == shares[1] and not shares[3].get("excluded")


def test_the_order_of_the_rows_says_nothing():
    turned = dict(zip(IDS[::-1], cut_training(IDS[::-1], LABELS[::-1], 30), strict=True))
    assert [turned[key] for key in IDS] == cut_training(IDS, LABELS, 30)
    train = sorted(int(key.removeprefix("image")) for key in cut(10)["train"] if int(key.removeprefix("image")) < 200)
    assert train[-1] > 100 and train[0] < 100  # not the first ones of the list


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_small_class_keeps_an_image_to_train_on(count):
    words = cut_training(IDS[:count], [0] * count, 1)
    assert words.count("train") == 1 and words.count("validation") == min(1, count - 1)
