"""DPS: the regression table, the gradient that it follows, one step in closed form, and any measurement."""

import itertools
import math

import pytest
import torch

from engine import grids
from engine.errors import InputError
from engine.rng import Rng
from engine.steering import Identity, Inpaint, moves, row, steer
from engine.steering.dps import ascent
from engine.steering.operators import HDR, JPEG, PhaseRetrieval
from tests.engine.steering import cases
from tests.engine.steering.cases import CLUSTERS, SCHEDULES, Bulk, chains, toward_grey
from tests.engine.steering.operators.cases import LINEAR, SHAPE
from tests.oracles import Gaussian, normal


# The card's zeta multiplies the gradient of a run of 100 steps, ours that of one of 1000.
@pytest.mark.parametrize(("zeta", "mean", "variance", "covariance"), [
    (0.05, (0.904, 0.376), (0.077, 0.064), 0.004), (0.005, (0.715, 0.046), (0.077, 0.171), 0.084)])
def test_the_gaussian_regression_table(zeta, mean, variance, covariance):
    assert cases.agrees(chains("dps", zeta=zeta), mean, variance, covariance)


def test_what_was_seen_weighs_the_clusters():
    """The bias of the method allows a tenth; inside a cluster the unseen coordinate keeps its law."""
    for seen in (0.0, 0.1, 0.4):
        x = chains("dps", law=CLUSTERS, seen=seen, zeta=0.05)
        first = x[:, 1] > 0
        assert abs(first.double().mean() - cases.share_of_first_cluster(seen)) < 0.1
        assert abs(x[first, 1].mean() - 0.8) < 0.1 and abs(x[first, 1].std() - 0.2) < 0.1


@pytest.mark.parametrize("operator", LINEAR.values(), ids=LINEAR)
def test_the_ascent_of_a_linear_measurement_is_its_adjoint_of_unit_misfit(operator):
    x0 = normal(*SHAPE)
    y = normal(*operator.H(x0).shape, seed=1)
    misfit = operator.H(x0) - y
    length = misfit.flatten(1).norm(dim=1).reshape(-1, *[1] * (misfit.dim() - 1))
    assert torch.allclose(ascent(x0, y, operator), operator.adjoint(misfit / length), atol=1e-12)


@pytest.mark.parametrize("operator", [HDR(), PhaseRetrieval()], ids=lambda operator: operator.title)
def test_the_ascent_of_other_measurements_is_a_difference_quotient(operator):
    x0, aside, step = 0.4 * normal(2, 3, 8, 8), normal(2, 3, 8, 8, seed=2), 1e-6
    y = operator.H(0.4 * normal(2, 3, 8, 8, seed=1))
    up, down = ((y - operator.H(x0 + way * aside)).flatten(1).norm(dim=1) for way in (step, -step))
    found = (ascent(x0, y, operator) * aside).sum((1, 2, 3))
    assert torch.allclose(found, (up - down) / (2 * step), atol=1e-6)


def test_where_the_measurement_is_met_nothing_pulls():
    x0 = normal(2, 3, 8, 8)
    assert not ascent(x0, x0, Identity()).any()
    assert not ascent(x0, x0, Inpaint(torch.zeros(8, 8))).any()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_step_is_that_of_ddim_less_the_gradient_through_the_denoiser(schedule):
    schedule, law = SCHEDULES[schedule], Gaussian.random(6)
    times = grids.make("uniform", schedule, 200)[[120, 160, 200]]
    operator, x = Inpaint(torch.eye(6)[0] + torch.eye(6)[3]), normal(2, 6, seed=1)
    y = operator.H(normal(1, 6))
    found = next(steer("dps", law.denoiser(schedule), x, times, schedule, y=y, operator=operator, noise=0.1, rng=Bulk(),
                       zeta=0.3, eta=0.5))
    here, there = (moves.Level(t, *schedule(t)) for t in times[:2].tolist())
    x0 = law.denoiser(schedule)(x, here.t)
    total = here.alpha ** 2 * law.covariance + here.sigma ** 2 * torch.eye(6, dtype=torch.float64)
    misfit = operator.H(x0) - y
    uphill = misfit / misfit.norm(dim=1, keepdim=True) @ (here.alpha * law.covariance @ torch.linalg.inv(total))
    # In coordinates of unit variance a run of two steps goes ten times zeta far.
    scale = math.hypot(here.alpha, here.sigma) * math.hypot(there.alpha, there.sigma)
    wanted = moves.ancestral(x, x0, here, there, 0.5, Bulk()) - 3.0 * scale * uphill
    assert torch.allclose(found.x, wanted, rtol=1e-10, atol=1e-10) and torch.allclose(found.x0, x0)


@pytest.mark.parametrize(("steps", "length"), [(1, 10.0), (50, 10.0), (100, 10.0), (500, 2.0), (1000, 1.0)])
def test_shorter_runs_take_longer_steps_up_to_ten_times(steps, length):
    """With an estimate that is the state itself and nothing else, each step moves zeta times the length."""
    times = torch.linspace(0.9, 0.0, steps + 1, dtype=torch.float64)
    y, x = torch.full((1, 1), 1e6, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    first = next(steer("dps", lambda x, t: x, x, times, SCHEDULES["cosine"], y=y, operator=Identity(), rng=Bulk(),
                       zeta=0.01, eta=0.0))
    assert first.x.item() == pytest.approx(0.01 * length, rel=1e-9)


def test_zeta_zero_is_ancestral_sampling():
    schedule = SCHEDULES["vp_linear"]
    times = grids.make("uniform", schedule, 6)
    start = x = normal(2, 3, 8, 8)
    rng = Rng(1, 2)
    for t, s in itertools.pairwise(times.tolist()):
        x = moves.ancestral(x, toward_grey(x, t), moves.Level(t, *schedule(t)), moves.Level(s, *schedule(s)), 1.0, rng)
    *_, last = steer("dps", toward_grey, start, times, schedule, y=normal(1, 3, 8, 8), operator=Identity(),
                     rng=Rng(1, 2), zeta=0.0)
    assert torch.allclose(last.x, x, rtol=1e-12, atol=1e-12)


def test_the_schedule_is_only_a_scale():
    """The same levels of signal to noise give the same samples on every schedule."""
    levels = torch.linspace(-3.5, 4.0, 9, dtype=torch.float64)
    law, y, ends = Gaussian.random(6), normal(1, 6), []
    for schedule in SCHEDULES.values():
        times = torch.cat([schedule.time_at(levels), torch.zeros(1, dtype=torch.float64)])
        x = math.hypot(1, math.exp(3.5)) * schedule(times[0].item())[0] * normal(3, 6, seed=1)
        ends.append(list(steer("dps", law.denoiser(schedule), x, times, schedule, y=y, noise=0.1, rng=Bulk(), zeta=0.02,
                               operator=Inpaint(torch.eye(6)[0])))[-1].x)
    assert all(torch.allclose(end, ends[0], atol=1e-8) for end in ends[1:])  # inverting the schedules leaves 1e-12


@pytest.mark.parametrize("operator", [HDR(), JPEG(30), PhaseRetrieval()], ids=lambda operator: operator.title)
def test_measurements_that_are_not_linear_come_nearer(operator):
    """Against the same run without the measurement; the law is one of smooth pictures."""
    pixels = torch.arange(16, dtype=torch.float64)
    near = torch.exp(-(pixels[:, None] - pixels).square() / 32)
    law = Gaussian(torch.zeros(768, dtype=torch.float64), torch.kron(
        0.1 * torch.eye(3, dtype=torch.float64), torch.kron(near, near)) + 1e-4 * torch.eye(768))
    schedule = SCHEDULES["cosine"]
    axes, power = _axes(law)
    y, times = operator.H(law.sample(1, 5).reshape(1, 3, 16, 16)), grids.make("uniform", schedule, 60)

    def denoise(x, t):
        alpha, sigma = schedule(t)
        return ((x.flatten(1) @ axes * (alpha * power / (alpha ** 2 * power + sigma ** 2))) @ axes.T).reshape(x.shape)

    gaps = [(operator.H(list(steer("dps", denoise, normal(2, 3, 16, 16), times, schedule, y=y, operator=operator,
                                   rng=Rng(0, 2), zeta=zeta))[-1].x) - y).square().mean() for zeta in (0.0, 0.1)]
    assert gaps[1] < 0.25 * gaps[0]


def _axes(law):
    power, axes = torch.linalg.eigh(law.covariance)
    return axes, power


def test_it_runs_where_gradients_are_switched_off():
    with torch.no_grad():
        last = cases.run("dps", SCHEDULES["flow"], torch.zeros(1, 3, 8, 8), Identity())[-1]
    assert not last.x.requires_grad and torch.isfinite(last.x).all() and last.x.dtype == torch.float32


@pytest.mark.parametrize("operator", [HDR(), Inpaint(torch.eye(8))], ids=lambda operator: operator.title)
def test_a_sample_is_the_same_alone_and_in_a_batch(operator):
    y = operator.H(0.3 * normal(1, 3, 8, 8).float())
    first, alone = (cases.run("dps", SCHEDULES["cosine"], y, operator, noise=0.1, seed=5, samples=samples)
                    for samples in (3, 1))
    assert torch.allclose(alone[-1].x, first[-1].x[:1], atol=1e-4)  # other batch sizes may sum in another order


@pytest.mark.parametrize("steps", [1, 12])
def test_every_network_call_is_counted_and_announced(steps):
    cases.check_calls("dps", steps, row("dps"), noise=0.1)


def test_the_row_says_that_it_goes_through_the_network():
    assert row("dps").backprop and row("dps").needs == "gradient" and row("dps").noisy


@pytest.mark.parametrize(("given", "field"), [({"zeta": -0.1}, "zeta"), ({"zeta": float("nan")}, "zeta"),
                                              ({"eta": 2.0}, "eta"), ({"weight": 1.0}, "weight")])
def test_wrong_settings_name_their_field(given, field):
    with pytest.raises(InputError) as error:
        steer("dps", toward_grey, normal(1, 3, 8, 8), torch.tensor([1.0, 0.0]), SCHEDULES["flow"], rng=Rng(0, 1),
              y=torch.zeros(1, 3, 8, 8), operator=Identity(), **given)
    assert error.value.field == field
