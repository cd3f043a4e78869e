"""Weather fields as people have them: every name, unit, order and calendar that can be told, and what was mended."""

import numpy as np
import pytest

from engine.errors import InputError
from engine.io import inputs
from engine.io.fields import names, read, store
from engine.io.fields.maps import unpacked
from engine.io.fields.times import decoded
from engine.tasks.base import InputSpec
from tests.engine.io.fields import making
from tests.engine.io.fields.making import opened

# float32 holds 1000 hPa to 6e-5.
HPA = 1e-4


def _same(field) -> None:
    """The field is `making.dataset()`, south first and in hPa."""
    np.testing.assert_allclose(field.values, making.pressures()[:, ::-1] / 100, atol=HPA)
    np.testing.assert_array_equal(field.lat, making.LAT[::-1])
    np.testing.assert_array_equal(field.lon, making.LON)
    np.testing.assert_array_equal(field.times, making.TIMES)
    assert field.unit == "hPa" and field.name == "msl"


def test_netcdf_4_and_3_give_the_same_field(tmp_path):
    data = making.dataset()
    classic = tmp_path / "classic.nc"
    data.to_netcdf(classic, engine="scipy")
    for source in (making.netcdf(data), classic):
        _same(read(source))


def test_zarr_stores_of_both_versions_zipped_or_as_a_folder(tmp_path):
    data = making.dataset()
    old = making.zarr_zip(data, tmp_path / "old.zarr", "old.zarr/", 2)
    _same(read(old))
    for source in (making.zarr_zip(data, tmp_path / "new"), store.zipped(tmp_path / "old.zarr", "field")):
        _same(unpacked(store.parse(source))[0])


def test_the_kind_of_input_reads_a_field_with_its_notes(tmp_path):
    path = tmp_path / "a.nc"
    path.write_bytes(making.netcdf(making.dataset()))
    field, notes = inputs.read(InputSpec("field", "Weather field", "field", ""), path, {})
    _same(field)
    assert notes == field.notes and any("Pa to hPa" in note for note in notes)


def test_longitudes_to_360_and_a_column_that_comes_twice_are_put_in_order():
    turned = making.dataset(lon=making.LON % 360)
    order = np.argsort(making.LON % 360)
    _same(opened(making.netcdf(turned.isel(longitude=order))))
    cyclic = making.dataset(making.pressures(columns=13)[..., [*range(12), 0]], lon=np.arange(0.0, 361.0, 30.0))
    field = opened(making.netcdf(cyclic))
    assert field.lon.tolist() == list(range(-180, 180, 30)) and any("came twice" in note for note in field.notes)


@pytest.mark.parametrize("name, attributes, kind", [
    ("msl", {"units": "Pa"}, "pressure"), ("prmsl", {"units": "mb"}, "pressure"),
    ("foo", {"units": "Pa", "standard_name": "air_pressure_at_sea_level"}, "pressure"),
    ("t2m", {"units": "K"}, "temperature"), ("t995", {}, "temperature"), ("tas", {"units": "degC"}, "temperature"),
    ("sp", {"units": "Pa"}, None), ("sst", {"units": "K"}, None), ("wind", {"units": "m s-1"}, None),
    ("msl", {"units": "K"}, None), ("q", {"units": "1"}, None)])
def test_variables_are_known_by_standard_name_usual_name_or_unit(name, attributes, kind):
    found = names.quantity(name, attributes)
    assert (found[0].name if found else None) == kind


def test_of_several_variables_the_fitting_ones_are_chosen_and_said():
    data = making.dataset()
    data["sp"] = (data.msl.dims, data.msl.values - 5000, {"units": "Pa"})
    data["t2m"] = (data.msl.dims, np.full(data.msl.shape, 10.0), {"units": "degC"})
    field = opened(making.netcdf(data))
    _same(field)
    warm, = field.others
    assert warm.unit == "K" and warm.name == "t2m" and np.allclose(warm.values, 283.15)
    assert any("Of 3 maps, msl and t2m were taken" in note for note in field.notes)


def test_levels_and_members_beside_time_are_chosen_and_said():
    import xarray

    data = making.dataset(attributes={"units": "K"}, name="t")
    levels = xarray.concat([data.t + 1000 - level for level in (500, 850, 1000)], "level").assign_coords(
        level=("level", [500.0, 850.0, 1000.0], {"units": "hPa"}))
    many = xarray.concat([levels, levels + 5], "number").assign_coords(number=[0, 1])
    field = opened(making.netcdf(many.to_dataset(name="t").assign(t=many.assign_attrs(units="K"))))
    np.testing.assert_allclose(field.values, making.pressures()[:, ::-1], rtol=1e-6)
    assert any("Of 3 level, 1000.0" in note for note in field.notes)
    assert any("Of 2 number, 0" in note for note in field.notes)


def test_one_map_without_a_time_axis_is_a_series_of_one():
    field = opened(making.netcdf(making.dataset().isel(time=2)))
    assert field.values.shape == (1, 5, 7) and field.times.tolist() == making.TIMES[2:3].tolist()


def test_double_times_are_kept_once_and_order_in_time_does_not_matter():
    data = making.dataset().isel(time=[3, 0, 1, 1, 2, 4, 5, 3])
    field = opened(making.netcdf(data))
    _same(field)
    assert any("2 times came twice" in note for note in field.notes)


def test_fill_values_are_filled_from_neighbours_and_maps_with_large_gaps_are_left_out():
    values = making.pressures()
    values[1, 2, 3], values[4, :3] = np.nan, np.nan
    field = opened(making.netcdf(making.dataset(values), encoding={"msl": {"_FillValue": -999.0}}))
    assert field.times.tolist() == np.delete(making.TIMES, 4).tolist() and np.isfinite(field.values).all()
    # The nearest place is one of the four beside it.
    beside = [values[1, 2 + dy, 3 + dx] / 100 for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))]
    assert np.abs(field.values[1, ::-1][2, 3] - beside).min() < HPA
    assert any("1 missing values in 1 maps" in note for note in field.notes)
    assert any("1 maps with gaps" in note for note in field.notes)
    values[:, 0] = np.nan
    with pytest.raises(InputError, match="Every map lacks at least 20%"):
        opened(making.netcdf(making.dataset(values)))


def test_scaled_whole_numbers_are_unpacked():
    coded = {"msl": {"dtype": "int16", "scale_factor": 1.0, "add_offset": 100_000.0, "_FillValue": -32767}}
    _same(opened(making.netcdf(making.dataset(), encoding=coded)))


@pytest.mark.parametrize("calendar, dropped", [("noleap", 0), ("360_day", 2)])
def test_calendars_of_climate_models_keep_their_dates(calendar, dropped):
    """From 26 February on: noleap has no 29th, 360_day also has a 30th, and neither day exists in all of ours."""
    import cftime
    import xarray

    start = cftime.datetime(2003, 2, 26, calendar=calendar)
    times = xarray.date_range(start, periods=6, freq="D", calendar=calendar, use_cftime=True)
    field = opened(making.netcdf(making.dataset(times=times)))
    assert len(field.times) == 6 - dropped and any(f"calendar is {calendar}" in note for note in field.notes)
    expected = [f"2003-02-{day}" for day in (26, 27, 28)] + [f"2003-03-0{day}" for day in range(1, 4 - dropped)]
    if calendar == "360_day":
        assert any("2 times on days that our calendar lacks" in note for note in field.notes)
    assert field.times.astype("datetime64[D]").astype(str).tolist() == expected


def test_leap_days_stay():
    assert np.datetime64("2004-02-29") in opened(making.netcdf(making.dataset())).times


def test_dates_as_text_are_read_and_other_text_is_refused():
    """Row 24: a calendar of text."""
    words = np.array(["2004-02-29T06:00:00Z", "2004-03-01"], object)
    found, notes = decoded(words, "", "")
    assert found.tolist() == np.array(["2004-02-29T06", "2004-03-01T00"], "datetime64[s]").tolist() and notes
    with pytest.raises(InputError, match="no date"):
        decoded(np.array(["Tuesday"]), "", "")
    for units, calendar in (("weeks", ""), ("days since Christmas", ""), ("days since 2001-01-01", "mayan")):
        with pytest.raises(InputError, match="cannot be understood"):
            decoded(np.arange(3.0), units, calendar)


def test_days_as_floating_point_numbers_are_rounded_to_seconds():
    found, _ = decoded(np.arange(0, 3, 1 / 24), "days since 2004-01-01", "standard")
    assert (np.diff(found) == np.timedelta64(3600, "s")).all()


@pytest.mark.parametrize("attributes, values, unit", [
    ({}, 100_000.0, "Pa"), ({}, 1000.0, "hPa"), ({"units": "  "}, 1013.0, "hPa")])
def test_a_missing_unit_is_told_from_the_values(attributes, values, unit):
    field = opened(making.netcdf(making.dataset(np.full((6, 5, 7), values), attributes=attributes)))
    assert field.unit == "hPa" and any(f"look like {unit}" in note for note in field.notes)


def test_a_missing_unit_that_may_be_several_is_asked_for():
    with pytest.raises(InputError, match="about 15, which may be several"):
        opened(making.netcdf(making.dataset(np.full((6, 5, 7), 15.0), name="t2m", attributes={})))


def test_what_is_not_in_the_file_is_named():
    with pytest.raises(InputError, match="Its maps are wind"):
        opened(making.netcdf(making.dataset(name="wind", attributes={"units": "m s-1"})))
    with pytest.raises(InputError, match="no axes of latitude"):
        opened(making.netcdf(making.dataset().isel(latitude=0)))
    with pytest.raises(InputError, match="no times"):
        opened(making.netcdf(making.dataset().drop_vars("time")))
    with pytest.raises(InputError, match="not on the earth"):
        opened(making.netcdf(making.dataset(lat=making.LAT * 10)))


def test_a_curved_grid_is_refused_in_words():
    import xarray

    lat, lon = np.meshgrid(making.LAT, making.LON, indexing="ij")
    data = xarray.Dataset({"msl": (("time", "j", "i"), making.pressures(), making.PRESSURE)},
                          {"time": making.TIMES, "lat": (("j", "i"), lat, {"units": "degrees_north"}),
                           "lon": (("j", "i"), lon, {"units": "degrees_east"})})
    with pytest.raises(InputError, match="not regular"):
        opened(making.netcdf(data))
