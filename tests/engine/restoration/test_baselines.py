"""Classical restoration: each method undoes what it is for, and the table names only what exists."""

import numpy as np
import pytest
from skimage import data

from engine.metrics import psnr, ssim
from engine.tasks.restoration.baselines import METHODS, NOMINAL_BLUR_PX, TRIED
from engine.tasks.restoration.degradations import NAMES, gaussian_kernel

DENOISERS = ("non-local means", "wavelet", "bilateral", "total variation", "median")
DECONVOLUTIONS = ("Wiener", "unsupervised Wiener", "Richardson-Lucy")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """(96, 112, 3) uint8, part of a photograph."""
    return np.ascontiguousarray(data.chelsea()[40:232:2, 90:314:2])


def noisy(picture: np.ndarray, deviation: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, deviation, picture.shape)
    return np.uint8(np.clip(picture + noise, 0, 255).round())


def test_every_degradation_has_methods_and_every_method_is_tried():
    assert tuple(TRIED) == NAMES
    assert {name for names in TRIED.values() for name in names} == set(METHODS)
    assert all(len(set(names)) == len(names) >= 3 for names in TRIED.values())


@pytest.mark.parametrize("name", METHODS)
def test_pictures_in_and_out_the_same_each_time(picture, name):
    before = picture.copy()
    result = METHODS[name](picture)
    assert result.shape == picture.shape and result.dtype == np.uint8
    assert np.array_equal(picture, before)
    assert np.array_equal(result, METHODS[name](picture))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_picture_stays_flat(name, level):
    result = METHODS[name](np.full((40, 48, 3), level, np.uint8)).astype(int)
    # Deconvolution leaves a little ringing at the mirrored border; Richardson-Lucy keeps a floor under black.
    assert np.ptp(result) <= 3


@pytest.mark.parametrize("name", METHODS)
def test_small_pictures(name):
    small = noisy(np.full((32, 33, 3), 120, np.uint8), 20)
    assert METHODS[name](small).shape == small.shape


@pytest.mark.parametrize("name", DENOISERS)
def test_denoisers_take_noise_away(picture, name):
    bad = noisy(picture, 25)
    assert psnr(METHODS[name](bad), picture) > psnr(bad, picture) + 2


@pytest.mark.parametrize("name", DECONVOLUTIONS)
def test_deconvolution_undoes_the_nominal_blur(picture, name):
    import cv2

    blurred = cv2.filter2D(picture, -1, gaussian_kernel(NOMINAL_BLUR_PX), borderType=cv2.BORDER_REFLECT)
    bad = noisy(blurred, 1)
    result = METHODS[name](bad)
    assert psnr(result, picture) > psnr(bad, picture) + 1
    assert ssim(result, picture) > ssim(bad, picture)


def test_exposure_undoes_a_factor(picture):
    dark = np.uint8(picture * 0.3)
    result = METHODS["exposure"](dark)
    assert result.mean() / 255 == pytest.approx(0.45, abs=0.01)
    # One factor for all pixels: it comes back from any pixel that is not clipped, up to rounding.
    inside = (result < 250) & (dark > 20)
    ratio = result[inside] / dark[inside]
    assert ratio.std() / ratio.mean() < 0.03


@pytest.mark.parametrize("factor", [0.2, 0.6])
def test_gamma_keeps_black_and_white_and_brings_a_flat_picture_to_its_level(factor):
    flat = np.full((16, 16, 3), round(255 * factor), np.uint8)
    assert METHODS["gamma"](flat).mean() / 255 == pytest.approx(0.45, abs=3e-3)  # one level of 255
    ends = flat.copy()
    ends[0, 0], ends[0, 1] = 0, 255
    result = METHODS["gamma"](ends)
    assert result[0, 0].max() == 0 and result[0, 1].min() == 255


def test_clahe_and_retinex_lift_the_dark_half(picture):
    half = picture.copy()
    half[:, :56] = half[:, :56] // 4
    for name in ("CLAHE", "retinex"):
        result = METHODS[name](half)
        assert result[:, :40].mean() / result[:, 72:].mean() > 1.1 * half[:, :40].mean() / half[:, 72:].mean()


def test_contrast_stretch_undoes_an_even_veil(picture):
    full = METHODS["contrast stretch"](picture)
    veiled = np.uint8(full * 0.5 + 0.4 * 255 + 0.5)
    # Half of the levels are left, so the way back is exact to about one level of the veiled picture, two of the full.
    assert np.abs(METHODS["contrast stretch"](veiled).astype(int) - full)[(full > 8) & (full < 247)].max() <= 8


def test_dark_channel_undoes_haze(picture):
    # The prior needs something black nearby; here it holds by construction.
    clean, air = picture.copy(), np.array([230, 235, 240])
    clean[::6, ::6] = 0
    hazy = np.uint8(clean * 0.5 + air * 0.5)
    hazy[:20] = air  # sky, where the air light is read off
    result = METHODS["dark channel"](hazy)
    # Below what the patch of 15 px and the guided filter of 41 px still see of the sky.
    assert psnr(result[60:], clean[60:]) > psnr(hazy[60:], clean[60:]) + 10


def test_opening_takes_streaks_away_and_leaves_what_is_wide():
    scene = np.full((64, 64, 3), 80, np.uint8)
    scene[20:40, 20:40] = 200
    rainy = scene.copy()
    rainy[:, 5::17] = 250
    assert np.array_equal(METHODS["opening"](rainy)[:, 2:-2], scene[:, 2:-2])
