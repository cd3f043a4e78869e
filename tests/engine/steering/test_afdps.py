"""AFDPS against exact posteriors: Gaussians, a mixture, and a measurement that is not linear (by quadrature)."""

import math

import pytest
import torch

from engine import grids, schedules
from engine.denoisers import counted
from engine.errors import InputError
from engine.rng import Rng
from engine.steering import AveragePool, Identity, Inpaint, particles, row, steer
from engine.steering.operators import HDR, JPEG, Operator
from engine.steering.operators.base import Measurement
from tests.engine.steering import cases
from tests.oracles import Gaussian, Mixture, normal

COSINE = schedules.cosine()
PARTICLES = 4000
# 4000 particles of which half count leave 5 standard errors of 0.1 std in a mean and 0.16 variances in a variance.
# The card's own tolerances, 0.03 for means and 0.02 for variances, lie above that for the posteriors below.
MEAN, VARIANCE = cases.MEAN, cases.VARIANCE


class Bulk(cases.Bulk):
    def uniform(self, *shape):
        return torch.rand((1, *shape), generator=self.generator)


class Dense(Operator):
    """The two numbers of the card's section 7, mixed; its singular values are not used."""

    offers = frozenset({"linear", "gradient", "derivative"})
    matrix = torch.tensor([[1.0, 0.4], [-0.2, 0.7]], dtype=torch.float64)

    def H(self, x):
        return x @ self.matrix.T

    def adjoint(self, y):
        return y @ self.matrix


def run(law, y, operator, noise, steps=100, schedule=COSINE, grid="uniform", count=PARTICLES, seed=0, **options):
    times = grids.make(grid, schedule, steps)
    x = schedule(times[0].item())[1] * normal(count, 2, seed=seed + 2)
    y = torch.tensor([y], dtype=torch.float64)
    return list(steer("afdps", law.denoiser(schedule), x, times, schedule, y=y, operator=operator, noise=noise,
                      rng=Bulk(seed), **options))


def moments(step):
    """Weighted mean (D,) and covariance (D, D)."""
    mean = particles.mean(step.x, step.log_weights)
    gaps = step.x - mean
    return mean, gaps.T @ (step.log_weights.exp()[:, None] * gaps)


@pytest.mark.parametrize(("schedule", "grid", "options"), [
    (COSINE, "uniform", {}), (COSINE, "uniform", {"dynamics": "ode"}), (COSINE, "uniform", {"path": "wiener"}),
    (schedules.edm(), "karras", {}), (schedules.edm(), "karras", {"dynamics": "ode", "path": "wiener"})])
def test_a_correlated_gaussian_has_its_posterior(schedule, grid, options):
    """The card's table 11.8: the coordinate that is not seen follows the one that is."""
    last = run(cases.PRIOR, [cases.SEEN], cases.First(), cases.NOISE, 100, schedule, grid, **options)[-1]
    mean, covariance = moments(last)
    assert (mean - cases.POSTERIOR.mean).abs().max() < MEAN
    assert (covariance - cases.POSTERIOR.covariance).abs().max() < VARIANCE


@pytest.mark.parametrize("options", [{}, {"path": "wiener"}, {"dynamics": "ode", "path": "wiener"}],
                         ids=lambda options: " ".join(options.values()) or "sde")
def test_a_mixing_operator_without_singular_values(options):
    """The card's section 7, from its own start: VE noise of variance 80^2 instead of 0.5, which is only harder."""
    prior = Gaussian(torch.zeros(2).double(), 0.5 * torch.eye(2).double())
    y = torch.tensor([0.8, -0.4], dtype=torch.float64)
    exact = prior.posterior(y, Dense.matrix, 1.0)
    assert torch.allclose(exact.mean, torch.tensor([0.2906, -0.0134]).double(), atol=1e-4)
    mean, covariance = moments(run(prior, y.tolist(), Dense(), 1.0, **options)[-1])
    # The std is 0.6, so 5 standard errors of 2000 that count are 0.07 and of a variance 0.06.
    assert (mean - exact.mean).abs().max() < 0.07
    assert (covariance - exact.covariance).abs().max() < 0.06


@pytest.mark.parametrize("options", [{}, {"dynamics": "ode"}], ids=["sde", "ode"])
def test_both_clusters_keep_their_weight(options):
    """The measurement 0.1 lies between two clusters at 0.4 and -0.4: three in four belong to the first."""
    y, noise, law = 0.1, 0.3, cases.CLUSTERS
    seen = law.variances + noise ** 2
    shares = (law.weights.log() - (y - law.means[:, 0]) ** 2 / (2 * seen)).softmax(0)
    last = run(law, [y], cases.First(), noise, **options)[-1]
    found = (last.log_weights.exp() * (last.x[:, 1] > 0)).sum()  # the clusters' second coordinates are 8 widths apart
    assert abs(found - shares[0]) < 0.05  # 5 standard errors of 2000 that count
    mean = particles.mean(last.x, last.log_weights)
    posterior = (shares[:, None] * (law.means + torch.stack([
        law.variances / seen * (y - law.means[:, 0]), torch.zeros(2).double()], 1))).sum(0)
    assert (mean - posterior).abs().max() < 0.08  # std 0.7


class Curve(Measurement):
    """x1^2 + x2: a parabola explains each measurement."""

    def H(self, x):
        return x[:, :1].square() + x[:, 1:]


@pytest.mark.parametrize("options", [{}, {"dynamics": "ode"}], ids=["sde", "ode"])
def test_a_measurement_that_is_not_linear(options):
    """Posterior mean and variances on a mixture prior, by quadrature on a grid of spacing 0.02."""
    law, y, noise = Mixture(), 0.8, 0.3
    axis = torch.arange(-5, 5, 0.02, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    log = law.log_parts(points, 1.0, 0.0).logsumexp(1) - (y - Curve().H(points)[:, 0]) ** 2 / (2 * noise ** 2)
    exact = log.softmax(0) @ points
    squares = log.softmax(0) @ (points - exact) ** 2
    last = run(law, [y], Curve(), noise, 200, **options)[-1]
    mean, covariance = moments(last)
    # std 0.9 and 0.5: 5 standard errors of 1500 particles that count are 0.12 and 0.15 of a variance of 0.8.
    assert (mean - exact).abs().max() < 0.12
    assert (covariance.diagonal() - squares).abs().max() < 0.15


@pytest.mark.parametrize("operator", [Identity(), Inpaint(torch.tensor([1.0, 0.0])), Dense()],
                         ids=["identity", "inpainting", "dense"])
def test_weights_stay_equal_when_the_prior_is_what_the_wiener_path_takes_it_for(operator):
    """Prior N(0, p I) with p the power of the measurement: five steps are exact, and no particle knows better."""
    y = torch.tensor([[0.9, 0.0]], dtype=torch.float64)
    power = (y.square().sum() / operator.frobenius(y)).item()
    prior = Gaussian(torch.zeros(2).double(), power * torch.eye(2).double())
    steps = run(prior, y[0].tolist(), operator, 0.3, 5, path="wiener")
    assert all(step.ess == pytest.approx(PARTICLES, rel=1e-6) for step in steps)
    matrix = operator.H(torch.eye(2).double()).T
    exact = prior.posterior(y[0], matrix, 0.3)
    mean, covariance = moments(steps[-1])
    std = exact.covariance.diagonal().max().sqrt()
    assert (mean - exact.mean).abs().max() < 5 * std / PARTICLES ** 0.5
    assert (covariance - exact.covariance).abs().max() < 5 * std ** 2 * (2 / PARTICLES) ** 0.5


def test_without_annealing_the_start_already_knows_the_measurement():
    """Stage I of the paper: the first states are drawn from N(0, sigma^2 I) times the whole likelihood."""
    schedule = schedules.edm()
    seen = []

    def denoise(x, t):
        seen.append(x)
        return cases.PRIOR.denoiser(schedule)(x, t)

    times = grids.make("karras", schedule, 2)
    next(steer("afdps", denoise, schedule(times[0].item())[1] * normal(PARTICLES, 2), times, schedule,
               y=torch.tensor([[0.9]]).double(), operator=cases.First(), noise=0.05, rng=Bulk(), path="none"))
    assert seen[0][:, 0].mean().item() == pytest.approx(0.9, abs=5 * 0.05 / PARTICLES ** 0.5)
    assert seen[0][:, 0].std().item() == pytest.approx(0.05, rel=0.06)
    assert seen[0][:, 1].std().item() == pytest.approx(80, rel=0.06)


def test_sde_and_ode_agree_on_pictures_seen_by_their_averages():
    """Sixteen correlated pixels, four averages: mean and std of both within Monte-Carlo error of the posterior."""
    side, noise = 4, 0.2
    places = torch.cartesian_prod(*[torch.arange(side)] * 2).double()
    law = Gaussian(torch.zeros(16).double(), 0.5 * torch.exp(-torch.cdist(places, places) / 2)
                   + 0.01 * torch.eye(16).double())
    operator, schedule = AveragePool(2), COSINE
    matrix = operator.H(torch.eye(16).double().reshape(16, 1, side, side)).flatten(1).T
    y = operator.H(law.sample(1, 3).reshape(1, 1, side, side))
    exact = law.posterior(y.flatten(), matrix, noise)
    times = grids.make("uniform", schedule, 100)
    for dynamics in ("sde", "ode"):
        *_, last = steer("afdps", law.denoiser(schedule), normal(2000, 1, side, side), times, schedule, y=y,
                         operator=operator, noise=noise, rng=Bulk(), path="wiener", dynamics=dynamics)
        mean, std = (f(last.x, last.log_weights).flatten() for f in (particles.mean, particles.spread))
        # std 0.45; 500 independent particles leave 5 standard errors of 0.1.
        assert (mean - exact.mean).abs().max() < 0.1
        assert (std - exact.covariance.diagonal().sqrt()).abs().max() < 0.08


def toward_grey(x, t):
    return 0.3 * x + 0.2 * x.flip(-1) - 0.1


def picture(operator=None, noise=0.1, count=5, steps=8, y=None, denoise=toward_grey, **options):
    operator = operator or AveragePool(4)
    times = grids.make("uniform", COSINE, steps)
    rng = Rng(0, count)
    y = operator.H(normal(1, 3, 16, 16).float().clamp(-1, 1)) if y is None else y
    return list(steer("afdps", denoise, rng.normal(3, 16, 16), times, COSINE, y=y, operator=operator, noise=noise,
                      rng=rng, **options))


@pytest.mark.parametrize("options", [{}, {"dynamics": "ode"}, {"dynamics": "ode", "corrections": 3}, {"corrections": 3},
                                     {"dynamics": "ode", "corrections": 0}], ids=str)
def test_every_call_is_counted_and_carries_its_weights(options):
    denoise = counted(toward_grey)
    steps = picture(denoise=denoise, **options)
    assert len(steps) == denoise.calls == row("afdps").calls(8, **options)
    assert [s.nfe for s in steps] == [s.index for s in steps] == list(range(1, len(steps) + 1))
    assert {s.total for s in steps} == {len(steps)} and steps[-1].t == steps[-1].sigma == 0
    for step in steps:
        assert step.log_weights.dtype == torch.float64 and step.log_weights.exp().sum().item() == pytest.approx(1)
        assert 1 - 1e-9 <= step.ess <= 5 + 1e-9
        assert step.x.shape == step.x0.shape == (5, 3, 16, 16) and step.x.dtype == torch.float32


def test_resampling_happens_below_the_threshold_only_and_never_at_the_end():
    never, always = picture(resample=0.0), picture(resample=1.0)
    equal = torch.full((5,), -math.log(5), dtype=torch.float64)
    assert all(torch.allclose(step.log_weights, equal) for step in always[:-1])
    assert not torch.allclose(always[-1].log_weights, equal)
    assert particles.effective_size(never[3].log_weights) == pytest.approx(never[3].ess)
    for step in picture(resample=0.6)[:-1]:
        if step.ess > 3:
            assert particles.effective_size(step.log_weights) == pytest.approx(step.ess)
        else:
            assert torch.allclose(step.log_weights, equal)


def test_a_particle_that_diverged_is_replaced_and_the_others_go_on():
    def denoise(x, t):
        x0 = toward_grey(x, t)
        if 0.4 < t < 0.6:
            x0[1] = torch.nan
        return x0

    last = picture(denoise=denoise)[-1]
    assert last.x.isfinite().all() and last.log_weights.isfinite().all()


def test_a_run_in_which_all_weights_collapse_says_so():
    with pytest.raises(InputError, match="all 5 particles have collapsed"):
        picture(denoise=lambda x, t: x * torch.nan)


def test_the_same_seed_gives_the_same_bits():
    first, again = picture(), picture()
    assert all(torch.equal(a.x, b.x) and torch.equal(a.log_weights, b.log_weights)
               for a, b in zip(first, again, strict=True))


def test_only_resampling_binds_the_particles():
    few, more = picture(count=2, resample=0.0), picture(count=5, resample=0.0)
    assert torch.allclose(few[-1].x, more[-1].x[:2], atol=1e-5)  # other batch sizes may sum in another order


def test_a_single_particle_has_all_the_weight():
    step = picture(count=1)[-1]
    assert step.ess == 1 and step.log_weights.tolist() == [0]


def test_without_noise_the_result_explains_the_measurement_even_a_black_one():
    for y in (0.3 * normal(1, 3, 4, 4).float(), torch.zeros(1, 3, 4, 4)):
        last = picture(y=y, noise=0.0)[-1]
        assert torch.allclose(AveragePool(4).H(last.x), y.expand(5, -1, -1, -1), atol=1e-4)
        assert last.x.std(0).mean() > 0.01


def test_nonlinear_measurements_of_pictures_stay_finite():
    for operator in (HDR(), JPEG(30)):
        y = operator.H(0.4 * normal(1, 3, 16, 16).float())
        assert all(step.x.isfinite().all() for step in picture(operator, y=y))


@pytest.mark.parametrize(("given", "field"), [
    ({"noise": 0.0, "path": "none"}, "noise"), ({"noise": 0.0, "path": "linear"}, "noise"),
    ({"noise": 0.0, "gamma": 0.0}, "noise"), ({"noise": 0.0, "operator": HDR()}, "noise"), ({"noise": -1.0}, "noise"),
    ({"y": torch.zeros(5, 3, 4, 4)}, "measurement"), ({"path": "sideways"}, "path"), ({"dynamics": "pde"}, "dynamics"),
    ({"resample": 1.5}, "resample"), ({"corrections": 1.5}, "corrections"), ({"length": math.nan}, "length")])
def test_wrong_settings_name_their_field(given, field):
    with pytest.raises(InputError) as error:
        picture(**given)
    assert error.value.field == field


# Islands.

def test_islands_weigh_the_same_and_resample_among_themselves():
    steps = picture(count=6, resample=0.0, islands=2)
    for step in steps:
        halves = step.log_weights.exp().reshape(2, 3).sum(1)
        assert halves.tolist() == pytest.approx([0.5, 0.5]) and step.ess >= 2 - 1e-9
    assert any(step.ess < 5.9 for step in steps)
    always = picture(count=6, resample=1.0, islands=2)
    assert torch.allclose(always[0].log_weights, torch.full((6,), -math.log(6), dtype=torch.float64))


def test_particles_of_other_islands_do_not_matter():
    """The first island of a larger ensemble goes the way of an ensemble of its size, up to who is copied."""
    alone, among = picture(count=3, resample=0.0), picture(count=6, resample=0.0, islands=2)
    assert torch.allclose(alone[-1].log_weights, among[-1].log_weights[:3] + math.log(2), atol=1e-3)


def test_islands_of_one_keep_all_particles():
    for step in picture(count=4, islands=64):
        assert step.ess == pytest.approx(4)


def test_many_particles_on_islands_have_the_posterior_too():
    mean, covariance = moments(run(cases.PRIOR, [cases.SEEN], cases.First(), cases.NOISE, islands=8)[-1])
    assert (mean - cases.POSTERIOR.mean).abs().max() < MEAN
    assert (covariance - cases.POSTERIOR.covariance).abs().max() < VARIANCE
