"""EDiffSR's network: sizes, parts, and the closed form of its linear base."""

import pytest
import torch

from engine import networks, schedules
from engine.denoisers import from_reverting, spread
from engine.networks.eanet import Block, PriorEnhancement, local_spread, reverting_base, standardised

TINY = {"width": 8, "encoder": (1, 1), "middle": 1, "decoder": (1, 1)}


def _randomised(network):
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05, generator=generator)
    return network.eval()


def _normal(*shape, seed=2):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("stem", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (13, 21), (32, 8), (9, 64)])
def test_any_size_comes_back(size, stem):
    network = _randomised(networks.build("eanet", stem=stem, **TINY))
    out = network(_normal(2, 3, *size), torch.tensor([0.2, 0.9]), None, _normal(2, 3, *size, seed=3))
    assert out.shape == (2, 3, *size) and out.isfinite().all()


def test_the_shipped_size_is_slim():
    assert networks.parameter_count(networks.build("eanet")) < 2e6


def test_time_state_and_condition_matter_and_samples_do_not_see_each_other():
    network = _randomised(networks.build("eanet", **TINY))
    x, cond, t = _normal(3, 3, 16, 16), _normal(3, 3, 16, 16, seed=3), torch.tensor([0.1, 0.5, 0.9])
    out = network(x, t, cond=cond)
    for other in (network(x, t + 0.05, cond=cond), network(x + 0.1, t, cond=cond), network(x, t, cond=cond.flip(-1))):
        assert (out - other).abs().max() > 1e-4
    alone = torch.cat([network(x[i:i + 1], t[i:i + 1], cond=cond[i:i + 1]) for i in range(3)])
    torch.testing.assert_close(out, alone, atol=1e-5, rtol=1e-4)  # float32 sums in another order


def test_a_new_block_is_the_identity_and_the_enhancement_adds_to_it():
    x, embedding = _normal(1, 8, 6, 6), _normal(1, 16, seed=4)
    assert torch.equal(Block(8, 16)(x, embedding), x)
    enhancement = PriorEnhancement(8)
    torch.nn.init.zeros_(enhancement.convolve[-1].weight)
    torch.nn.init.zeros_(enhancement.convolve[-1].bias)
    assert torch.equal(enhancement(x), 2 * x)


def test_the_base_is_the_linear_regression_of_its_law():
    """u and the noise drawn from the assumed law: slope and residual deviation agree with the formula (4 MC sigmas)."""
    count, width = 200_000, 0.1
    eps, residual = torch.randn(2, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind()
    alpha, sigma = (torch.tensor(v, dtype=torch.float64) for v in schedules.mean_reverting()(0.1))
    u = alpha * width * residual + sigma * eps
    guess, left = reverting_base(u, alpha, sigma, torch.tensor(width))
    error = eps - guess
    assert abs((error * u).mean()) < 4 * (error * u).std() / count**0.5
    assert float(error.std()) == pytest.approx(float(left), rel=0.01)


def test_a_new_network_is_the_wiener_filter_of_what_is_missing():
    schedule, t = schedules.mean_reverting(), torch.tensor([1.0, 0.4, 0.05])
    mu, y = _normal(3, 3, 16, 16) / 4, _normal(3, 3, 16, 16, seed=5) / 4
    x0 = from_reverting(networks.build("eanet", **TINY), schedule)(y, t, cond=mu)
    alpha, sigma = (spread(v, mu) for v in schedule(t))
    power = local_spread(mu).square()
    expected = mu + alpha * power / (alpha**2 * power + sigma**2) * (y - alpha * mu)
    # Through the noise and alpha = 0.005, the rounding of float32 counts 80 times.
    torch.testing.assert_close(x0, expected, atol=5e-5, rtol=1e-4)


def test_more_detail_lets_expect_more_that_is_missing():
    flat = torch.zeros(1, 3, 32, 32)
    half = flat.clone()
    half[..., 16:] = _normal(1, 3, 32, 16)
    expected = local_spread(half)
    assert expected.shape == (1, 1, 32, 32) and (expected[..., :10] < 0.01).all() and (expected[..., 22:] > 1).all()
    # Only the neighbourhood counts, so that a tile expects what the whole picture does.
    torch.testing.assert_close(local_spread(half[..., :, 8:])[..., 6:], expected[..., 14:], atol=1e-6, rtol=1e-5)


def test_standardised_detail_knows_neither_brightness_nor_contrast():
    mu = _normal(1, 3, 32, 32)  # so strong that the spread's floor, the rounding to 8 bits, does not count
    plain = standardised(mu, local_spread(mu))
    dark = mu / 10 - 0.7
    torch.testing.assert_close(standardised(dark, local_spread(dark)), plain, atol=1e-2, rtol=1e-2)
    assert 0.1 < plain.std() < 2
