"""Weighted particles: sizes, resampling without bias, and weighted estimates, against counting and closed forms."""

import math

import pytest
import torch

from engine.errors import InputError
from engine.steering import particles
from tests.oracles import normal

WEIGHTS = torch.tensor([0.4, 0.05, 0.3, 0.0, 0.25], dtype=torch.float64)


def test_weights_are_normalised_whatever_is_added_to_their_logarithms():
    shifted = WEIGHTS.log() - 1e4  # its exponential alone is 0
    assert torch.allclose(particles.normalised(shifted).exp(), WEIGHTS, atol=1e-11)  # 1e4 is kept to 2e-12


def test_particles_that_are_not_numbers_count_nothing():
    log_weights = torch.tensor([0.0, torch.nan, torch.inf, 0.0], dtype=torch.float64)
    assert torch.equal(particles.normalised(log_weights).exp(), torch.tensor([0.5, 0, 0, 0.5]).double())


@pytest.mark.parametrize("value", [-math.inf, math.nan])
def test_a_collapse_of_all_weights_is_named(value):
    with pytest.raises(InputError, match="all 3 particles have collapsed") as error:
        particles.normalised(torch.full((3,), value, dtype=torch.float64))
    assert error.value.field == "noise" and error.value.why and error.value.fix


def test_the_effective_size_counts_equal_particles():
    for alive in (1, 3, 8):
        log_weights = torch.where(torch.arange(8) < alive, 0.0, -torch.inf).double()
        assert particles.effective_size(log_weights) == pytest.approx(alive, abs=1e-12)
    assert particles.effective_size(WEIGHTS.log()) == pytest.approx(1 / WEIGHTS.square().sum().item())


def test_resampling_copies_each_particle_as_often_as_its_weight_says():
    """Over the offsets of a fine grid the mean number of copies is N w, and each is N w rounded up or down."""
    offsets = 2000
    copies = torch.stack([particles.systematic(WEIGHTS.log(), (k + 0.5) / offsets).bincount(minlength=5)
                          for k in range(offsets)]).double()
    assert torch.allclose(copies.mean(0), 5 * WEIGHTS, atol=1 / offsets)  # the grid misses by half a cell at most
    assert (copies - 5 * WEIGHTS).abs().max() < 1
    assert (copies.sum(1) == 5).all()


@pytest.mark.parametrize("offset", [0.02, 0.37, 1 - 2 ** -24])
def test_survivors_keep_their_place(offset):
    ancestors = particles.systematic(WEIGHTS.log(), offset)
    for i in ancestors.unique().tolist():
        assert ancestors[i] == i
    assert 3 not in ancestors  # weight 0
    assert torch.equal(particles.systematic(torch.zeros(7).double(), offset), torch.arange(7))


def test_estimates_of_equal_weights_are_the_ordinary_ones():
    x, equal = normal(50, 3, 4), torch.zeros(50).double()
    assert torch.allclose(particles.mean(x, equal), x.mean(0), atol=1e-14)
    assert torch.allclose(particles.spread(x, equal), x.std(0), atol=1e-14)


def test_a_weight_of_two_is_a_particle_twice():
    x, log_weights = normal(4, 3), torch.tensor([1.0, 2.0, 3.0, 1.0]).double().log()
    copied = x.repeat_interleave(torch.tensor([1, 2, 3, 1]), 0)
    assert torch.allclose(particles.mean(x, log_weights), copied.mean(0), atol=1e-14)
    assert torch.equal(particles.best(x, log_weights), x[2])


def test_the_spread_of_weighted_particles_has_no_bias():
    """20000 sets of 5 standard normal numbers: their mean variance is 1 within 5 standard errors of 0.006."""
    x = normal(5, 20000)
    assert particles.spread(x, WEIGHTS.log()).square().mean().item() == pytest.approx(1, abs=0.05)
    alone = torch.tensor([0.0, -torch.inf]).double()
    assert torch.equal(particles.spread(normal(2, 3), alone), torch.zeros(3).double())


def test_the_interval_covers_its_share_of_further_draws():
    """39 particles, one more draw of the same law, 20000 times: 90 % within 5 standard errors."""
    x = normal(40, 20000)
    low, high = particles.interval(x[1:], torch.zeros(39).double())
    assert ((x[0] >= low) & (x[0] <= high)).double().mean().item() == pytest.approx(0.9, abs=0.011)
    first, last = x[1:].sort(0).values[[1, 37]]  # the 2nd of 39 stands at 2 / 40
    assert torch.allclose(low, first, atol=1e-12) and torch.allclose(high, last, atol=1e-12)


def test_the_interval_weighs_the_particles():
    """Draws of N(0, 2^2) weighed to N(1, 1): the ends are that law's 5 % and 95 %, 1 -+ 1.645."""
    x = 2 * normal(200_000, 1, seed=4)
    log_weights = (x ** 2 / 8 - (x - 1) ** 2 / 2).flatten()
    low, high = particles.interval(x, log_weights)
    # The standard error of these quantiles is sqrt(.05 .95 / 1e5) / density(.103) = 0.007.
    assert low.item() == pytest.approx(1 - 1.645, abs=0.03) and high.item() == pytest.approx(1 + 1.645, abs=0.03)


def test_a_lonely_particle_is_said_and_a_crowd_is_not():
    alone = torch.tensor([0.0, -50.0, -50.0]).double()
    assert "Of 3 particles only 1.0 count" in particles.note(alone, particles.effective_size(alone))
    assert particles.note(torch.zeros(3).double(), 3.0) == ""
    assert particles.note(torch.zeros(1).double(), 1.0) == ""
