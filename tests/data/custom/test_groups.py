import numpy as np
import pytest
from custom_samples import dicom, png, table, tree, words
from expect import raises
from pydicom.uid import generate_uid

from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError, SplitError, UsageError

SERIES = [generate_uid() for _ in range(10)]


def dicom_folder(
    root, patient=lambda k: f"P{k // 4}", series=lambda k: SERIES[k // 4], study=None, ending="", above=""
):
    for k in range(40):
        where = root / (above(k) if above else "") / "ab"[k // 4 % 2]
        dicom(where / f"IM{k}{ending}", patient(k), series(k), study(k) if study else None, k)
    return f"folder:{root}"


def number(key):
    return int("".join(filter(str.isdigit, key.rpartition("/")[2])))


def undivided(task, of):
    """Whether no group is in two splits."""
    place = {}
    for key, split in words(task).items():
        place.setdefault(of(number(key)), set()).add(split)
    return all(len(splits) == 1 for splits in place.values())


@pytest.mark.parametrize("ending", ["", ".dcm", ".DIC"])
def test_dicom_is_grouped_by_patient_by_default(tmp_path, ending):
    task = load_task(dicom_folder(tmp_path, ending=ending))
    assert task.info.groups.startswith("dicom:patient") and undivided(task, lambda k: k // 4)
    assert set(task.groups("train")) < {f"P{n}" for n in range(10)} and any("PatientID" in note for note in task.notes)


def test_without_patients_the_study_and_then_the_series_group(tmp_path):
    studies = [generate_uid() for _ in range(5)]
    task = load_task(dicom_folder(tmp_path / "a", patient=lambda k: "", study=lambda k: studies[k // 8]))
    assert undivided(task, lambda k: k // 8) and any("StudyInstanceUID" in note for note in task.notes)
    task = load_task(dicom_folder(tmp_path / "b", patient=lambda k: "", study=lambda k: ""))
    assert undivided(task, lambda k: k // 4) and any("SeriesInstanceUID" in note for note in task.notes)
    some = load_task(dicom_folder(tmp_path / "c", patient=lambda k: "" if k % 2 else f"P{k // 4}"))
    assert undivided(some, lambda k: k // 4)  # a file without PatientID is of the patient of its series


def test_one_patient_id_written_over_all_is_refused(tmp_path):
    name = dicom_folder(tmp_path, patient=lambda k: "ANON", study=lambda k: SERIES[k // 4])
    with raises(DataContractError, "dicom-single-patient"):
        load_task(name)
    assert undivided(load_task(name, groups="dicom:study"), lambda k: k // 4)
    with raises(UsageError, "dicom-level-unknown"):
        load_task(name, groups="dicom:doctor")


def test_no_ids_at_all(tmp_path):
    name = dicom_folder(tmp_path, patient=lambda k: "", series=lambda k: "", study=lambda k: "")
    with raises(DataContractError, "patient-groups-missing"):
        load_task(name)


def test_a_dicom_patient_in_two_stated_splits_is_a_leak(tmp_path):
    name = dicom_folder(tmp_path, above=lambda k: "train" if k < 22 else "test")
    with raises(SplitError, "patients-in-several-splits", match="P5"):
        load_task(name)
    with pytest.warns(UserWarning, match="10 patients"):
        load_task(name, groups="none")


def test_a_csv_of_dicom_files(tmp_path):
    dicom_folder(tmp_path, ending=".dcm")
    rows = "".join(f"{'ab'[k // 4 % 2]}/IM{k}.dcm,{'xy'[k // 4 % 2]}\n" for k in range(40))
    (tmp_path / "labels.csv").write_text("image,label\n" + rows)
    task = load_task(f"folder:{tmp_path}")
    assert undivided(task, lambda k: k // 4) and task.classes == ("x", "y")
    own = "".join(f"{line},g{n // 8}\n" for n, line in enumerate(rows.splitlines()))
    (tmp_path / "labels.csv").write_text("image,label,patient_id\n" + own)
    assert load_task(f"folder:{tmp_path}").info.groups == "patient_id"  # what the table says comes first


def test_headers_are_read_once(tmp_path, monkeypatch):
    from medzoo.data.files import dicom_identifiers

    name = dicom_folder(tmp_path)
    first = load_task(name).split_hash
    monkeypatch.setattr(dicom_identifiers, "open_dicom", lambda *_: pytest.fail("read again"))
    assert load_task(name).split_hash == first
    monkeypatch.undo()
    dicom(tmp_path / "a" / "IM0", "P9", SERIES[0])
    assert "P9" in {task_group for split in load_task(name).tables for task_group in load_task(name).groups(split)}


def test_pictures_have_to_say_who_the_patients_are(tmp_path):
    with raises(DataContractError, "patient-groups-missing"):
        load_task(tree(tmp_path, [f"{c}/{k}.png" for c in "ab" for k in range(20)]))
    dicom_folder(tmp_path / "mixed")
    png(tmp_path / "mixed" / "a" / "x.png")
    with raises(DataContractError, "patient-groups-missing"):
        load_task(f"folder:{tmp_path / 'mixed'}")


def test_parent_groups_by_the_folder(tmp_path):
    name = tree(tmp_path / "a", [f"{'ab'[k // 4 % 2]}/P{k // 4}/{k}.png" for k in range(40)])
    with raises(DataContractError, "patient-groups-missing", match="--groups parent"):
        load_task(name)
    task = load_task(name, groups="parent")
    assert undivided(task, lambda k: k // 4) and task.info.groups.startswith("parent")
    both = tree(tmp_path / "b", [f"{c}/P{k // 4}/{c}{k}.png" for c in "ab" for k in range(40)])
    assert undivided(load_task(both, groups="parent"), lambda k: k // 4)  # one patient with images of two classes
    torn = tree(
        tmp_path / "c", [f"{s}/{'ab'[k % 2]}/P{k // 4}/{k}.png" for k in range(40) for s in [("train", "test")[k > 21]]]
    )
    with raises(SplitError, "patients-in-several-splits", match="P5"):
        load_task(torn, groups="parent")


def test_parent_of_deeper_folders(tmp_path):
    name = tree(tmp_path, [f"{'ab'[k // 8 % 2]}/P{k // 8}/study{k // 4 % 2}/{k}.png" for k in range(80)])
    with raises(DataContractError, "patient-folder-repeated", match="parent:2"):
        load_task(name, groups="parent")
    assert undivided(load_task(name, groups="parent:2"), lambda k: k // 8)
    with raises(DataContractError, "patient-folder-missing"):
        load_task(name, groups="parent:3")
    png(tmp_path / "a" / "loose.png", 200)
    with raises(DataContractError, "patient-folder-missing", match="loose"):
        load_task(name, groups="parent:2")


def test_parent_of_a_table(tmp_path):
    name = table(tmp_path, ["image", "label"], [(f"P{k // 4}/{k}.png", "ab"[k // 4 % 2]) for k in range(40)])
    assert undivided(load_task(name, groups="parent"), lambda k: k // 4)
    assert undivided(load_task(f"{name},group=parent"), lambda k: k // 4)
    with raises(UsageError, "groups-contradict", match="differ"):
        load_task(f"{name},group=parent", groups="none")


def test_slices_of_a_file_stay_together_where_nobody_knows_the_patients(tmp_path):
    import nibabel

    for n in range(10):
        nibabel.save(nibabel.Nifti1Image(np.full((4, 4, 6), n, np.int16), np.eye(4)), tmp_path / f"v{n}.nii.gz")
    rows = [f"v{n}.nii.gz#{k},{'ab'[n % 2]}" for n in range(10) for k in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *rows]) + "\n")
    task = load_task(f"folder:{tmp_path}", groups="none")
    volumes = {}
    for key, split in words(task).items():
        volumes.setdefault(key.partition("#")[0], set()).add(split)
    assert len(volumes) == 10 and all(len(splits) == 1 for splits in volumes.values())
    stated = [f"{row},{('train', 'test')[i % 2]}" for i, row in enumerate(rows)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label,split", *stated]) + "\n")
    with pytest.raises(SplitError):
        load_task(f"folder:{tmp_path}", groups="none")


@pytest.mark.parametrize("spelled", ["i3.png", "./i3.png", "x/../i3.png"])
def test_one_image_in_two_splits_is_refused_in_every_run(tmp_path, spelled):
    rows = [(f"i{k}.png", "ab"[k % 2], "train" if k < 20 else "test") for k in range(40)]
    name = table(tmp_path, ["image", "label", "split"], rows)
    (tmp_path / "x").mkdir()
    lines = ["id,image,label,split", *(f"n{k},{','.join(r)}" for k, r in enumerate(rows)), f"last,{spelled},a,test"]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    with raises(SplitError, "images-in-several-splits", match=r"i3\.png"):
        load_task(name, groups="none")


def test_one_file_under_two_names_is_in_two_splits(tmp_path):
    name = tree(tmp_path, [f"{s}/{c}/{k}.png" for s in ("train", "test") for c in "ab" for k in range(5)])
    (tmp_path / "test" / "a" / "copy.png").symlink_to(tmp_path / "train" / "a" / "0.png")
    with raises(SplitError, "files-in-several-splits"):
        load_task(name, groups="none")


def test_parquet_of_paths_keeps_images_in_one_split(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for k in range(20):
        png(tmp_path / f"i{k}.png", k)
    columns = {"image": [f"i{k % 20}.png" for k in range(21)], "label": [k % 2 for k in range(21)],
               "split": ["train"] * 15 + ["test"] * 6}  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    with pytest.raises(SplitError):
        load_task(f"parquet:{tmp_path / 'd.parquet'}", groups="none")


@pytest.mark.parametrize("path", ["{s}/P{p}/{k}.png", "{s}/site/P{p}/{k}.png", "site/{s}/P{p}/{k}.png"])
def test_a_patient_in_two_folders_of_splits_of_a_table_is_a_leak(tmp_path, path):
    def place(k):
        return path.format(s="Train" if k < 22 else "test_set", p=k // 4, k=k)

    name = table(tmp_path, ["image", "label"], [(place(k), "ab"[k // 4 % 2]) for k in range(40)])
    with raises(SplitError, "patients-in-several-splits", match="P5"):
        load_task(name, groups="parent")
    assert undivided(load_task(f"{name},split=none", groups="parent"), lambda k: k // 4)


def test_folders_of_splits_are_not_patients(tmp_path):
    rows = [(f"{'train' if k < 20 else 'test'}/P{k // 4}/{k}.png", "ab"[k // 4 % 2]) for k in range(40)]
    name = table(tmp_path, ["image", "label"], rows)
    with raises(DataContractError, "patient-folder-is-split", match="train"):
        load_task(name, groups="parent:2")
    assert undivided(load_task(name, groups="parent"), lambda k: k // 4)
