"""DiffPIR and RED-Diff: the regression table of a correlated Gaussian, proximal steps, gradients, and identities."""

import itertools
import math

import pytest
import torch

from engine import grids
from engine.denoisers import counted
from engine.errors import InputError
from engine.rng import Rng
from engine.steering import moves, row, steer
from engine.steering.diffpir import nearest
from engine.steering.operators import (
    HDR,
    JPEG,
    AveragePool,
    GaussianBlur,
    Grey,
    Identity,
    Inpaint,
    Measurement,
    PhaseRetrieval,
    compose,
)
from engine.steering.red_diff import WEIGHT, gradient, pull
from tests.engine.steering.cases import DISCRETE, MEAN, PRIOR, SCHEDULES, VARIANCE, Bulk, chains, respaced
from tests.engine.steering.operators.cases import EXACT, LINEAR, SHAPE, dense
from tests.oracles import Gaussian, normal

NAMES = ["diffpir", "red_diff"]
# The paper's f of u = sigma / alpha.
WEIGHTS = {"linear": lambda u: u, "sqrt": math.sqrt, "square": lambda u: u * u, "log": math.log1p,
           "clip": lambda u: min(u, 1.0), "two_thirds": lambda u: u ** (2 / 3), "constant": lambda u: 1.0}



@pytest.mark.parametrize(("prior", "fresh", "mean", "variance", "covariance"), [
    (7.0, 0.3, (0.855, 0.092), (0.011, 0.117), 0.016), (1.0, 1.0, (0.892, 0.200), (0.0007, 0.049), 0.001)])
def test_diffpir_meets_the_gaussian_regression_table(prior, fresh, mean, variance, covariance):
    x = chains("diffpir", 100, prior=prior, fresh=fresh)
    assert (x.mean(0) - torch.tensor(mean)).abs().max() < MEAN
    assert (x.var(0) - torch.tensor(variance)).abs().max() < VARIANCE
    assert abs(torch.cov(x.T)[0, 1] - covariance) < VARIANCE


@pytest.mark.parametrize(("rate", "mean", "spread"), [(0.1, (0.900, 0.288), 0.19), (0.01, (0.900, 0.154), 0.05)])
def test_red_diff_meets_the_gaussian_regression_table(rate, mean, spread):
    x = chains("red_diff", 1000, rate=rate, average=0.0)
    assert (x.mean(0) - torch.tensor(mean)).abs().max() < MEAN
    assert abs(x[:, 1].std() - spread) < VARIANCE


def test_averaging_the_last_pictures_takes_noise_out_of_red_diff():
    exact = PRIOR.posterior(torch.tensor([0.9], dtype=torch.float64), torch.tensor([[1.0, 0.0]]).double(), 0.05)
    plain, averaged = (chains("red_diff", 200, average=share) for share in (0.0, 0.1))
    assert averaged[:, 1].std() < 0.8 * plain[:, 1].std()
    assert (averaged - exact.mean).square().mean() < (plain - exact.mean).square().mean()


# The proximal step of DiffPIR

@pytest.mark.parametrize("weight", [1e-3, 0.7, 300.0])
@pytest.mark.parametrize("operator", LINEAR.values(), ids=LINEAR)
def test_the_proximal_step_agrees_with_dense_linear_algebra(operator, weight):
    x0 = normal(*SHAPE)
    y = normal(*operator.H(x0).shape, seed=1)
    found = nearest(x0, y, operator, weight)
    for i in range(len(x0)):
        matrix = dense(operator, i)
        left = matrix.T @ matrix + weight * torch.eye(matrix.shape[1], dtype=torch.float64)
        wanted = torch.linalg.solve(left, matrix.T @ y[i].flatten() + weight * x0[i].flatten())
        assert torch.allclose(found[i].flatten(), wanted, atol=1e-8)  # rounding, divided by the smallest weight


@pytest.mark.parametrize("operator", EXACT.values(), ids=EXACT)
def test_weights_near_zero_explain_the_measurement_and_large_ones_keep_the_estimate(operator):
    x0, y = normal(*SHAPE), operator.H(normal(*SHAPE, seed=1))
    at_zero = nearest(x0, y, operator, 0.0)
    assert torch.allclose(operator.H(at_zero), y, atol=1e-9)
    assert torch.allclose(nearest(x0, y, operator, 1e-12), at_zero, atol=1e-6)  # weight over the cutoff .03^2 of blurs
    assert torch.allclose(nearest(x0, y, operator, 1e12), x0, atol=1e-9)


@pytest.mark.parametrize("operator", EXACT.values(), ids=EXACT)
def test_tiny_weights_do_not_raise_rounding_errors(operator):
    """A run starts with weights near 1e-6: in float32 that must not be a factor of 1e6 on unseen directions."""
    x0, y = normal(*SHAPE), operator.H(normal(*SHAPE, seed=1))
    exact = nearest(x0, y, operator, 1e-6)
    assert torch.allclose(nearest(x0.float(), y.float(), operator, 1e-6).double(), exact, atol=1e-4)


# The gradient of RED-Diff

@pytest.mark.parametrize("schedule", ["vp_linear", "cosine", "edm", "flow"])
@pytest.mark.parametrize("weight", WEIGHT.choices)
def test_the_gradient_of_the_surrogate_is_the_weighted_noise_residual(weight, schedule):
    schedule, t, prior = SCHEDULES[schedule], 0.4, 0.25
    mu, eps, law = normal(3, 6), normal(3, 6, seed=1), Gaussian.random(6)
    alpha, sigma = schedule(t)
    x_t = alpha * mu + sigma * eps
    x0 = law.posterior_mean(x_t, alpha, sigma)
    eps_hat = (x_t - alpha * x0) / sigma
    weighed = pull(mu, x0, moves.Level(t, alpha, sigma), prior, weight)
    found = gradient(mu, weighed, torch.zeros(1, 6, dtype=torch.float64), Inpaint(torch.zeros(6)))
    assert torch.allclose(found, prior * WEIGHTS[weight](sigma / alpha) * (eps_hat - eps) / 6, atol=1e-12)


@pytest.mark.parametrize("operator", LINEAR.values(), ids=LINEAR)
def test_the_gradient_of_a_linear_measurement_is_its_adjoint(operator):
    mu = normal(*SHAPE)
    y = normal(*operator.H(mu).shape, seed=1)
    wanted = operator.adjoint(operator.H(mu) - y) / y[0].numel()
    assert torch.allclose(gradient(mu, torch.zeros_like(mu), y, operator), wanted, atol=1e-12)


@pytest.mark.parametrize("operator", [HDR(), PhaseRetrieval()], ids=lambda operator: operator.title)
def test_the_gradient_of_other_measurements_is_a_difference_quotient(operator):
    mu, aside, step = 0.4 * normal(2, 3, 8, 8), normal(2, 3, 8, 8, seed=2), 1e-6
    y, weighed = operator.H(0.4 * normal(2, 3, 8, 8, seed=1)), normal(2, 3, 8, 8, seed=3)

    def loss(mu):
        return ((weighed * mu).mean((1, 2, 3)) + (y - operator.H(mu)).square().mean((1, 2, 3)) / 2)

    slope = (loss(mu + step * aside) - loss(mu - step * aside)) / (2 * step)
    assert torch.allclose((gradient(mu, weighed, y, operator) * aside).sum((1, 2, 3)), slope, atol=1e-6)


def test_red_diff_steps_as_adam_does():
    """Against torch's own Adam on the same gradients, at the card's betas."""
    y, operator, times = normal(1, 3, 8, 8), GaussianBlur(1.0), respaced(20)
    found = list(steer("red_diff", toward_grey, normal(2, 3, 8, 8), times, DISCRETE, y=y, operator=operator,
                       rng=Rng(0, 2), average=0.0))[-1].x
    rng, mu = Rng(0, 2), operator.pinv(y).expand(2, -1, -1, -1).clone()
    adam = torch.optim.Adam([mu], lr=0.1, betas=(0.9, 0.99))
    for t in times[:-1].tolist():
        (alpha, sigma), eps = DISCRETE(t), rng.normal_like(mu)
        x_t = alpha * mu + sigma * eps
        eps_hat = (x_t - alpha * toward_grey(x_t, t)) / sigma
        mu.grad = (0.25 * sigma / alpha * (eps_hat - eps) + operator.adjoint(operator.H(mu) - y)) / 192
        adam.step()
    assert torch.allclose(found, mu, atol=1e-6)  # the noise residual loses digits where sigma is small


@pytest.mark.parametrize("operator", [Identity(), AveragePool(4), Inpaint(torch.eye(8)), Grey()],
                         ids=lambda operator: operator.title)
def test_red_diff_with_a_fixed_estimate_ends_at_the_weighted_compromise(operator):
    """A denoiser that always answers c makes the loss quadratic: its minimum is a proximal step around c."""
    c, y, prior = normal(1, 3, 8, 8), operator.H(normal(1, 3, 8, 8, seed=1)), 0.5
    wanted = nearest(c, y, operator, prior * y[0].numel() / c[0].numel())
    times = grids.make("uniform", DISCRETE, 600)
    last = list(steer("red_diff", lambda x, t: c.expand_as(x), normal(2, 3, 8, 8), times, DISCRETE, y=y, rng=Rng(0, 2),
                      operator=operator, prior=prior, rate=0.03))[-1]
    # Adam oscillates by a tenth of its rate; averaged over 60 steps little of that is left.
    assert torch.allclose(last.x, wanted.expand_as(last.x), atol=1e-3)


@pytest.mark.parametrize("operator", [HDR(), JPEG(30), PhaseRetrieval(), compose(GaussianBlur(1.0), HDR())],
                         ids=lambda operator: operator.title)
def test_red_diff_takes_measurements_that_are_not_linear(operator):
    truth = 0.4 * normal(1, 3, 16, 16).cumsum(-1).tanh().float()
    y, times = operator.H(truth), grids.make("uniform", SCHEDULES["cosine"], 60)
    steps = list(steer("red_diff", lambda x, t: 0.9 * truth.expand_as(x), normal(2, 3, 16, 16).float(), times,
                       SCHEDULES["cosine"], y=y, operator=operator, rng=Rng(0, 2)))
    gaps = [(operator.H(step.x) - y).square().mean() for step in (steps[0], steps[-1])]
    assert gaps[1] < 0.05 * y.square().mean() and torch.isfinite(steps[-1].x).all()
    assert gaps[1] < gaps[0] or gaps[0] < 1e-3


# Both

def toward_grey(x, t):
    """Any denoiser: contracts, mixes neighbours, and is nobody's posterior mean."""
    return 0.3 * x + 0.2 * x.flip(-1) - 0.1


def run(name, schedule, y, operator: Measurement, steps=8, seed=0, samples=2, noise=0.0, denoise=toward_grey,
        dtype=torch.float32, **options):
    rng = Rng(seed, samples)
    times = grids.make("uniform", schedule, steps)
    x = (schedule(times[0].item())[1] * rng.normal(3, 8, 8)).to(dtype)
    return list(steer(name, denoise, x, times, schedule, y=y, operator=operator, noise=noise, rng=rng, **options))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_diffpir_gives_a_fully_known_picture_back(schedule):
    y = normal(1, 3, 8, 8).float()
    last = run("diffpir", SCHEDULES[schedule], y, Inpaint(torch.ones(8, 8)))[-1]
    assert torch.allclose(last.x, y.expand(2, -1, -1, -1), atol=1e-5)  # float32 rounding of sums up to |x| ~ 80 (edm)


@pytest.mark.parametrize("operator", [AveragePool(4), GaussianBlur(1.0), Grey(), compose(Inpaint(torch.eye(8)),
                                      AveragePool(2))], ids=lambda operator: operator.title)
def test_diffpir_without_noise_explains_the_measurement_and_is_the_limit_of_little_noise(operator):
    y = operator.H(normal(1, 3, 8, 8))
    clean, almost = (run("diffpir", SCHEDULES["cosine"], y, operator, noise=noise, dtype=torch.float64)[-1].x
                     for noise in (0.0, 1e-7))
    assert torch.allclose(operator.H(clean), y.expand(2, *[-1] * (y.dim() - 1)), atol=1e-8)
    assert torch.allclose(clean, almost, atol=1e-6)


@pytest.mark.parametrize("fresh", [0.0, 0.4, 1.0])
def test_diffpir_with_nothing_known_is_plain_sampling(fresh):
    schedule = SCHEDULES["vp_linear"]
    times = grids.make("uniform", schedule, 6)
    start = x = normal(2, 3, 8, 8)
    rng = Rng(1, 2)
    for t, s in itertools.pairwise(times.tolist()):
        (alpha, sigma), (alpha_s, sigma_s) = schedule(t), schedule(s)
        x0 = toward_grey(x, t)
        eps = (x - alpha * x0) / sigma
        drawn = rng.normal_like(x) if fresh > 0 and s > 0 else 0
        x = alpha_s * x0 + sigma_s * (math.sqrt(1 - fresh) * eps + math.sqrt(fresh) * drawn)
    *_, last = steer("diffpir", toward_grey, start, times, schedule, y=torch.zeros(1, 3, 8, 8), noise=0.3,
                     operator=Inpaint(torch.zeros(8, 8)), rng=Rng(1, 2), fresh=fresh)
    assert torch.allclose(last.x, x, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_schedule_is_only_a_scale(name):
    """The same levels of signal to noise give the same samples on every schedule."""
    levels = torch.linspace(-3.5, 4.0, 9, dtype=torch.float64)
    law, y, ends = Gaussian.random(6), normal(1, 6), []
    for schedule in SCHEDULES.values():
        times = torch.cat([schedule.time_at(levels), torch.zeros(1, dtype=torch.float64)])
        x = math.hypot(1, math.exp(3.5)) * schedule(times[0].item())[0] * normal(3, 6, seed=1)
        ends.append(list(steer(name, law.denoiser(schedule), x, times, schedule, y=y, operator=Inpaint(torch.eye(6)[0]),
                               noise=0.1, rng=Bulk()))[-1].x)
    assert all(torch.allclose(end, ends[0], atol=1e-8) for end in ends[1:])  # inverting the schedules leaves 1e-12


@pytest.mark.parametrize("operator", [Inpaint(torch.eye(8)), GaussianBlur(1.0), compose(GaussianBlur(1.0), Inpaint(
                                      torch.eye(8)))], ids=lambda operator: operator.title)
@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_the_same_alone_and_in_a_batch(name, operator):
    y = operator.H(normal(1, 3, 8, 8).float())
    first, again, other, alone = (run(name, SCHEDULES["cosine"], y, operator, noise=0.1, seed=seed, samples=samples)
                                  for seed, samples in ((5, 3), (5, 3), (6, 3), (5, 1)))
    assert all(torch.equal(a.x, b.x) and torch.equal(a.x0, b.x0) for a, b in zip(first, again, strict=True))
    assert not torch.allclose(first[-1].x, other[-1].x, atol=1e-2)
    assert torch.allclose(alone[-1].x, first[-1].x[:1], atol=1e-4)  # other batch sizes may sum in another order


@pytest.mark.parametrize("steps", [1, 12])
@pytest.mark.parametrize("name", NAMES)
def test_every_network_call_is_counted_and_announced(name, steps):
    schedule, denoise = SCHEDULES["cosine"], counted(toward_grey)
    done = run(name, schedule, torch.zeros(1, 3, 8, 8), Inpaint(torch.eye(8)), steps, noise=0.1, denoise=denoise)
    assert len(done) == denoise.calls == row(name).calls(steps) == steps
    assert [s.nfe for s in done] == [s.index for s in done] == list(range(1, steps + 1))
    assert {s.total for s in done} == {steps} and done[-1].t == done[-1].sigma == 0
    assert all(s.x.shape == s.x0.shape == (2, 3, 8, 8) and s.sigma == schedule(s.t)[1] for s in done)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("name", "options"), [
    ("diffpir", {}), ("diffpir", {"prior": 25.0, "fresh": 1.0}), ("red_diff", {"dispersion": 0.1}),
    *(("red_diff", {"weighting": weight}) for weight in WEIGHT.choices)])
def test_float32_pictures_are_those_of_float64_on_every_schedule(name, options, schedule):
    """The residual schedule starts without any signal, EDM with noise of 80."""
    schedule, operator = SCHEDULES[schedule], GaussianBlur(1.0)
    y = operator.H(normal(1, 3, 8, 8).clamp(-1, 1))

    def denoise(x, t):
        alpha, sigma = schedule(t)
        return alpha / 4 / (alpha ** 2 / 4 + sigma ** 2) * x

    single, double = (run(name, schedule, y.to(kind), operator, noise=0.05, denoise=denoise, dtype=kind, **options)
                      for kind in (torch.float32, torch.float64))
    assert all(step.x.dtype == step.x0.dtype == torch.float32 for step in single)
    # Adam's first steps are signs of gradients, so the few numbers whose gradient is all rounding may go either way.
    assert (single[-1].x - double[-1].x).abs().mean() < 1e-3


def test_red_diff_runs_where_gradients_are_switched_off():
    with torch.no_grad():
        last = run("red_diff", SCHEDULES["flow"], torch.zeros(1, 3, 8, 8), Identity())[-1]
    assert not last.x.requires_grad and torch.isfinite(last.x).all()


@pytest.mark.parametrize("name", NAMES)
def test_closing_the_generator_stops_before_the_next_call(name):
    schedule, denoise = SCHEDULES["cosine"], counted(toward_grey)
    steps = steer(name, denoise, normal(1, 3, 8, 8), grids.make("uniform", schedule, 10), schedule, rng=Rng(0, 1),
                  y=torch.zeros(1, 3, 8, 8), operator=Inpaint(torch.eye(8)))
    next(steps), next(steps)
    steps.close()
    assert denoise.calls == 2


@pytest.mark.parametrize(("name", "given", "field"), [
    ("diffpir", {"prior": 0.0}, "prior"), ("diffpir", {"fresh": 1.1}, "fresh"), ("diffpir", {"eta": 1.0}, "eta"),
    ("red_diff", {"rate": float("nan")}, "rate"), ("red_diff", {"weighting": "cubic"}, "weighting"),
    ("red_diff", {"average": 0.9}, "average"), ("red_diff", {"dispersion": -1.0}, "dispersion"),
    ("diffpir", {"operator": HDR()}, "method"), ("diffpir", {"noise": -0.1}, "noise")])
def test_wrong_settings_name_their_field(name, given, field):
    with pytest.raises(InputError) as error:
        steer(name, toward_grey, normal(1, 3, 8, 8), torch.tensor([1.0, 0.0]), SCHEDULES["flow"], rng=Rng(0, 1),
              y=torch.zeros(1, 3, 8, 8), **{"operator": Identity()} | given)
    assert error.value.field == field
