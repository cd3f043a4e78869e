"""NetCDF files of maps through xarray."""

from pathlib import Path

import numpy as np

from engine.errors import InputError
from engine.io.fields.field import Field, arranged

_NAMES = {"time": ("time", "valid_time"), "lat": ("lat", "latitude"), "lon": ("lon", "longitude")}


def read_netcdf(path: str | Path, variable: str | None = None) -> Field:
    """The maps of a trusted NetCDF-4 file. variable: its name; without it, the one variable of time, lat and lon.

    Raises InputError where there is no such variable, or more than one and none is named.
    """
    import xarray

    with xarray.open_dataset(path, engine="h5netcdf") as data:
        axes = {role: _axis(data, role) for role in _NAMES}
        maps = [str(name) for name, values in data.data_vars.items() if set(values.dims) == set(axes.values())]
        if variable is None and len(maps) == 1:
            variable = maps[0]
        if variable not in maps:
            raise InputError(f"The file has no single map named {variable or ''!r}.",
                             "Its maps are " + (", ".join(maps)[:200] or "none") + ".", "Name one of them.",
                             field="variable")
        found = data[variable].transpose(axes["time"], axes["lat"], axes["lon"])
        return arranged(found.values, found[axes["time"]].values.astype("datetime64[s]"),
                        np.asarray(found[axes["lat"]].values), np.asarray(found[axes["lon"]].values),
                        str(found.attrs.get("units", "")), variable)


def _axis(data, role: str) -> str:
    for name in data.dims:
        if str(name).lower() in _NAMES[role]:
            return str(name)
    raise InputError(f"The file has no axis named {_NAMES[role][0]}.",
                     "Its axes are " + ", ".join(str(name) for name in data.dims)[:200] + ".",
                     "Rename the axes as the CF conventions ask.", field="field")
