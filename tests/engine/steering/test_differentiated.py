"""The derivative of a denoiser, against the closed form for a Gaussian."""

import pytest
import torch

from engine.steering.differentiated import differentiated
from tests.engine.steering.cases import SCHEDULES
from tests.oracles import Gaussian, normal

LAW = Gaussian.random(6)


def gain(schedule, t):
    """dx0 / dx_t = alpha C (alpha^2 C + sigma^2)^-1, (6, 6)."""
    alpha, sigma = schedule(t)
    total = alpha ** 2 * LAW.covariance + sigma ** 2 * torch.eye(6, dtype=torch.float64)
    return alpha * LAW.covariance @ torch.linalg.inv(total)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_pulling_multiplies_with_the_transposed_jacobian(schedule):
    schedule, x, direction = SCHEDULES[schedule], normal(3, 6), normal(3, 6, seed=1)
    found = differentiated(LAW.denoiser(schedule))(x, 0.4)
    assert torch.equal(found.x0, LAW.denoiser(schedule)(x, 0.4))
    assert torch.allclose(found.pull(direction), direction @ gain(schedule, 0.4), atol=1e-12)


def test_it_is_the_transpose_and_not_the_jacobian():
    matrix = normal(6, 6)
    found = differentiated(lambda x, t: x @ matrix.T)(normal(2, 6, seed=1), 0.5)
    direction = normal(2, 6, seed=2)
    assert torch.allclose(found.pull(direction), direction @ matrix, atol=1e-12)


def test_a_caller_without_gradients_gets_plain_tensors():
    x = normal(2, 6)
    with torch.no_grad():
        found = differentiated(LAW.denoiser(SCHEDULES["cosine"]))(x, 0.5)
        pulled = found.pull(torch.ones_like(x))
    assert pulled.any() and not (found.x0.requires_grad or pulled.requires_grad or x.requires_grad)


def test_the_graph_lasts_for_as_many_pulls_as_are_asked_for():
    found = differentiated(LAW.denoiser(SCHEDULES["cosine"]))(normal(2, 6), 0.5)
    first, second = (found.pull(normal(2, 6, seed=1), again=again) for again in (True, False))
    assert torch.equal(first, second)
    with pytest.raises(RuntimeError):
        found.pull(normal(2, 6))


def test_each_sample_has_its_own_derivative():
    x, direction = normal(3, 6), normal(3, 6, seed=1)
    estimate = differentiated(lambda x, t: x.tanh() * x.sum(1, keepdim=True))
    together = estimate(x, 0.5).pull(direction)
    alone = torch.cat([estimate(x[i:i + 1], 0.5).pull(direction[i:i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-12)


def test_a_denoiser_without_gradients_is_a_mistake_of_the_caller():
    with pytest.raises(AssertionError, match="gradient"):
        differentiated(lambda x, t: x.detach())(normal(2, 6), 0.5)
