import hashlib
import json
import re
import shutil

import numpy as np
import pytest
from data_samples import fake_task
from expect import raises
from shard_samples import jpeg, png

from medzoo.data.files.checksums import read_sums
from medzoo.data.task_registry import list_tasks, load_task, open_family, task_info, task_names
from medzoo.data.validation.check import check_task
from medzoo.data.validation.report import kinds_of
from medzoo.errors import DataContractError, UnknownNameError, UsageError

RNG = np.random.default_rng(0)
ROWS = ["a,n,pa,train", "b,y,pb,train", "c,n,pc,val", "d,y,pd,val", "e,n,pe,test", "f,y,pf,test"]


def csv_folder(folder, rows=ROWS, header="image,label,patient_id,split", images="abcdef"):
    folder.mkdir(exist_ok=True)
    for name in images:
        (folder / f"{name}.png").write_bytes(png(RNG.integers(0, 256, (6, 5), dtype=np.uint8)))
    lines = [",".join([f"{line.split(',')[0]}.png", *line.split(",")[1:]]) for line in rows]
    (folder / "labels.csv").write_text("\n".join([header, *lines]) + "\n")
    return f"folder:{folder}"


def problems(name, **options):
    return "\n".join(check_task(name, progress=False, **options).problems)


def test_good_data_have_counts_and_no_problems(tmp_path):
    report = check_task(csv_folder(tmp_path), progress=False)
    assert report.passed and report.images_read == 6 and report.problems == []
    assert report.splits["train"].classes == {"n": 1, "y": 1} and report.splits["test"].patients == 2
    task = load_task(f"folder:{tmp_path}")
    assert (report.fingerprint, report.split_hash) == (task.fingerprint, task.split_hash)
    text = str(report)
    assert "no problems" in text and "6 images decoded" in text
    assert json.loads(json.dumps(report.to_dict()))["splits"]["validation"]["images"] == 2


@pytest.mark.parametrize("name", [name for name in list_tasks() if not name.startswith("imagenet")])
def test_every_family_is_checked(name, tmp_path, monkeypatch):
    task = fake_task(name, tmp_path)
    family = open_family(task_names()[name])
    if hasattr(family, "_md5"):  # made-up files have another MD5 than the official ones
        real = family.load
        monkeypatch.setattr(
            family, "load", lambda name, root=None, size=28: real(name, root, size=size, check_md5=False)
        )
    asked = name.replace("PATH", str(tmp_path)) if ":" in name else name
    if name.startswith("phantom"):
        asked += ",n=12,n_validation=10,n_test=10"
    report = check_task(asked, root=None if ":" in name or name.startswith("phantom") else tmp_path, progress=False)
    assert report.passed, report.problems
    assert {split: facts.images for split, facts in report.splits.items()} == {
        split: table.num_rows for split, table in task.tables.items()
    }
    if task.kind == "segmentation":
        assert report.splits["train"].empty_masks is not None and sum(report.splits["train"].pixels.values()) > 0
    else:
        assert report.splits["train"].classes == task.counts("train")


def test_f34_all_problems_of_a_table_are_told_at_once(tmp_path):
    rows = [
        "a,n,pa,train", "b,y,pb,train", "b,y,pb,train", "c,,pc,val", "d,y,pd,tarin", "e,n,pa,test", "f,y,NaN,test",
        "gone,y,pg,test",
    ]  # fmt: skip
    told = problems(csv_folder(tmp_path, rows))
    for sentence in (
        "1 images do not exist", "gone.png", "1 rows have no label: c.png", "1 rows have no known split: d.png: 'tarin'",
        "1 ids occur more than once: b.png", "1 images have an empty patient (or group) id: f.png",
        "1 patients (or groups) are in more than one split: pa (test, train)",
    ):  # fmt: skip
        assert sentence in told, sentence
    with raises(DataContractError, "image-files-missing"):  # training hears of the first
        load_task(f"folder:{tmp_path}")


def test_f34_labels_outside_named_classes_and_empty_classes(tmp_path):
    name = csv_folder(tmp_path)
    (tmp_path / "classes.json").write_text('["n", "x"]')
    told = problems(name)
    assert (
        "3 labels are outside the 2 classes (n, x): b.png: 'y'" in told and "no training image has the class x" in told
    )


def test_f34_labels_follow_names_and_not_positions(tmp_path):
    lines = {"oedema": "1010", "mass": "0110", "nodule": "0001"}

    def counted(order, folder):
        rows = [f"{image},p{image}," + ",".join(lines[name][row] for name in order) for row, image in enumerate("abcd")]
        return problems_and_counts(csv_folder(folder, rows, "image,patient," + ",".join(order), "abcd"))

    def problems_and_counts(name):
        report = check_task(name, progress=False, split_file=words)
        return report.problems, {split: facts.classes for split, facts in report.splits.items()}

    words = tmp_path / "words.json"
    words.write_text(json.dumps({f"{image}.png": "train" if image != "c" else "validation" for image in "abcd"}))
    one, two = counted(list(lines), tmp_path / "one"), counted(["nodule", "oedema", "mass"], tmp_path / "two")
    assert one == two and one[1]["train"] == {"oedema": 1, "mass": 1, "nodule": 1}
    assert "different names" in problems(
        csv_folder(tmp_path / "3", ["a,pa,1,0", "b,pb,0,1"], "image,patient,mass,mass", "ab")
    )


def test_f34_what_families_complain_of_is_told_with_the_rest(tmp_path):
    family = open_family("nih_cxr")
    family.fake(tmp_path, 60)
    (tmp_path / "images" / "00000009_000.png").unlink()
    (tmp_path / "images" / "00000001_000.png").write_bytes(b"")
    table = tmp_path / family.TABLES[0]
    text = table.read_text()
    table.write_text(text.replace("Emphysema|Fibrosis", "Emphysema|Fibrose", 1))
    assert table.read_text() != text
    lists = [tmp_path / file for file in family.LISTS]
    train, test = (file.read_text() for file in lists)
    lists[0].write_text(train.replace("00000001_001.png\n", ""))
    lists[1].write_text(f"{test}00000001_001.png\n00000002_000.png\n")
    told = problems("chestxray14", root=tmp_path)
    assert "are not below" in told and "00000009_000.png" in told
    assert "is empty (0 bytes)" in told
    assert "1 patients (or groups) are in more than one split: 1 (" in told and "unknown findings" in told
    assert "1 images are in both official lists: 00000002_000.png" in told


def test_f31_every_unreadable_image_is_named(tmp_path):
    name = csv_folder(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "c.png").write_bytes(b"<html>log in</html>")
    whole = (tmp_path / "e.png").read_bytes()
    (tmp_path / "e.png").write_bytes(whole[: len(whole) // 2])
    report = check_task(name, progress=False)
    assert [(row["split"], row["id"]) for row in report.rows] == [
        ("train", "a.png"),
        ("validation", "c.png"),
        ("test", "e.png"),
    ]
    assert "3 images or masks cannot be used" in report.problems[0] and report.images_read == 3
    assert all(word in report.problems[0] for word in ("is empty", "HTML page", "e.png"))
    assert check_task(name, progress=False, images=False).passed


def test_f31_equal_problems_are_told_once_and_all_are_in_the_json(tmp_path):
    folder = tmp_path / "train" / "x"
    for word in ("x", "y"):
        (tmp_path / "train" / word).mkdir(parents=True)
        for number in range(30):
            (tmp_path / "train" / word / f"{number}.png").write_bytes(
                b"broken" if word == "y" else png(RNG.integers(0, 256, (6, 5), dtype=np.uint8))
            )
    assert folder.is_dir()
    report = check_task(f"folder:{tmp_path}", groups="none", progress=False)
    assert len(report.rows) == 30 == len({row["id"] for row in report.to_dict()["rows"]})
    (problem,) = report.problems
    assert (
        problem.count("not an image format that medzoo reads") == 1
        and "30 images: " in problem
        and "and 25 more" in problem
    )
    assert str(tmp_path) not in problem and str(report).count("not an image format that medzoo reads") == 1


def test_f31_problems_of_several_kinds_are_grouped_with_the_most_frequent_first(tmp_path):
    kinds = {
        "a": (b"", 3),
        "b": (b"<html>log in</html>", 8),
        "c": (png(RNG.integers(0, 256, (9, 9), np.uint8))[:60], 12),
    }
    for split in ("train", "val"):
        for word, (content, count) in kinds.items():
            folder = tmp_path / split / word
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number}.png").write_bytes(content)
            (folder / "good.png").write_bytes(png(RNG.integers(0, 256, (9, 9), np.uint8)))
    report = check_task(f"folder:{tmp_path}", groups="none", progress=False)
    assert len(report.rows) == 46
    told = next(problem for problem in report.problems if "cannot be used" in problem).splitlines()
    assert [line.partition(" ")[0] for line in told] == ["46", "24", "16", "6"]
    assert "HTML" in told[2] and "train/b/0.png" in told[2] and "empty" in told[3]


def test_f31_numbers_and_names_make_no_other_kind():
    rows = [
        {
            "split": "test",
            "id": f"p{i}",
            "image": f"m.npz#{i}",
            "problem": f"/data/m.npz#{i}: the mask has the shape ({i}, 3)",
        }
        for i in range(4)
    ]
    assert kinds_of(rows) == ["4 images: the mask has the shape (0, 3). They are test p0, test p1, test p2, test p3."]
    other = {"split": "", "id": "x", "image": "x", "problem": "x is gone"}
    assert kinds_of([*rows, other], kinds=1)[1] == "1 image: 1 more kinds of problems. It is x."


@pytest.mark.parametrize("sums", ["SHA256SUMS", "MD5SUMS"])
def test_f32_a_changed_byte_in_an_image_is_found_by_its_checksum(tmp_path, sums):
    name = csv_folder(tmp_path)
    (tmp_path / "b.png").write_bytes(jpeg(RNG.integers(0, 256, (64, 64), dtype=np.uint8)))
    digest = hashlib.sha256 if sums.startswith("SHA") else hashlib.md5
    lines = [
        f"{digest((tmp_path / f'{x}.png').read_bytes()).hexdigest()}  {'./' * (x == 'a')}{x}.png" for x in "abcdef"
    ]
    (tmp_path / sums).write_text("\n".join(lines) + "\n")
    report = check_task(name, progress=False)
    assert report.passed and f"6 of 6 files were compared with {sums}" in str(report)
    data = bytearray((tmp_path / "b.png").read_bytes())
    data[-40] ^= 4
    (tmp_path / "b.png").write_bytes(bytes(data))
    report = check_task(name, progress=False)
    assert report.images_read == 6  # it decodes
    assert report.problems[0].startswith("1 files") and sums in report.problems[0] and "b.png" in report.problems[0]
    assert {"split": "", "id": "", "image": "b.png", "problem": f"checksum differs from {sums}"} in report.rows


def test_checksums_that_are_none(tmp_path):
    path = tmp_path / "sums.txt"
    path.write_text(f"# made by hand\n{'0' * 64} *a b.png\n\\{'1' * 32}  c\n")
    assert read_sums(path) == {"a b.png": "0" * 64, "c": "1" * 32}
    path.write_text("zz  a.png\n")
    with raises(DataContractError, "checksum-line-malformed"):
        read_sums(path)


def test_files_that_no_row_names(tmp_path):
    name = csv_folder(tmp_path, images="abcdefgh")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_bytes(png(np.zeros((3, 3), np.uint8)))
    report = check_task(name, progress=False)
    assert len(report.problems) == 1
    assert report.problems[0].startswith("2 image files") and "g.png, h.png" in report.problems[0]
    assert any("1 image files" in note and "masks/a.png" in note for note in report.notes)
    (tmp_path / "left_out.txt").write_text("g.png\nh\n")
    report = check_task(name, progress=False)
    assert report.passed and any("3 image files" in note for note in report.notes)


def test_files_that_rows_name_by_other_paths(tmp_path):
    name = csv_folder(tmp_path)
    table = (tmp_path / "labels.csv").read_text().replace("a.png", f"{tmp_path}/a.png").replace("b.png", "./b.png")
    (tmp_path / "labels.csv").write_text(table)
    report = check_task(name, progress=False)
    assert report.passed and not any("not used" in note for note in report.notes)


def test_a_missing_image_that_lies_elsewhere(tmp_path):
    name = csv_folder(tmp_path)
    (tmp_path / "old").mkdir()
    shutil.move(tmp_path / "b.png", tmp_path / "old" / "b.png")
    told = problems(name)
    assert "1 images do not exist" in told and "in another place: old/b.png" in told


def test_every_split_of_the_data_has_its_problem_and_made_splits_repeat_none(tmp_path):
    rows = ["a,n,pa,train", "b,y,,train", "c,n,,test", "d,y,pd,test", "e,n,pe,train", "f,y,pf,train"]
    stated = problems(csv_folder(tmp_path / "stated", rows))
    assert "train: 1 images" in stated and "test: 1 images" in stated and stated.count("patient (or group) id") == 2
    unsplit = [row.rpartition(",")[0] for row in rows]
    made = check_task(csv_folder(tmp_path / "made", unsplit, "image,label,patient_id"), progress=False).problems
    assert len([text for text in made if "patient (or group) id" in text]) == 1


def test_an_image_whose_row_is_refused_is_neither_extra_nor_elsewhere(tmp_path):
    rows = ["a,n,pa,train", "b,y,pb,train", "c,,pc,val", "d,y,pd,vaal", "e,n,pe,test", "f,y,pf,test"]
    rows += [f"{image},{'ny'[place % 2]},p{image},train" for place, image in enumerate("ghij")]
    report = check_task(csv_folder(tmp_path, rows, images="abcdefghij"), progress=False)
    told = "\n".join(report.problems)
    assert len(report.problems) == 2 and "no label: c.png" in told and "no known split: d.png" in told
    assert not any("image files" in note for note in report.notes)
    assert "no usable row is in validation: made here by patient (or group), with seed 0." in report.notes
    assert not any("made here" in note for note in check_task(csv_folder(tmp_path / "2"), progress=False).notes)
    rows = [f"{image},{'ny'[place % 2]},p{image}" for place, image in enumerate("abcdefghij")]
    name = csv_folder(tmp_path / "3", rows, "image,label,patient_id", "abcdefghij")
    assert any("the data have no splits: made here" in note for note in check_task(name, progress=False).notes)


def test_an_image_in_two_splits_is_a_problem_of_own_data_and_a_note_of_published(tmp_path):
    name = csv_folder(tmp_path)
    shutil.copy(tmp_path / "a.png", tmp_path / "e.png")
    report = check_task(name, progress=False)
    assert "1 images are in more than one split under different ids: train a.png = test e.png" in report.problems[0]
    family = open_family("nih_cxr")
    family.fake(tmp_path / "nih", 60)
    shutil.copy(tmp_path / "nih" / "images" / "00000001_000.png", tmp_path / "nih" / "images" / "00000004_000.png")
    report = check_task("chestxray14", root=tmp_path / "nih", progress=False)
    assert report.passed and any("more than one split" in note for note in report.notes)


def test_an_image_with_two_labels_is_told(tmp_path):
    name = csv_folder(tmp_path, [*ROWS, "g,n,pa,train"])
    (tmp_path / "g.png").write_bytes((tmp_path / "b.png").read_bytes())
    assert "1 images occur more than once with different labels: train b.png = train g.png." in problems(name)
    (tmp_path / "g.png").write_bytes((tmp_path / "a.png").read_bytes())
    assert problems(name) == ""


@pytest.mark.parametrize("test_rows", [0, 2])
def test_data_without_a_test_split_are_told(tmp_path, test_rows):
    report = check_task(csv_folder(tmp_path, ROWS[: 4 + test_rows]), progress=False, images=False)
    assert any("no test split" in note for note in report.notes) == (test_rows == 0)


@pytest.mark.parametrize(
    "rows, note",
    [([row.replace(",y,", ",n,") for row in ROWS], "all images have the class n: .* pre-training"),
     ([*ROWS[:-1], "f,Y,pf,test", "g,Y,pg,train"], r"spellings: 'Y' = 'y'\.")],
)  # fmt: skip
def test_classes_of_own_data_that_are_odd(tmp_path, rows, note):
    report = check_task(csv_folder(tmp_path, rows, images="abcdefg"), progress=False, images=False)
    assert re.search(note, "\n".join(report.notes))


def test_masks_are_looked_at(tmp_path, monkeypatch):
    name = next(name for name in list_tasks() if task_info(name).kind == "segmentation" and task_info(name).layout)
    task = fake_task(name, tmp_path)
    real = type(task.reader).read_mask
    keys = task.column("train", "mask")

    def spoiled(self, key):
        mask = real(self, key)
        return mask[:-1] if key == keys[0] else np.full_like(mask, 9) if key == keys[1] else mask

    monkeypatch.setattr(type(task.reader), "read_mask", spoiled)
    report = check_task(name, root=tmp_path, progress=False)
    assert len(report.rows) == 2 and "the mask has the shape" in report.problems[-1]
    assert "the mask has the values 9" in report.problems[-1]
    monkeypatch.setattr(type(task.reader), "read_mask", lambda self, key: np.zeros_like(real(self, key)))
    report = check_task(name, root=tmp_path, progress=False)
    assert "no mask has the class" in report.problems[0]
    assert report.splits["train"].empty_masks == report.splits["train"].images


def test_images_of_every_kind_are_described(tmp_path):
    name = csv_folder(tmp_path)
    (tmp_path / "b.png").write_bytes(png(RNG.integers(0, 256, (9, 9, 4), dtype=np.uint8)))
    notes = "\n".join(check_task(name, progress=False).notes)
    assert "6 x 5 to 9 x 9 pixels: uint8 grey (5), uint8 rgb (1)" in notes and "1 images: alpha dropped" in notes


def test_twelve_bits_in_sixteen_are_told(tmp_path):
    name = csv_folder(tmp_path)
    for image in "abcdef":
        (tmp_path / f"{image}.png").write_bytes(png(RNG.integers(0, 4000, (6, 5), dtype=np.uint16)))
    assert ",window=0:4095." in str(check_task(name, progress=False))
    assert "nearly black" not in str(check_task(f"{name},window=0:4095", progress=False))
    (tmp_path / "f.png").write_bytes(png(np.full((6, 5), 60000, np.uint16)))
    assert "nearly black" not in str(check_task(name, progress=False))


def test_wrong_usage_is_no_report(tmp_path):
    with pytest.raises(UnknownNameError):
        check_task("chestxray41")
    with raises(UsageError, "task-option-fixed"):
        check_task("phantom_ct", groups="none")
    report = check_task(f"folder:{tmp_path / 'nowhere'}", progress=False)
    assert not report.passed and "does not exist" in report.problems[0] and report.splits == {}


def test_data_without_a_word_on_patients_are_checked_all_the_same(tmp_path):
    rows = ["a,n,train", "b,,train", "c,n,val", "d,y,val", "e,n,test", "f,y,test"]
    told = problems(csv_folder(tmp_path, rows, "image,label,split"))
    assert "which images belong to one patient" in told and "1 rows have no label: b.png" in told
    assert "no training image has the class y" in told


def test_parquet_problems_are_told_together(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [{"bytes": png(RNG.integers(0, 256, (6, 5), dtype=np.uint8)), "path": None} for _ in range(8)]
    images[3] = {"bytes": b"broken", "path": None}
    columns = {"label": ["n", "y", None, "y", "n", "y", "n", "y"], "patient_id": list("abcdefga")}
    split = ["train"] * 4 + ["val", "dev", "test", "nowhere"]
    pq.write_table(pa.table({"image": images, **columns, "split": split}), tmp_path / "all.parquet")
    told = problems(f"parquet:{tmp_path / 'all.parquet'}")
    assert "1 rows have no label" in told and "1 rows have no known split" in told and "cannot be used" in told


@pytest.mark.real
def test_real_data_pass(real_data):
    report = check_task("pneumoniamnist", root=real_data / "medmnist", progress=False)
    assert report.passed and report.images_read == 5856
    assert any("8 images are in more than one split" in note for note in report.notes)
    report = check_task(f"parquet:{real_data / 'nih_cxr14_621_256'}", progress=False)
    assert report.passed and report.splits["test"].images == 141


def test_every_problem_ends_with_its_code(tmp_path):
    rows = ["a,n,pa,train", "b,,pb,train", *ROWS[2:]]
    name = csv_folder(tmp_path, rows)
    (tmp_path / "f.png").write_bytes(b"")
    (tmp_path / "d.png").rename(tmp_path / "k.png")
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes())
    report = check_task(name, progress=False)
    assert {re.search(r" \[([a-z-]+)\]$", text)[1] for text in report.problems} >= {"label-empty", "images-unusable"}


def test_data_that_cannot_be_read_have_no_kind(tmp_path):
    report = check_task(f"folder:{tmp_path / 'absent'}", progress=False)
    assert str(report).splitlines()[0] == f"folder:{tmp_path / 'absent'}"
    assert "1. " in str(report) and str(report).endswith("[folder-missing]")
    assert (
        str(check_task(csv_folder(tmp_path / "a"), progress=False))
        .splitlines()[0]
        .endswith(": binary, 6 images decoded")
    )


def test_a_split_without_patients_is_made_by_image(tmp_path):
    rows = [f"{image},{'ny'[place % 2]}" for place, image in enumerate("abcdefghij")]
    report = check_task(csv_folder(tmp_path, rows, "image,label", "abcdefghij"), groups="none", progress=False)
    assert any("made here by image, because the patients are unknown, with seed 0." in note for note in report.notes)


def test_notes_of_decoders_have_one_order(tmp_path, monkeypatch):
    from dataclasses import replace

    from medzoo.data.task import Task

    read = Task.read
    words = {"train": ("beta", "gamma"), "test": ("gamma", "alpha"), "validation": ("alpha", "beta")}

    def with_notes(task, split, row):
        pixels, key = read(task, split, row)
        return replace(pixels, notes=words[split]), key

    monkeypatch.setattr(Task, "read", with_notes)
    notes = [note for note in check_task(csv_folder(tmp_path), progress=False).notes if note.startswith("4 images: ")]
    assert notes == ["4 images: alpha.", "4 images: beta.", "4 images: gamma."]
