import io

import numpy as np
import pytest
from data_samples import fake_task
from expect import raises
from PIL import Image

from medzoo.data.decode_cache.cache import decoded
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError, ImageError, SplitError


def table(path, images, group_size=2, **columns):
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = [{"bytes": image, "path": None} if isinstance(image, bytes) else image for image in images]
    pq.write_table(pa.table({"image": cells, **columns}), path, row_group_size=group_size)


def encoded(value, mode="L"):
    buffer = io.BytesIO()
    Image.new(mode, (6, 5), value if mode == "L" else (value,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


def test_parquet_as_datasets_writes_it(tmp_path):
    from datasets import load_dataset

    task = fake_task("parquet:PATH", tmp_path)
    assert task.classes == ("lesion", "normal") and task.splits["train"][3]["image"] == "train.parquet#3"
    theirs = load_dataset(
        "parquet", data_files={"train": str(tmp_path / "train.parquet")}, cache_dir=str(tmp_path / "c")
    )["train"]
    assert (np.asarray(theirs[3]["image"]) == task.read("train", 3)[0].array).all()


def test_rows_of_many_row_groups_and_shards(tmp_path):
    for shard in range(2):
        table(
            tmp_path / f"train-0000{shard}-of-00002.parquet", [encoded(10 * shard + n) for n in range(5)],
            label=[0, 1, 0, 1, 0], group=[f"g{shard}{n}" for n in range(5)],
        )  # fmt: skip
    task = load_task(f"parquet:{tmp_path}")
    rows = {key: row for row, key in enumerate(task.column("train", "image"))}
    for key, row in rows.items():
        shard, _, number = key.partition("#")
        assert task.read("train", row)[0].array[0, 0] == 10 * int(shard[10]) + int(number)


def test_parquet_kinds_of_label(tmp_path):
    words = {"patient_id": list("abcdef")}
    images = [encoded(n) for n in range(6)]
    table(tmp_path / "w.parquet", images, label=["y", "n"] * 3, **words)
    assert load_task(f"parquet:{tmp_path / 'w.parquet'}").classes == ("n", "y")
    table(tmp_path / "l.parquet", images, label=[[1, 0], [0, 1]] * 3, **words)
    with raises(DataContractError, "class-names-missing"):
        load_task(f"parquet:{tmp_path / 'l.parquet'}")
    (tmp_path / "classes.json").write_text('["mass", "oedema"]')
    assert load_task(f"parquet:{tmp_path / 'l.parquet'}").kind == "multilabel"
    table(tmp_path / "i.parquet", images, label=[0, 1, 0, 5, 1, 0], **words)
    with raises(DataContractError, "label-outside-classes"):
        load_task(f"parquet:{tmp_path / 'i.parquet'}")
    table(tmp_path / "s.parquet", images, label=[0, 1] * 3, split=["train"] * 2 + ["val"] * 2 + ["test"] * 2, **words)
    assert load_task(f"parquet:{tmp_path / 's.parquet'}").groups("test") == ["e", "f"]


def test_lists_of_class_numbers_become_vectors(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Sequence, Value

    features = Features(
        image=Value("binary"), label=Sequence(ClassLabel(names=["a", "b", "c"])), patient_id=Value("string")
    )
    columns = {"image": [encoded(1)] * 3, "label": [[0, 2], [1], []], "patient_id": list("xyz")}
    Dataset.from_dict(columns, features=features).to_parquet(tmp_path / "train.parquet")
    with raises(DataContractError, "groups-too-few"):
        load_task(f"parquet:{tmp_path}")  # three images, three classes: no room for a validation split
    columns = {key: values * 4 for key, values in columns.items()} | {"patient_id": [f"p{n}" for n in range(12)]}
    Dataset.from_dict(columns, features=features).to_parquet(tmp_path / "train.parquet")
    labels = load_task(f"parquet:{tmp_path}").labels("train")
    assert set(map(tuple, labels.astype(int).tolist())) == {(1, 0, 1), (0, 1, 0), (0, 0, 0)}


def test_an_unreadable_cell_names_file_and_row(tmp_path):
    table(
        tmp_path / "all.parquet",
        [encoded(n) for n in range(9)] + [b"broken"],
        label=[0, 1] * 5,
        patient_id=[f"p{n}" for n in range(10)],
    )
    task = load_task(f"parquet:{tmp_path / 'all.parquet'}")
    with raises(ImageError, "image-format-unknown", match=r"all.parquet row 9"):
        for split in task.tables:
            decoded(task, split, size=4)


def test_parquet_bad_input(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"PAR1 no")
    with raises(DataContractError, "parquet-unreadable"):
        load_task(f"parquet:{tmp_path}")
    table(tmp_path / "train.parquet", [encoded(1)] * 4, label=[0, 1, 0, 1], patient_id=list("abcd"))
    table(tmp_path / "test.parquet", [encoded(1)] * 2, label=[0, 1], patient_id=["d", "e"])
    with raises(SplitError, "patients-in-several-splits"):
        load_task(f"parquet:{tmp_path}")
    with raises(DataContractError, "named-column-missing"):
        load_task(f"parquet:{tmp_path}", groups="nurse")
    assert load_task(f"parquet:{tmp_path}", groups="none").info.groups.startswith("none")
    table(tmp_path / "test.parquet", [encoded(1)] * 2, target=[0, 1], patient_id=["f", "e"])
    with raises(DataContractError, "tables-differ"):
        load_task(f"parquet:{tmp_path}")
    table(tmp_path / "extra.parquet", [encoded(1)], label=[0], patient_id=["q"])
    with raises(DataContractError, "parquet-names-unknown"):
        load_task(f"parquet:{tmp_path}")


@pytest.mark.real
@pytest.mark.parametrize(
    "name, groups, rows, shape, kind",
    [
        ("busi_224", None, (550, 77, 151), (224, 224), "multiclass"),
        ("nih_cxr14_621_256", None, (420, 60, 141), (256, 256), "multilabel"),
        ("medical_mnist_64", "none", (13500, 1500, 3000), (64, 64), "multiclass"),
        ("cifar10_jpeg", "none", (45000, 5000, 10000), (32, 32, 3), "multiclass"),
    ],
)
def test_real_tables(real_data, name, groups, rows, shape, kind):
    task = load_task(f"parquet:{real_data / name}", groups=groups)
    assert task.kind == kind and tuple(task.tables[split].num_rows for split in ("train", "validation", "test")) == rows
    for row in (0, rows[2] - 1):
        pixels, _ = task.read("test", row)
        assert pixels.array.shape == shape and pixels.array.dtype == np.uint8
    if name.startswith("nih"):
        assert len(task.classes) == 14 and {"view", "sex", "age"} <= set(task.splits["test"].column_names)
    if groups is None:
        small = load_task(f"parquet:{real_data / name}", fraction=0.2)
        assert set(small.groups("train")) < set(task.groups("train"))
    else:
        with raises(DataContractError, "patient-groups-missing"):
            load_task(f"parquet:{real_data / name}")


def test_a_parquet_file_that_states_its_split_is_not_trained_on_its_test_rows(tmp_path):
    words = ["train" if n < 20 else "test" for n in range(40)]
    rest = {"label": [n % 2 for n in range(40)], "patient_id": [f"p{n}" for n in range(40)]}
    for column, file in (("split", "train"), ("Set", "train"), ("subset", "data"), ("is_test", "train")):
        root = tmp_path / f"{column}-{file}"
        root.mkdir()
        cells = [word == "test" for word in words] if column == "is_test" else words
        table(root / f"{file}.parquet", [encoded(n) for n in range(40)], **rest, **{column: cells})
        for name in (root, root / f"{file}.parquet"):
            task = load_task(f"parquet:{name}")
            assert {int(key.rpartition("#")[2]) for key in task.column("test", "image")} == set(range(20, 40))
    root = tmp_path / "torn"
    root.mkdir()
    for file, first in (("train", 0), ("test", 20)):
        part = {key: values[first : first + 20] for key, values in rest.items()}
        table(root / f"{file}.parquet", [encoded(n) for n in range(20)], **part, split=["train"] * 20)
    with raises(DataContractError, "split-sources-differ"):
        load_task(f"parquet:{root}")
    assert "test" not in load_task(f"parquet:{root},split=split").tables
    assert load_task(f"parquet:{root},split=none").tables["train"].num_rows == 28


def test_columns_of_parquet_by_name(tmp_path):
    path = tmp_path / "d.parquet"
    rest = {"Edema": [n % 2 for n in range(40)], "Mass": [bool(n // 2 % 2) for n in range(40)],
            "Age": [40 + n for n in range(40)], "PatientID": [float(n // 2) for n in range(40)]}  # fmt: skip
    table(path, [encoded(n) for n in range(40)], **rest)
    task = load_task(f"parquet:{path}")
    assert task.kind == "multilabel" and task.classes == ("Edema", "Mass") and task.info.groups == "PatientID"
    assert load_task(f"parquet:{path},labels=mass").classes == ("Mass",)
    assert load_task(f"parquet:{path},label=edema,group=patientid").kind == "binary"
    with raises(DataContractError, "named-column-missing"):
        load_task(f"parquet:{path},image=imag")


def test_patients_as_numbers_in_one_file_and_with_gaps_in_the_other(tmp_path):
    table(tmp_path / "train.parquet", [encoded(1)] * 4, label=[0, 1, 0, 1], patient_id=[1, 2, 3, 4])
    table(tmp_path / "test.parquet", [encoded(1)] * 2, label=[0, 1], patient_id=[4.0, 9.0])
    with raises(SplitError, "patients-in-several-splits"):
        load_task(f"parquet:{tmp_path}")
