"""DDRM: the regression table, the noise in every direction, and what it becomes in its limits."""

import itertools
import math

import pytest
import torch

from engine import grids
from engine.errors import InputError
from engine.rng import Rng
from engine.steering import AveragePool, Identity, Inpaint, compose, ddnm, moves, row, steer
from engine.steering.ddrm import spectral, started
from engine.steering.operators import GaussianBlur, PhaseRetrieval
from tests.engine.steering import cases
from tests.engine.steering.cases import CLUSTERS, SCHEDULES, Bulk, chains, toward_grey
from tests.engine.steering.operators.cases import EXACT, SHAPE
from tests.oracles import Gaussian, normal


@pytest.mark.parametrize(("steps", "mean", "variance", "covariance"), [
    (100, (0.884, 0.173), (0.0021, 0.078), 0.003), (20, (0.804, 0.060), (0.018, 0.081), 0.020)])
def test_the_gaussian_regression_table(steps, mean, variance, covariance):
    assert cases.agrees(chains("ddrm", steps), mean, variance, covariance)


def test_what_was_seen_weighs_the_clusters_too_little():
    """The unseen coordinate is led only by the estimates: its share moves the right way and stays behind."""
    shares = []
    for seen in (0.0, 0.1, 0.4):
        x = chains("ddrm", law=CLUSTERS, seen=seen)
        first = x[:, 1] > 0
        shares.append(float(first.double().mean()))
        assert abs(x[first, 1].mean() - 0.8) < 0.1 and abs(x[first, 1].std() - 0.2) < 0.05
    assert abs(shares[0] - 0.5) < 0.03 and shares[0] < shares[1] < shares[2]
    assert shares[1] < cases.share_of_first_cluster(0.1) and shares[2] < cases.share_of_first_cluster(0.4)


@pytest.mark.parametrize("eta_b", [1.0, 0.6])
@pytest.mark.parametrize("eta", [0.0, 0.85, 1.0])
@pytest.mark.parametrize("operator", [GaussianBlur(0.9), Inpaint(torch.eye(8)), AveragePool(2)],
                         ids=lambda operator: operator.title)
def test_in_every_direction_the_noise_is_that_of_the_level(operator, eta, eta_b):
    """With an oracle that knows the picture, states of all levels are N(alpha picture, sigma^2 I)."""
    schedule, truth, count = SCHEDULES["cosine"], normal(1, 1, 8, 8), 500
    clean = operator.H(truth).expand(count, -1, -1, -1)
    y = clean + 0.3 * normal(*clean.shape, seed=1)
    times = grids.make("uniform", schedule, 6)
    start = schedule(times[0].item())[1] * normal(count, 1, 8, 8, seed=2)
    for step in steer("ddrm", lambda x, t: truth.expand_as(x), start, times, schedule, y=y, operator=operator,
                      noise=0.3, rng=Bulk(), eta=eta, eta_b=eta_b):
        alpha, sigma = schedule(step.t)
        if sigma == 0:
            break
        noise = (step.x - alpha * truth) / sigma
        # Of 32000 numbers: a mean is off by .006 and a variance by .008; four times that.
        assert abs(noise.mean()) < 0.025 and abs(noise.var() - 1) < 0.032
        seen, standard = (operator.pinv(operator.H(v)) for v in (noise, normal(count, 1, 8, 8, seed=3)))
        # AveragePool sees 8000 of the numbers, and both variances are measured.
        assert seen.square().mean() / standard.square().mean() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("operator", EXACT.values(), ids=EXACT)
def test_it_starts_from_the_measurement_where_that_is_clear(operator):
    """Without noise the mean of what is seen is that of the measurement, and the unseen part is the start's own."""
    schedule, x, rng = SCHEDULES["cosine"], normal(*SHAPE), Bulk()
    level = moves.Level(0.6, *schedule(0.6))
    explained = operator.pinv(operator.H(normal(*SHAPE, seed=1)))
    fresh = Bulk().normal_like(x)
    found = started(x, explained, operator, 0.0, level, rng)
    wanted = level.alpha * explained + level.sigma * operator.pinv(operator.H(fresh)) + x - operator.pinv(operator.H(x))
    assert torch.allclose(found, wanted, atol=1e-10)


def test_a_measurement_noisier_than_the_level_leaves_the_start_alone():
    level = moves.Level(0.1, *SCHEDULES["flow"](0.1))
    x = normal(*SHAPE)
    assert torch.equal(started(x, normal(*SHAPE, seed=1), Identity(), 5.0, level, Bulk()), x)


@pytest.mark.parametrize(("noise", "eta"), [(0.3, 0.85), (0.01, 0.0), (2.0, 1.0), (0.0, 1.0)])
@pytest.mark.parametrize("operator", EXACT.values(), ids=EXACT)
def test_full_trust_is_the_corrected_step_of_ddnm(operator, noise, eta):
    """Kawar's step with eta_b = 1 is that of DDNM+, and without noise that of DDNM with all noise drawn anew."""
    schedule, x, x0 = SCHEDULES["cosine"], normal(*SHAPE), normal(*SHAPE, seed=1)
    y = operator.H(normal(*SHAPE, seed=2))
    here, there = (moves.Level(t, *schedule(t)) for t in (0.6, 0.4))
    found = spectral(operator.pinv(y), operator, noise, eta, 1.0, Bulk())(x, x0, here, there)
    wanted = ddnm._corrected(y, operator, noise, eta, Bulk())(x, x0, here, there)
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(found, wanted, strict=True))


def test_no_trust_without_noise_is_plain_sampling_with_fresh_noise():
    schedule = SCHEDULES["vp_linear"]
    times = grids.make("uniform", schedule, 6)
    start = normal(2, 3, 8, 8)
    rng = Rng(1, 2)
    (t, *_), y = times.tolist(), normal(1, 3, 8, 8, seed=3)
    x = schedule(t)[0] * y + schedule(t)[1] * rng.normal_like(start)
    for t, s in itertools.pairwise(times.tolist()):
        alpha, sigma = schedule(s)
        x = alpha * toward_grey(x, t) + (sigma * rng.normal_like(x) if s > 0 else 0)
    *_, last = steer("ddrm", toward_grey, start, times, schedule, y=y, operator=Identity(), rng=Rng(1, 2), eta_b=0.0)
    assert torch.allclose(last.x, x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_with_nothing_known_it_is_plain_sampling(eta):
    schedule = SCHEDULES["vp_linear"]
    times = grids.make("uniform", schedule, 6)
    start = x = normal(2, 3, 8, 8)
    rng = Rng(1, 2)
    rng.normal_like(x)  # the start's
    for t, s in itertools.pairwise(times.tolist()):
        (alpha, sigma), (alpha_s, sigma_s) = schedule(t), schedule(s)
        x0 = toward_grey(x, t)
        eps = math.sqrt(1 - eta ** 2) * (x - alpha * x0) / sigma + (eta * rng.normal_like(x) if s > 0 else 0)
        x = alpha_s * x0 + sigma_s * eps
    *_, last = steer("ddrm", toward_grey, start, times, schedule, y=torch.zeros(1, 3, 8, 8), noise=0.3,
                     operator=Inpaint(torch.zeros(8, 8)), rng=Rng(1, 2), eta=eta)
    assert torch.allclose(last.x, x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("operator", [AveragePool(4), GaussianBlur(0.7), Inpaint(torch.eye(8)),
                                      compose(AveragePool(2), Inpaint(torch.eye(4)))],
                         ids=lambda operator: operator.title)
def test_no_noise_is_the_limit_of_little_noise(operator):
    """Up to the last step, which any noise leaves to the denoiser."""
    y = operator.H(normal(1, 3, 8, 8))
    clean, almost = (cases.run("ddrm", SCHEDULES["cosine"], y, operator, noise=noise, dtype=torch.float64)
                     for noise in (0.0, 1e-9))
    assert torch.allclose(operator.H(clean[-1].x), y.expand(2, -1, -1, -1), atol=1e-10)
    assert all(torch.allclose(a.x, b.x, atol=1e-6) for a, b in zip(clean[:-1], almost[:-1], strict=True))
    assert torch.allclose(almost[-1].x, toward_grey(almost[-2].x, 0.0), atol=1e-12)


def test_the_schedule_is_only_a_scale():
    """The same levels of signal to noise give the same samples on every schedule."""
    levels = torch.linspace(-3.5, 4.0, 9, dtype=torch.float64)
    law, y, ends = Gaussian.random(6), normal(1, 6), []
    for schedule in SCHEDULES.values():
        times = torch.cat([schedule.time_at(levels), torch.zeros(1, dtype=torch.float64)])
        x = math.hypot(1, math.exp(3.5)) * schedule(times[0].item())[0] * normal(3, 6, seed=1)
        ends.append(list(steer("ddrm", law.denoiser(schedule), x, times, schedule, y=y, noise=0.1, rng=Bulk(),
                               operator=Inpaint(torch.eye(6)[0])))[-1].x)
    assert all(torch.allclose(end, ends[0], atol=1e-8) for end in ends[1:])  # inverting the schedules leaves 1e-12


@pytest.mark.parametrize("operator", [GaussianBlur(1.0), Inpaint(torch.eye(8))], ids=lambda operator: operator.title)
def test_a_sample_is_the_same_alone_and_in_a_batch(operator):
    y = operator.H(0.3 * normal(1, 3, 8, 8).float())
    first, alone = (cases.run("ddrm", SCHEDULES["cosine"], y, operator, noise=0.1, seed=5, samples=samples)
                    for samples in (3, 1))
    assert torch.allclose(alone[-1].x, first[-1].x[:1], atol=1e-4)  # other batch sizes may sum in another order


@pytest.mark.parametrize("steps", [1, 12])
def test_every_network_call_is_counted_and_announced(steps):
    cases.check_calls("ddrm", steps, row("ddrm"), noise=0.1)


@pytest.mark.parametrize(("given", "field"), [
    ({"eta_b": 1.1}, "eta_b"), ({"eta": float("nan")}, "eta"), ({"zeta": 1.0}, "zeta"),
    ({"operator": PhaseRetrieval()}, "method"),
    ({"operator": compose(GaussianBlur(1.0), Inpaint(torch.eye(8)))}, "method")])
def test_what_it_cannot_do_names_its_field(given, field):
    with pytest.raises(InputError) as error:
        steer("ddrm", toward_grey, normal(1, 3, 8, 8), torch.tensor([1.0, 0.0]), SCHEDULES["flow"], rng=Rng(0, 1),
              y=torch.zeros(1, 3, 8, 8), **{"operator": Identity()} | given)
    assert error.value.field == field
