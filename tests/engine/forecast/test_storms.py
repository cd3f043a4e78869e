"""Forecasts of storms beside their best tracks."""

from types import SimpleNamespace

import numpy as np
import pytest

from engine.io.fields import Field
from engine.tasks.forecast import storms, tracks

LAT, LON = np.arange(30.0, 70.1, 2.5), np.arange(-70.0, 10.1, 2.5)
START = np.datetime64("2005-09-01", "s")


def _folder(path):
    """Two storms, their rows mixed: one for three days to the north-east, one elsewhere."""
    hours = int((START - np.datetime64("1970-01-01", "s")) / np.timedelta64(3600, "s")) + np.arange(0, 72, 6)
    moving = np.stack([40 + 2.0 * np.arange(12) / 4, -50 + 6.0 * np.arange(12) / 4], 1)
    other = np.stack([np.full(12, 15.0), np.full(12, -60.0)], 1)
    order = np.random.default_rng(0).permutation(24)
    (path / storms.FOLDER).mkdir()
    lat, lon = np.concatenate((moving, other))[order].T
    np.savez(path / storms.FOLDER / storms.FILE, key=np.repeat(["AL012005", "AL022005"], 12)[order],
             time_h=np.tile(hours, 2)[order].astype(np.int32), lat=np.float32(lat), lon=np.float32(lon))
    return path


@pytest.fixture(scope="module")
def storm(tmp_path_factory):
    found = storms.read(_folder(tmp_path_factory.mktemp("data")))
    assert [one.key for one in found] == ["AL012005", "AL022005"]
    return found[0]


def test_places_are_means_of_the_day(storm):
    way = storms.places(storm, START, 24, 3)
    # Of the hours 0, 6, 12, 18: three eighths of a day's way after midnight.
    np.testing.assert_allclose(way[:3, 0], 40 + 2 * (np.arange(3) + 0.375), atol=1e-5)
    np.testing.assert_allclose(way[:3, 1], -50 + 6 * (np.arange(3) + 0.375), atol=1e-5)
    assert np.isnan(way[3]).all() and storms.inside(way[0], LAT, LON) and not storms.inside(way[3], LAT, LON)


def test_no_folder_is_no_storm(tmp_path):
    assert storms.read(tmp_path) == []


def _maps(way, north=0.0):
    y, x = np.meshgrid(LAT, LON, indexing="ij")
    return np.stack([1015 - 25 * np.exp(-(tracks.distance_km(y, x, lat + north * day, lon) / 700) ** 2)
                     for day, (lat, lon) in enumerate(way)])


def test_rows_compare_ensembles_on_the_storms_that_are_on_the_map(storm):
    """Maps of the truth follow it, and staying where it was is as wrong as the storm is fast."""
    days = START + np.arange(-3, 6) * np.timedelta64(86400, "s")
    way = storms.places(storm, START, 24, 2)
    maps = np.full((9, len(LAT), len(LON)), 1012.0)
    maps[3:6] = _maps(way)
    record = SimpleNamespace(field=Field(np.float32(maps), days, LAT, LON, "hPa", "slp"), judged=np.ones(9, bool),
                             domain=SimpleNamespace(step_hours=24))
    cases = storms.cases(record, [storm], 2)
    assert [now for now, _ in cases] == [3, 4]
    ensemble = [np.stack([maps[now + lead] for now, _ in cases])[:, None].repeat(2, 1) for lead in (1, 2)]
    rows = {(row["lead_h"], row["method"]): row for row in storms.rows(record, cases, {"ours": ensemble})}
    assert rows[24, "ours"]["track_error"] < 60 and rows[24, "ours"]["followed"] == 1
    assert rows[24, "ours"]["starts"] == 2 and rows[48, "ours"]["starts"] == 1
    moved = tracks.distance_km(*way[0], *way[2])
    assert rows[48, "no motion"]["track_error"] == pytest.approx(float(moved), abs=0.1)


def test_errors_are_the_distances_of_the_followed_low(storm):
    way = storms.places(storm, START, 24, 2)
    right, north = _maps(way), _maps(way, north=1.5)
    lost = np.concatenate((right[:2], np.full((1, *right.shape[1:]), 1010.0)))
    none = np.full(right.shape, 1010.0)
    found = storms.errors_km(np.stack([right, north, lost, none]), np.arange(3) * 24.0, LAT, LON, way)
    # Lows are found to some tens of kilometres between grid points 280 km apart.
    assert found[0].max() < 60
    np.testing.assert_allclose(found[1], np.arange(3) * 1.5 * np.pi / 180 * tracks.EARTH_KM, atol=60)
    assert np.isfinite(found[2, :2]).all() and np.isnan(found[2, 2]) and np.isnan(found[3]).all()
