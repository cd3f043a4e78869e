"""Stochastic solvers keep the law: exact second moments by impulses, drawn moments of a mixture, Resfusion's oracle."""

import math

import pytest
import torch

from engine import grids, schedules
from engine.rng import Rng
from engine.solvers import solve
from tests.oracles import Gaussian, Mixture, normal

VP, RESIDUAL = schedules.vp_linear(), schedules.residual()


class Impulses:
    """In place of noise: step i moves only sample i + 1, by 1. Sample 0 is left for the start."""

    def __init__(self):
        self.step = 0

    def normal_like(self, x):
        z = torch.zeros_like(x)
        self.step += 1
        z[self.step] = 1
        return z


class Draws:
    """One stream for a large batch; `Rng` keeps one per sample."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def normal_like(self, x):
        return torch.randn(x.shape, generator=self.generator, dtype=x.dtype)


def variance(name, schedule, times, power=0.0, start=None, **options):
    """Exact variance at the end for x0 ~ N(0, power): the solver is then linear, and squared impulse responses add."""
    law = Gaussian(torch.zeros(1, dtype=torch.float64), torch.tensor([[power]], dtype=torch.float64))
    alpha, sigma = schedule(float(times[0]))
    x = torch.zeros(len(times) + 1, 1, dtype=torch.float64)
    x[0] = math.sqrt(alpha**2 * power + sigma**2)
    *_, last = solve(name, law.denoiser(schedule), x, times, schedule, rng=Impulses(), **options)
    return last.x.square().sum().item()


@pytest.mark.parametrize("steps", [1, 3, 20])
@pytest.mark.parametrize(("name", "schedule", "options"), [
    ("ddpm", VP, {}), ("ddim", VP, {"eta": 0.3}), ("ddim", VP, {"eta": 1.0}), ("sde_dpmpp_2m", VP, {}),
    ("sde_dpmpp_2m", VP, {"eta": 0.5}), ("ddpm", schedules.edm(), {}), ("sde_dpmpp_2m", schedules.flow(), {}),
    ("resfusion", RESIDUAL, {}), ("ddpm", RESIDUAL, {})])
def test_a_single_point_of_data_gets_exactly_the_noise_of_the_schedule(name, schedule, options, steps):
    end = 0.3
    times = grids.make("uniform", schedule, steps, end=end)
    assert variance(name, schedule, times, **options) == pytest.approx(schedule(end)[1] ** 2, rel=1e-12)


@pytest.mark.parametrize("steps", [1, 3, 20])
def test_large_variance_is_exact_for_white_noise(steps):
    times = grids.make("uniform", VP, steps, end=0.3)
    assert variance("ddpm", VP, times, power=1.0, variance="large") == pytest.approx(1, rel=1e-12)


def test_weak_order_of_the_stochastic_solvers():
    """Error of the variance of Gaussian data: first order for DDPM, second for the multistep SDE solver."""

    def slope(name):
        alpha, sigma = VP(1e-3)
        exact = 0.3 * alpha**2 + sigma**2
        errors = [abs(variance(name, VP, grids.make("log_snr", VP, n, end=1e-3), 0.3) - exact) for n in (80, 160)]
        return math.log2(errors[0] / errors[1])

    assert slope("ddpm") == pytest.approx(1, abs=0.1)
    assert slope("sde_dpmpp_2m") == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize(("name", "options"), [("sde_dpmpp_2m", {}), ("sde_dpmpp_2m", {"variant": "heun"}),
                                               ("sde_dpmpp_2m", {"eta": 0.5}), ("ddim", {"eta": 0.2})])
def test_moments_of_a_mixture(name, options):
    law = Mixture(torch.tensor([0.6, 0.4]).double(), torch.tensor([[0.8], [-0.7]]).double(),
                  torch.tensor([0.1, 0.05]).double())
    mean = (law.weights[:, None] * law.means).sum(0).item()
    power = (law.weights * (law.variances + law.means[:, 0] ** 2)).sum().item() - mean**2
    count = 20_000
    times = grids.make("log_snr", VP, 200)
    *_, last = solve(name, law.denoiser(VP), normal(count, 1, seed=11), times, VP, rng=Draws(4), **options)
    x = last.x[:, 0]
    # Three standard errors; the variance's follows from the fourth moment.
    assert x.mean().item() == pytest.approx(mean, abs=3 * math.sqrt(power / count))
    kurtosis = (x - x.mean()).pow(4).mean().item()
    assert x.var().item() == pytest.approx(power, abs=3 * math.sqrt((kurtosis - power**2) / count))


def test_one_resfusion_step_is_the_paper_s():
    """Both forms of the reverse step, in the paper's own coordinates, from the same x0, degraded picture and noise."""
    s, t = 0.7, 0.4
    a_s, a_t = RESIDUAL.retained(s), RESIDUAL.retained(t)
    clean, degraded, y = normal(4, 6, seed=1), normal(4, 6, seed=2), normal(4, 6, seed=3)
    z = Rng(8, 4).normal_like(y)
    times = torch.tensor([s, t], dtype=torch.float64)
    *_, last = solve("resfusion", lambda x, t: clean, y, times, RESIDUAL, rng=Rng(8, 4))
    ours = last.x + (1 - a_t) * degraded

    x, residual = y + (1 - a_s) * degraded, degraded - clean
    step = (a_s / a_t) ** 2  # the paper's alpha_t; its beta is 1 - step
    spread = math.sqrt((1 - a_t**2) / (1 - a_s**2) * (1 - step))
    mean = (a_t * (1 - step) / (1 - a_s**2) * (clean - residual)
            + math.sqrt(step) * (1 - a_t**2) / (1 - a_s**2) * (x - residual) + residual)
    torch.testing.assert_close(ours, mean + spread * z, rtol=0, atol=1e-13)

    noise = (x - a_s * clean - (1 - a_s) * residual) / math.sqrt(1 - a_s**2)
    resnoise = noise + (1 - math.sqrt(step)) * math.sqrt(1 - a_s**2) / (1 - step) * residual
    mean = (x - (1 - step) / math.sqrt(1 - a_s**2) * resnoise) / math.sqrt(step)
    torch.testing.assert_close(ours, mean + spread * z, rtol=0, atol=1e-13)


def test_resfusion_on_a_gaussian_pair():
    """x0 ~ N(0, 1/4), degraded = x0/2 - .3 + .1 n, exact estimates, the paper's five steps (T = 12).

    The card's figures: mean square error .0440, variance around the posterior mean .0093.
    """
    retained = [0.5, 0.5572, 0.7586, 0.9132, 0.9958]
    levels = torch.tensor([(2 * a - 1) / math.sqrt(1 - a * a) for a in retained[1:]], dtype=torch.float64).log()
    ends = torch.tensor([1, 0], dtype=torch.float64)
    times = torch.cat([ends[:1], RESIDUAL.time_at(levels), ends[1:]])
    assert RESIDUAL.retained(times)[:-1].tolist() == pytest.approx(retained, abs=1e-9)
    count = 200_000
    x0 = normal(count, 1, seed=1) / 2
    degraded = x0 / 2 - 0.3 + 0.1 * normal(count, 1, seed=2)
    prior_precision = 4 + 0.25 / 0.01
    prior_pull = 0.5 / 0.01 * (degraded + 0.3)

    def posterior_mean(y, t):
        alpha, sigma = RESIDUAL(t)
        return (prior_pull + alpha / sigma**2 * y) / (prior_precision + alpha**2 / sigma**2)

    start = normal(count, 1, seed=3) * RESIDUAL(1.0)[1]
    *_, last = solve("resfusion", posterior_mean, start, times, RESIDUAL, rng=Draws(5))
    # The card's figures are given to four digits; drawing adds .0440 sqrt(2/200000) = 1.4e-4.
    assert (last.x - x0).square().mean().item() == pytest.approx(0.0440, abs=6e-4)
    assert (last.x - prior_pull / prior_precision).square().mean().item() == pytest.approx(0.0093, abs=3e-4)
