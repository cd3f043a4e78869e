"""Spectra of known textures, and Wiener's filter in closed form."""

import numpy as np
import pytest
import torch

from engine import networks, spectra
from engine.networks.bases import principal_components

SIDE = 32


def _normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_wave_has_its_power_at_its_frequency():
    """A Hann window spreads a wave over its own bin and the two beside it and keeps its sum of squares."""
    column = np.arange(SIDE)
    wave = np.broadcast_to(np.cos(2 * np.pi * 8 / SIDE * column), (SIDE, SIDE))
    frequency, power = spectra.radial_power(wave)
    assert frequency.shape == power.shape == (SIDE // 2,) and frequency[-1] == 0.5
    assert frequency[power.argmax()] == 8 / SIDE
    # Beyond the neighbouring rings only the side lobes of the window remain, which fall with the third power.
    assert power[(frequency < 6 / SIDE) | (frequency > 10 / SIDE)].max() < 1e-3 * power.max()
    _, double = spectra.radial_power(2 * wave)
    np.testing.assert_allclose(double, 4 * power)


def test_white_noise_has_its_variance_at_every_frequency():
    """400 fields of independent numbers: a ring of n bins (n > 7) has a relative deviation under 1 / sqrt(2800)."""
    _, power = spectra.radial_power(0.3 * _normal(400, SIDE, SIDE).numpy())
    np.testing.assert_allclose(power.mean(0)[1:], 0.09, rtol=0.1)
    assert power.mean(0)[0] < 0.09  # the mean that is taken off


def test_brightness_keeps_the_power_of_noise_and_adds_equal_channels():
    noise = _normal(200, 3, 16, 16)
    assert spectra.brightness(noise).var() == pytest.approx(1.0, rel=0.05)
    grey = _normal(1, 1, 16, 16).expand(1, 3, 16, 16)
    np.testing.assert_allclose(spectra.brightness(grey)[0], 3**0.5 * grey[0, 0].numpy())


@pytest.mark.parametrize("shape", [(16, 24), (15, 20), (9, 9)])
def test_the_power_adds_up_to_the_variance_of_the_window(shape):
    """Parseval: white noise of any shape, every ring counted with its bins, corners beyond half a cycle left out."""
    field = _normal(300, *shape, seed=1).numpy()
    frequency, power = spectra.radial_power(field)
    assert len(frequency) == min(shape) // 2
    assert power.mean(0)[1:].mean() == pytest.approx(1.0, rel=0.1)


def test_the_spectrum_of_a_gaussian_law_is_that_of_its_draws():
    shape, count = (3, 12, 12), 6000
    smooth = torch.cumsum(_normal(40, *shape), -1) / 4
    law = principal_components(smooth, 10)
    frequency, power = spectra.gaussian_power(law["directions"], law["variances"], float(law["rest"]), shape)
    rest = float(law["rest"])
    draws = rest**0.5 * _normal(count, 432, seed=3)
    weight = (law["variances"] - rest).sqrt()
    draws += (_normal(count, 10, seed=4) * weight) @ law["directions"].T
    _, found = spectra.mean_power(draws.reshape(count, *shape))
    # 10 directions in 6000 draws: a power has a relative deviation of up to sqrt(2 / 6000) = 2 %, of which three.
    np.testing.assert_allclose(power[1:], found[1:], rtol=0.06)
    # The mean that is taken off takes some of the rest with it, at most all of it.
    assert frequency[-1] == 0.5 and 0.94 * found[0] < power[0] < 1.06 * found[0] + rest


def test_wieners_filter_is_the_least_squares_one():
    """alpha S / (alpha^2 S + sigma^2) against the regression of x0 on x_t, and the share against its power."""
    alpha, sigma, power = 0.6, 0.8, 0.3
    x0 = power**0.5 * _normal(200_000)
    x_t = alpha * x0 + sigma * _normal(200_000, seed=1)
    slope = float((x0 * x_t).mean() / x_t.square().mean())
    # The slope's deviation is sqrt(left / power of x_t / count) = 1.2e-3.
    assert spectra.wiener_gain(np.array(power), alpha, sigma) == pytest.approx(slope, abs=5e-3)
    share = float((slope * x_t).square().mean() / x0.square().mean())
    assert spectra.recovered_share(np.array(power), alpha, sigma) == pytest.approx(share, abs=1e-2)


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0])
@pytest.mark.parametrize(("alpha", "sigma"), [(0.9, 0.3), (1.0, 0.5), (0.5, 0.1)])
def test_of_a_power_law_half_is_recovered_where_it_meets_the_noise(exponent, alpha, sigma):
    """S = c f^-b has the share 1 / (1 + (sigma / alpha)^2 f^b / c): a half at f = (c alpha^2 / sigma^2)^(1 / b)."""
    frequency = np.arange(1, 2049) / 4096
    scale = 0.01
    power = scale * frequency**-exponent
    share = spectra.recovered_share(power, alpha, sigma)
    np.testing.assert_allclose(share, 1 / (1 + (sigma / alpha) ** 2 * frequency**exponent / scale))
    meeting = (scale * alpha**2 / sigma**2) ** (1 / exponent)
    found = spectra.recovered_up_to(frequency, share)
    # Between two rings 1/4096 apart the share is read linearly in the logarithm.
    assert found == pytest.approx(min(meeting, 0.5), rel=2e-3)


def test_the_ends_of_the_filter():
    power = np.array([4.0, 1.0, 0.1])
    np.testing.assert_array_equal(spectra.recovered_share(power, 1.0, 0.0), 1.0)
    np.testing.assert_array_equal(spectra.recovered_share(power, 0.0, 1.0), 0.0)
    frequency = np.array([0.1, 0.2, 0.5])
    assert spectra.recovered_up_to(frequency, np.array([0.4, 0.9, 0.9])) is None
    assert spectra.recovered_up_to(frequency, np.array([0.9, 0.9, 0.5])) == 0.5
    assert spectra.recovered_up_to(frequency, np.array([1.0, 0.0, 1.0])) == pytest.approx(0.1 * 2**0.5)


def test_the_error_of_a_constant_factor_is_its_logarithm():
    frequency, power = spectra.radial_power(_normal(20, 20).numpy())
    assert spectra.power_error(10 * power, power, frequency) == pytest.approx(1.0)
    assert spectra.power_error(power, power, frequency) == 0
    high = np.where(frequency > 1 / 3, 100.0, 1.0) * power
    assert spectra.power_error(high, power, frequency, high_only=True) == pytest.approx(2.0)


def test_the_base_of_a_network_recovers_what_its_law_allows():
    """GaussianUNet's linear base on draws of its law: of each component it has the share that Wiener's filter has."""
    shape, alpha, sigma = (3, 4, 4), 0.7, 0.5
    law = principal_components(torch.cumsum(_normal(60, *shape), -1), 47)
    network = networks.build("gaussian_unet", components=47, size=4, widths=(16, 16), depth=1, attention=0)
    network.load_state_dict(law, strict=False)
    network = network.double()
    x0 = law["mean"] + _normal(20_000, 47, seed=1) * law["variances"].sqrt() @ law["directions"].T
    x_t = (alpha * x0 + sigma * _normal(20_000, 48, seed=2)).reshape(-1, *shape)
    levels = (torch.full((1, 1), value, dtype=torch.float64) for value in (alpha, sigma))
    estimate = network.base(x_t, *levels)[0].double().flatten(1) - law["mean"]
    found = (estimate @ law["directions"]).square().mean(0) / law["variances"]
    expected = spectra.recovered_share(law["variances"].numpy(), alpha, sigma)
    # A variance from 20 000 numbers has a relative deviation of sqrt(2 / 20 000) = 1 %; the base computes in float32.
    np.testing.assert_allclose(found.numpy()[:20], expected[:20], rtol=0.05)
