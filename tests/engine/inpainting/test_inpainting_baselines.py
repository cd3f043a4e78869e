"""Classical inpainting on pictures where the answer is known."""

import numpy as np
import pytest

from engine.errors import InputError
from engine.tasks.inpainting.baselines import BASELINES


def _case():
    y, x = np.mgrid[:48, :64]
    picture = np.stack([2 * y + x, 40 + x, 200 - y - x], -1).astype(np.uint8)
    hole = np.zeros((48, 64), bool)
    hole[15:25, 20:34] = True
    damaged = picture.copy()
    damaged[hole] = 255
    return picture, hole, damaged


@pytest.mark.parametrize("name", BASELINES)
def test_known_pixels_stay_and_a_slope_is_continued(name):
    picture, hole, damaged = _case()
    filled = BASELINES[name](damaged, hole)
    assert filled.dtype == np.uint8 and np.array_equal(filled[~hole], picture[~hole])
    worst = np.abs(filled.astype(int) - picture)[hole].max()
    # A plane is biharmonic, so only rounding is left; fast marching flattens it within the hole's 14 px.
    assert worst <= (1 if name == "biharmonic" else 16)


@pytest.mark.parametrize("name", BASELINES)
def test_the_input_is_left_alone_and_what_was_under_the_hole_does_not_matter(name):
    picture, hole, damaged = _case()
    before = damaged.copy()
    filled = BASELINES[name](damaged, hole)
    assert np.array_equal(damaged, before)
    assert np.array_equal(filled, BASELINES[name](picture, hole))


@pytest.mark.parametrize("name", BASELINES)
def test_a_hole_of_everything_is_refused(name):
    with pytest.raises(InputError) as error:
        BASELINES[name](np.zeros((32, 32, 3), np.uint8), np.ones((32, 32), bool))
    assert error.value.field == "mask"
