"""A dentition as files give it: a mesh per tooth in mm, all in one frame, and the way back to the files."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from engine.errors import InputError
from engine.io.dental import sizes
from engine.io.dental.arch import ORDER, is_upper
from engine.io.dental.sizes import UNITS

Mesh = tuple[np.ndarray, np.ndarray]
"""Vertices (V, 3) float64 and triangles (F, 3) int64, outward."""
UNIT_NAMES = {"mm": "millimetres", "um": "micrometres", "cm": "centimetres", "m": "metres", "inch": "inches"}


@dataclass(frozen=True, eq=False)
class Dentition:
    """Checked teeth by FDI number, in mm, in the frame of `engine.io.dental.arch`.

    unit: of the files, a name in `sizes.UNITS`, or "" where their sizes fit none: then lengths were taken as mm, and
    `in_unit` must be told. frame (4, 4): carries the files' coordinates, in mm, to the frame of the meshes.
    lower_frame (4, 4): the same for lower teeth, where the files' jaws do not belong together. notes: what was found
    or repaired, a sentence each, the last one about the unit. gum: what belongs to no tooth, where the files have it.
    """

    meshes: Mapping[int, Mesh]
    unit: str = "mm"
    frame: np.ndarray = field(default_factory=lambda: np.eye(4))
    lower_frame: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    gum: Mesh | None = None

    def __iter__(self) -> Iterator[int]:
        """FDI numbers, the upper jaw first, each jaw from the patient's right to the left."""
        return (fdi for fdi in ORDER if fdi in self.meshes)

    def __len__(self) -> int:
        return len(self.meshes)

    def from_file(self, fdi: int) -> np.ndarray:
        """(4, 4) from the coordinates in a tooth's file, in its unit, to the frame of the meshes, in mm."""
        frame = self.frame if self.lower_frame is None or is_upper(fdi) else self.lower_frame
        return frame @ np.diag([*[UNITS[self.unit or "mm"]] * 3, 1.0])

    def to_file(self, fdi: int) -> np.ndarray:
        """(4, 4) back from the frame of the meshes to the coordinates and the unit of a tooth's file."""
        return np.linalg.inv(self.from_file(fdi))

    def in_unit(self, unit: str) -> "Dentition":
        """The same files read as if their coordinates were in this unit; "auto": in the one that was found.

        Raises InputError (field "unit") where none was found, or where teeth of that size cannot be.
        """
        if unit == "auto":
            if not self.unit:
                raise InputError(f"The unit cannot be told: in mm the crowns would be {self._width():.3g} wide.",
                                 f"Crowns are {sizes.LEAST_MM:g} to {sizes.MOST_MM:g} mm wide.", "Choose the unit.",
                                 field="unit")
            return self
        if unit == self.unit:
            return self
        factor = UNITS[unit] / UNITS[self.unit or "mm"]
        width = self._width() * factor
        if not sizes.possible(width):
            raise InputError(f"In {UNIT_NAMES[unit]} the crowns would be {width:.3g} mm wide.",
                             f"Crowns are {sizes.LEAST_MM:g} to {sizes.MOST_MM:g} mm wide.",
                             "Choose another unit or auto.", field="unit")
        return replace(self, meshes={fdi: _scaled(mesh, factor) for fdi, mesh in self.meshes.items()}, unit=unit,
                       frame=_longer(self.frame, factor), gum=None if self.gum is None else _scaled(self.gum, factor),
                       lower_frame=None if self.lower_frame is None else _longer(self.lower_frame, factor),
                       notes=(*self.notes[:-1], f"Lengths are {UNIT_NAMES[unit]}, as you said."))

    def digest(self) -> bytes:
        """A hash (32 bytes) of the teeth where they are, and of nothing else."""
        found = hashlib.sha256()
        for fdi in self:
            found.update(bytes([fdi]))
            for array in self.meshes[fdi]:
                found.update(np.ascontiguousarray(array).data)
        return found.digest()

    def _width(self) -> float:
        return sizes.typical([vertices for vertices, _ in self.meshes.values()])


def _scaled(mesh: Mesh, factor: float) -> Mesh:
    return mesh[0] * factor, mesh[1]


def _longer(frame: np.ndarray, factor: float) -> np.ndarray:
    """The frame for coordinates that became longer by a factor, about its origin."""
    longer = frame.copy()
    longer[:3, 3] *= factor
    return longer
