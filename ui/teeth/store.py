"""The dentitions that pages work on: read once, kept beside their picture among the uploads, for a while in memory.

What is kept is what our reader let through, meshes and their frame; no name of a file or patient lies there.
"""

import json
import secrets
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import InputError
from engine.io.dental import Dentition
from engine.runtime.settings import limits
from ui.segmentation.scans import new_folder, register
from ui.shelf import Shelf
from ui.teeth import scene

KEPT_S = 3600
PICTURE = "teeth.json"
_TEETH = f"{secrets.token_hex(16)}.npz"
"""Uploads keep the names that people give them; none can pass for this file, whose name never leaves the process."""
_shelf: Shelf[Dentition] = Shelf(limits().scan_bytes, KEPT_S)


def keep(dentition: Dentition) -> Path:
    """Write a dentition into a folder of its own, which is deleted like uploads; gives the file with its picture."""
    folder = new_folder()
    parts = {f"{what}-{fdi}": values for fdi, mesh in dentition.meshes.items()
             for what, values in zip(("vertices", "faces"), mesh)}
    if dentition.gum is not None:
        parts |= dict(zip(("vertices-gum", "faces-gum"), dentition.gum))
    if dentition.lower_frame is not None:
        parts["lower_frame"] = dentition.lower_frame
    np.savez(folder / _TEETH, **parts, unit=np.array(dentition.unit), frame=dentition.frame,
             notes=np.array(dentition.notes, str), fdi=np.array(list(dentition.meshes), int))
    (folder / PICTURE).write_text(json.dumps(scene.of_meshes(dentition.meshes)))
    register(folder / _TEETH, folder / PICTURE)
    _shelf.put(dentition, _size(dentition), str(folder))
    return folder / PICTURE


def kept(picture: Path) -> Dentition:
    """The dentition whose picture `keep` gave. Raises InputError when it has been deleted."""
    path = picture.parent / _TEETH
    if not path.is_file():
        raise InputError("The teeth are no longer here.", "Files are deleted one hour after they were sent.",
                         "Choose them again.", field="teeth")
    dentition = _shelf.get(str(picture.parent))
    if dentition is None:
        with np.load(path, allow_pickle=False) as found:
            dentition = _restored(found)
        _shelf.put(dentition, _size(dentition), str(picture.parent))
    return dentition


def _restored(found: Any) -> Dentition:
    def mesh(name: object) -> tuple[np.ndarray, np.ndarray]:
        return found[f"vertices-{name}"], found[f"faces-{name}"]

    return Dentition(meshes={int(fdi): mesh(fdi) for fdi in found["fdi"]}, unit=str(found["unit"]),
                     frame=found["frame"], lower_frame=found.get("lower_frame"),
                     notes=tuple(map(str, found["notes"])), gum=mesh("gum") if "vertices-gum" in found else None)


def _size(dentition: Dentition) -> int:
    return sum(values.nbytes for mesh in dentition.meshes.values() for values in mesh)
