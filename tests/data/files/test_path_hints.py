from expect import raises

from medzoo.data.files.find import find_folder, find_one
from medzoo.data.files.path_hints import place_hint
from medzoo.errors import DataContractError


def test_data_that_lie_one_folder_off_are_found(tmp_path):
    (tmp_path / "a" / "b" / "images").mkdir(parents=True)
    assert (
        place_hint(tmp_path, ["pngs", "images"])
        == f" {tmp_path / 'a' / 'b'} has them; if these are the data, give that folder."
    )
    assert f"{tmp_path / 'a' / 'b'} has them" in place_hint(tmp_path / "a" / "b" / "images", ["images"])


def test_archives_and_other_spellings_are_told(tmp_path):
    assert place_hint(tmp_path, ["images"]) == ""
    (tmp_path / "IMAGES").mkdir()
    assert place_hint(tmp_path, ["images_png", "imageS/train"]) == " It has IMAGES: upper and lower case must match."
    (tmp_path / "b.tar.gz").touch()
    (tmp_path / "a.zip").touch()
    assert place_hint(tmp_path, ["images_png"]) == " Unpack a.zip, b.tar.gz first."
    assert place_hint(tmp_path / "none", ["images"]) == ""


def test_messages_of_a_wrong_root_say_it(tmp_path):
    (tmp_path / "archive.zip").touch()
    with raises(DataContractError, "data-layout-unknown"):
        find_one(tmp_path, ["train"], "oct")
    with raises(DataContractError, "data-layout-unknown"):
        find_folder(tmp_path, ["train"], ["outer"], "oct")
