"""DDTI: TI-RADS of the case file, cases by the file's name."""

from data_samples import fake_task
from expect import raises

from medzoo.data.problems import collecting
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError

SCORES = {0: ("2", 0), 1: ("4a", 1), 2: ("3", 0), 3: ("5", 1), 4: (None, 0), 5: ("4c", 1)}


def by_id(task, column):
    return {
        key: value
        for split in task.splits
        for key, value in zip(task.column(split, "id"), task.column(split, column), strict=True)
    }


def test_labels_and_cases(tmp_path):
    task = fake_task("thyroid", tmp_path)
    labels, groups, scores = (by_id(task, name) for name in ("label", "patient_id", "tirads"))
    assert len(labels) == 18
    for key, label in labels.items():
        case = int(key.split("_")[0])
        assert (scores[key], label) == SCORES[case % 6] and groups[key] == str(case)


def test_cases_without_a_score_can_be_left_out(tmp_path):
    fake_task("thyroid", tmp_path)
    task = load_task("thyroid,unscored=out", root=tmp_path)
    assert task.name == "thyroid,unscored=out" and None not in by_id(task, "tirads").values()
    assert len(by_id(task, "label")) == 16


def test_damaged_case_files_unknown_scores_and_lone_images_are_all_heard(tmp_path):
    fake_task("thyroid", tmp_path)
    (tmp_path / "1.xml").write_text("<case><number>1</number>")
    (tmp_path / "2.xml").write_text("<!DOCTYPE x [<!ENTITY a 'b'>]><case><number>2</number><tirads>&a;</tirads></case>")
    (tmp_path / "3.xml").write_text("<case><number>3</number><tirads>7</tirads></case>")
    (tmp_path / "4.xml").unlink()
    (tmp_path / "5_1.jpg").rename(tmp_path / "five.jpg")
    with collecting() as found:
        load_task("thyroid", root=tmp_path)
    by_code = {error.code: str(error) for error in found}
    assert "five.jpg" in by_code["file-name-invalid"] and "4_1.jpg" in by_code["case-file-missing"]
    assert "2 case files" in by_code["case-file-unreadable"] and "entities" in by_code["case-file-unreadable"]
    assert "3_1.jpg: '7'" in by_code["score-unknown"]
    (tmp_path / "6.xml").write_text("<case><number>7</number></case>")
    with collecting() as found:
        load_task("thyroid", root=tmp_path)
    assert any(error.code == "case-file-duplicated" and "7 (" in str(error) for error in found)


def test_numbers_with_zeros_are_the_same_case(tmp_path):
    fake_task("thyroid", tmp_path)
    (tmp_path / "1_1.jpg").rename(tmp_path / "01_1.jpg")
    assert by_id(load_task("thyroid", root=tmp_path), "patient_id")["01_1.jpg"] == "1"
    for path in tmp_path.glob("*.xml"):
        path.unlink()
    with raises(DataContractError, "images-not-found"):
        load_task("thyroid", root=tmp_path)
