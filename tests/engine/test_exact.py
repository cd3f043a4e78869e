import math

import numpy as np
import pytest
import torch

from engine import exact, schedules
from engine.errors import InputError
from tests.oracles import normal

LEVELS = ((1.0, 0.0), (0.8, 0.6), (0.05, 1.0))
SCHEDULES = ("vp_linear", "vp_discrete", "cosine", "edm", "flow")
# Differences of closed forms in float64; derivatives near sigma = 0 lose a few digits more.
ROUNDING = 1e-10


def _laws():
    five = exact.mixture(range(1, 7), normal(6, 5, seed=3), torch.linspace(0.2, 0.7, 6), [0, 1, 0, 2, 1, 2])
    return [exact.toy(), exact.line(), five]


@pytest.mark.parametrize("law", _laws(), ids=("plane", "line", "five"))
@pytest.mark.parametrize("levels", LEVELS)
def test_log_density_is_that_of_torch(law, levels):
    alpha, sigma = levels
    spreads = (alpha**2 * law.variances + sigma**2).sqrt()[:, None].expand(-1, law.size)
    parts = torch.distributions.Independent(torch.distributions.Normal(alpha * law.means, spreads), 1)
    known = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(law.weights), parts)
    x = normal(20, law.size)
    assert torch.allclose(law.log_density(x, alpha, sigma), known.log_prob(x), atol=ROUNDING)
    assert torch.allclose(law.marginal(alpha, sigma).log_density(x), known.log_prob(x), atol=ROUNDING)


@pytest.mark.parametrize("law", _laws(), ids=("plane", "line", "five"))
@pytest.mark.parametrize("levels", LEVELS)
def test_derivatives_are_those_of_the_density(law, levels):
    x = normal(8, law.size)
    score = torch.func.grad(lambda p: law.log_density(p, *levels).sum())(x)
    assert torch.allclose(law.score(x, *levels), score, atol=ROUNDING)
    hessian = torch.func.vmap(torch.func.jacrev(lambda p: law.score(p[None], *levels)[0]))(x)
    assert torch.allclose(law.hessian(x, *levels), hessian, atol=ROUNDING)
    trace = hessian.diagonal(dim1=1, dim2=2).sum(1)
    assert torch.allclose(law.laplacian(x, *levels), trace, atol=ROUNDING)


@pytest.mark.parametrize("law", _laws(), ids=("plane", "line", "five"))
def test_posterior_mean_is_tweedies(law):
    x, (alpha, sigma) = normal(8, law.size), LEVELS[1]
    tweedie = (x + sigma**2 * law.score(x, alpha, sigma)) / alpha
    assert torch.allclose(law.posterior_mean(x, alpha, sigma), tweedie, atol=ROUNDING)


@pytest.mark.parametrize("name", SCHEDULES)
def test_velocity_carries_the_density(name):
    """The continuity equation along a path, d log q / dt + u . score + div u = 0, and div u is the trace of u'."""
    law, schedule = exact.toy(), schedules.by_name(name)
    t, x = schedule.time_at(0.4), normal(16, 2)
    moment = torch.full((16,), t, dtype=torch.float64)
    _, change = torch.func.jvp(lambda s: law.log_density(x, *schedule(s)), (moment,), (torch.ones_like(moment),))
    u, divergence = law.velocity(x, t, schedule), law.divergence(x, t, schedule)
    assert torch.allclose(change + (u * law.score(x, *schedule(t))).sum(1) + divergence, torch.zeros(16).double(),
                          atol=1e-8 * float(change.abs().max()))
    jacobian = torch.func.vmap(torch.func.jacrev(lambda p: law.velocity(p[None], t, schedule)[0]))(x)
    assert torch.allclose(jacobian.diagonal(dim1=1, dim2=2).sum(1), divergence)


@pytest.mark.parametrize("law", _laws(), ids=("plane", "line", "five"))
def test_every_sample_has_its_own_level_shape_and_dtype(law):
    schedule = schedules.vp_linear()
    denoise, x, t = law.denoiser(schedule), normal(4, law.size), torch.tensor([0.1, 0.5, 0.7, 1.0])
    alone = torch.cat([denoise(x[i:i + 1], float(t[i])) for i in range(4)])
    assert torch.allclose(denoise(x, t), alone, atol=1e-6)  # t is float32 here
    shaped = denoise(x.float().reshape(4, law.size, 1), 0.5)
    assert shaped.shape == (4, law.size, 1)
    assert shaped.dtype == torch.float32


def test_conditional_means_are_those_of_the_class():
    law, x, levels = _laws()[2], normal(3, 5), LEVELS[1]
    both = law.posterior_mean(x, *levels, label=torch.tensor([1, 2, law.classes]))
    assert torch.allclose(both[0], law.of_class(1).posterior_mean(x, *levels)[0])
    assert torch.allclose(both[1], law.of_class(2).posterior_mean(x, *levels)[1])
    assert torch.allclose(both[2], law.posterior_mean(x, *levels)[2])


def test_samples_have_the_moments_of_the_law():
    law, count = exact.toy(), 20_000
    drawn = law.sample(count, torch.Generator().manual_seed(1))
    mean = law.weights @ law.means
    covariance = (law.weights @ law.variances) * torch.eye(2) + law.means.T @ (law.weights[:, None] * law.means)
    covariance = covariance - torch.outer(mean, mean)
    # Five standard errors of a mean; those of second moments are about as large at unit variance.
    assert torch.allclose(drawn.mean(0), mean, atol=5 * float(covariance.max()) ** 0.5 / count**0.5)
    assert torch.allclose(drawn.T.cov(), covariance, atol=5 * 2**0.5 * float(covariance.max()) / count**0.5)


def test_split_shares_no_component_and_loses_none():
    law = exact.patches(side=4, components=33)
    one, other = law.split(5)
    assert len(one.weights) + len(other.weights) == 33
    assert torch.cdist(one.means, other.means).min() > 0
    assert float(one.weights.sum()) == pytest.approx(1)
    assert torch.equal(law.split(5)[0].means, one.means)
    assert not torch.equal(law.split(6)[0].means, one.means)


def test_patches_have_unit_variance_and_are_repeatable():
    law = exact.patches(side=4, components=64)
    assert law.means.shape == (64, 16)
    second = law.weights @ (law.means.square().mean(1) + law.variances)
    # Exact for the data; the widened clusters and their centres from the round before add a little.
    assert float(second) == pytest.approx(1, abs=0.05)
    assert (law.variances > 0).all()
    again = exact.patches.__wrapped__(side=4, components=64)
    assert torch.equal(again.means, law.means)
    assert not torch.equal(exact.patches(4, 64, seed=1).means, law.means)


def test_rings_are_even():
    law = exact.rings()
    angles = torch.linspace(0, 2 * math.pi, 1000, dtype=torch.float64)
    for radius in (1, 2):
        around = law.log_density(radius * torch.stack([angles.cos(), angles.sin()], 1))
        assert float(around.max() - around.min()) < 0.02
    assert law.log_density(torch.zeros(1, 2)) < -20


def test_drawings_put_mass_where_the_ink_is():
    ink = np.zeros((2, 40, 60))
    ink[0, 5:8, 10:50] = 1
    ink[1, 30:33, 10:50] = 3
    law = exact.drawn(ink, most=50)
    assert len(law.weights) <= 50
    assert law.classes == 2
    upper = law.means[:, 1] > 0
    assert torch.equal(law.labels, (~upper).long())
    assert float(law.weights[~upper].sum()) == pytest.approx(0.75, abs=0.01)
    spans = law.means.amax(0) - law.means.amin(0)
    assert float(spans.max()) == pytest.approx(4)
    assert float(law.means.amax(0)[0] + law.means.amin(0)[0]) == pytest.approx(0, abs=1e-12)


def test_letters_are_classes_from_left_to_right():
    law = exact.letters("A BC")
    assert law.classes == 3
    centres = [float(law.of_class(i).weights @ law.of_class(i).means[:, 0]) for i in range(3)]
    assert centres == sorted(centres)


@pytest.mark.parametrize("ink", [np.zeros((8, 8)), np.ones((8, 8)), np.zeros((0, 0)), np.full((4, 4), np.nan),
                                 -np.eye(4), np.ones(4)])
def test_bad_drawings_are_refused(ink):
    with pytest.raises(InputError) as found:
        exact.drawn(ink)
    assert found.value.field == "drawing"


@pytest.mark.parametrize("text", ["", "   ", "é", "A\n", "x" * 13])
def test_bad_texts_are_refused(text):
    with pytest.raises(InputError) as found:
        exact.letters(text)
    assert found.value.field == "text"


@pytest.mark.parametrize("name", (*SCHEDULES, "residual"))
def test_solution_of_one_gaussian_is_its_linear_map(name):
    schedule = schedules.by_name(name)
    law = exact.mixture([1], [[0.4, -0.3]], [0.3])
    alpha, sigma = schedule(schedule.start)
    x = math.hypot(alpha, sigma) * normal(16, 2)
    expected = law.means + math.sqrt(0.3 / (alpha**2 * 0.3 + sigma**2)) * (x - alpha * law.means)
    # A quarter of the usual steps, so 256 times its error.
    assert float((exact.solution(law.denoiser(schedule), x, schedule, 500) - expected).abs().max()) < 1e-9


def test_solution_has_order_four_and_is_exact_at_2000_steps():
    schedule, law = schedules.vp_linear(), exact.toy()
    x = normal(32, 2)
    coarse, middle, fine = (exact.solution(law.denoiser(schedule), x, schedule, n) for n in (250, 500, 1000))
    first, second = float((coarse - middle).abs().max()), float((middle - fine).abs().max())
    assert math.log2(first / second) == pytest.approx(4, abs=0.3)
    assert second / 15 / 16 < 1e-9  # what is left at 2000 steps, by Richardson's rule


def test_solution_runs_both_ways_and_between_times():
    schedule, law = schedules.cosine(), exact.toy()
    denoise, x = law.denoiser(schedule), normal(16, 2)
    down = exact.solution(denoise, x, schedule, 300, start=0.8, end=0.05)
    back = exact.solution(denoise, down, schedule, 300, start=0.05, end=0.8)
    assert float((back - x).abs().max()) < 1e-6
    halfway = exact.solution(denoise, x, schedule, 300, start=0.8, end=0.4)
    assert torch.allclose(exact.solution(denoise, halfway, schedule, 300, start=0.4, end=0.05), down, atol=1e-7)
