"""From an open data set to arrays of maps: axes found, one variable per quantity chosen, units and gaps mended.

It works on whatever a person's file holds, in the child process that reads it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import InputError
from engine.io.fields import cleaning, names, times
from engine.io.fields.field import Field, arranged
from engine.runtime.settings import limits

if TYPE_CHECKING:
    import xarray

_DEEPEST = ("hpa", "mb", "mbar", "millibar", "pa", "sigma_level")
"""Units of vertical axes whose largest value is nearest to the ground."""
_PLAUSIBLE = {"pressure": ((50_000, 120_000, "Pa"), (500, 1200, "hPa")), "temperature": ((180, 345, "K"),)}


def found(data: "xarray.Dataset") -> dict[str, np.ndarray]:
    """The maps of a data set with undecoded times, as arrays that `packed` names. Raises InputError."""
    return packed(fields(data))


def fields(data: "xarray.Dataset") -> list[Field]:
    """One field for each quantity that the data set shows on a regular grid, the surest first. Raises InputError."""
    axes = _axes(data)
    shown = [str(name) for name, values in data.data_vars.items()
             if {axes["lat"], axes["lon"]} <= set(values.dims) and values.dtype.kind in "fiu"]
    chosen = names.fitting((name, data[name].attrs) for name in shown)
    if not chosen:
        raise InputError("The file shows neither sea-level pressure nor air temperature.",
                         "Its maps are " + (", ".join(shown)[:200] or "none") + ".",
                         "Name the variable as the CF conventions ask, for example slp or t2m, with its unit.")
    left = len(shown) - len(chosen)
    note = (f"Of {len(shown)} maps, {' and '.join(chosen.values())} {'was' if len(chosen) == 1 else 'were'} taken.",)
    return [_field(data, name, kind, axes, note if left else ()) for kind, name in chosen.items()]


def packed(found: Sequence[Field]) -> dict[str, np.ndarray]:
    """Fields as plain arrays, for the way out of the child process."""
    arrays = {}
    for number, one in enumerate(found):
        arrays |= {f"{number}_{name}": np.asarray(getattr(one, name))
                   for name in ("values", "lat", "lon", "unit", "name")}
        arrays |= {f"{number}_times": one.times.astype("int64"), f"{number}_notes": np.array(one.notes, str)}
    return arrays


def unpacked(arrays: dict[str, np.ndarray]) -> list[Field]:
    """The inverse of `packed`."""
    count = sum(name.endswith("_values") for name in arrays)
    return [Field(arrays[f"{n}_values"], arrays[f"{n}_times"].astype("datetime64[s]"), arrays[f"{n}_lat"],
                  arrays[f"{n}_lon"], str(arrays[f"{n}_unit"]), str(arrays[f"{n}_name"]),
                  tuple(map(str, arrays[f"{n}_notes"]))) for n in range(count)]


def _axes(data: "xarray.Dataset") -> dict[str, str]:
    """Names of the axes of latitude and longitude."""
    axes: dict[str, str] = {}
    for name in data.dims:
        found = names.role(str(name), data[name].attrs if name in data.coords else {})
        if found in ("lat", "lon") and name in data.coords:
            axes.setdefault(found, str(name))
    if len(axes) == 2:
        return axes
    flat = [name for name, values in data.variables.items()
            if values.ndim == 2 and names.role(str(name), values.attrs) in ("lat", "lon")]
    if flat:
        raise InputError("The grid is not regular in latitude and longitude.",
                         f"{' and '.join(map(str, flat))[:80]} change along both axes.",
                         "Bring it to a regular grid first, for example with cdo remapbil.")
    raise InputError("The file has no axes of latitude and longitude.",
                     "Its axes are " + (", ".join(map(str, data.dims))[:200] or "none") + ".",
                     "Name them lat and lon, in degrees.")


def _field(data: "xarray.Dataset", name: str, kind: str, axes: dict[str, str], notes: tuple[str, ...]) -> Field:
    variable, time, said = _maps(data[name], axes)
    moments, of_times = _times(data, variable, time)
    most = limits().field_values
    if variable.size > most:
        raise InputError(f"{name[:40]} has {variable.size / 1e6:.0f} million values.",
                         f"The limit is {most / 1e6:.0f} million.", "Cut out the region and the time that you need.")
    values = np.asarray(variable.values, np.float32)
    lat, lon = (np.asarray(data[axes[axis]].values, np.float64) for axis in ("lat", "lon"))
    values, lat, lon, of_grid = _grid(values, lat, lon)
    values, moments, of_copies = cleaning.without_copies(values, moments)
    if not len(values):
        raise InputError("The file has no map.", "Its time axis is empty.", "Give a file with maps.")
    values, moments, of_gaps = cleaning.without_gaps(values, moments)
    unit, of_unit = _unit(values, str(variable.attrs.get("units", "")), kind, name)
    made = arranged(values, moments, lat, lon, unit, name[:60])
    said = (*notes, *said, *of_times, *of_grid, *of_copies, *of_gaps, *of_unit, *_converted(unit, made.unit))
    return Field(made.values, made.times, made.lat, made.lon, made.unit, made.name, said)


def _maps(variable: "xarray.DataArray", axes: dict[str, str]) -> tuple["xarray.DataArray", str, tuple[str, ...]]:
    """The variable with three axes, time first, the name of its time axis, and what was chosen along further axes."""
    rows, columns = axes["lat"], axes["lon"]
    further = [str(axis) for axis in variable.dims if axis not in (rows, columns)]
    time = next((axis for axis in further if _is_time(variable, axis)), "")
    if not time:
        time = next((axis for axis in further if axis == "step"), "time")
    notes: tuple[str, ...] = ()
    for axis in further:
        if axis != time:
            variable, note = _at_one(variable, axis)
            notes += note
    if time not in variable.dims:
        variable = variable.drop_vars(time, errors="ignore").expand_dims(time)
    return variable.transpose(time, rows, columns), time, notes


def _is_time(variable: "xarray.DataArray", axis: str) -> bool:
    return names.role(axis, variable[axis].attrs if axis in variable.coords else {}) == "time"


def _at_one(variable: "xarray.DataArray", axis: str) -> tuple["xarray.DataArray", tuple[str, ...]]:
    """The variable at one place of a further axis: the level nearest to the ground, the first of anything else."""
    count = variable.sizes[axis]
    if count == 1:
        return variable.isel({axis: 0}, drop=True), ()
    if axis not in variable.coords:
        return variable.isel({axis: 0}, drop=True), (f"Of {count} {axis[:40]}, the first was taken.",)
    places = variable[axis]
    deepest = str(places.attrs.get("units", "")).lower() in _DEEPEST
    index = int(np.argmax(places.values)) if deepest and places.dtype.kind in "fiu" else 0
    told = f"Of {count} {axis[:40]}, {places.values[index]} was taken."
    return variable.isel({axis: index}, drop=True), (told,)


def _times(data: "xarray.Dataset", variable: "xarray.DataArray", axis: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """datetime64[s] of the maps. GRIB files of forecasts have theirs along "step", in valid_time."""
    for name in ("valid_time", axis, "time"):
        if name in data.variables and data[name].dims in ((axis,), ()):
            stored = data[name]
            found, notes = times.decoded(np.atleast_1d(stored.values), str(stored.attrs.get("units", "")),
                                         str(stored.attrs.get("calendar", "")))
            if len(found) == variable.sizes[axis]:
                return found, notes
    raise InputError("The maps have no times.", f"There are no values of the axis {axis[:40]}.",
                     "Give the time of each map.")


def _grid(values: np.ndarray, lat: np.ndarray, lon: np.ndarray):
    """Maps and axes with each longitude once. Raises InputError for axes that are not on the earth."""
    if not (np.isfinite(lat).all() and np.isfinite(lon).all() and np.abs(lat).max() <= 90.01
            and np.abs(lon).max() <= 720):
        raise InputError("The latitudes or longitudes are not on the earth.",
                         "Latitudes go from -90 to 90 degrees, longitudes around once.", "Check the axes of the file.")
    rows = np.sort(np.unique(lat, return_index=True)[1])
    columns = np.sort(np.unique(np.round(lon % 360, 6), return_index=True)[1])
    if min(len(rows), len(columns)) < 2:
        raise InputError(f"The grid has {len(lat)} x {len(lon)} places.", "At least 2 x 2 are needed.",
                         "Give a file with maps.")
    copies = len(lat) - len(rows) + len(lon) - len(columns)
    notes = (f"{copies} rows or columns of the grid came twice; the first was kept.",) if copies else ()
    return values[:, rows][:, :, columns], lat[rows], lon[columns], notes


def _unit(values: np.ndarray, unit: str, kind: str, name: str) -> tuple[str, tuple[str, ...]]:
    """The unit, told from the size of the values where the file has none and there is only one that can be."""
    if unit.strip():
        return unit, ()
    middle = float(np.median(values[:: max(1, len(values) // 20)]))
    for low, high, name_of_unit in _PLAUSIBLE[kind]:
        if low <= middle <= high:
            return name_of_unit, (f"{name[:40]} has no unit; its values look like {name_of_unit}.",)
    raise InputError(f"{name[:40]} has no unit.", f"Its values are about {middle:.4g}, which may be several units.",
                     "Give the unit in the file.")


def _converted(unit: str, to: str) -> tuple[str, ...]:
    plain = unit.strip()
    return (f"Values were converted from {plain[:20]} to {to}.",) if plain.lower() != to.lower() else ()
