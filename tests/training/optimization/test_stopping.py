"""The best epoch and the early stop of a validation history."""

import pytest

from medzoo.training.optimization.stopping import History


@pytest.mark.parametrize(
    ("monitor", "scores", "losses", "best"),
    [
        ("metric", [0.1, 0.9, 0.9], [3, 2, 1], 1),
        ("loss", [0.1, 0.9, 0.9], [3, 1, 1], 1),
        ("metric", [None, 0.2, None], [1, 1, 1], 1),
        ("loss", [0.5, 0.6], [None, None], None),
        ("metric", [], [], None),
        ("loss", [0.5, 0.6], [0.0, -1.0], 1),
    ],
)
def test_the_first_best_epoch(monitor, scores, losses, best):
    assert History(monitor, 0, scores, losses).best_epoch == best


@pytest.mark.parametrize(("patience", "epochs"), [(0, 7), (1, 3), (2, 4), (11, 7)])
def test_training_stops_after_so_many_epochs_without_a_better_one(patience, epochs):
    history = History("loss", patience)
    for loss in [3.0, 2.0, 2.0, 2.0, 5.0, 4.0, 3.0]:
        if not history.stops:
            history.add(None, loss)
    assert len(history.losses) == epochs


@pytest.mark.parametrize(("frozen", "epochs"), [(0, 4), (1, 4), (2, 5), (4, 7), (20, 12)])
def test_patience_begins_with_the_first_epoch_that_trains_more_than_the_head(frozen, epochs):
    """The best epoch is the first one; those that train the head only cannot end the run."""
    history = History("metric", 3, frozen_epochs=frozen)
    for epoch in range(12):
        if not history.stops:
            history.add(1.0 / (1 + epoch), None)
    assert len(history.scores) == epochs and history.best_epoch == 0


def test_adding_says_whether_an_epoch_is_the_best():
    history = History()
    assert [history.add(score, None) for score in (None, 0.5, 0.5, 0.7)] == [False, True, False, True]
