"""Learning rates: the values at the edges, and the plateaus that torch's scheduler counts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medzoo.training.optimization.schedule import Schedule, plateaus


@pytest.mark.parametrize("kind", ["cosine", "plateau", "exponential", "constant"])
def test_the_warm_up_ends_at_the_peak(kind):
    schedule = Schedule(peak=1.0, steps=10, epoch_steps=5, kind=kind, warmup=4, start=0.2)
    assert [schedule.rate(step) for step in range(4)] == pytest.approx([0.4, 0.6, 0.8, 1.0])


def test_the_cosine_ends_at_its_final_value():
    schedule = Schedule(peak=1.0, steps=100, epoch_steps=10, warmup=10, final=0.1)
    assert schedule.rate(10) == 1.0 and schedule.rate(55) == pytest.approx(0.55)
    assert 0.1 < schedule.rate(99) < 0.101 and schedule.rate(100) == pytest.approx(0.1)


def test_an_exponential_falls_after_each_epoch():
    schedule = Schedule(peak=2.0, steps=6, epoch_steps=2, kind="exponential", decay=0.97)
    assert [schedule.rate(step) for step in range(6)] == pytest.approx([2, 2, 1.94, 1.94, 1.8818, 1.8818])


def test_a_plateau_has_a_smallest_rate():
    schedule = Schedule(peak=1.0, steps=9, epoch_steps=1, kind="plateau", decay=0.1, plateau_epochs=0, final=0.05)
    assert schedule.rate(3, [1.0, 1.0, 1.0]) == 0.05


@given(st.lists(st.sampled_from([0.5, 0.9, 0.99995, 1.0, 1.5, 3.0]), max_size=30), st.integers(0, 6))
def test_plateaus_are_those_of_torch(losses, allowed):
    """Source of the expected value: torch.optim.lr_scheduler.ReduceLROnPlateau."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=allowed, threshold=1e-4)
    for loss in losses:
        scheduler.step(loss)
    assert 0.5 ** plateaus(losses, allowed) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-8)
