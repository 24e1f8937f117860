import json

import pytest
from expect import raises

from medzoo.data.splits.split_file import read_splits
from medzoo.errors import DataContractError, UsageError

NIH = ["00000001_001.png", "00000002_000.png", "00000003_000.png"]


def lists(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, lines in files.items():
        (folder / name.replace("__", ".")).write_text("\n".join(lines) + "\n")
    return folder


def test_the_official_lists_of_chestxray14(tmp_path):
    zeros = " 0" * 14
    folder = lists(
        tmp_path / "s",
        Xray14_train_official__txt=[NIH[0] + zeros],
        Xray14_val_official__txt=[NIH[1] + zeros],
        Xray14_test_official__txt=[NIH[2] + zeros],
    )
    assert read_splits(folder, NIH, "t") == dict(zip(NIH, ("train", "validation", "test"), strict=True))


def test_lists_with_commas_and_without_a_header(tmp_path):
    ids = ["CHNCXR_0578_1.png", "CHNCXR_0001_0.png"]
    folder = lists(
        tmp_path / "s", ShenzenCXR_train_data__txt=[f"{ids[0]},1"], ShenzenCXR_test_data__txt=[f"{ids[1]},0"]
    )
    assert read_splits(folder, ids, "t") == {ids[0]: "train", ids[1]: "test"}


def test_lists_without_extension_meet_ids_in_folders(tmp_path):
    ids = ["train/0004.dicom", "test/0004.dicom", "test/0005.dicom"]
    folder = lists(
        tmp_path / "s",
        VinDrCXR_train_pe__txt=["train/0004 0 1"],
        VinDrCXR_test_pe__txt=["test/0004 0 1", "test/0005 1 0"],
    )
    assert read_splits(folder, ids, "t") == {ids[0]: "train", ids[1]: "test", ids[2]: "test"}


def test_fold_csvs_with_paths_of_another_machine(tmp_path):
    ids = ["benign/benign (248).png", "malignant/malignant (1).png", "normal/normal (3).png", "normal/normal (4).png"]
    files = {}
    for fold in (1, 2):
        a, b, c = (ids[0], ids[1], ids[2]) if fold == 1 else (ids[2], ids[0], ids[1])
        for split, key in (("train", a), ("val", b), ("test", c)):
            name = key.rpartition("/")[2]
            files[f"{split}_fold{fold}__csv"] = [",path,class", f"0,../../../data/breast/{name},benign"]
    folder = lists(tmp_path / "s", **files)
    assert read_splits(folder, ids, "t", 0) == dict(zip(ids, ("train", "validation", "test", "excluded"), strict=True))
    assert read_splits(folder, ids, "t", 1)[ids[2]] == "train"
    with raises(UsageError, "fold-not-given", match="--fold 0 to 1"):
        read_splits(folder, ids, "t")
    with raises(UsageError, "fold-out-of-range"):
        read_splits(folder, ids, "t", 2)


def test_a_path_that_a_list_names_twice_counts_once(tmp_path):
    folder = lists(
        tmp_path / "s", train__csv=["path,class", "x/a.png,B", "x/a.png,B"], val__csv=["path,class", "x/b.png,M"]
    )
    assert read_splits(folder, ["a.png", "b.png"], "t") == {"a.png": "train", "b.png": "validation"}


@pytest.mark.parametrize(
    "files, cause",
    [
        ({"train__txt": ["a.png"], "test__txt": ["a.png"]}, "split-file-id-in-two-splits"),
        ({"train__txt": ["a.png"], "test__txt": ["z.png"]}, "split-file-id-unknown"),
        ({"a__txt": ["a.png"]}, "training-list-missing"),
        ({"train__txt": ["a.png"], "train_official__txt": ["b.png"]}, "split-list-repeated"),
        ({"train__txt": ["", " "], "test__txt": ["b.png"]}, "table-empty"),
    ],
)
def test_f34_broken_lists_say_why(tmp_path, files, cause):
    with raises(DataContractError, cause):
        read_splits(lists(tmp_path / "s", **files), ["a.png", "b.png"], "t")


def test_one_image_named_in_two_ways_in_two_splits(tmp_path):
    folder = lists(tmp_path / "s", train__txt=["old/a.png", "b.png"], test__txt=["new/a.png"])
    with raises(DataContractError, "split-file-id-in-two-splits"):
        read_splits(folder, ["a.png", "b.png"], "t")


def test_a_uid_keeps_its_points(tmp_path):
    ids = ["1.2.840.1", "1.2.840.2"]
    folder = lists(tmp_path / "s", train__txt=[ids[0]], test__txt=[ids[1]])
    assert read_splits(folder, ids, "t") == {ids[0]: "train", ids[1]: "test"}


def test_ambiguous_names_are_not_guessed(tmp_path):
    folder = lists(tmp_path / "s", train__txt=["1.png"], test__txt=["2.png"])
    with raises(DataContractError, "split-file-id-unknown"):
        read_splits(folder, ["x/1.png", "y/1.png", "y/2.png"], "t")


def test_files_name_every_id(tmp_path):
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"train": ["a"], "valid": ["b"], "excluded": ["c"]}))
    assert read_splits(file, ["a", "b", "c"], "t") == {"a": "train", "b": "validation", "c": "excluded"}
    with raises(DataContractError, "split-file-id-missing"):
        read_splits(file, ["a", "b", "c", "d"], "t")
    with raises(UsageError, "fold-with-split-file"):
        read_splits(file, ["a", "b", "c"], "t", 0)
