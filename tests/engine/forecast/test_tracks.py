"""Lows with known ways: found between grid points, followed across days, kept apart, and across the date line."""

import numpy as np
import pytest

from engine.tasks.forecast import tracks

LAT, LON = np.arange(30.0, 70.1, 2.5), np.arange(-70.0, 10.1, 2.5)
HOURS = np.arange(0, 121, 24.0)


def _low(lat, lon, depth=25.0, width_km=700.0, grid=(LAT, LON)):
    """1015 hPa less a round low."""
    y, x = np.meshgrid(*grid, indexing="ij")
    return 1015 - depth * np.exp(-((tracks.distance_km(y, x, lat, lon) / width_km) ** 2))


def _way(lat, lon, north, east):
    days = HOURS / 24
    return np.stack([lat + north * days, lon + east * days], 1)


@pytest.mark.parametrize("way", [_way(42, -60, 2.3, 7.9), _way(55.3, -41.7, -1.2, 4.4), _way(48, -20, 0, 0),
                                 _way(50, 0, 2, -6)])
def test_a_moving_low_is_followed_to_a_fraction_of_the_grid(way):
    maps = np.stack([_low(*place) for place in way])
    track, = tracks.joined(tracks.centres(maps, LAT, LON), HOURS)
    np.testing.assert_array_equal(track[:, 0], HOURS)
    apart = tracks.distance_km(track[:, 1], track[:, 2], *way.T)
    # The grid is 280 km wide; a parabola through a low of 700 km is off by a few per cent of that.
    assert apart.max() < 60
    np.testing.assert_allclose(track[:, 3], 990, atol=1.0)


def test_two_lows_that_pass_each_other_keep_their_names():
    one, other = _way(40, -60, 1, 8), _way(60, -20, 0, -7)
    maps = np.stack([_low(*a) + _low(*b) - 1015 for a, b in zip(one, other)])
    found = sorted(tracks.joined(tracks.centres(maps, LAT, LON), HOURS), key=lambda track: track[0, 1])
    assert len(found) == 2
    for track, way in zip(found, (one, other)):
        assert tracks.distance_km(track[:, 1], track[:, 2], *way.T).max() < 150


def test_a_jump_beyond_reach_is_another_low():
    places = [(45, -60), (45, -55), (60, -5), (60, -2)]
    found = tracks.joined(tracks.centres(np.stack([_low(*place) for place in places]), LAT, LON), HOURS[:4])
    assert [track[:, 0].tolist() for track in found] == [[0, 24], [48, 72]]


def test_shallow_dips_and_the_edge_hold_no_low():
    maps = np.stack([_low(45.0, -30.0, depth=1.0), _low(30.0, -30.0), np.full((17, 33), 1000.0)])
    assert tracks.centres(maps, LAT, LON) == [[], [], []]


def test_ways_go_on_across_the_date_line():
    lon = np.arange(150.0, 231, 2.5)
    maps = np.stack([_low(50.0, 172 + 6 * day, grid=(LAT, lon)) for day in range(5)])
    track, = tracks.joined(tracks.centres(maps, LAT, lon), HOURS[:5])
    np.testing.assert_allclose(track[:, 2], 172 + 6 * np.arange(5), atol=0.5)


def test_members_are_padded_and_numbered():
    moving, none = np.stack([_low(45, -60 + 6 * day) for day in range(4)]), np.full((4, 17, 33), 1010.0)
    short = np.concatenate((moving[:2], none[:2]))
    found = tracks.of_members(np.stack([moving, none, short]), HOURS[:4], LAT, LON)
    assert found.shape == (2, 4, 5) and found[:, 0, 0].tolist() == [0, 2]
    assert np.isnan(found[1, 2:]).all() and np.isfinite(found[0]).all()
    assert tracks.of_members(none[None], HOURS[:4], LAT, LON).shape == (0, 0, 5)


def test_distances_are_great_circles():
    assert tracks.distance_km(0, 0, 0, 90) == pytest.approx(np.pi / 2 * tracks.EARTH_KM)
    assert tracks.distance_km(90, 0, 90, 120) == pytest.approx(0, abs=1e-6)
    assert tracks.distance_km(10, 179, 10, -179) == pytest.approx(tracks.distance_km(10, 1, 10, 3))
