"""One door for all files of maps: NetCDF, Zarr and GRIB, read in a limited child process."""

from dataclasses import replace
from pathlib import Path

from engine.errors import InputError
from engine.io.child import parsed
from engine.io.fields import grib, netcdf, store
from engine.io.fields.field import Field
from engine.io.fields.maps import unpacked
from engine.io.files import Source, read_bytes
from engine.io.formats import kind
from engine.runtime.settings import limits

_ACCEPTED = "Fields must be NetCDF, a Zarr store (a zip of it) or GRIB."
_PARSERS = {"NetCDF": netcdf.parse, "HDF5": netcdf.parse, "ZIP": store.parse, "GRIB": grib.parse}
_NAMES = {"HDF5": "NetCDF", "ZIP": "Zarr"}
_HEAD = 64
"""Bytes in which GRIB's own mark may stand: weather services put a line of theirs before it."""


def read(source: Source, field: str = "field") -> Field:
    """The weather field in a file, or in the folder of a Zarr store; what it is, is told from its content.

    Pressures are in hPa, temperatures in K. Where a file shows both, the surer one comes first and `others` holds the
    other; notes say what was chosen, converted and mended. Raises InputError (field named).
    """
    if not isinstance(source, bytes) and Path(source).is_dir():
        data = store.zipped(Path(source), field)
    else:
        data = read_bytes(source, limits().field_bytes, field)
    if not data:
        raise InputError("The file is empty.", _ACCEPTED, "Give another file.", field=field)
    form = "GRIB" if b"GRIB" in data[:_HEAD] else kind(data)
    if form not in _PARSERS:
        known = form != "unknown"
        raise InputError(f"The file is {'a ' + form + ' file' if known else 'of no kind that is known here'}.",
                         _ACCEPTED, "Export it as one of these.", field=field)
    if form == "GRIB":
        grib.check_installed(field)
    first, *others = unpacked(parsed(_PARSERS[form], data, _NAMES.get(form, form), field))
    return replace(first, others=tuple(others))
