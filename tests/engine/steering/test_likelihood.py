"""Tempered likelihoods and the kernels they lead, against dense linear algebra and densities written out."""

import itertools
import math

import pytest
import torch

from engine.steering.likelihood import PATHS, Linear, Nonlinear, Tempered, inner, tempering
from engine.steering.operators import AveragePool, Blur, Identity, Inpaint, Operator
from engine.steering.operators.base import Measurement
from tests.oracles import normal

SHAPE, SIZE = (1, 4, 4), 16
AT = Tempered(0.7, 0.3, 0.04)
STD = 0.6
HOLE = Inpaint(torch.eye(4, dtype=torch.float64))


class Dense(Operator):
    """A linear map whose singular values nobody knows."""

    offers = frozenset({"linear", "gradient", "derivative"})
    matrix = normal(5, SIZE, seed=3) / 3

    def H(self, x):
        return x.flatten(1) @ self.matrix.T

    def adjoint(self, y):
        return (y @ self.matrix).reshape(-1, *SHAPE)


BLUR = Blur(torch.tensor([[1.0, 2.0, 1.0]]))
OPERATORS = pytest.mark.parametrize("operator", [Identity(), HOLE, AveragePool(2), BLUR, Dense()],
                                    ids=lambda operator: type(operator).__name__)


class Replayed:
    """An rng that hands out what it was given."""

    def __init__(self, *draws):
        self.draws = list(draws)

    def normal_like(self, x):
        return self.draws.pop(0).reshape(x.shape)


def dense(operator):
    """H as a matrix (M, 16)."""
    return operator.H(torch.eye(SIZE, dtype=torch.float64).reshape(SIZE, *SHAPE)).flatten(1).T


def product(operator, y, means):
    """Centres and covariance of N(mean, STD^2) times the likelihood, and its log-mass up to one number."""
    H = AT.shrink * dense(operator)
    seen = AT.noise * torch.eye(len(H)).double() + AT.spread / AT.shrink ** 2 * H @ H.T
    gain = STD ** 2 * H.T @ torch.linalg.inv(seen + STD ** 2 * H @ H.T)
    missing = y.flatten() - means.flatten(1) @ H.T
    mass = -(missing * torch.linalg.solve(seen + STD ** 2 * H @ H.T, missing.T).T).sum(1) / 2
    return means.flatten(1) + missing @ gain.T, STD ** 2 * (torch.eye(SIZE).double() - gain @ H), mass


@OPERATORS
def test_a_linear_measurement_leads_a_kernel_to_the_exact_product(operator):
    y, means = operator.H(normal(1, *SHAPE, seed=1)), normal(3, *SHAPE)
    centres, _, mass = product(operator, y, means)
    twist = Linear(operator, y).twist(means, STD, AT, torch.zeros_like(means),
                                      Replayed(torch.zeros_like(means), torch.zeros_like(operator.H(means))))
    assert torch.allclose(twist.centre.flatten(1), centres, atol=1e-10)
    assert torch.allclose(twist.deviation, torch.zeros_like(means))
    assert torch.allclose(twist.log_ratio - twist.log_ratio[0], mass - mass[0], atol=1e-9)


@OPERATORS
def test_a_draw_has_the_covariance_of_the_product(operator):
    """The deviation is linear in the noise that it is made of: one unit of noise at a time gives its matrix."""
    measured = operator.H(normal(1, *SHAPE)).numel()
    units = torch.eye(2 * SIZE + measured, dtype=torch.float64)
    noise, hidden, seen = units.split([SIZE, SIZE, measured], 1)
    noise = noise.reshape(-1, *SHAPE)
    y = operator.H(normal(1, *SHAPE, seed=1))
    twist = Linear(operator, y).twist(torch.zeros_like(noise), STD, AT, noise, Replayed(hidden, seen))
    factors = twist.deviation.flatten(1)
    assert torch.allclose(factors.T @ factors, product(operator, y, noise)[1], atol=1e-9)


@OPERATORS
def test_the_likelihood_of_a_state_is_its_density(operator):
    y, z = operator.H(normal(1, *SHAPE, seed=1)), normal(4, *SHAPE)
    H = dense(operator)
    law = torch.distributions.MultivariateNormal(y.flatten(), AT.noise * torch.eye(len(H)).double()
                                                 + AT.spread * H @ H.T)
    wanted = law.log_prob(AT.shrink * z.flatten(1) @ H.T)
    found = Linear(operator, y).log(z, AT)
    assert found.dtype == torch.float64
    assert torch.allclose(found - found[0], wanted - wanted[0], atol=1e-9)


class Squares(Measurement):
    """Sums of squares of rows."""

    def H(self, x):
        return x.square().sum(-1)


@pytest.mark.parametrize("measurement", [Squares(), HOLE], ids=["squares", "inpainting"])
def test_other_measurements_weigh_a_draw_by_likelihood_times_kernel_over_proposal(measurement):
    y, means, noise = measurement.H(normal(1, *SHAPE, seed=1)), normal(6, *SHAPE), normal(6, *SHAPE, seed=2)
    twist = Nonlinear(measurement, y).twist(means, STD, AT, noise, None)
    draw = twist.centre + twist.deviation
    kernel, proposal = (torch.distributions.Normal(mean, STD).log_prob(draw).flatten(1).sum(1)
                        for mean in (means, twist.centre))
    seen = torch.distributions.Normal(measurement.H(AT.shrink * draw), math.sqrt(AT.noise + AT.spread))
    wanted = seen.log_prob(y).flatten(1).sum(1) + kernel - proposal
    assert torch.allclose(twist.log_ratio - twist.log_ratio[0], wanted - wanted[0], atol=1e-9)


def test_the_gradient_step_of_an_identity_is_the_exact_one():
    y, means = normal(1, *SHAPE, seed=1), normal(3, *SHAPE)
    still = torch.zeros_like(means)
    assert torch.allclose(Nonlinear(Identity(), y).twist(means, STD, AT, still, None).centre,
                          Linear(Identity(), y).twist(means, STD, AT, still, None).centre, atol=1e-12)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_starts_with_nothing_and_ends_with_the_whole_measurement(path):
    first, *_, last = tempering(path, [math.inf, 3.0, 1.0, 0.1, 0.0], 0.2, 1.0, 0.5)
    assert first.shrink == 0
    assert last == pytest.approx((1, 0, 0.04), abs=1e-12)


@pytest.mark.parametrize("path", ["wiener", "level", "linear"])
def test_less_noise_tells_more(path):
    """The information on a number seen, shrink^2 / (noise + spread), rises along the way."""
    told = [at.shrink ** 2 / (at.noise + at.spread) for at in tempering(path, [9.0, 3.0, 1.0, 0.1, 0.0], 0.2, 1.0, 0.5)]
    assert all(a < b for a, b in itertools.pairwise(told))


def test_the_wiener_path_is_the_likelihood_of_a_gaussian_clean_signal():
    """x0 ~ N(0, p), z = x0 + 2 n, y = x0 + 0.3 e: the law of y given z, by the covariances of the three."""
    p = 0.7
    [at] = tempering("wiener", [2.0], 0.3, 1.0, p)
    assert at.shrink == pytest.approx(p / (p + 4))
    assert at.noise + at.spread == pytest.approx(p + 0.09 - p * p / (p + 4))


def test_the_power_is_read_off_the_measurement():
    pixels = 0.8 * normal(1, 3, 64, 64)
    known = torch.zeros(64, 64)
    known[:32] = 1
    likelihood = Linear(Inpaint(known), pixels * known)
    assert likelihood.power(pixels) == pytest.approx(0.64, rel=0.05)  # 6144 squares: 0.02 relative error
    nothing = torch.zeros(1, 1, 4, 4)
    assert all(Linear(Inpaint(known), nothing).power(nothing) > 0 for known in (torch.zeros(4, 4), torch.ones(4, 4)))


def test_inner_products_are_taken_in_double_precision():
    a = torch.full((1, 4096), 1e4) + 1
    assert inner(a, a).item() == 4096 * 10001.0 ** 2
