"""GRIB files through cfgrib, an extra: it brings a library of 175 MB that most people do not need."""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from engine.errors import InputError


def check_installed(field: str) -> None:
    """Raises InputError that says how to get what GRIB files need."""
    if find_spec("cfgrib") is None:
        raise InputError("The file is a GRIB file.", "The packages that read it are not installed here.",
                         "Install cfgrib and eccodes with pip, or convert the file, for example with grib_to_netcdf.",
                         field=field)


def parse(data: bytes) -> dict[str, np.ndarray]:
    """The maps of a GRIB file that nobody has checked, for `engine.io.child.parsed`."""
    import cfgrib

    from engine.io.fields import maps

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "field.grib"
        path.write_bytes(data)
        # One file may hold several grids and levels; each comes as a data set of its own.
        found: dict[str, object] = {}
        problem: InputError | None = None
        for part in cfgrib.open_datasets(str(path), backend_kwargs={"indexpath": ""}):
            try:
                for one in maps.fields(part):
                    found.setdefault(one.unit, one)
            except InputError as error:
                problem = error
        if not found:
            raise problem or InputError("The GRIB file has no map.", "No message could be read.", "Give another file.")
        return maps.packed(list(found.values()))
