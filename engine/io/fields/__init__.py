"""Fields on a latitude-longitude grid: what all readers give."""

from engine.io.fields.field import Field
from engine.io.fields.netcdf import read_netcdf

__all__ = ["Field", "read_netcdf"]
