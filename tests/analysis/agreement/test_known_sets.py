"""Items by the set of checkpoints that are right on them."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medzoo.analysis.agreement.known_sets import Items, all_sets, expected_share, share_of_sets


def items(*rights):
    rights = tuple(np.atleast_2d(np.array(one, dtype=float)) for one in rights)
    return Items(rights, np.arange(rights[0].shape[1]), rights[0].shape[1])


def test_shares_are_the_mean_over_all_choices_of_one_run_of_each():
    rng = np.random.default_rng(0)
    rights = [rng.random((runs, 50)) < share for runs, share in ((2, 0.8), (3, 0.6), (1, 0.7))]
    for members in all_sets(3):
        found = share_of_sets(items(*rights), [members])
        choices = list(product(*rights))
        alone = [np.mean(np.all([run == (k in members) for k, run in enumerate(choice)], axis=0)) for choice in choices]
        expected = [expected_share([run.mean() for run in choice], members) for choice in choices]
        assert found.share.value == pytest.approx(np.mean(alone))
        assert found.expected == pytest.approx(np.mean(expected))
        assert found.excess.value == pytest.approx(np.mean(alone) - np.mean(expected))
        assert found.poisson == pytest.approx(np.sqrt(np.mean(alone) * 50) / 50)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_expected_shares_add_up_to_one(accuracies):
    assert sum(expected_share(accuracies, one) for one in all_sets(len(accuracies))) == pytest.approx(1)


def test_the_influence_is_the_change_without_a_patient():
    rng = np.random.default_rng(1)
    shown = rng.normal(size=300)
    rights = [(shown + rng.normal(size=(1, 300)) > -0.5) for _ in range(3)]
    whole = share_of_sets(items(*rights), [(0, 1)])
    without = [
        share_of_sets(items(*(right[:, np.arange(300) != one] for right in rights)), [(0, 1)]) for one in range(300)
    ]
    for name in ("share", "excess"):
        value, interval = getattr(whole, name).value, getattr(whole, name)
        jackknife = np.sqrt(299 / 300 * np.sum([(getattr(one, name).value - value) ** 2 for one in without]))
        width = interval.high - interval.low
        assert width == pytest.approx(2 * 1.968 * jackknife, rel=0.05)


def test_the_interval_covers_and_the_poisson_error_of_the_study_does_not():
    """Images of one patient fail together, and seeds differ: counts of images are not independent."""
    rng, hits, of_study = np.random.default_rng(2), [], []

    def draw(patients, runs):
        shown = np.repeat(rng.normal(size=patients), 6)
        return [
            0.4 * rng.normal(size=(runs, 1)) + shown + 0.5 * rng.normal(size=(runs, len(shown))) > -0.6
            for _ in range(2)
        ]

    truth = np.mean([share_of_sets(items(*draw(400, 30)), [()]).share.value for _ in range(40)])
    for _ in range(200):
        made = Items(tuple(np.array(one, dtype=float) for one in draw(80, 4)), np.repeat(np.arange(80), 6), 480)
        found = share_of_sets(made, [()])
        hits.append(found.share.low <= truth <= found.share.high)
        of_study.append(abs(found.share.value - truth) <= 1.96 * found.poisson)
    assert np.mean(hits) >= 0.91 and np.mean(of_study) < 0.8
