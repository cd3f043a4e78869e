"""The way from a picture to the model's square and back: nothing known may change, every painted pixel is covered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.tasks.inpainting.geometry import cut, paste_back, squares


def smooth(height, width):
    """Waves as slow as 60 px, so that a resampled copy stays within a few grey levels."""
    y, x = np.mgrid[:height, :width] / 60
    channels = [127 + 100 * np.sin(2 * np.pi * (a * y + b * x)) for a, b in ((0.5, 0.4), (-0.3, 0.5), (0.2, -0.6))]
    return np.stack(channels, -1).round().astype(np.uint8)


def box(shape, top, left, bottom, right):
    hole = np.zeros(shape, bool)
    hole[top:bottom, left:right] = True
    return hole


@st.composite
def cases(draw):
    height, width = draw(st.integers(8, 200)), draw(st.integers(8, 200))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    hole = np.zeros((height, width), bool)
    for _ in range(draw(st.integers(1, 4))):
        top, left = rng.integers(height), rng.integers(width)
        hole[top:top + rng.integers(1, height + 1), left:left + rng.integers(1, width + 1)] = True
    if draw(st.booleans()):
        hole |= rng.random((height, width)) < 0.01
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8), hole, draw(st.sampled_from([16, 32, 64]))


@settings(max_examples=80, deadline=None)
@given(cases())
def test_known_pixels_are_bit_exact_and_each_painted_pixel_is_painted_once(case):
    picture, hole, size = case
    painted, out = np.zeros(hole.shape, int), picture
    for square in squares(hole, size):
        pixels, unknown = cut(picture, square)
        assert pixels.shape == (size, size, 3) and pixels.dtype == np.uint8
        assert unknown.shape == (size, size) and unknown.dtype == bool and unknown.any()
        before, out = out, paste_back(out, square, 255 - pixels, seam_px=0)
        rows = np.arange(square.top, square.top + square.side)
        columns = np.arange(square.left, square.left + square.side)
        mine = np.zeros_like(hole)
        r, c = (rows >= 0) & (rows < hole.shape[0]), (columns >= 0) & (columns < hole.shape[1])
        mine[np.ix_(rows[r], columns[c])] = square.hole[np.ix_(r, c)]
        painted += mine
        assert np.array_equal(out[~mine], before[~mine])
        assert square.side >= size and not (square.hole & ~square.unknown).any()
        assert square.side <= max(size, *hole.shape)
    assert np.array_equal(painted, hole)
    assert np.array_equal(out[~hole], picture[~hole]) and out.dtype == np.uint8


@settings(max_examples=30, deadline=None)
@given(cases())
def test_the_seam_changes_nothing_outside_the_hole(case):
    picture, hole, size = case
    for square in squares(hole, size):
        out = paste_back(picture, square, np.full((size, size, 3), 77, np.uint8))
        assert np.array_equal(out[~hole], picture[~hole])


@pytest.mark.parametrize(("shape", "hole", "size", "top_left_side"), [
    ((300, 400), (100, 200, 140, 220), 64, (88, 178, 64)),     # 40 px and a quarter on each side fit in 64
    ((300, 400), (100, 200, 200, 220), 64, (75, 135, 150)),    # 100 px need 150
    ((300, 400), (0, 0, 10, 10), 64, (0, 0, 64)),              # in a corner
    ((300, 400), (290, 390, 300, 400), 64, (236, 336, 64)),    # in the other
    ((300, 400), (20, 100, 270, 300), 64, (0, 50, 300)),       # 375 do not fit, the picture's height does
    ((40, 50), (10, 10, 20, 20), 64, (-12, -7, 64)),           # smaller than the model
    ((40, 200), (0, 20, 40, 140), 64, (-40, 20, 120)),         # wider than the picture is high
])
def test_where_the_square_lies(shape, hole, size, top_left_side):
    (square,) = squares(box(shape, *hole), size)
    assert (square.top, square.left, square.side) == top_left_side


def test_near_holes_share_a_square_and_far_ones_do_not():
    near = box((400, 600), 10, 10, 30, 30) | box((400, 600), 60, 60, 80, 80)
    far = box((400, 600), 10, 10, 30, 30) | box((400, 600), 300, 500, 320, 520)
    assert len(squares(near, 64)) == 1
    apart = squares(far, 64)
    assert len(apart) == 2 and all(s.side == 64 for s in apart)
    assert all(s.hole.sum() == 400 for s in apart)


def test_scattered_dots_give_a_bounded_number_of_squares():
    dots = np.random.default_rng(0).random((1000, 1400)) < 0.001
    assert len(squares(dots, 64)) <= 8
    assert len(squares(dots, 64, most=3)) <= 3
    grid = np.zeros((1000, 1400), bool)
    grid[::170, ::170] = True
    found = squares(grid, 64, most=20)
    assert 10 < len(found) <= 20 and sum(s.hole.sum() for s in found) == grid.sum()
    assert max(s.side for s in found) < 800


def test_another_hole_inside_the_square_is_unknown_but_not_painted():
    shape = (400, 400)
    small, large = box(shape, 10, 10, 20, 20), box(shape, 90, 90, 340, 340)
    found = squares(small | large, 64)
    assert len(found) == 1 or all((s.unknown >= s.hole).all() for s in found)
    pair = squares(box(shape, 100, 100, 110, 110) | box(shape, 100, 240, 110, 250), 128)
    assert len(pair) == 1 and pair[0].hole.sum() == 200


def test_a_mask_of_everything_is_one_square_that_covers_the_picture():
    picture = smooth(90, 160)
    (square,) = squares(np.ones((90, 160), bool), 64)
    assert square.side == 160 and square.unknown.all()
    assert cut(picture, square)[1].all()
    out = paste_back(picture, square, np.full((64, 64, 3), 9, np.uint8))
    assert (out == 9).all()


def test_an_empty_mask_is_refused():
    with pytest.raises(InputError) as error:
        squares(np.zeros((64, 64), bool), 64)
    assert error.value.field == "mask"


def test_at_the_models_own_size_nothing_is_resampled():
    picture, hole = smooth(64, 64), box((64, 64), 20, 20, 40, 40)
    (square,) = squares(hole, 64)
    pixels, unknown = cut(picture, square)
    assert np.array_equal(pixels, picture) and np.array_equal(unknown, hole)
    other = picture ^ 3
    assert np.array_equal(paste_back(picture, square, other, seam_px=0)[hole], other[hole])
    assert np.array_equal(paste_back(picture, square, picture), picture)


@pytest.mark.parametrize("shape", [(256, 256), (250, 311), (40, 45), (30, 300)])
def test_a_round_trip_of_a_smooth_picture_is_nearly_perfect(shape):
    picture = smooth(*shape)
    hole = box(shape, shape[0] // 4, shape[1] // 4, 3 * shape[0] // 4, 3 * shape[1] // 4)
    out = picture.copy()
    for square in squares(hole, 64):
        out = paste_back(out, square, cut(picture, square)[0])
    assert np.abs(out.astype(int) - picture).max() <= 4  # 3 to 4 picture pixels per cell of a wave of 100 px and more


def test_what_the_model_calls_known_holds_no_trace_of_the_hole():
    picture, hole = smooth(200, 200), np.random.default_rng(1).random((200, 200)) < 0.02
    garbage = picture.copy()
    garbage[hole] = 255
    for square in squares(hole, 64):
        (clean, unknown), (dirty, _) = cut(picture, square), cut(garbage, square)
        assert np.array_equal(clean[~unknown], dirty[~unknown])


def test_the_seam_takes_away_a_constant_shift_at_the_rim_only():
    picture, hole = np.full((128, 128, 3), 100, np.uint8), box((128, 128), 32, 32, 96, 96)
    (square,) = squares(hole, 128)
    shifted = np.full((128, 128, 3), 140, np.uint8)
    out = paste_back(picture, square, shifted, seam_px=6)
    line = out[64, 32:64, 0].astype(int)
    assert line[0] - 100 <= 4 and (np.diff(line) >= 0).all()
    assert (line[7:] == 140).all()
    assert paste_back(picture, square, shifted, seam_px=0)[64, 32, 0] == 140


def test_the_seam_pays_no_attention_to_what_was_under_the_hole():
    picture, hole = smooth(100, 100), box((100, 100), 30, 30, 70, 70)
    other = picture.copy()
    other[hole] = 0
    (square,) = squares(hole, 64)
    answer = np.full((64, 64, 3), 50, np.uint8)
    assert np.array_equal(paste_back(picture, square, answer), paste_back(other, square, answer))
