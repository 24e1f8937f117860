"""The analysis of transferability: scores without runs, gains and gaps with runs."""

import numpy as np
import pytest
from compared import compared
from expect import raises
from plotted import check_rows
from run_samples import put_runs

from medzoo.analysis import transferability
from medzoo.errors import UsageError

CHEST = "phantom_chest,n=60,n_validation=6,n_test=12,image_size=32"
OPTIONS = transferability.Options(transfer_draws=1)


def of(rows, measure, key="role"):
    return {row.get(key): row for row in rows if row["measure"] == measure}


def test_scores_without_runs(tmp_path):
    inputs = compared(task=CHEST, results=str(tmp_path), images=60)
    rows = transferability.run(inputs, OPTIONS)
    found = of(rows, "LogME")
    assert found["first"]["value"] == found["second"]["value"] and found["first"]["n_images"] == inputs.options.images
    assert found["first"]["low"] < found["first"]["value"] < found["first"]["high"]
    assert of(rows, "H-score")["first"]["reason"].endswith(
        "of 60 images have a singular covariance; see the regularised score"
    )
    assert "no run" in of(rows, "domain gap")[None]["reason"]
    assert "all_runs" not in inputs.identity(transferability.USES)
    sentence = check_rows(transferability, rows)
    assert "LogME is undecided (+0.000" in sentence and "There is no measured gain" in sentence


def test_a_blind_network_has_no_score(tmp_path):
    def blind(module):
        for value in module.parameters():
            value.zero_()

    rows = transferability.run(compared(task=CHEST, results=str(tmp_path), change=blind), OPTIONS)
    assert "same features" in of(rows, "LogME")["second"]["reason"]
    check_rows(transferability, rows)


@pytest.fixture
def with_runs(tmp_path):
    """A store with random weights, natural images, and radiographs of the same and of another number."""
    quality = {
        "test_resnet-random": 0.5, "test_resnet-imagenet": 1.0, "test_resnet-phantom_chest": 1.8,
        "test_resnet-our_data": 1.4,
    }  # fmt: skip
    put_runs(tmp_path, quality, arch="test_resnet", task=CHEST)
    return compared(task=CHEST, results=str(tmp_path))


def test_gains_and_gap(with_runs):
    options = transferability.Options(
        transfer_draws=1,
        pretrained_on=[
            "test_resnet-imagenet=natural:1000",
            "test_resnet-phantom_chest=X-ray:1200",
            "test_resnet-our_data=CT:9",
        ],
    )
    rows = transferability.run(with_runs, options)
    gains = of(rows, "gain over random weights", "network")
    assert set(gains) == {"test_resnet-imagenet", "test_resnet-phantom_chest", "test_resnet-our_data"}
    assert gains["test_resnet-phantom_chest"]["value"] > gains["test_resnet-imagenet"]["value"] > 0
    assert (
        gains["test_resnet-phantom_chest"]["domain"] == "intra" and gains["test_resnet-our_data"]["domain"] == "cross"
    )
    pairs = of(rows, "domain gap of a pair", "network")
    pair = pairs["test_resnet-phantom_chest − test_resnet-imagenet"]
    expected = gains["test_resnet-phantom_chest"]["value"] - gains["test_resnet-imagenet"]["value"]
    assert pair["value"] == pytest.approx(expected) and pair["low"] < pair["value"] < pair["high"]
    assert pairs["test_resnet-phantom_chest − test_resnet-our_data"]["sizes"] == "not equal"
    gap = of(rows, "domain gap")[None]
    assert gap["pairs"] == 1 and gap["value"] == pytest.approx(expected)
    assert with_runs.identity(transferability.USES)["all_runs"]
    assert "Pre-training on X-ray" in check_rows(transferability, rows)


def test_gaps_that_cannot_be_measured(with_runs):
    rows = transferability.run(with_runs, OPTIONS)
    assert of(rows, "domain gap")[None]["reason"] == "no pair has equally many images"
    rows = transferability.run(with_runs, transferability.Options(transfer_draws=1, task_modality="fundus"))
    reason = of(rows, "domain gap")[None]["reason"]
    assert "no intra-domain checkpoint" in reason and "test_resnet-our_data" in reason
    check_rows(transferability, rows)


def test_no_runs_of_random_weights(tmp_path):
    put_runs(tmp_path, {"test_resnet-imagenet": 1.0}, arch="test_resnet", task=CHEST)
    rows = transferability.run(compared(task=CHEST, results=str(tmp_path)), OPTIONS)
    assert (
        "no run of random weights of test_resnet"
        in of(rows, "gain over random weights", "network")["test_resnet-imagenet"]["reason"]
    )
    check_rows(transferability, rows)


def test_runs_on_other_images(tmp_path):
    put_runs(tmp_path, {"test_resnet-imagenet": 1.0}, arch="test_resnet", task=CHEST)
    put_runs(tmp_path, {"test_resnet-random": 1.0}, arch="test_resnet", task=CHEST, patients="other")
    rows = transferability.run(compared(task=CHEST, results=str(tmp_path)), OPTIONS)
    assert (
        of(rows, "gain over random weights", "network")["test_resnet-imagenet"]["reason"]
        == "the runs have different test images"
    )


def test_a_network_that_knows_more_has_a_higher_score(tmp_path):
    """The second network gets the mean brightness of the opacity's side: its features are changed on their way."""
    inputs = compared(task=CHEST, results=str(tmp_path), images=60)
    original, second, labels = inputs.training_outputs, inputs.networks[1], np.asarray(inputs.training_images.labels)

    def better(network):
        found = original(network).copy()
        if network is second:
            found[:, 0] += 5 * labels * found.std()
        return found

    inputs.training_outputs = better
    rows = transferability.run(inputs, OPTIONS)
    assert of(rows, "LogME: difference")["second minus first"]["low"] > 0
    assert "LogME prefers the second" in check_rows(transferability, rows)


def test_wrong_options():
    with raises(UsageError, "pretraining-fact-invalid"):
        transferability.run(compared(task=CHEST), transferability.Options(pretrained_on=["imagenet"]))
