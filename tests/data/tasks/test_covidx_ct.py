import shutil

import numpy as np
import pytest
from expect import raises

from medzoo.data.decode_cache.cache import decoded
from medzoo.data.task_registry import load_task
from medzoo.data.tasks import covidx_ct
from medzoo.data.tasks.covidx_ct import _PATIENT
from medzoo.errors import DataContractError, ImageError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "root"
    covidx_ct.fake(place, 12)
    return place


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "root")
    return tmp_path / "root"


@pytest.mark.parametrize("file, patient", [
    ("NCP_96_1328_0032.png", "NCP_96"), ("CP_1769_3516_0000.png", "CP_1769"), ("Normal_813_1_0001.png", "Normal_813"),
    ("137covid_patient45_SR_2_IM00010.png", "patient45"), ("normal1_patient190_SR_2_IM00006.png", "patient190"),
    ("normalcd3_patient12_SR_2_IM00006.png", "patient12"), ("cdnormal4_patient146_SR_2_IM00006.png", "patient146"),
    ("volume-covid19-A-0437_ct-0008.png", "volume-covid19-A-0437"), ("coronacases_007-0078.png", "coronacases_007"),
    ("LIDC-IDRI-0236-1.3.6.1.4.1.14519.5-0039.png", "LIDC-IDRI-0236"), ("COVIDCTMD-P001-IM0027.png", "COVIDCTMD-P001"),
    ("COVIDCTMD-normal075-IM0001.png", "COVIDCTMD-normal075"), ("HUST-Patient1-0003.png", "HUST-Patient1"),
    ("STOIC-10011-0043.png", "STOIC-10011"), ("radiopaedia_40_86625_0-0011.png", "radiopaedia_40_86625"),
    ("radiopaedia-11516-24990-1-0011.png", "radiopaedia-11516"), ("study_0255-0011.png", "study_0255"),
    ("A002304-CT-CHEST-3-0011.png", "A002304"),
])  # fmt: skip
def test_the_patient_is_at_the_front_of_the_file_name(file, patient):
    match = _PATIENT.match(file)
    assert (match[1] or match[2]) == patient


def test_a_name_of_no_source_is_named(copy):
    with (copy / "train_COVIDx_CT-2A.txt").open("a") as stream:
        stream.write("strange_0001.png 0 0 0 5 5\n")
    with raises(DataContractError, "patient-not-in-file-name"):
        load_task("covidx_ct", root=copy)


def test_the_official_lists_and_the_metadata(root, copy):
    task = load_task("covidx_ct", root=root)
    assert [table.num_rows for table in task.tables.values()] == [60, 12, 12]
    sexes = set(task.column("train", "sex"))
    assert sexes == {"F", "M", None} and {type(age) for age in task.column("train", "age")} == {float, type(None)}
    (copy / "metadata.csv").unlink()
    bare = load_task("covidx_ct", root=copy)
    assert set(bare.column("train", "sex")) == {None} and bare.split_hash == task.split_hash


def test_a_box_is_cut_out_and_is_part_of_what_is_decoded(root, tmp_path):
    whole, boxed = load_task("covidx_ct", root=root), load_task("covidx_ct,crop=box", root=root)
    assert boxed.name == "covidx_ct,crop=box" and whole.split_hash == boxed.split_hash
    assert whole.fingerprint == boxed.fingerprint
    for row in range(5):
        full, cut = whole.read("train", row)[0], boxed.read("train", row)[0]
        left, top, right, bottom = map(int, boxed.column("train", "image")[row].partition("#")[2].split(","))
        assert np.array_equal(cut.array, full.array[top:bottom, left:right]) and cut.array.shape == (28, right - 1)
        assert any("cut to x 1" in note for note in cut.notes)
    images = [decoded(task, "test", size=16, cache_dir=tmp_path).images for task in (whole, boxed)]
    assert not np.array_equal(*images)


def test_a_box_beyond_its_image_is_an_error(copy):
    lines = (copy / "train_COVIDx_CT-2A.txt").read_text().splitlines()
    (copy / "train_COVIDx_CT-2A.txt").write_text("\n".join([" ".join([*lines[0].split()[:4], "99", "30"]), *lines[1:]]))
    with raises(ImageError, "box-outside-image"):
        load_task("covidx_ct,crop=box", root=copy).read("train", 0)
    assert load_task("covidx_ct", root=copy).read("train", 0)


def test_a_choice_between_folders_is_refused(copy):
    shutil.copytree(copy / "2A_images", copy / "old")
    assert (
        load_task("covidx_ct", root=copy).column("train", "image")[0].startswith("2A_images/")
    )  # the version's own folder
    (copy / "2A_images").rename(copy / "new")
    with raises(DataContractError, "image-folder-ambiguous", match="new/, old/"):
        load_task("covidx_ct", root=copy)
    shutil.rmtree(copy / "old")
    file = load_task("covidx_ct", root=copy).column("train", "id")[0]
    shutil.copy(copy / "new" / file, copy / file)
    with raises(DataContractError, "image-folder-ambiguous", match="new/"):
        load_task("covidx_ct", root=copy)


def test_versions_and_folders(copy):
    (copy / "2A_images").rename(copy / "slices")
    assert load_task("covidx_ct", root=copy).column("train", "image")[0].startswith("slices/")
    for word in ("train", "val", "test"):
        shutil.copy(copy / f"{word}_COVIDx_CT-2A.txt", copy / f"{word}_COVIDx_CT-3A.txt")
    with raises(DataContractError, "version-ambiguous"):
        load_task("covidx_ct", root=copy)
    assert load_task("covidx_ct,version=3A", root=copy).name == "covidx_ct,version=3A"
    (copy / "val_COVIDx_CT-3A.txt").unlink()
    assert load_task("covidx_ct", root=copy)
    with raises(DataContractError, "lists-missing"):
        load_task("covidx_ct,version=3A", root=copy)
    shutil.rmtree(copy / "slices")
    with raises(DataContractError, "images-not-found"):
        load_task("covidx_ct", root=copy)


@pytest.mark.parametrize(
    "line", ["a.png 0 1 2 3", "a.png 3 0 0 5 5", "a.png 0 5 0 5 5", "a.png 0 0 x 5 5", "a.png 0 0 -1 5 5"]
)
def test_f34_malformed_lines_are_named(copy, line):
    with (copy / "val_COVIDx_CT-2A.txt").open("a") as stream:
        stream.write(f"{line}\n")
    with raises(DataContractError, "list-line-invalid"):
        load_task("covidx_ct", root=copy)
