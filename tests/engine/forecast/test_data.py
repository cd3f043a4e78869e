"""Records on disk: read in any order, checked, split by time."""

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.fields import read_netcdf
from engine.io.fields.field import arranged
from engine.tasks.forecast.data import PRESSURE, TEMPERATURE, find, read, split, starts

TIMES = np.datetime64("2001-01-01", "ns") + np.arange(5) * np.timedelta64(86400 * 10**9, "ns")


def _write(path, values, times=TIMES, unit="Pa", lat=(70.0, 50.0, 30.0), lon=(350.0, 355.0, 0.0, 5.0), name="slp"):
    import xarray

    array = xarray.DataArray(values, {"time": times, "lat": list(lat), "lon": list(lon)}, ("time", "lat", "lon"),
                             attrs={"units": unit})
    array.to_dataset(name=name).to_netcdf(path, engine="h5netcdf")
    return path


def test_latitudes_rise_longitudes_run_through_and_pascal_become_hectopascal(tmp_path):
    values = np.arange(60.0).reshape(5, 3, 4) * 100
    field = read_netcdf(_write(tmp_path / "a.nc", values), "slp")
    assert field.lat.tolist() == [30, 50, 70] and field.lon.tolist() == [-10, -5, 0, 5] and field.unit == "hPa"
    np.testing.assert_array_equal(field.values, values[:, ::-1] / 100)
    assert field.times.dtype == np.dtype("datetime64[s]")


def test_a_domain_across_the_date_line_stays_whole():
    field = arranged(np.arange(3.0).reshape(1, 1, 3), TIMES[:1], np.array([0.0]), np.array([170.0, 180.0, -170.0]),
                     "K", "air")
    assert field.lon.tolist() == [170, 180, 190] and field.values.ravel().tolist() == [0, 1, 2]


@pytest.mark.parametrize("unit, kelvin", [("degC", 283.15), ("degF", (10 - 32) * 5 / 9 + 273.15), ("K", 10.0)])
def test_temperatures_become_kelvin(unit, kelvin):
    field = arranged(np.full((1, 1, 1), 10.0), TIMES[:1], np.zeros(1), np.zeros(1), unit, "air")
    assert field.values.item() == pytest.approx(kelvin, abs=1e-3) and field.unit == "K"


def test_missing_values_and_double_times_are_told_with_their_number():
    values = np.zeros((5, 1, 2))
    values[2, 0, 1] = np.nan
    with pytest.raises(InputError, match="1 of 10 values"):
        arranged(values, TIMES, np.zeros(1), np.arange(2.0), "K", "air")
    with pytest.raises(InputError, match="1 times"):
        arranged(values, TIMES[[0, 1, 1, 2, 3]], np.zeros(1), np.arange(2.0), "K", "air")


def test_a_file_without_the_variable_names_those_it_has(tmp_path):
    with pytest.raises(InputError, match="slp"):
        read_netcdf(_write(tmp_path / "a.nc", np.zeros((5, 3, 4))), "msl")


def test_a_record_of_another_unit_or_pace_is_refused(tmp_path):
    folder = tmp_path / PRESSURE.folder
    folder.mkdir()
    with pytest.raises(InputError, match="no NetCDF"):
        find(tmp_path, PRESSURE)
    path = _write(folder / "slp.nc", np.zeros((5, 3, 4)), unit="K")
    assert find(tmp_path, PRESSURE) == find(folder, PRESSURE) == path
    with pytest.raises(InputError, match="'K'"):
        read(tmp_path, PRESSURE)
    path.unlink()
    _write(path, np.zeros((5, 3, 4)), times=np.delete(np.append(TIMES, TIMES[-1] + 2 * (TIMES[1] - TIMES[0])), 0))
    with pytest.raises(InputError, match="24 to 48 h"):
        read(tmp_path, PRESSURE)


@pytest.mark.parametrize("domain", [PRESSURE, TEMPERATURE])
def test_training_ends_the_longest_lead_before_validation(domain):
    pace = np.timedelta64(domain.step_hours * 3600, "s")
    times = np.datetime64("2001-01-01", "s") + np.arange(25_000) * pace
    training, judged = split(times, domain)
    gap = times[judged][0] - times[training][-1]
    assert gap > domain.steps * pace and not (training & judged).any()
    assert times[judged][0] == np.datetime64(domain.judged_from)


def test_starts_have_their_past_and_future_in_the_validation_part(record):
    at = starts(record, 3)
    assert record.judged[at - 1].all() and at.max() + 3 == len(record.field.times) - 1
    few = starts(record, 3, 5)
    assert len(few) == 5 and few[0] == at[0] and few[-1] == at[-1]
