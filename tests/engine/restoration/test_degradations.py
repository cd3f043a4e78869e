"""Degradations: what every one of them must keep, and what each does to pictures where the outcome is known."""

from itertools import pairwise

import numpy as np
import pytest
from skimage import data

from engine.metrics import luminance, psnr
from engine.tasks.restoration.degradations import DEGRADATIONS, NAMES, degrade, gaussian_kernel, motion_kernel

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """(120, 144, 3) float32 in [0, 1]: every third pixel of a photograph, black and white included."""
    found = data.astronaut()[60:420:3, 40:472:3].astype(np.float32) / 255
    found[0, 0], found[1, 1] = 0, 1
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strength", STRENGTHS)
def test_shape_range_and_type_are_kept_and_the_input_is_left_alone(picture, name, strength):
    before = picture.copy()
    bad = degrade(name, picture, strength, seed=1)
    assert bad.shape == picture.shape and bad.dtype == np.float32 and np.isfinite(bad).all()
    # Products and sums in float32 may end one rounding beyond the range.
    assert bad.min() >= -1e-6 and bad.max() <= 1 + 1e-6
    assert np.array_equal(picture, before)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_is_a_picture(picture, name):
    first = degrade(name, picture, 0.5, seed=3)
    assert np.array_equal(first, degrade(name, picture, 0.5, seed=3))
    if name != "jpeg":
        assert not np.array_equal(first, degrade(name, picture, 0.5, seed=4))


@pytest.mark.parametrize("name", NAMES)
def test_damage_grows_with_strength(picture, name):
    # Strength also moves other draws of the same seed, so single seeds may go either way: the mean of eight counts.
    quality = [np.mean([psnr(degrade(name, picture, s, seed), picture) for seed in range(8)]) for s in STRENGTHS]
    assert all(a > b for a, b in pairwise(quality)), quality
    assert quality[0] - quality[-1] > 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(8, 8), (9, 31), (40, 8)])
def test_small_and_odd_sizes(name, shape):
    small = np.random.default_rng(0).random((*shape, 3), np.float32)
    assert degrade(name, small, 1.0, seed=0).shape == small.shape


def test_names_are_distinct():
    assert len(set(NAMES)) == len(DEGRADATIONS) == 8 and all(d.title for d in DEGRADATIONS)
    with pytest.raises(ValueError):
        degrade("fog of war", np.zeros((8, 8, 3), np.float32), 0.5, 0)


@pytest.mark.parametrize("strength", [0.2, 0.5, 0.8])
def test_noise_has_the_deviation_it_promises(strength):
    grey = np.full((256, 256, 3), 0.5, np.float32)
    # The shot part is scaled to the same variance at grey 0.5; 200 000 draws leave 0.2 % of error, rounding adds some.
    assert degrade("noise", grey, strength, 0).std() == pytest.approx(50 / 255 * strength, rel=0.02)
    assert degrade("noise", grey, strength, 0).mean() == pytest.approx(0.5, abs=2e-3)


@pytest.mark.parametrize("sigma_px", [0.5, 1.0, 1.75, 2.5])
def test_gaussian_kernels(sigma_px):
    kernel = gaussian_kernel(sigma_px)
    assert kernel.sum() == pytest.approx(1, abs=1e-6) and kernel.min() >= 0
    assert np.allclose(kernel, kernel.T) and np.allclose(kernel, kernel[::-1, ::-1])
    offset = np.arange(len(kernel)) - len(kernel) // 2
    line = np.exp(-offset ** 2 / (2 * sigma_px ** 2))
    assert offset[-1] >= 3 * sigma_px and np.allclose(kernel.sum(0), line / line.sum(), atol=1e-6)  # float32


@pytest.mark.parametrize("length_px", [3, 5, 9, 15])
@pytest.mark.parametrize("angle", [0, 0.4, np.pi / 2, 2.5])
def test_motion_kernels(length_px, angle):
    kernel = motion_kernel(length_px, angle)
    assert kernel.sum() == pytest.approx(1, abs=1e-6) and kernel.min() >= 0
    assert kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2 == 1
    y, x = np.mgrid[:kernel.shape[0], :kernel.shape[0]] - kernel.shape[0] // 2
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    # A line of n px has a variance of (n^2 - 1) / 12 along itself; on pixels both ends may be off by half a pixel.
    assert np.sqrt(12 * (kernel * along ** 2).sum() + 1) == pytest.approx(length_px, abs=1.2)
    assert (kernel * across ** 2).sum() < 0.5


def test_blur_leaves_flat_areas_flat():
    flat = np.full((64, 64, 3), 0.4, np.float32)
    # Kernels sum to one, so only the noise of 1/255 and 8-bit rounding are left: five deviations of their sum.
    assert np.abs(degrade("blur", flat, 0.8, 0) - flat).max() < 6 * 1.1 / 255


@pytest.mark.parametrize("name, brighter", [("lowlight", False), ("shadow", False), ("rain", True)])
def test_light_goes_the_right_way(picture, name, brighter):
    change = np.mean([luminance(degrade(name, picture, 0.7, s)).mean() for s in range(4)]) - luminance(picture).mean()
    assert (change > 0) == brighter and abs(change) > 0.02


def test_haze_takes_contrast_away_and_raises_black(picture):
    hazy = degrade("haze", picture, 0.7, 0)
    assert hazy.std() < 0.7 * picture.std()
    assert hazy.min() > 0.2  # air light of at least 0.67 through a transmission of at most 0.6


def test_shadow_never_brightens_a_grey_picture_beyond_its_tint():
    grey = np.full((96, 96, 3), 0.5, np.float32)
    dark = degrade("shadow", grey, 0.8, 2)
    assert dark[..., 0].max() <= 0.5 and dark.min() < 0.4
