import pytest

from medzoo.data.splits.split_names import fold_of, names_a_split, split_of


@pytest.mark.parametrize(
    "split, names",
    [
        ("train", ["train", "Train", "TRAINING", "training_set", "trainset", "train_images", "trainImages", "train2017", "trn",
                   "Train Data", "train-split", "trainval", "images_train", "train.official", " train "]),
        ("validation", ["val", "valid", "Validation", "dev", "val_set", "validation-images", "devset"]),
        ("test", ["test", "Test_set", "testing", "testset", "test_images", "test1", "tst"]),
        (None, ["benign", "testis", "trainer", "pregnancy_test", "eval", "holdout", "train_test", "", "0", "invalid", "images",
                "contest", "data", "validity"]),
    ],
)  # fmt: skip
def test_split_of(split, names):
    assert {name: split_of(name) for name in names} == dict.fromkeys(names, split)


@pytest.mark.parametrize(
    "name", ["test", "train_val", "eval", "Holdout", "fold1", "Fold_0", "development", "kfold3", "trainset"]
)
def test_names_that_are_never_classes(name):
    assert names_a_split(name)


@pytest.mark.parametrize(
    "name", ["benign", "test_positive", "images", "folder", "data", "unfolded", "1", "development_delay"]
)
def test_names_that_may_be_classes(name):
    assert not names_a_split(name)


def test_folds():
    assert [fold_of(name) for name in ("fold0", "Fold 12", "folds_3", "cv_fold_2", "3", "fold", "twofold1")] == [
        0, 12, 3, 2, None, None, None,
    ]  # fmt: skip
