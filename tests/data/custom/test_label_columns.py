import pytest
from custom_samples import table
from expect import raises

from medzoo.data.custom.label_columns import is_fact
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError, UsageError

HEADER = ["image", "patient_id", "Edema", "Mass"]


def row(k, *more):
    return (f"i{k}.png", f"p{k}", k % 2, k // 2 % 2, *more)


def load(root, header, rows, choices=""):
    return load_task(table(root, header, rows) + choices)


@pytest.mark.parametrize("odd", ["l", "2", "O", "yes", "1?", "0,5"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_finding_with_a_few_odd_cells_is_an_error(tmp_path, odd, count):
    rows = [row(k) if k >= count else (*row(k)[:3], f'"{odd}"') for k in range(40)]
    with raises(DataContractError, "label-columns-unclear", match=r"Mass \(3[89] of 40"):
        load(tmp_path, HEADER, rows)
    with raises(DataContractError, "label-not-a-mark", match="Mass = "):
        load_task(f"folder:{tmp_path},labels=Edema;Mass")
    assert load_task(f"folder:{tmp_path},label=Edema").classes == ("0", "1")


@pytest.mark.parametrize(
    "column",
    ["gender", "Patient Sex", "age", "lesion_id", "view", "isMale", "Unnamed: 0", "site", "StudyID", "laterality"],
)
def test_facts_of_the_patient_are_no_findings_and_that_is_noted(tmp_path, column):
    task = load(tmp_path, [*HEADER, column], [row(k, k // 4 % 2) for k in range(40)])
    assert task.classes == ("Edema", "Mass") and any(column in note for note in task.notes)
    assert column in task.tables["train"].column_names


def test_split_flags_are_no_findings(tmp_path):
    task = load(tmp_path, [*HEADER, "is_test"], [row(k, int(k > 30)) for k in range(40)])
    assert task.classes == ("Edema", "Mass") and set(task.column("test", "id")) == {f"i{k}.png" for k in range(31, 40)}


@pytest.mark.parametrize("cells", [lambda k: "", lambda k: "x", lambda k: k, lambda k: (0, 1, 0, 2, 3, 0, 4, 5)[k % 8]])
def test_columns_that_are_no_findings_are_noted(tmp_path, cells):
    task = load(tmp_path, [*HEADER, "remark"], [row(k, cells(k)) for k in range(40)])
    assert task.classes == ("Edema", "Mass") and any("remark" in note for note in task.notes)


@pytest.mark.parametrize("spelled", [bool, float, lambda v: f" {v} "])
def test_truth_values_and_floats_are_marks(tmp_path, spelled):
    task = load(tmp_path, HEADER, [(*row(k)[:3], spelled(k // 2 % 2)) for k in range(40)])
    assert task.classes == ("Edema", "Mass") and task.counts("train")["Mass"] > 0


def test_the_user_names_the_findings(tmp_path):
    name = table(tmp_path, [*HEADER, "gender"], [row(k, k // 4 % 2) for k in range(40)])
    task = load_task(f"{name},labels=mass;gender")
    assert task.classes == ("Mass", "gender") and task.name.endswith(",labels=mass;gender")
    assert load_task(f"{name},label=Mass").kind == "binary"
    for choices, error in ((",labels=Mas", DataContractError), (",labels=Mass;", UsageError), (",labels=Mass;Mass", UsageError),
                           (",label=Mass,labels=Edema", UsageError), (",label=x", DataContractError)):  # fmt: skip
        with pytest.raises(error):
            load_task(name + choices)


def test_two_label_columns_are_refused(tmp_path):
    rows = [(f"i{k}.png", "ab"[k % 2], "cd"[k % 2], f"p{k}") for k in range(40)]
    name = table(tmp_path / "a", ["image", "class", "target", "patient_id"], rows)
    with raises(DataContractError, "column-ambiguous"):
        load_task(name)
    assert load_task(f"{name},label=class").classes == ("a", "b")
    assert load_task(table(tmp_path / "b", ["image", "label", "target", "patient_id"], rows)).classes == ("a", "b")


@pytest.mark.parametrize("name", ["Edema", "Carotid", "Male pattern", "Mass", "No Finding", "is_malignant", "Lipid"])
def test_names_of_findings(name):
    assert not is_fact(name)
