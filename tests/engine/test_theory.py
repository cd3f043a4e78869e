import math

import pytest
import torch

from engine import exact, schedules, theory
from engine.errors import InputError
from engine.rng import Rng
from tests.oracles import normal

SCHEDULE = schedules.vp_discrete("linear")
GAUSSIAN = exact.mixture([1], [[0.4]], [0.3])


def _gaussian_levels(steps: theory.Chain, k: int) -> tuple[float, float]:
    """alpha and the variance of x_k for data of variance 0.3."""
    kept = float(steps.retained[k])
    return math.sqrt(kept), kept * 0.3 + 1 - kept


def test_chain_is_the_schedule_resampled():
    steps = theory.chain(SCHEDULE, 25)
    alpha, _ = SCHEDULE(steps.times)
    assert steps.steps == 25
    assert float(steps.retained[0]) == 1
    assert torch.allclose(steps.retained, alpha**2)
    assert torch.allclose(steps.kept.cumprod(0), steps.retained[1:])
    ratio = theory.chain(schedules.edm(), 10, "karras").retained
    sigma = schedules.edm()(theory.chain(schedules.edm(), 10, "karras").times)[1]
    assert torch.allclose(ratio, 1 / (1 + sigma**2))


def test_no_schedule_ends_without_signal():
    assert (theory.chain(schedules.residual(), 10).kept > 0).all()


@pytest.mark.parametrize("variance", theory.VARIANCES)
def test_parts_of_one_gaussian_are_the_known_divergences(variance):
    steps = theory.chain(SCHEDULE, 12)
    found = theory.bound(GAUSSIAN, steps, variance)
    alpha, v = _gaussian_levels(steps, 12)
    assert found.prior == pytest.approx((v + (0.4 * alpha) ** 2 - 1 - math.log(v)) / 2, abs=1e-10)
    for k, beta, added in zip(range(1, 13), steps.betas.tolist(), steps.variances(variance).tolist()):
        v = _gaussian_levels(steps, k)[1]
        ratio = beta / (1 - beta) * (1 - beta / v) / added
        assert float(found.discretisation[k - 1]) == pytest.approx((ratio - 1 - math.log(ratio)) / 2, abs=1e-9)


def test_true_distance_of_one_gaussian_is_that_of_two_normal_laws():
    steps = theory.chain(SCHEDULE, 15)
    mean, variance = 0.0, 1.0
    for k in range(15, 0, -1):
        alpha, v = _gaussian_levels(steps, k)
        beta = float(steps.betas[k - 1])
        # m(x) = (x - beta (x - alpha mu) / v) / sqrt(1 - beta)
        gain = (1 - beta / v) / math.sqrt(1 - beta)
        mean, variance = gain * mean + beta * alpha * 0.4 / v / math.sqrt(1 - beta), gain**2 * variance + beta
    x = torch.linspace(-8, 8, 40_001, dtype=torch.float64)
    ours = torch.exp(-(x - mean) ** 2 / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    expected = float((ours - GAUSSIAN.log_density(x[:, None]).exp()).abs().sum() * (x[1] - x[0]) / 2)
    # |p - q| has kinks, where the trapezoid rule on the solver's own grid is of second order only.
    assert theory.true_total_variation(GAUSSIAN, steps) == pytest.approx(expected, abs=2e-4)
    drawn = theory.sampled(GAUSSIAN, steps, 4000)
    assert float(drawn.mean()) == pytest.approx(mean, abs=5 * math.sqrt(variance / 4000))
    assert float(drawn.var()) == pytest.approx(variance, abs=5 * variance * math.sqrt(2 / 4000))


@pytest.mark.parametrize("variance", theory.VARIANCES)
@pytest.mark.parametrize("name", ["vp_linear", "cosine", "flow"])
def test_bound_holds(variance, name):
    law = exact.line()
    for count in (5, 20):
        for error in (0.0, 0.2):
            steps = theory.chain(schedules.by_name(name), count)
            found = theory.bound(law, steps, variance, error)
            assert found.total_variation >= theory.true_total_variation(law, steps, variance, error)


def test_bound_falls_with_the_root_of_the_steps_and_the_truth_with_the_steps():
    law = exact.line()
    chains = [theory.chain(SCHEDULE, n) for n in (40, 80)]
    bounds = [theory.bound(law, steps).total_variation for steps in chains]
    truths = [theory.true_total_variation(law, steps) for steps in chains]
    # At these N the next order still bends both slopes by a few per cent.
    assert math.log2(bounds[0] / bounds[1]) == pytest.approx(0.5, abs=0.1)
    assert math.log2(truths[0] / truths[1]) == pytest.approx(1, abs=0.1)
    assert truths[1] > 0.1 * bounds[1]


def test_learning_part_grows_with_the_square_of_the_error():
    steps = theory.chain(SCHEDULE, 20)
    small, large = (theory.bound(exact.line(), steps, error=e) for e in (0.05, 0.2))
    assert torch.allclose(large.learning, 16 * small.learning)
    weight = steps.betas / (2 * steps.kept * (1 - steps.retained[1:]))
    assert torch.allclose(small.learning, 0.05**2 * weight)
    assert torch.allclose(small.discretisation, large.discretisation)


def test_two_equal_dimensions_cost_twice_one():
    steps = theory.chain(SCHEDULE, 8)
    one = theory.bound(GAUSSIAN, steps)
    two = theory.bound(exact.mixture([1], [[0.4, 0.4]], [0.3]), steps)
    assert two.divergence == pytest.approx(2 * one.divergence, rel=1e-8)


def test_many_dimensions_are_sampled():
    """Two bumps apart in one direction of six: the parts add up over the directions."""
    steps = theory.chain(SCHEDULE, 8)
    wide = theory.bound(exact.mixture([2, 1], [[0.9] + [0.0] * 5, [-0.9] + [0.0] * 5], [0.1, 0.1]), steps)
    along = theory.bound(exact.mixture([2, 1], [[0.9], [-0.9]], [0.1, 0.1]), steps)
    across = theory.bound(exact.mixture([1], [[0.0]], [0.1]), steps)
    # Only the overlap is sampled, by 4096 draws.
    assert torch.allclose(wide.discretisation, along.discretisation + 5 * across.discretisation, atol=0.02)
    assert wide.divergence == pytest.approx(along.divergence + 5 * across.divergence, rel=0.05)


def test_step_back_is_the_posterior_of_the_chain():
    """For one Gaussian (x_{k-1}, x_k) is jointly normal, which gives mean and covariance directly."""
    steps, x = theory.chain(SCHEDULE, 10), normal(5, 1)
    mean, covariance = theory.step_back(GAUSSIAN, steps, 6, x)
    (before, v_before), (after, v_after) = _gaussian_levels(steps, 5), _gaussian_levels(steps, 6)
    kept = math.sqrt(float(steps.kept[5]))
    assert torch.allclose(mean, before * 0.4 + kept * v_before / v_after * (x - after * 0.4))
    assert torch.allclose(covariance[:, 0, 0], torch.tensor(v_before - kept**2 * v_before**2 / v_after).double())


def test_model_bound_measures_the_error_of_eps():
    steps, count = theory.chain(SCHEDULE, 16), 3000
    data = GAUSSIAN.sample(count, torch.Generator().manual_seed(2))
    found = theory.model_bound(GAUSSIAN.denoiser(SCHEDULE), data, SCHEDULE, steps, Rng(0, count), levels=16)
    # A perfect model still misses eps by its spread given x_t, alpha^2 v / (alpha^2 v + sigma^2).
    spread = steps.retained[1:] * 0.3 / (steps.retained[1:] * 0.3 + 1 - steps.retained[1:])
    weight = steps.betas / (2 * steps.kept * (1 - steps.retained[1:]))
    # Five standard errors of a mean of squares.
    assert torch.allclose(found.learning, weight * spread, rtol=5 * math.sqrt(2 / count))
    assert found.upper
    assert found.discretisation is None
    exact_prior = theory.bound(GAUSSIAN, steps).prior
    assert exact_prior <= found.prior < 1e-3
    few = theory.model_bound(GAUSSIAN.denoiser(SCHEDULE), data, SCHEDULE, steps, Rng(0, count), levels=8)
    assert float(few.learning.sum()) == pytest.approx(float(found.learning.sum()), rel=0.1)


def test_discretisation_estimate_is_the_leading_order():
    law, steps, count = exact.line(), theory.chain(SCHEDULE, 80), 2000
    data = law.sample(count, torch.Generator().manual_seed(0))
    found = theory.discretisation_estimate(law.denoiser(SCHEDULE), data, SCHEDULE, steps, Rng(0, count))
    truth = theory.bound(law, steps).discretisation
    # The expansion misses terms of relative size beta, at most a quarter here.
    assert float(found.sum()) == pytest.approx(float(truth.sum()), rel=0.2)
    assert float(found[40:].sum()) == pytest.approx(float(truth[40:].sum()), rel=0.1)


@pytest.mark.parametrize("name", ["vp_linear", "cosine", "flow", "edm"])
@pytest.mark.parametrize("log_snr", [-1.5, 0.3, 2.0])
def test_score_solves_its_equation(name, log_snr):
    schedule = schedules.by_name(name)
    left, right = theory.score_equation(exact.toy(), normal(20, 2), schedule.time_at(log_snr), schedule)
    assert float((left - right).abs().max()) < 1e-9 * float(left.abs().max())


def test_unknown_variances_are_refused():
    with pytest.raises(InputError) as found:
        theory.bound(GAUSSIAN, theory.chain(SCHEDULE, 4), "wide")
    assert found.value.field == "variance"
