"""Windows, slices and special values of scans."""

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.medical.scan import EIGHT_BIT, Scan, inverted, made, slice_picture, slices, window_of, windowed

RAMP = np.arange(-100, 156, dtype=np.float32).reshape(2, 8, 16)


def test_a_window_maps_its_edges_to_black_and_white():
    shown = windowed(Scan(RAMP), centre=0, width=100)
    assert shown.shape == (2, 8, 16, 3) and shown.dtype == np.uint8
    assert (shown[RAMP <= -50] == 0).all() and (shown[RAMP >= 50] == 255).all()
    assert (shown[RAMP == 0] == 128).all() and np.array_equal(shown[..., 0], shown[..., 2])


def test_windows_come_from_the_file_else_from_the_values():
    assert window_of(Scan(RAMP, window=(40, 400))) == (40, 400)
    low, high = np.percentile(RAMP, (1, 99))
    assert window_of(Scan(RAMP)) == pytest.approx(((low + high) / 2, high - low))
    assert window_of(Scan(np.full((1, 8, 8), 7, np.float32))) == (7, 1)
    assert np.array_equal(windowed(Scan(RAMP, window=(0, 100))), windowed(Scan(RAMP), 0, 100))
    assert np.array_equal(windowed(Scan(RAMP, window=(9, 100)), centre=0), windowed(Scan(RAMP), 0, 100))


@pytest.mark.parametrize(("centre", "width"), [(0, 0), (0, -1), (np.nan, 5), (0, np.inf)])
def test_windows_that_are_none_are_refused(centre, width):
    with pytest.raises(InputError) as caught:
        windowed(Scan(RAMP), centre, width)
    assert caught.value.field == "window"


def test_slices_are_pictures():
    scan = Scan(RAMP, notes=("A note.",))
    picture = slice_picture(scan, 1, 0, 100)
    assert np.array_equal(picture.pixels, windowed(scan, 0, 100)[1]) and picture.notes == ("A note.",)
    for index in (-1, 2):
        with pytest.raises(InputError, match=f"Slice {index + 1} is not there. The scan has 2"):
            slice_picture(scan, index)


def test_inverting_twice_changes_nothing():
    scan = Scan(RAMP, window=(40, 100))
    once = inverted(scan)
    # A value halfway between two levels is rounded up once and down once.
    assert np.abs(windowed(once).astype(int) - (255 - windowed(scan))).max() <= 1
    twice = inverted(once)
    assert np.array_equal(twice.values, scan.values) and twice.window == scan.window
    eight = inverted(Scan(np.array([[[10.0, 250.0]]], np.float32), window=EIGHT_BIT))
    assert eight.values.tolist() == [[[245, 5]]] and eight.window == EIGHT_BIT
    colour = Scan(np.full((1, 2, 2, 3), 10, np.uint8))
    assert (inverted(colour).values == 245).all()


def test_empty_slices_and_scans_are_named():
    values = np.random.default_rng(0).normal(size=(6, 8, 8))
    values[[1, 4, 5]] = 3
    scan = made(values)
    assert scan.notes == ("Slices 2 and 5 to 6 are empty (one value throughout).",)
    assert "All values" in made(np.zeros((2, 8, 8))).notes[0]
    assert made(np.zeros((1, 8, 8, 3), np.uint8)).notes[0].startswith("Every slice")


def test_numbers_in_words():
    assert slices([3]) == "Slice 3" and slices([3, 4, 5]) == "Slices 3 to 5"
    assert slices([1, 3, 4, 9]) == "Slices 1, 3 to 4 and 9"
    assert slices(range(1, 99, 2)) == "Slices 1, 3, 5, 7, 9, 11 and others"
