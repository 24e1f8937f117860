"""Which tasks have images of which pre-training data, by name and with a source."""

import tomllib

import pytest

from medzoo.bench.contamination.image_sources import FILE, collections_of, image_sources, shared_data
from medzoo.data.task_registry import list_tasks
from medzoo.zoo.registry.registry import info, names


def data_names():
    entries = [info(name).pretraining for name in names()]
    return {data for entry in entries if entry is not None for data in entry.data or ()}


@pytest.mark.parametrize("name", sorted(image_sources()))
def test_every_name_is_a_task_or_pretraining_data_with_a_source(name):
    assert name in {*list_tasks(), *data_names()}
    one = image_sources()[name]
    assert one.collections and one.part and one.source.startswith("https://")


def test_collections_are_named_once():
    with FILE.open("rb") as file:
        rows = tomllib.load(file)
    known = {*list_tasks(), *data_names(), "brax", "openi", "busi"}
    assert {name for row in rows.values() for name in row["from"]} <= known


@pytest.mark.parametrize(
    ("data", "task", "shared"),
    [
        (["imagenet", "chestxray14"], "chestxray14", "chestxray14"),
        (["imagenet", "chestxray14"], "siim_pneumothorax", "chestxray14"),
        (["imagenet", "mimic"], "mimic_cxr,window=lung", "mimic"),
        (["cxr_all_xrv"], "padchest", "cxr_all_xrv"),
        (["cxr_raddino"], "chestmnist", "cxr_raddino"),
        (["imagenet21k"], "imagenet", "imagenet21k"),
        (["inat2021mini"], "inat2021", "inat2021mini"),
        (["busi_224"], "folder:scans/BUSI-224", "busi_224"),
        (["medical_mnist"], "parquet:medical_mnist_64", "medical_mnist"),
        (["chestmnist_128"], "chestmnist_224", "chestmnist_128"),
        (["busi_256px"], "folder:scans/BUSI", "busi_256px"),
        (["lab_scans_2019"], "folder:lab_scans_2021", ""),
        (["imagenet", "chestxray14"], "isic", ""),
        (["imagenet"], "pneumoniamnist", ""),
        ([], "chestxray14", ""),
    ],
)
def test_shared_data(data, task, shared):
    assert shared_data(data, task) == shared


def test_unknown_names_are_their_own_collection():
    assert collections_of("something_else") == ("something_else",)
