"""The interpolant's SDE as a solver: its formulas, the law under every diffusion, weak order, few steps, ends."""

import math

import pytest
import torch

from engine import grids, schedules
from engine.errors import InputError
from engine.rng import Rng
from engine.solvers import count_calls, solve
from engine.solvers.exponential import node
from engine.solvers.interpolant import DIFFUSIONS, renewed
from tests.oracles import Gaussian, Mixture, normal, reference

VP, FLOW, EDM, RESIDUAL = schedules.vp_linear(), schedules.flow(), schedules.edm(), schedules.residual()
LAW = Mixture()


class Impulses:
    """In place of noise: step i moves only sample i + 1, by 1. Sample 0 is left for the start."""

    def __init__(self):
        self.step = 0

    def normal_like(self, x):
        z = torch.zeros_like(x)
        self.step += 1
        z[self.step] = 1
        return z


def run(schedule, times, x, law=LAW, rng=None, **options):
    *_, last = solve("interpolant_sde", law.denoiser(schedule), x, times, schedule, rng=rng, **options)
    return last.x


def variance(schedule, steps, power, end=0.2, **options):
    """Exact variance at `end` for x0 ~ N(0, power): the run is linear, so squared impulse responses add up."""
    times = grids.make("uniform", schedule, steps, end=end)
    law = Gaussian(torch.zeros(1, dtype=torch.float64), torch.tensor([[power]], dtype=torch.float64))
    alpha, sigma = schedule(float(times[0]))
    x = torch.zeros(steps + 1, 1, dtype=torch.float64)
    x[0] = math.sqrt(alpha**2 * power + sigma**2)
    return run(schedule, times, x, law, Impulses(), **options).square().sum().item()


@pytest.mark.parametrize("variant", ["euler", "heun"])
@pytest.mark.parametrize("diffusion", sorted(set(DIFFUSIONS) - {"none"}))
@pytest.mark.parametrize("schedule", [VP, FLOW], ids=lambda s: s.name)
def test_every_diffusion_keeps_the_marginals_to_first_order(schedule, diffusion, variant):
    """The variance at t = .2 tends to alpha^2 P + sigma^2 with weak order 1: half the step, half the error."""
    power, (alpha, sigma) = 0.3, schedule(0.2)
    exact = alpha**2 * power + sigma**2
    errors = [abs(variance(schedule, n, power, diffusion=diffusion, variant=variant) - exact) for n in (200, 400)]
    # "sbdm" starts at its limit on the flow schedule, where w grows like 1 / alpha: that part shrinks more slowly.
    assert errors[1] < 0.01 and errors[0] / errors[1] == pytest.approx(2, abs=0.6)


@pytest.mark.parametrize(("variant", "order"), [("euler", 1), ("heun", 2)])
def test_orders_without_diffusion(variant, order):
    x = normal(64, 2)
    truth = reference(LAW, x, VP, 1.0, 0.05, 400)

    def error(steps):
        times = grids.make("uniform", VP, steps, end=0.05)
        return (run(VP, times, x, diffusion="none", variant=variant) - truth).norm(dim=1).mean().item()

    assert math.log2(error(160) / error(320)) == pytest.approx(order, abs=0.1)


def test_one_step_is_the_reverse_sde_of_the_vp_process():
    """"sbdm" is g^2 / 2 = beta / 2: dx = (beta x / 2 + beta s) dr + sqrt(beta) dW, as Song et al. write it."""
    t, dt = 0.5, 0.01
    x, beta = normal(4, 2), 0.1 + 19.9 * t
    alpha, sigma = VP(t)
    score = (alpha * LAW.denoiser(VP)(x, t) - x) / sigma**2
    expected = x + dt * (beta / 2 * x + beta * score) + math.sqrt(beta * dt) * Rng(3, 4).normal_like(x)
    ours = run(VP, torch.tensor([t, t - dt], dtype=torch.float64), x, rng=Rng(3, 4), diffusion="sbdm")
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


def test_forms_of_the_diffusion_are_sit_s():
    """On the flow schedule, by SiT's time u = 1 - t: sigma = 1 - u and, by hand, sbdm = sigma / alpha."""
    t = 0.3 * FLOW.start
    sigma, u = t, 0.7
    expected = {"none": 0.0, "constant": 1.0, "sbdm": sigma / (1 - t), "sigma": sigma, "linear": 1 - u,
                "decreasing": 0.25 * (math.cos(math.pi * u) + 1) ** 2,
                "increasing_decreasing": math.sin(math.pi * u) ** 2}
    at = node(t, *FLOW(t))
    found = {name: renewed(name, at, FLOW) for name in DIFFUSIONS}
    assert found == pytest.approx(expected, rel=1e-12)


def test_heun_adds_the_noise_first():
    """One step of SiT's stochastic Heun, written out on the flow schedule with w = sigma at the start of the step."""
    t, following, x = 0.5, 0.4, normal(4, 2)
    dt, w, denoise = t - following, t, LAW.denoiser(FLOW)

    def drift(y, s):
        x0 = denoise(y, s)
        eps = (y - (1 - s) * x0) / s
        return x0 - eps - w * eps / s

    noisy = x + math.sqrt(2 * w * dt) * Rng(3, 4).normal_like(x)
    first = drift(noisy, t)
    expected = noisy + dt / 2 * (first + drift(noisy + dt * first, following))
    times = torch.tensor([t, following], dtype=torch.float64)
    ours = run(FLOW, times, x, rng=Rng(3, 4), diffusion="sigma", variant="heun")
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


def test_last_steps():
    """Into sigma = 0 from t = .3 on the flow schedule: the estimate, u and w s without noise, u alone."""
    t, x = 0.3, normal(4, 2)
    times = torch.tensor([t, 0.0], dtype=torch.float64)
    x0 = LAW.denoiser(FLOW)(x, t)
    eps = (x - (1 - t) * x0) / t
    # 2 w dr may not be above sigma^2, so w = t is lowered to t / 2.
    expected = {"tweedie": x0, "euler": x + t * (x0 - eps), "mean": x + t * (x0 - eps - t / 2 * eps / t)}
    for last_step, want in expected.items():
        for variant in ("euler", "heun"):
            found = run(FLOW, times, x, rng=Rng(0, 4), last_step=last_step, variant=variant)
            torch.testing.assert_close(found, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", ["euler", "heun"])
@pytest.mark.parametrize("diffusion", list(DIFFUSIONS))
@pytest.mark.parametrize("schedule", [VP, FLOW, EDM, RESIDUAL, schedules.vp_discrete("cosine")], ids=lambda s: s.name)
def test_few_steps_and_much_diffusion_stay_bounded(schedule, diffusion, variant):
    """No step adds more noise than the schedule has at its end: data within 3, noise within 4 sigma, some room."""
    if schedule is EDM and variant == "heun":
        pytest.skip("from noise of 80 to 0.4 in one step the trapezoid rule itself overshoots, as in the solver heun")
    law = Gaussian(torch.zeros(2).double(), torch.eye(2).double() / 3)
    x = normal(50, 2) * schedule(schedule.start)[1]
    for steps in (1, 2, 3, 5, 12):
        for spacing in ("uniform", "log_snr"):
            times = grids.make(spacing, schedule, steps)
            assert run(schedule, times, x, law, Rng(1, 50), diffusion=diffusion, diffusion_scale=10.0,
                       variant=variant).abs().max() < 10


@pytest.mark.parametrize(("variant", "last_step", "calls"), [("euler", "tweedie", 10), ("heun", "tweedie", 19),
                                                             ("heun", "mean", 19), ("heun", "euler", 19)])
def test_calls(variant, last_step, calls):
    times = grids.make("uniform", VP, 10)
    assert count_calls("interpolant_sde", times, VP, variant=variant, last_step=last_step) == calls


def test_random_numbers_are_needed_only_with_diffusion():
    times, x = grids.make("uniform", VP, 4), normal(2, 2)
    with pytest.raises(InputError) as raised:
        run(VP, times, x)
    assert raised.value.field == "rng"
    for options in ({"diffusion": "none"}, {"diffusion_scale": 0.0}):
        assert run(VP, times, x, **options).equal(run(VP, times, x, diffusion="none"))
