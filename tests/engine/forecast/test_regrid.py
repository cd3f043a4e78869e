"""Other grids than the model's: the same values where they can be, and words where they cannot."""

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.fields import Field
from engine.tasks.forecast.regrid import check_covered, onto, region

LAT, LON = np.arange(30.0, 70.1, 2.5), np.arange(-70.0, 10.1, 2.5)


def _plane(lat, lon):
    return (2 * lat[:, None] + 0.5 * lon[None])[None]


def _field(lat, lon, values=None) -> Field:
    values = _plane(lat, lon) if values is None else values
    return Field(np.float32(values), np.array(["2004-01-01"], "datetime64[s]"), lat, lon, "hPa", "slp")


def test_points_of_the_model_are_taken_as_they_are():
    wide = _field(np.arange(20.0, 80.1, 2.5), np.arange(-90.0, 30.1, 2.5))
    found, notes = onto(wide, wide.values, LAT, LON)
    np.testing.assert_array_equal(found, np.float32(_plane(LAT, LON)))
    assert notes == ()


def test_coarser_files_are_interpolated_which_keeps_planes():
    coarse = _field(np.arange(25.0, 76, 5.0) + 0.5, np.arange(-75.0, 16, 5.0) + 0.5)
    found, notes = onto(coarse, coarse.values, LAT, LON)
    np.testing.assert_allclose(found, _plane(LAT, LON), atol=1e-4)
    assert "interpolated" in notes[0] and "5 degrees" in notes[0]


def test_finer_files_are_averaged_over_cells():
    lat, lon = np.arange(28.0, 72.1, 0.25), np.arange(-72.0, 12.1, 0.25)
    fine = _field(lat, lon)
    found, notes = onto(fine, fine.values, LAT, LON)
    # Cells are symmetric around their centres but for the area, which shrinks northwards by a per cent or so a cell.
    np.testing.assert_allclose(found, _plane(LAT, LON), atol=0.06)
    assert "averaged" in notes[0]
    checks = np.float32((np.arange(len(lat))[:, None] + np.arange(len(lon))) % 2)[None]
    flat, _ = onto(_field(lat, lon, checks), checks, LAT, LON)
    # A chessboard of 10 x 10 squares and their edges averages to about a half; picked points would be 0 or 1.
    np.testing.assert_allclose(flat, 0.5, atol=0.02)


@pytest.mark.parametrize("turn", [0, 360])
def test_a_field_around_the_earth_covers_domains_across_its_own_ends(turn):
    lat, lon = np.arange(-90.0, 90.1, 2.5), np.arange(0.0, 360, 2.5)
    globe = _field(lat, lon, np.cos(np.deg2rad(lon))[None, None] + np.zeros((1, len(lat), 1)))
    around = LON + turn
    found, _ = onto(globe, globe.values, LAT, around)
    np.testing.assert_allclose(found[0], np.broadcast_to(np.cos(np.deg2rad(LON)), found[0].shape), atol=1e-6)
    half, _ = onto(globe, globe.values, LAT, around + 1.25)
    np.testing.assert_allclose(half[0, 0], np.cos(np.deg2rad(LON + 1.25)), atol=1e-3)


def test_a_field_across_the_date_line_meets_a_domain_in_other_turns():
    lat, lon = np.arange(15.0, 75.1, 2.5), np.arange(150.0, 340.1, 2.5)
    wanted = np.arange(-160.0, -29.9, 2.5)
    found, _ = onto(_field(lat, lon), _plane(lat, lon), lat, wanted)
    np.testing.assert_allclose(found, _plane(lat, wanted + 360), atol=1e-6)


@pytest.mark.parametrize("lat, lon, words", [
    (np.arange(35.0, 60.1, 2.5), LON, "35 N to 60 N, 70 W to 10 E"),
    (LAT, np.arange(-10.0, 30.1, 2.5), "30 N to 70 N, 10 W to 30 E"),
    (-LAT[::-1], LON, "70 S to 30 S"), (LAT, np.arange(100.0, 180.0, 2.5), "100 E to 177.5 E")])
def test_domains_that_do_not_cover_the_model_are_refused_with_both(lat, lon, words):
    with pytest.raises(InputError) as caught:
        check_covered(_field(lat, lon), LAT, LON)
    assert words in caught.value.what and "30 N to 70 N, 70 W to 10 E" in caught.value.why
    assert caught.value.field == "field"


def test_the_whole_earth_has_all_longitudes():
    assert region(np.array([-90.0, 90.0]), np.arange(0, 360, 2.5)) == "90 S to 90 N, all longitudes"
