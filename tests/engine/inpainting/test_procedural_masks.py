"""Procedural holes: the documented shares, every shape, repeatable, quick."""

import time

import numpy as np
import pytest

from engine.errors import InputError
from engine.tasks.inpainting import masks


@pytest.mark.parametrize("shape", [(32, 32), (64, 64), (128, 96), (333, 500)])
@pytest.mark.parametrize("kind", masks.KINDS)
def test_holes_keep_to_their_documented_share(kind, shape):
    rng = np.random.default_rng(0)
    low, high = masks.SHARES[kind]
    shares = [masks.draw(kind, rng, *shape).mean() for _ in range(150)]
    rounding = 1 / min(shape)  # a box side is a whole number of pixels
    assert low - rounding * low < min(shares) and max(shares) <= high + rounding
    assert np.ptp(shares) > 0.3 * (high - low)


@pytest.mark.parametrize("kind", [*masks.KINDS, "mixed"])
def test_a_hole_is_a_fresh_bool_array_and_the_generator_decides_it(kind):
    draw = masks.mixed if kind == "mixed" else masks.KINDS[kind]
    first, again, other = (draw(np.random.default_rng(seed), 40, 56) for seed in (1, 1, 2))
    assert first.dtype == bool and first.shape == (40, 56) and first.flags.writeable
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("kind", masks.KINDS)
def test_tiny_pictures_have_holes_too(kind):
    rng = np.random.default_rng(0)
    shares = [masks.draw(kind, rng, 8, 8).mean() for _ in range(100)]
    assert max(shares) < 1 and np.mean(np.array(shares) > 0) > 0.95


def test_thin_strokes_are_thin_and_free_form_is_thick():
    from scipy.ndimage import distance_transform_edt

    rng = np.random.default_rng(0)
    thickest = {kind: np.median([distance_transform_edt(masks.draw(kind, rng, 128, 128)).max() for _ in range(40)])
                for kind in ("thin", "free_form")}
    # Half the pen width: at most 2 px for thin strokes, twice that where two run side by side; 4 to 10 for thick ones.
    assert thickest["thin"] <= 4 and thickest["free_form"] >= 5


def test_boxes_are_boxes_in_their_place():
    rng = np.random.default_rng(0)
    centres = []
    for _ in range(100):
        for kind in ("centre_box", "random_box"):
            hole = masks.draw(kind, rng, 64, 64)
            rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
            assert hole[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1].all()
            middle = np.array([rows.mean(), columns.mean()]) - 31.5
            if kind == "centre_box":
                assert np.abs(middle).max() <= 0.5
            else:
                centres.append(middle)
    assert np.std(centres, 0).min() > 5


def test_drawing_is_cheap_enough_for_training():
    rng = np.random.default_rng(0)
    masks.mixed(rng, 64, 64)
    cost_s = []
    for _ in range(300):
        start = time.perf_counter()
        masks.mixed(rng, 64, 64)
        cost_s.append(time.perf_counter() - start)
    assert np.median(cost_s) < 1e-3


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="free_form"):
        masks.draw("spiral", np.random.default_rng(0), 32, 32)
