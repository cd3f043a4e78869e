"""The most faithful estimate: orientations that undo themselves, means that converge, and the line to a sample."""

import numpy as np
import pytest
import torch

from engine.tasks.restoration import faithful
from engine.tasks.restoration.degradations import DEGRADATIONS


@pytest.mark.parametrize("number", range(faithful.ORIENTATIONS))
def test_turning_back_undoes_turning(number):
    x = torch.arange(24.0).reshape(1, 1, 4, 6)
    assert torch.equal(faithful.turned_back(faithful.turned(x, number), number), x)


def test_all_orientations_differ():
    x = torch.arange(16.0).reshape(4, 4)
    assert len({tuple(faithful.turned(x, n).flatten().tolist()) for n in range(faithful.ORIENTATIONS)}) == 8


def test_an_equivariant_denoiser_says_the_same_from_every_side():
    given = torch.randn(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    *_, last = faithful.estimates(lambda x, t, cond: cond**3, given, 1.0, 8)
    assert torch.allclose(last.x0, given**3, atol=1e-6) and last.nfe == last.index == last.total == 8


def test_errors_that_know_up_and_left_average_out():
    """A network that leans to the left by a ramp of its own: over all sides the ramp cancels."""
    given = torch.zeros(1, 1, 8, 8)
    ramp = torch.linspace(-1, 1, 8).expand(1, 1, 8, 8)
    errors = [step.x0.abs().max().item() for step in faithful.estimates(lambda x, t, cond: cond + ramp, given, 1.0, 8)]
    assert errors[0] == pytest.approx(1) and errors[1] < 1e-6 and errors[-1] < 1e-6


def test_the_line_from_the_mean_to_a_sample_loses_as_the_theory_says():
    """Sample and truth are independent draws of one Gaussian posterior: the squared error is (1 + d^2) variance."""
    rng = np.random.default_rng(0)
    truth, sample = torch.from_numpy(rng.normal(size=(2, 200_000)))
    for diversity in (0.0, 0.5, 1.0):
        error = (faithful.between(torch.zeros(()), sample, diversity) - truth).square().mean().item()
        # Standard error of a mean of 200000 squares of variance 2 (1 + d^2)^2.
        assert error == pytest.approx(1 + diversity**2, abs=4 * (1 + diversity**2) * (2 / 200_000) ** 0.5)


def test_damage_with_a_direction_is_only_looked_at_from_sides_that_keep_it():
    sides = {degradation.name: degradation.orientations for degradation in DEGRADATIONS}
    assert sides["rain"] == 2 and sides["drops"] == 1 and sides["noise"] == faithful.ORIENTATIONS
