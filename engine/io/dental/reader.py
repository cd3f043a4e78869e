"""One door for dentitions: named files in, sound teeth in mm in the program's frame out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from engine.errors import InputError
from engine.io import child
from engine.io.dental import framing, parsing, sizes, sources
from engine.io.dental.arch import fit, is_upper, places
from engine.io.dental.dentition import UNIT_NAMES, Dentition, Mesh
from engine.runtime.settings import limits

FEWEST = 4
"""An arch cannot be told from fewer teeth."""
_SECONDS = 60
_JAWS = ("auto", "upper", "lower")


def read(source: str | Path | bytes | Sequence[sources.Named], field: str = "teeth", unit: str = "auto",
         jaw: str = "auto") -> Dentition:
    """The teeth of one or both jaws.

    source: one file, its bytes, a folder, a zip, or (name, bytes) pairs, with a mesh per tooth (STL, PLY, OBJ, the FDI
    number in the name or in a table) or meshes of jaws with labels (see `engine.io.dental.sources`). unit: a name in
    `sizes.UNITS`, or "auto" for the one in which the teeth are as large as teeth are; where there is none the
    dentition says so (`Dentition.in_unit`). jaw: "upper" or "lower" leaves the other jaw out.

    Raises InputError (field named) for files that cannot be read or are above the limits, doubled numbers, fewer than
    four teeth, teeth that all lie in one place, a jaw that is a mirror image, teeth of one jaw that lie in the other,
    and a unit in which no teeth are that large. What was repaired, turned or left out stands in the notes.
    """
    if unit != "auto" and unit not in sizes.UNITS:
        raise InputError(f"The unit is {unit[:20]!r}.", "Choose one of auto, " + ", ".join(sizes.UNITS) + ".",
                         field="unit")
    if jaw not in _JAWS:
        raise InputError(f"The jaw is {jaw[:20]!r}.", "Choose one of " + ", ".join(_JAWS) + ".", field="jaw")
    files, notes = sources.planned(sources.named(source, field), field)
    found = child.parsed(parsing.parse, parsing.packed(files), "mesh", field, seconds=_SECONDS)
    meshes = {int(fdi): (found[f"vertices-{fdi}"], found[f"faces-{fdi}"]) for fdi in found["fdi"]}
    gum = meshes.pop(0, None)
    notes += map(str, found["notes"])
    meshes = _of_jaw(meshes, jaw, notes)
    _check_number(meshes, field)
    dentition = _placed(meshes, gum, notes, field)
    return dentition if unit == "auto" else dentition.in_unit(unit)


def _of_jaw(meshes: Mapping[int, Mesh], jaw: str, notes: list[str]) -> dict[int, Mesh]:
    kept = {fdi: mesh for fdi, mesh in meshes.items() if jaw == "auto" or is_upper(fdi) == (jaw == "upper")}
    if len(kept) < len(meshes):
        notes.append(f"Of the other jaw {len(meshes) - len(kept)} teeth were left out.")
    return kept


def _check_number(meshes: Mapping[int, Mesh], field: str) -> None:
    if len(meshes) < FEWEST:
        count = f"is {len(meshes)} tooth" if len(meshes) == 1 else f"are {len(meshes)} teeth"
        raise InputError(f"There {count}.", f"An arch needs {FEWEST} or more.", "Give all teeth of the jaws.",
                         field=field)
    faces = sum(len(mesh[1]) for mesh in meshes.values())
    if faces > limits().mesh_faces:
        raise InputError(f"The teeth have {faces} triangles.", f"The limit is {limits().mesh_faces}.",
                         "Simplify the meshes.", field=field)


def _placed(meshes: Mapping[int, Mesh], gum: Mesh | None, notes: list[str], field: str) -> Dentition:
    """The teeth in mm in the program's frame, with the way there; the last note is about the unit."""
    centres = {fdi: framing.centre(mesh) for fdi, mesh in meshes.items()}
    width = sizes.typical([vertices for vertices, _ in meshes.values()])
    _check_spread(np.stack(list(centres.values())), width, field)
    told = sizes.unit_of(_scale(centres), width)
    millimetres = sizes.UNITS[told or "mm"]
    if told:
        least, most = (f(sizes.width(v) for v, _ in meshes.values()) * millimetres for f in (min, max))
        notes.append(f"Lengths were read as {UNIT_NAMES[told]}: the teeth are {least:.1f} to {most:.1f} mm wide.")
    else:
        notes.append("The unit of the files could not be told from the size of the teeth.")
    in_mm = {fdi: (vertices * millimetres, faces) for fdi, (vertices, faces) in meshes.items()}
    # Teeth of unknown size are laid over an arch as if they were of the usual one.
    found = framing.find(in_mm, field, 1.0 if told else _scale(centres))
    moved = {fdi: (_moved(found.of(fdi), vertices), faces) for fdi, (vertices, faces) in in_mm.items()}
    if gum is not None:  # without a bite it cannot be said which jaw's gum it is
        gum = None if found.lower is not None else (_moved(found.frame, gum[0] * millimetres), gum[1])
    return Dentition(moved, told, found.frame, found.lower, (*found.notes, *notes), gum)


def _moved(frame: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ frame[:3, :3].T + frame[:3, 3]


def _scale(centres: Mapping[int, np.ndarray]) -> float:
    """Mm per unit that lays the teeth of a jaw over the average arch; of the jaw with more teeth."""
    jaws = [[fdi for fdi in centres if is_upper(fdi) == upper] for upper in (True, False)]
    jaw = max(jaws, key=len)
    return fit(np.stack([centres[fdi] for fdi in jaw]), places(jaw), sized=True).scale


def _check_spread(centres: np.ndarray, width: float, field: str) -> None:
    apart = np.sqrt(((centres - centres.mean(0)) ** 2).sum(1).mean())
    if apart < width / 2:
        raise InputError(f"All {len(centres)} teeth lie in one place.", "Their positions in the jaw are needed.",
                         "Export the meshes in the coordinates of the scan.", field=field)
