"""The analysis of robustness on drawn images."""

import pytest
from compared import compared
from expect import raises
from plotted import check_rows

from medzoo.analysis import robustness
from medzoo.analysis.invariance.changes import CHANGES
from medzoo.errors import NotApplicableError, UsageError


def test_equal_networks():
    rows = robustness.run(compared(), robustness.Options(drift_images=12))
    drift = [row for row in rows if row["measure"] == "drift"]
    assert len(drift) == len(CHANGES) * 3 * 3 and all(row["n_images"] == 12 for row in drift)
    first, second = ([row["value"] for row in drift if row["role"] == role] for role in ("first", "second"))
    assert first == second and min(first) > 0
    assert "The difference has no interval." in check_rows(robustness, rows)  # all patients have the same value, 0


def test_a_network_that_sees_only_brightness_drifts_less_under_noise():
    def brightness(module):
        """All filters of the first layer average, so that noise averages out."""
        module.conv1[0].weight.fill_(0.05)

    rows = robustness.run(compared(change=brightness), robustness.Options(drift_images=30))
    pairs = {row["change"]: row for row in rows if row["measure"] == "drift: difference"}
    assert pairs["noise"]["high"] < 0
    check_rows(robustness, rows)


def test_a_blind_network_has_a_reason():
    def blind(module):
        for value in module.parameters():
            value.zero_()

    rows = robustness.run(compared(change=blind), robustness.Options(drift_images=6))
    assert {row["reason"] for row in rows if row.get("role") == "second"} == {
        "the network gives all images the same features"
    }
    assert check_rows(robustness, rows).startswith("Drift is not known: test_resnet-random (2)")


def test_grey_networks_and_colour_images():
    task = "phantom_natural,n=12,n_validation=10,n_test=12,image_size=32"
    rows = robustness.run(compared(task=task, images=12), robustness.Options(drift_images=12))
    assert all(row["value"] is not None for row in rows)


def test_the_random_network_is_not_the_compared_one():
    rows = robustness.run(compared(), robustness.Options(drift_images=6, drift_draws=2))
    means = {row["role"]: row["value"] for row in rows if row["measure"] == "mean drift"}
    assert means["random"] != pytest.approx(means["first"], rel=1e-6)


def test_too_few_images_and_wrong_options():
    with raises(NotApplicableError, "too-few-images"):
        robustness.run(compared(images=2), robustness.Options())
    with raises(UsageError, "option-out-of-range"):
        robustness.run(compared(), robustness.Options(drift_images=1))
