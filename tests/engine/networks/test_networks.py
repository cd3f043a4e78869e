"""The slim networks: shapes, conditions, and the closed forms of their linear bases."""

import pytest
import torch

from engine import networks, schedules
from engine.networks.bases import principal_components, residual_base
from tests.oracles import Gaussian

TINY = {"widths": (16, 32), "depth": 1, "attention": 1}


def _randomised(network):
    """Every weight drawn anew, since a new network's last layers are zero."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05, generator=generator)
    return network.eval()


def _normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("size", [(8, 8), (13, 21), (32, 8), (9, 64)])
@pytest.mark.parametrize("norm_kind", ["group", "pixel"])
def test_any_size_comes_back(size, norm_kind):
    network = _randomised(networks.build("wavelet_unet", cond_channels=4, classes=3, norm_kind=norm_kind, **TINY))
    x = _normal(2, 3, *size)
    out = network(x, torch.tensor([0.2, 0.9]), torch.tensor([0, 3]), _normal(2, 4, *size))
    assert out.shape == x.shape and out.isfinite().all()


def test_a_new_network_corrects_nothing():
    network = networks.build("wavelet_unet", **TINY)
    assert not network(_normal(1, 3, 16, 16), torch.tensor([0.5])).any()


def test_time_label_and_condition_matter():
    network = _randomised(networks.build("wavelet_unet", cond_channels=3, classes=2, **TINY))
    x, cond, t = _normal(1, 3, 16, 16), _normal(1, 3, 16, 16).flip(-1), torch.tensor([0.5])
    out = network(x, t, torch.tensor([0]), cond)
    for other in (network(x, t + 0.3, torch.tensor([0]), cond), network(x, t, torch.tensor([1]), cond),
                  network(x, t, torch.tensor([0]), cond.flip(-2))):
        assert (out - other).abs().max() > 1e-4
    torch.testing.assert_close(network(x, t, None, cond), network(x, t, torch.tensor([2]), cond))


def test_samples_of_a_batch_do_not_see_each_other():
    network = _randomised(networks.build("wavelet_unet", **TINY))
    x, t = _normal(3, 3, 16, 16), torch.tensor([0.1, 0.5, 0.9])
    together = network(x, t)
    alone = torch.cat([network(x[i:i + 1], t[i:i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)  # float32 sums in another order


def test_gaussian_base_is_the_exact_posterior_mean():
    """With all directions kept the base equals the oracle of the fitted Gaussian law."""
    pictures = 0.5 * _normal(60, 3, 4, 4) @ torch.diag(torch.linspace(0.2, 1.0, 4))
    found = principal_components(pictures.double(), 47)
    network = networks.build("gaussian_unet", components=47, size=4, widths=(16, 16), depth=1, attention=0).double()
    network.load_state_dict(found, strict=False)
    flat = pictures.double().flatten(1)
    centred = flat - flat.mean(0)
    law = Gaussian(flat.mean(0), centred.T @ centred / (len(flat) - 1))
    x = _normal(5, 3, 4, 4).double()
    alpha, sigma = schedules.cosine()(0.4)
    levels = (torch.full((5, 1), v, dtype=torch.float64) for v in (alpha, sigma))
    x0, left = network.base(x, *levels)
    expected = law.posterior_mean(x.flatten(1), alpha, sigma).reshape(x.shape)
    # the base computes in float32, and the 48th direction is replaced by the isotropic rest
    torch.testing.assert_close(x0.double(), expected, atol=2e-4, rtol=1e-3)
    assert (left > 0).all()


def test_residual_base_is_the_linear_regression_of_its_law():
    """u and resnoise drawn from the assumed law: slope and residual deviation agree with the formula (4 MC sigmas)."""
    count, spread = 200_000, 0.3
    generator = torch.Generator().manual_seed(0)
    eps, residual = torch.randn(2, count, generator=generator, dtype=torch.float64).unbind()
    residual = spread * residual
    alpha, sigma = (torch.tensor(v, dtype=torch.float64) for v in schedules.residual()(0.6))
    u, target = sigma * eps - alpha * residual, eps + sigma / 2 * residual
    guess, left = residual_base(u, alpha, sigma, spread)
    error = target - guess
    assert abs((error * u).mean()) < 4 * (error * u).std() / count**0.5
    assert float(error.std()) == pytest.approx(float(left), rel=0.01)


def test_residual_network_starts_as_its_base():
    schedule = schedules.residual()
    network = networks.build("residual_unet", cond_channels=3, **TINY)
    cond, t = _normal(2, 3, 8, 8), torch.tensor([1.0, 0.3])
    eps = _normal(2, 3, 8, 8).flip(0)
    alpha, sigma = (v.float()[:, None, None, None] for v in schedule(t))
    # without any damage (clean = degraded) the state is a * clean + sigma eps, and resnoise is eps
    kept = schedule.retained(t).float()[:, None, None, None]
    guess = network(kept * cond + sigma * eps, t, cond=cond)
    expected, _ = residual_base(sigma * eps, alpha, sigma, network.spread)
    torch.testing.assert_close(guess, expected, atol=1e-6, rtol=1e-5)
