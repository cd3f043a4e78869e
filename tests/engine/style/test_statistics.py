import numpy as np
import pytest
import torch

from engine.tasks.style import baselines, canvas, statistics
from engine.tasks.style.procedural import STYLES
from engine.tasks.style.structure import COARSEST, blurred, grey, structure


@pytest.fixture
def picture():
    """Soft colours with some fine grain, (96, 128, 3) uint8."""
    import cv2

    rng = np.random.default_rng(0)
    soft = cv2.GaussianBlur(rng.uniform(0, 1, (96, 128, 3)).astype(np.float32), (0, 0), 6)
    soft = (soft - soft.min()) / np.ptp(soft)
    return np.uint8((soft + rng.normal(0, 0.02, soft.shape)).clip(0, 1) * 255)


def _distance(a, b):
    return statistics.distance(*(statistics.describe(v[None])[0] for v in (a, b)))


def test_the_description_has_its_length_and_no_place(picture):
    described = statistics.describe(np.stack([picture, picture[:, ::-1]]))
    assert described.shape == (2, statistics.COUNT)
    # Mirroring swaps left and right only; wavelets are not symmetric, so bands agree but for their grid.
    assert statistics.distance(*described) < 0.1


def test_brightness_and_colour_move_the_description(picture):
    assert _distance(picture, picture) == 0
    assert _distance(picture, picture // 2) > 0.2
    warm = np.uint8(picture * [1.0, 0.7, 0.4])
    assert _distance(warm, warm[..., ::-1]) > 0.2


def test_a_flat_picture_has_a_description():
    flat = np.full((1, 64, 64, 3), 128, np.uint8)
    assert np.isfinite(statistics.describe(flat)).all()


@pytest.mark.parametrize("hand", STYLES)
def test_every_hand_changes_the_statistics_of_strokes(picture, hand):
    drawn = STYLES[hand](np.float32(picture) / 255, np.random.default_rng(0))
    assert drawn.shape == picture.shape and drawn.dtype == np.float32
    assert drawn.min() >= 0 and drawn.max() <= 1
    assert _distance(np.uint8(drawn * 255), picture) > 0.3


def test_fitting_the_bands_brings_the_statistics_near(picture):
    style = np.uint8(STYLES["mosaic"](np.float32(picture[::-1]) / 255, np.random.default_rng(0)) * 255)
    before = _distance(picture, style)
    assert _distance(baselines.fitted_bands(picture, style), style) < before / 2
    assert _distance(baselines.reinhard(picture, style), style) < before
    assert _distance(baselines.histograms(picture, style), style) < before


def test_structure_knows_neither_colour_nor_contrast():
    latents = torch.randn(2, 5, 12, 12)
    told = structure(latents, torch.ones(2))
    assert torch.allclose(structure(3 * latents + 7, torch.ones(2)), told, atol=1e-5)
    picture = torch.rand(1, 3, 8, 8)
    assert torch.allclose(grey(picture), grey(grey(picture)), atol=1e-6)


def test_less_detail_is_a_stronger_blur_that_keeps_the_mean():
    point = torch.zeros(2, 1, 41, 41)
    point[..., 20, 20] = 1
    sigma = torch.tensor([0.0, COARSEST])
    sharp, soft = blurred(point, sigma)
    assert torch.equal(sharp, point[0])
    assert soft.sum() == pytest.approx(1, abs=1e-5)
    places = torch.arange(41.0) - 20
    # Second moment of a sampled Gaussian that is cut at three deviations: 2.7 % below its square.
    assert (soft[0].sum(0) * places**2).sum() == pytest.approx(COARSEST**2, rel=0.05)


def test_canvas_sizes_and_fades():
    wide = np.zeros((50, 200, 3), np.uint8)
    assert canvas.fitted(wide, 128).shape == (64, 128, 3)
    assert canvas.padded(wide).shape == (1, 3, 64, 224)
    for how in canvas.FADES:
        weights = canvas.faded((9, 9), how)
        assert weights.max() == 1 and weights.min() >= 0
    assert canvas.faded((9, 9), "left to right")[0, 0, 0].tolist() == pytest.approx(np.linspace(0, 1, 9))


def test_colours_can_be_kept(picture):
    other = np.uint8(255 - picture)
    import cv2

    kept = canvas.with_colours_of(other, picture)
    mine, theirs, result = (cv2.cvtColor(v, cv2.COLOR_RGB2YCrCb).astype(int) for v in (other, picture, kept))
    inside = ((kept > 0) & (kept < 255)).all(-1)
    # Rounding of the two conversions.
    assert np.abs(result - np.dstack((mine[..., :1], theirs[..., 1:])))[inside].max() <= 2
