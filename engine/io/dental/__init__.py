"""Teeth as dentists' programs export them: read, repaired, and brought to one unit and one frame."""

from engine.io.dental.dentition import Dentition
from engine.io.dental.reader import read

__all__ = ["Dentition", "read"]
