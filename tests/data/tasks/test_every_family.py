"""What holds for every task whose data a user brings: parametrised over all of them, found by file name."""

import pickle
import shutil

import numpy as np
import pytest
from contract_samples import check_family
from data_samples import fake_task
from expect import raises

from medzoo.data.files.find import files_below
from medzoo.data.task_registry import list_tasks, load_from_family, load_task, open_family, task_info, task_names
from medzoo.errors import DataContractError, MedzooError, UsageError

BROUGHT = [name for name in list_tasks() if task_info(name).layout]
GENERATED = ("phantom", "folder:", "parquet:", "shards:")


@pytest.fixture(scope="module")
def bring(tmp_path_factory):
    """The fake data set of a task, written once; tests that change it take a copy."""
    roots = {}

    def of(name):
        if name not in roots:
            roots[name] = tmp_path_factory.mktemp("data") / "root"
            open_family(task_names()[name]).fake(roots[name], 12, 0, name)
        return roots[name]

    return of


def test_every_task_of_files_says_what_a_user_needs():
    for name in list_tasks():
        if not name.startswith(GENERATED) and task_names()[name] != "medmnist":
            assert name in BROUGHT, f"{name} shows no layout"


@pytest.mark.parametrize("name", sorted(set(task_names().values())))
def test_contract(name):
    check_family(open_family(name))


@pytest.mark.parametrize("name", sorted(set(task_names().values())))
def test_load_is_given_the_options_that_it_takes(name, monkeypatch, tmp_path):
    """And no others: those are for every task, or an error (next test)."""
    family = open_family(name)
    given = {"label_policy": "zero", "groups": "none", "pooled": True, "unlabelled": True}
    taken = {option: value for option, value in given.items() if getattr(family.TAKES, option)}
    calls = []
    monkeypatch.setattr(family, "load", lambda *arguments, **options: calls.append((arguments, options)))
    base = next(iter(family.TASKS))
    asked = {"pooled": True, "unlabelled": True, "label_policy": None, "groups": None, **taken}
    load_from_family(base.replace("PATH", "scans"), root=tmp_path, **asked)
    path = {"path": "scans"} if base.endswith(":PATH") else {}
    assert calls == [((base, tmp_path), {**taken, **path})]


@pytest.mark.parametrize("name", list_tasks())
@pytest.mark.parametrize("option", ["label_policy", "groups"])
def test_an_option_that_load_does_not_take_is_an_error(name, option):
    if not getattr(open_family(task_names()[name]).TAKES, option):
        with raises(UsageError, "task-option-fixed", match=option.replace("_", " ")):
            load_task(name.replace("PATH", "somewhere"), **{option: "none"})


@pytest.mark.parametrize("name", BROUGHT)
def test_its_facts_are_complete(name):
    info = task_info(name)
    assert info.title and info.split and info.how and info.license and info.citation and info.groups
    assert info.url.startswith("https://") and info.layout.startswith("ROOT/")
    assert info.classes or "classes" in info.note
    assert set(info.scored) <= set(info.classes)
    if info.published:
        assert info.published["source"] and any(isinstance(value, float) for value in info.published.values())


@pytest.mark.parametrize("name", [*BROUGHT, "folder:PATH", "parquet:PATH"])
def test_a_large_fake_repeats_no_id_and_no_image(name, tmp_path):
    root = tmp_path / "root"
    open_family(task_names()[name]).fake(root, 60, 0, name)
    task = load_task(name.replace("PATH", str(root)), root=None if name.endswith(":PATH") else root)
    for column in ("id", "image"):
        found = [key for split in task.tables for key in task.column(split, column)]
        assert len(set(found)) == len(found) > 50


@pytest.mark.parametrize("name", BROUGHT)
def test_every_image_and_mask_is_read(name, bring):
    task = load_task(name, root=bring(name))
    assert {"train", "validation", "test"} == set(task.splits)
    for split, table in task.tables.items():
        for row in range(table.num_rows):
            pixels, label = task.read(split, row)
            assert pixels.array.shape[-1] == 3 or pixels.array.ndim == 2
            if task.kind == "multilabel":
                assert set(np.unique(label[~np.isnan(label)])) <= {0, 1}
            if "mask" in table.column_names:
                mask = task.read_mask(split, row)
                assert mask.dtype == np.uint8 and mask.shape == pixels.array.shape[:2]
                assert mask.max() <= len(task.classes)


@pytest.mark.parametrize("name", BROUGHT)
def test_it_goes_to_another_process(name, bring):
    """As to a worker of a DataLoader that begins anew: without open files, locks and local functions."""
    task = load_task(name, root=bring(name))
    task.read("train", 0)  # files are open now
    again = pickle.loads(pickle.dumps(task))
    for split in task.tables:
        one, other = again.read(split, 0), task.read(split, 0)
        assert (one[0].array == other[0].array).all() and one[0].range == other[0].range
        if "mask" in task.tables[split].column_names:
            assert (again.read_mask(split, 0) == task.read_mask(split, 0)).all()


@pytest.mark.parametrize("name", ["pneumoniamnist", "phantom_ct", "shards:PATH", "parquet:PATH", "folder:PATH"])
def test_generated_and_own_data_go_to_another_process(name, tmp_path):
    task = fake_task(name, tmp_path / "root")
    task.read("train", 0)
    again = pickle.loads(pickle.dumps(task))
    assert (again.read("train", 1)[0].array == task.read("train", 1)[0].array).all()


@pytest.mark.parametrize("name", BROUGHT)
def test_every_class_of_a_segmentation_is_in_its_masks(name, bring):
    task = load_task(name, root=bring(name))
    if task.kind == "segmentation":
        rows = range(task.tables["train"].num_rows)
        seen = set().union(*(np.unique(task.read_mask("train", row)).tolist() for row in rows))
        assert seen == set(range(len(task.classes) + 1))


@pytest.mark.parametrize("name", [name for name in BROUGHT if task_info(name).kind == "segmentation"])
def test_a_mask_that_is_corrected_in_place_makes_other_data(name, bring, tmp_path):
    shutil.copytree(bring(name), tmp_path / "root")
    task = load_task(name, root=tmp_path / "root")
    mask, image = (str(task.column("train", column)[0]).partition("#")[0] for column in ("mask", "image"))
    if mask == image:
        pytest.skip("its masks stand in a table")
    path = tmp_path / "root" / mask.partition("|")[0]
    data = bytearray(path.read_bytes())
    data[5 if path.suffix == ".gz" else -9] ^= 1  # of the same size; the time in a gzip header
    path.write_bytes(data)
    assert load_task(name, root=tmp_path / "root").fingerprint != task.fingerprint


@pytest.mark.parametrize("name", BROUGHT)
def test_without_a_root_and_with_an_empty_one_the_way_is_shown(name, tmp_path):
    with raises(DataContractError, "data-folder-not-given"):
        load_task(name)
    with raises(DataContractError, "data-folder-missing"):
        load_task(name, root=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with raises(DataContractError, ("data-layout-unknown", "images-not-found", "lists-missing"), match=name):
        load_task(name, root=tmp_path / "empty")


@pytest.mark.parametrize("name", BROUGHT)
def test_a_missing_image_is_named(name, bring, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(bring(name), root)
    key = load_task(name, root=root).column("train", "image")[0].partition("#")[0].partition("|")[0]
    (root / key).unlink()
    try:
        task = load_task(name, root=root)
    except DataContractError as error:
        assert key.rpartition("/")[2].rpartition(".")[0] in str(error)
    else:  # data without a table: what is not there is not known, and what is left is another data set
        whole = load_task(name, root=bring(name))
        assert task.fingerprint != whole.fingerprint


@pytest.mark.parametrize("name", BROUGHT)
def test_where_the_data_lie_is_no_part_of_what_they_are(name, bring, tmp_path):
    root = tmp_path / "elsewhere"
    shutil.copytree(bring(name), root)
    (root / ".DS_Store").write_bytes(b"x")
    here, there = load_task(name, root=bring(name)), load_task(name, root=root)
    assert (here.fingerprint, here.split_hash) == (there.fingerprint, there.split_hash)
    assert not any(str(root) in str(value) for table in there.tables.values() for value in table.to_pydict().values())


@pytest.mark.parametrize("name", BROUGHT)
def test_folds_and_split_files_replace_its_splits(name, bring, tmp_path):
    root = bring(name)
    own = load_task(name, root=root)
    ids = {key for split in own.tables for key in own.column(split, "id")}
    tests = [set(load_task(name, root=root, fold=fold).column("test", "id")) for fold in range(2)]
    assert tests[0] and tests[1] and not tests[0] & tests[1]
    lists = tmp_path / "lists"
    lists.mkdir()
    for split in own.tables:
        lines = [f"../../data/{key}" for key in own.column(split, "id")]
        (lists / f"{split}_official.txt").write_text("\n".join(line.replace(" ", "_") for line in lines) + "\n")
    if not any(" " in key for key in ids):
        again = load_task(name, root=root, split_file=lists)
        assert {split: set(again.column(split, "id")) for split in again.tables} == {
            split: set(own.column(split, "id")) for split in own.tables
        }


@pytest.mark.parametrize("name", BROUGHT)
def test_label_policies(name, bring):
    info, root = task_info(name), bring(name)
    if not info.uncertain:
        with raises(UsageError, "task-option-fixed"):
            load_task(name, root=root, label_policy="zero")
        return
    tasks = {policy: load_task(name, root=root, label_policy=policy) for policy in ("mask", "zero", "one", "soft")}
    assert load_task(name, root=root).label_policy == "mask"
    labels = {policy: task.labels("train") for policy, task in tasks.items()}
    uncertain = tasks["soft"].uncertain("train")
    assert uncertain.any()
    assert np.isnan(labels["mask"][uncertain]).all() and np.isnan(labels["soft"][uncertain]).all()
    assert (labels["zero"][uncertain] == 0).all() and (labels["one"][uncertain] == 1).all()
    for policy in labels:
        assert np.array_equal(labels[policy][~uncertain], labels["mask"][~uncertain], equal_nan=True)


@pytest.mark.parametrize("name", BROUGHT)
def test_a_fraction_keeps_patients_whole_and_is_part_of_the_larger_one(name, bring):
    root = bring(name)
    whole, half, most = (load_task(name, root=root, fraction=share) for share in (1, 0.5, 0.8))
    small, large = set(half.column("train", "id")), set(most.column("train", "id"))
    assert small <= large <= set(whole.column("train", "id")) and len(small) < len(whole.column("train", "id"))
    assert half.column("test", "id") == whole.column("test", "id")
    kept = set(half.groups("train"))
    assert {
        key for key, group in zip(whole.column("train", "id"), whole.groups("train"), strict=True) if group in kept
    } == small


@pytest.mark.parametrize("name", BROUGHT)
def test_unreadable_tables_are_errors_of_medzoo(name, bring, tmp_path):
    for content in (b"", b"\xff\xfe\x00", b"a,b\n1,2\n"):
        root = tmp_path / f"copy{len(content)}"
        shutil.copytree(bring(name), root)
        tables = list(files_below(root, (".csv", ".txt")))
        for path in tables:
            (root / path).write_bytes(content)
        if tables:
            with pytest.raises(MedzooError):
                load_task(name, root=root)


def test_fake_task_is_what_load_reads(tmp_path):
    for name in BROUGHT[:1]:
        assert len(fake_task(name, tmp_path).tables) == 3
