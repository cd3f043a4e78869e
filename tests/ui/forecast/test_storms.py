"""Lows of several members that are one and the same."""

import numpy as np
import pytest

from ui.forecast.storms import groups


def _track(member, start, step, hours=(24, 48, 72), pressure=985.0):
    return np.array([[member, hour, start[0] + k * step[0], start[1] + k * step[1], pressure + member]
                     for k, hour in enumerate(hours)], float)


def test_two_lows_that_all_members_share_stay_two():
    tracks = [_track(m, (40 + 0.3 * m, -50), (2, 5)) for m in range(6)]
    tracks += [_track(m, (55, -20 + 0.3 * m), (1, 3)) for m in range(6)]
    found = groups(tracks, 6)
    assert len(found) == 2 and all((way[:, 4] == 6).all() for way in found)
    ways = sorted(found, key=lambda way: way[0, 2])
    assert ways[0][:, 1] == pytest.approx([40.75, 42.75, 44.75]) and ways[0][:, 2] == pytest.approx([-50, -45, -40])
    assert ways[0][:, 3] == pytest.approx(987.5)


def test_what_one_member_has_is_no_shared_low():
    tracks = [_track(m, (40, -50 + 0.2 * m), (2, 5)) for m in range(10)] + [_track(0, (30, -10), (0, 1))]
    assert len(groups(tracks, 10)) == 1


def test_the_mean_way_ends_when_few_still_have_it():
    tracks = [_track(m, (40, -50 + 0.2 * m), (2, 5), hours=(24, 48) if m else (24, 48, 72)) for m in range(10)]
    assert groups(tracks, 10)[0][:, 0].tolist() == [24, 48]


def test_the_ellipse_is_the_standard_deviation_in_km():
    """Points are 2 degrees off along their meridian and 1 along the parallel of 60 N, which is half a degree of arc."""
    north, east = np.meshgrid([-2.0, 2.0], [-1.0, 1.0])
    tracks = [np.array([[m, 24.0, 60 + n, -30 + e, 990.0]]) for m, (n, e) in enumerate(zip(north.flat, east.flat))]
    large, small, angle = groups(tracks, 4)[0][0, 5:]
    degree, sample = np.pi * 6371 / 180, np.sqrt(4 / 3)
    assert large == pytest.approx(2 * degree * sample) and small == pytest.approx(degree / 2 * sample)
    assert abs(np.sin(np.deg2rad(angle))) == pytest.approx(1)


def test_lows_on_the_date_line_are_together():
    tracks = [_track(m, (40, lon), (0, 0)) for m, lon in enumerate((179.0, -179.0, 179.5, -179.5))]
    found = groups(tracks, 4)
    assert len(found) == 1 and abs(abs(found[0][0, 2]) - 180) < 0.01 and found[0][0, 5] < 200
