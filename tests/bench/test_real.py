"""The main job in small on real images: it learns, and better than chance."""

import pytest
from expect import raises

from medzoo.bench.run import CellOptions, run_cell

pytestmark = [pytest.mark.real, pytest.mark.slow]


def cell(real_data, tmp_path, **changes):
    usual = {
        "checkpoint": "resnet10t-random", "root": str(real_data), "out": str(tmp_path / "run"),
        "results": str(tmp_path / "results"), "keep_weights": False, "device": "cpu",
    }  # fmt: skip
    return run_cell(CellOptions(**{**usual, **changes}))


def test_pneumoniamnist(real_data, tmp_path):
    outcome = cell(
        real_data, tmp_path, task="pneumoniamnist", root=str(real_data / "medmnist"), size=28, epochs=3, fraction=0.2,
        batch_size=32,
    )  # fmt: skip
    assert outcome.result["train"]["counts"]["test"] == 624 and outcome.headline > 0.85


def test_several_labels_an_image(real_data, tmp_path):
    outcome = cell(
        real_data, tmp_path, task="parquet:nih_cxr14_621_256", groups="patient_id", size=32, epochs=1, batch_size=32
    )
    rows = [row for row in outcome.result["metrics"] if row["name"] == "auroc"]
    assert len(rows) == 15 and outcome.result["identity"]["task"]["id"] == "parquet:nih_cxr14_621_256"
    assert all(row["undefined"] or 0 <= row["value"] <= 1 for row in rows)


def test_groups_have_to_be_stated(real_data, tmp_path):
    from medzoo.errors import DataContractError

    with raises(DataContractError, "patient-groups-missing", match="groups"):
        cell(real_data, tmp_path, task="parquet:medical_mnist_64")
    assert not (tmp_path / "run").exists()
