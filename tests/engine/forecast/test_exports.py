"""Files of a forecast, opened by other programs: NetCDF by its conventions, tables, pictures."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from engine.errors import InputError
from engine.io.fields import Field
from engine.recipe import Recipe
from engine.tasks.forecast import coast, exports, units
from engine.tasks.forecast.chart import Chart, legend_bar
from engine.tasks.forecast.data import PRESSURE

LAT, LON = np.arange(30.0, 70.1, 2.5), np.arange(-70.0, 10.1, 2.5)
LEADS, START = np.array([24.0, 48.0, 72.0]), np.datetime64("2008-02-28T12:00", "s")
RECIPE = Recipe(task="forecast", solver="interpolant_sde", steps=8, seed=3, samples=4, model="forecast_pressure")


def _members(count=4):
    y, x = np.meshgrid(LAT, LON, indexing="ij")
    waves = [1010 + 8 * np.sin(0.1 * x + lead + member) + 0.2 * (y - 50) for member in range(count)
             for lead in range(3)]
    return np.float32(waves).reshape(count, 3, *y.shape)


def _netcdf(unit="hPa") -> bytes:
    shown = units.unit("hPa", unit)
    return exports.netcdf(shown.shown(_members()), shown, LAT, LON, LEADS, START, PRESSURE, RECIPE, ("A note.",))


def test_netcdf_comes_back_with_its_coordinates_conventions_and_recipe():
    import xarray

    with xarray.open_dataset(io.BytesIO(_netcdf("Pa")), engine="h5netcdf", decode_timedelta=False) as data:
        assert data.slp.dims == ("realization", "time", "lat", "lon") and data.slp.attrs["units"] == "Pa"
        np.testing.assert_array_equal(data.slp, _members() * np.float64(100).astype(np.float32))
        assert data.slp.attrs["standard_name"] == "air_pressure_at_mean_sea_level"
        np.testing.assert_array_equal(data.lat, LAT)
        np.testing.assert_array_equal(data.lon, LON)
        np.testing.assert_array_equal(data.realization, [1, 2, 3, 4])
        wanted = START + (LEADS * 3600).astype("timedelta64[s]")
        np.testing.assert_array_equal(data.time.values.astype("datetime64[s]"), wanted)
        assert data.forecast_reference_time.values.astype("datetime64[s]") == START
        np.testing.assert_array_equal(data.forecast_period, LEADS)
        assert data.attrs["Conventions"] == "CF-1.11" and "A note." in data.attrs["comment"]
        assert Recipe.read(data.attrs["recipe"]) == (RECIPE, ())
        names = {name: values.attrs.get("standard_name") for name, values in data.coords.items()}
    assert names["realization"] == "realization" and names["time"] == "time" and names["lat"] == "latitude"


def test_netcdf_is_a_field_that_this_program_reads_and_the_same_bytes_again():
    from engine.io.fields.maps import unpacked
    from engine.io.fields.netcdf import parse

    field: Field = unpacked(parse(_netcdf()))[0]
    np.testing.assert_allclose(field.values, _members()[0], rtol=1e-6)
    assert any("Of 4 realization, 1 was taken" in note for note in field.notes)
    assert _netcdf() == _netcdf()


def test_places_are_read_in_any_turn_and_interpolated_across_it():
    where = exports.place("51.2", "357.5", LAT, LON)
    assert where == pytest.approx((51.2, -2.5))
    plane = 3 * LAT[:, None] - 2 * LON[None]
    assert exports.at_place(plane, where, LAT, LON) == pytest.approx(3 * 51.2 + 2 * 2.5)
    turned = exports.at_place(np.cos(np.deg2rad(LON))[None] + np.zeros((len(LAT), 1)),
                              exports.place("30", "0", LAT, LON), LAT, LON)
    assert turned == pytest.approx(1.0)
    assert exports.place(" ", "", LAT, LON) is None
    with pytest.raises(InputError, match="covers"):
        exports.place("51", "11", LAT, LON)


def test_the_table_of_a_place_says_what_the_members_say():
    members = np.arange(12.0).reshape(4, 3) + 996
    truth = np.array([1000.0, np.nan, 1002.0])
    data = exports.place_csv({"members": members, "truth": truth}, LEADS, START, units.unit("hPa", "auto"), 1000.5)
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert [row["time (UTC)"] for row in rows] == ["2008-02-29T12:00", "2008-03-01T12:00", "2008-03-02T12:00"]
    for number, row in enumerate(rows):
        drawn = members[:, number]
        assert float(row["mean"]) == pytest.approx(drawn.mean()) and float(row["p50"]) == pytest.approx(
            np.median(drawn))
        assert float(row["spread"]) == pytest.approx(drawn.std(ddof=1), rel=1e-5)
        assert float(row["chance above 1000.5"]) == (drawn > 1000.5).mean()
        assert [float(row[f"member {k}"]) for k in (1, 2, 3, 4)] == drawn.tolist()
    assert rows[1]["truth"] == "" and rows[0]["truth"] == "1000"


def test_animations_have_a_frame_per_lead_and_few_bytes():
    members = _members()
    mean, spread, shown = members.mean(0), members.std(0), units.unit("hPa", "auto")
    data = exports.animation(mean, spread, LAT, LON, LEADS, START, shown)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "WEBP" and picture.n_frames == 3
    assert len(data) < 300_000
    many = exports.animation(mean[[0] * 20 + [2]], spread[[0] * 20 + [2]], LAT, LON, np.arange(21) * 6.0, START, shown)
    with Image.open(io.BytesIO(many)) as picture:
        assert picture.n_frames <= 12


def test_charts_are_north_up_in_proportion_and_rise_in_brightness():
    chart = Chart(LAT, LON, 256)
    high, wide = chart.size
    assert wide == 256 and high == round(256 * 40 / (80 * np.cos(np.deg2rad(50))))
    rising = np.broadcast_to(LAT[:, None], (len(LAT), len(LON)))
    # Columns over the open ocean, without coastlines.
    picture = chart.draw(rising, 30, 70)[:, 95:105].astype(float).mean((1, 2))
    assert picture[5] > picture[high // 2] > picture[-5]
    for name in ("viridis", "cividis"):
        bar = legend_bar(name, 256, 1)[0].astype(float) @ [0.2126, 0.7152, 0.0722]
        assert (np.diff(bar) > -0.5).all() and bar[-1] - bar[0] > 100


def test_contours_lie_where_the_map_crosses_their_values():
    chart = Chart(LAT, LON, 256)
    rising = np.broadcast_to(LON[None] + 0.01, (len(LAT), len(LON)))
    with_lines, without = (chart.draw(rising, -70, 10, contour)[:, :].astype(int) for contour in (20.0, 0.0))
    columns = np.flatnonzero((with_lines != without).any(-1).mean(0) > 0.9)
    wanted = (np.array([-60, -40, -20, 0]) + 70) / 80 * 255
    assert len(columns) == 4
    np.testing.assert_allclose(columns, wanted, atol=1.5)


def test_coastlines_lie_in_their_box_and_pass_places_that_everybody_knows():
    lines = coast.lines(LAT, LON)
    points = np.concatenate(lines)
    assert (points >= [-70, 30]).all() and (points <= [10, 70]).all() and all(len(line) > 1 for line in lines)
    # Cape St Vincent, Land's End, Reykjanes, Cape Farewell: to a tenth of a degree or so at 1:50 million.
    for lon, lat in ((-9.0, 37.02), (-5.71, 50.07), (-22.7, 63.8), (-43.9, 59.8)):
        assert np.hypot(*(points - [lon, lat]).T).min() < 0.2
    # The middle of the ocean has none.
    assert np.hypot(*(points - [-40.0, 45.0]).T).min() > 5
    turned = np.concatenate(coast.lines(LAT, LON + 360)) - [360, 0]
    # Coordinates have two digits; lines that end on the edge may differ by a point.
    ours, theirs = ({tuple(place) for place in found.round(4)} for found in (points, turned))
    assert len(ours ^ theirs) < 0.02 * len(ours)


@pytest.mark.parametrize("name, kelvin, shown", [("C", 273.15, 0), ("F", 273.15, 32), ("K", 280, 280)])
def test_units_of_temperature(name, kelvin, shown):
    unit = units.unit("K", name)
    assert unit.shown(np.array([kelvin]))[0] == pytest.approx(shown, abs=1e-4)
    assert unit.apart(np.array([5.0]))[0] == pytest.approx(9 if name == "F" else 5)
