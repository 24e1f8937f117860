import pytest
from expect import raises

from medzoo.data.files.find import by_name, files_below, find_one, need_files, need_folder
from medzoo.data.problems import collecting
from medzoo.errors import DataContractError


@pytest.fixture
def root(tmp_path):
    for name in ("a/1.png", "a/2.PNG", "b/3.png", "b/.hidden.png", "__MACOSX/1.png", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_files_are_listed_in_order_without_hidden_ones(root):
    assert files_below(root, (".png",)) == ["a/1.png", "a/2.PNG", "b/3.png"]
    assert files_below(root / "b", (".png", ".txt"), root) == ["b/3.png", "b/notes.txt"]


def test_linked_folders_are_gone_into_once_and_never_round_and_round(root, tmp_path_factory):
    away = tmp_path_factory.mktemp("disk")
    (away / "5.png").write_bytes(b"x")
    (root / "c").symlink_to(away, target_is_directory=True)
    (root / "d").symlink_to(away, target_is_directory=True)
    (away / "up").symlink_to(root, target_is_directory=True)
    assert files_below(root, (".png",)) == ["a/1.png", "a/2.PNG", "b/3.png", "c/5.png"]


def test_a_link_to_a_folder_above_brings_nothing_of_other_folders(root):
    (root / "b" / "up").symlink_to("..", target_is_directory=True)
    assert files_below(root / "b", (".png",), root) == ["b/3.png"]


def test_names_that_occur_twice_are_no_keys(root):
    assert by_name(root, (".png",), "t")["3.png"] == "b/3.png"
    (root / "b" / "1.png").write_bytes(b"y")
    with raises(DataContractError, "file-name-repeated"):
        by_name(root, (".png",), "t")


def test_f34_missing_files_are_all_counted_and_the_first_named(root):
    keys = ["a/1.png", *(f"a/no{number}.png" for number in range(30)), "c/1.png", ""]
    with raises(DataContractError, "data-files-missing") as caught:
        need_files(root, keys, "t")
    assert "a/no0.png" in str(caught.value) and len(str(caught.value)) < 800
    with collecting() as found:
        assert len(need_files(root, keys, "t")) == 32
    assert len(found) == 1


def test_an_outer_folder_may_be_there_or_not(root):
    assert find_one(root, ("x", "a"), "t") == root / "a"
    with raises(DataContractError, "data-layout-unknown"):
        find_one(root, ("x", "y"), "t")
    with raises(DataContractError, "data-folder-not-given"):
        need_folder(None, "t", "Download it.")
    with raises(DataContractError, "data-folder-missing"):
        need_folder(root / "none", "t", "Download it.")
