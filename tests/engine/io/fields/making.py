"""Files of weather maps in the shapes in which people have them."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

LAT, LON = np.arange(70.0, 29.0, -10.0), np.arange(-30.0, 31.0, 10.0)
DAY = np.timedelta64(86400, "s")
TIMES = np.datetime64("2004-02-26", "s") + np.arange(6) * DAY
PRESSURE = {"units": "Pa", "standard_name": "air_pressure_at_mean_sea_level"}


def pressures(times: int = 6, rows: int = len(LAT), columns: int = len(LON)) -> np.ndarray:
    """(time, lat, lon) in Pa, another value at every place and time."""
    values = np.arange(times * rows * columns, dtype=np.float64).reshape(times, rows, columns)
    return 100_000 + values


def dataset(values=None, name="msl", times=TIMES, lat=LAT, lon=LON, attributes=PRESSURE, lat_name="latitude",
            lon_name="longitude"):
    """An xarray data set with CF attributes, north first."""
    import xarray

    values = pressures() if values is None else values
    coords = {"time": np.asarray(times), lat_name: (lat_name, lat, {"units": "degrees_north"}),
              lon_name: (lon_name, lon, {"units": "degrees_east"})}
    return xarray.Dataset({name: (("time", lat_name, lon_name), values, attributes)}, coords)


def netcdf(data, **more) -> bytes:
    """NetCDF-4 bytes of a data set."""
    return bytes(data.to_netcdf(engine="h5netcdf", **more))


def opened(data: bytes):
    """The first field of NetCDF bytes, read in this process: starting another for each test takes long."""
    from engine.io.fields.maps import unpacked
    from engine.io.fields.netcdf import parse

    first, *others = unpacked(parse(data))
    return replace(first, others=tuple(others))


def zarr_zip(data, folder: Path, root: str = "", version: int = 3) -> bytes:
    """A zip of a Zarr store, below a folder `root` in it."""
    data.to_zarr(folder, zarr_format=version, consolidated=False)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, root + path.relative_to(folder).as_posix())
    return out.getvalue()
