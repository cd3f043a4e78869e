"""Metrics against closed forms and against pictures with a known defect."""

import math

import numpy as np
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from engine import metrics
from engine.errors import InputError


@pytest.fixture(scope="module")
def cat():
    return data.chelsea()[40:200, 60:260]


def _noisy(picture, std, seed=0):
    noise = np.random.default_rng(seed).normal(0, std, picture.shape)
    return np.clip(picture / 255 + noise, 0, 1)


def _blurred(picture, sigma_px=2.0):
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(picture / 255, (sigma_px, sigma_px, 0))


def test_psnr_and_mae_of_a_constant_offset():
    a = np.full((20, 30, 3), 100, np.uint8)
    b = a.copy()
    b[:10] += 51  # a fifth of the range
    top = np.zeros((20, 30), bool)
    top[:10] = True
    assert metrics.psnr(a, b) == pytest.approx(10 * math.log10(50))
    assert metrics.psnr(a, b, top) == pytest.approx(10 * math.log10(25))
    assert metrics.psnr(a, b, ~top) == math.inf
    assert metrics.mae(a, b) == pytest.approx(0.1) and metrics.mae(a, b, top) == pytest.approx(0.2)


def test_bytes_and_floats_mean_the_same(cat):
    other = np.roll(cat, 1, 0)
    for metric in (metrics.psnr, metrics.mae, metrics.ssim, metrics.gmsd, metrics.spectral_error):
        assert metric(cat, other) == pytest.approx(metric(cat / 255, (other / 255).astype(np.float32)), rel=1e-4)


def test_floats_beyond_the_range_are_clipped():
    assert metrics.psnr(np.full((4, 4), 1.5), np.full((4, 4), 255, np.uint8)) == math.inf


def test_psnr_and_ssim_agree_with_scikit_image(cat):
    other = _noisy(cat, 0.1)
    assert metrics.psnr(cat, other) == pytest.approx(peak_signal_noise_ratio(cat / 255, other, data_range=1))
    by_channel = [structural_similarity(cat[..., c] / 255, other[..., c], data_range=1, gaussian_weights=True,
                                        sigma=1.5, use_sample_covariance=False) for c in range(3)]
    assert metrics.ssim(cat, other) == pytest.approx(np.mean(by_channel))


def test_ssim_of_two_flat_pictures_is_its_luminance_term():
    a, b = np.full((24, 24), 0.25), np.full((24, 24), 0.75)
    assert metrics.ssim(a, b) == pytest.approx((2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4))
    assert metrics.ssim(a, a) == pytest.approx(1)


def test_masked_ssim_sees_only_the_mask(cat):
    hole = np.zeros(cat.shape[:2], bool)
    hole[40:80, 60:120] = True
    damaged = cat.copy()
    damaged[hole] = 128
    far = np.zeros_like(hole)
    far[110:, :] = True
    assert metrics.ssim(cat, damaged, far) == pytest.approx(1)
    assert metrics.ssim(cat, damaged, hole) < 0.5 < metrics.ssim(cat, damaged)


def test_gmsd_ranks_distortions(cat):
    values = [metrics.gmsd(cat, _noisy(cat, std)) for std in (0.02, 0.05, 0.15)]
    assert metrics.gmsd(cat, cat) == 0
    assert 0 < values[0] < values[1] < values[2] < 1


@pytest.mark.parametrize("shape", [(96, 96), (80, 131)])
def test_white_noise_has_a_flat_spectrum_of_its_variance(shape):
    rng = np.random.default_rng(0)
    spectra = [metrics.radial_spectrum(rng.uniform(0, 1, shape)) for _ in range(40)]
    frequency, power = spectra[0][0], np.mean([p for _, p in spectra], 0)
    assert frequency[0] == pytest.approx(1 / min(shape)) and frequency[-1] == pytest.approx(0.5, abs=0.01)
    # The lowest rings average a few correlated coefficients only; the rest is within three standard errors.
    assert np.abs(power[4:] * 12 - 1).max() < 0.15
    assert power[4:].mean() * 12 == pytest.approx(1, abs=0.02)


def test_a_wave_has_its_power_at_its_frequency():
    x = np.arange(128)
    picture = np.tile(0.5 + 0.3 * np.sin(2 * np.pi * x * 20 / 128), (128, 1))
    frequency, power = metrics.radial_spectrum(picture)
    assert frequency[power.argmax()] == pytest.approx(20 / 128)
    assert power[np.abs(frequency - 20 / 128) > 3 / 128].max() < 1e-3 * power.max()


def test_halving_the_contrast_is_a_spectral_error_of_log10_of_four():
    picture = np.random.default_rng(0).uniform(0, 1, (64, 64))
    assert metrics.spectral_error(picture, picture) == 0
    assert metrics.spectral_error(picture, 0.25 + picture / 2) == pytest.approx(math.log10(4), abs=1e-4)


def test_spectral_error_notices_what_psnr_prefers(cat):
    blurred, shifted = _blurred(cat), np.roll(cat, 2, 1)
    assert metrics.psnr(cat, blurred) > metrics.psnr(cat, shifted)
    assert metrics.spectral_error(cat, blurred) > 3 * metrics.spectral_error(cat, shifted)
    assert metrics.spectral_error(cat, blurred, high_only=True) > metrics.spectral_error(cat, blurred)


def test_spectral_error_of_a_hole_looks_at_the_square_around_it(cat):
    hole = np.zeros(cat.shape[:2], bool)
    hole[50:70, 90:130] = True
    rows, columns = metrics.hole_square(hole)
    assert (rows, columns) == (slice(40, 80), slice(90, 130))
    elsewhere = cat.copy()
    elsewhere[100:] = 0
    assert metrics.spectral_error(cat, elsewhere, hole) == 0 < metrics.spectral_error(cat, elsewhere)


@pytest.mark.parametrize(("shape", "rows", "columns", "wanted"), [
    ((100, 100), (3, 5), (98, 100), ((0, 16), (84, 100))),    # at least 16 px, kept inside
    ((30, 100), (0, 30), (10, 90), ((0, 30), (35, 65))),      # no wider than the picture is high
    ((10, 12), (4, 5), (4, 5), ((0, 10), (0, 10))),
])
def test_where_the_square_of_a_hole_lies(shape, rows, columns, wanted):
    hole = np.zeros(shape, bool)
    hole[slice(*rows), slice(*columns)] = True
    assert metrics.hole_square(hole) == tuple(slice(*s) for s in wanted)


def test_boundary_jump_of_an_offset_in_a_flat_picture():
    truth = np.full((40, 40, 3), 0.4)
    hole = np.zeros((40, 40), bool)
    hole[10:20, 12:30] = True
    result = truth.copy()
    result[hole] += 0.25
    assert metrics.boundary_jump(result, truth, hole) == pytest.approx(0.25)
    assert metrics.boundary_jump(truth, truth, hole) == 0
    assert math.isnan(metrics.boundary_jump(truth, truth, np.ones((40, 40), bool)))


def test_boundary_jump_of_smoothing_over_a_real_edge_is_negative():
    truth, hole = np.zeros((20, 20)), np.zeros((20, 20), bool)
    truth[:, 10:], hole[:, 10:] = 1, True
    assert metrics.boundary_jump(np.zeros((20, 20)), truth, hole) == pytest.approx(-1)


def test_pictures_of_different_size_and_empty_masks_are_refused():
    a = np.zeros((16, 16, 3), np.uint8)
    for metric in (metrics.psnr, metrics.mae, metrics.ssim, metrics.gmsd, metrics.spectral_error):
        with pytest.raises(InputError, match="16"):
            metric(a, np.zeros((16, 18, 3), np.uint8))
    with pytest.raises(InputError):
        metrics.psnr(a, a, np.zeros((16, 16), bool))
    with pytest.raises(InputError):
        metrics.hole_square(np.zeros((16, 16), bool))
