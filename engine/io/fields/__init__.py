"""Fields on a latitude-longitude grid: what all readers give."""

from engine.io.fields.field import Field
from engine.io.fields.netcdf import read_netcdf
from engine.io.fields.reader import read

__all__ = ["Field", "read", "read_netcdf"]
