"""NetCDF files of maps through xarray."""

import math
from pathlib import Path

import numpy as np

from engine.errors import InputError
from engine.io.fields.field import Field, arranged
from engine.runtime.settings import limits

_HDF, _CDF5 = b"\x89HDF\r\n\x1a\n", b"CDF\x05"
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


def parse(data: bytes) -> dict[str, np.ndarray]:
    """The maps of a NetCDF file that nobody has checked, for `engine.io.child.parsed`."""
    import io

    import xarray

    from engine.io.fields import maps

    hdf = data.startswith(_HDF)
    if data.startswith(_CDF5):
        raise InputError("The file is NetCDF in the form CDF-5.", "NetCDF 3 and 4 are read.",
                         "Convert it, for example with nccopy -k nc4.")
    if hdf:
        _check_parts(data)
    engine = "h5netcdf" if hdf else "scipy"
    with xarray.open_dataset(io.BytesIO(data), engine=engine, decode_times=False) as found:
        return maps.found(found)


def _check_parts(data: bytes) -> None:
    """Refuse HDF5 files that point at others, and chunks that cannot be meant."""
    import io

    import h5py

    most = 4 * limits().field_values

    def elsewhere(what: str) -> InputError:
        return InputError("The file points at another file.", f"{what} lies there.", "Give one file that holds all.")

    # What a visitor returns ends the visit; h5py cannot carry what it raises.
    def of_link(name: str, link) -> InputError | None:
        return elsewhere(f"Its part {name[:40]!r}") if isinstance(link, h5py.ExternalLink) else None

    def of_part(name: str, part) -> InputError | None:
        if not isinstance(part, h5py.Dataset):
            return None
        if part.is_virtual or part.external:
            return elsewhere(f"What {name[:40]!r} holds")
        chunk = math.prod(part.chunks or (1,)) * part.dtype.itemsize
        return None if chunk <= most else InputError(
            f"A chunk of {name[:40]!r} has {chunk / 1e6:.0f} MB.", f"The limit is {most / 1e6:.0f} MB.",
            "Store the file with smaller chunks.")

    with h5py.File(io.BytesIO(data)) as file:
        problem = file.visititems_links(of_link) or file.visititems(of_part)
    if problem is not None:
        raise problem
