"""The parser of the child process: several mesh files in, one sound mesh per tooth out."""

import io
import json
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from engine.errors import InputError
from engine.io.dental import cleaning
from engine.io.dental.arch import PLACES, listed
from engine.io.dental.naming import check_single
from engine.runtime.settings import limits

_LABEL_NAMES = ("label", "labels", "fdi", "tooth", "class")
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, eq=False)
class Source:
    """A file for the child. kind: "STL", "PLY" or "OBJ". fdi: its tooth, 0 for gum, None where labels tell it: of each
    vertex (V,) int16, or None where the file holds them itself."""

    kind: str
    data: bytes
    fdi: int | None = None
    labels: np.ndarray | None = None


def packed(files: Iterable[Source]) -> bytes:
    """Files as one block of bytes, as `parse` takes them."""
    files = list(files)
    parts = [part for file in files for part in (file.data, b"" if file.labels is None else file.labels.tobytes())]
    head = json.dumps([[file.kind, file.fdi, file.labels is not None] for file in files]).encode()
    return b"".join(_LENGTH.pack(len(part)) + part for part in (head, *parts))


def parse(data: bytes) -> dict[str, np.ndarray]:
    """Arrays "fdi" (T,), "vertices-FDI" (V, 3) float64, "faces-FDI" (F, 3) int64, the gum's as FDI 0, and "notes"."""
    notes: list[str] = []
    surfaces = [surface for file in _unpacked(data) for surface in _surfaces(file, notes)]
    gum, teeth = ([s for s in surfaces if (s[0] == 0) == wanted] for wanted in (True, False))
    check_single([fdi for fdi, _ in teeth], "")
    found, done = {}, {}
    for fdi, (vertices, faces) in teeth:
        (vertices, faces), done[fdi] = _of(fdi, partial(cleaning.sound, vertices, faces))
        found |= {f"vertices-{fdi}": vertices, f"faces-{fdi}": faces}
    numbers = [fdi for fdi, _ in teeth]
    if gum:
        (vertices, faces), _ = _of(0, lambda: cleaning.sound(*_joined([mesh for _, mesh in gum])))
        found |= {"vertices-0": vertices, "faces-0": faces}
        numbers.append(0)
    return found | {"fdi": np.array(numbers, np.int64), "notes": np.array([*notes, *cleaning.told(done)], str)}


def _unpacked(data: bytes) -> Iterator[Source]:
    parts, place = [], 0
    while place < len(data):
        length, = _LENGTH.unpack_from(data, place)
        parts.append(data[place + _LENGTH.size:place + _LENGTH.size + length])
        place += _LENGTH.size + length
    for (kind, fdi, labelled), content, labels in zip(json.loads(parts[0]), parts[1::2], parts[2::2]):
        yield Source(kind, content, fdi, np.frombuffer(labels, np.int16) if labelled else None)


def _surfaces(file: Source, notes: list[str]) -> list[tuple[int, cleaning.Mesh]]:
    """The teeth, and the gum as 0, of one file."""
    vertices, faces, own = _of(file.fdi, partial(_read, file))
    if len(faces) > limits().mesh_faces:
        raise InputError(f"A mesh has {len(faces)} triangles.", f"The limit is {limits().mesh_faces}.", "Simplify it.")
    if file.fdi is not None:
        return [(file.fdi, (vertices, faces))]
    labels = own if file.labels is None else file.labels
    if labels is None:
        raise InputError("The mesh does not say which tooth is where.", "It has no number in its name and no labels.",
                         "Give one mesh per tooth (11.stl), or a JSON file of labels beside it.")
    if len(labels) != len(vertices):
        raise InputError(f"There are {len(labels)} labels.", f"The mesh has {len(vertices)} vertices.",
                         "Both must be of the same scan.")
    return list(_split(vertices, faces, labels, notes))


def _split(vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray, notes: list[str]
           ) -> Iterator[tuple[int, cleaning.Mesh]]:
    """One surface per label: triangles belong to the label that two of their corners have, else to the gum."""
    cleaning.check_corners(vertices, faces)
    first, second, third = labels[faces].T
    owner = np.where((first == second) | (first == third), first, np.where(second == third, second, 0))
    owner[owner < 0] = 0
    unknown = [int(number) for number in np.unique(owner) if number and number not in PLACES]
    if unknown:
        notes.append(f"Labels that no permanent tooth has were left out ({listed(unknown)}).")
        owner[np.isin(owner, unknown)] = 0
    if not owner.any():
        raise InputError("The labels name no permanent tooth.", "FDI numbers run from 11 to 48, 0 is gum.",
                         "Correct the labels.")
    for number in np.unique(owner):
        yield int(number), (vertices, faces[owner == number])


def _read(file: Source) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Vertices (V, 3), triangles (F, 3), and the labels of vertices where the file has some."""
    if file.kind == "OBJ":
        return *_obj(file.data), None
    import trimesh

    # Without a resolver nothing but these bytes is ever opened.
    mesh = trimesh.load(io.BytesIO(file.data), file_type=file.kind.lower(), process=False, resolver=None)
    faces = np.asarray(getattr(mesh, "faces", np.zeros((0, 3))), np.int64).reshape(-1, 3)
    vertices = np.asarray(getattr(mesh, "vertices", np.zeros((0, 3))), np.float64).reshape(-1, 3)
    properties = mesh.metadata.get("_ply_raw", {}).get("vertex", {}).get("data", ())
    names = getattr(getattr(properties, "dtype", None), "names", None) or properties
    name = next((name for name in _LABEL_NAMES if name in names), None)
    return vertices, faces, None if name is None else np.asarray(properties[name]).ravel().astype(np.int64)


def _obj(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices in the file's order, all of them, which labels count on and other readers do not keep; triangles."""
    points, faces = [], []
    for line in data.splitlines():
        if line.startswith(b"v "):
            points.append(line.split()[1:4])
        elif line.startswith(b"f "):
            corners = [int(word.partition(b"/")[0]) for word in line.split()[1:]]
            corners = [corner - 1 if corner > 0 else len(points) + corner for corner in corners]
            faces += [(corners[0], b, c) for b, c in pairwise(corners[1:])]
    return (np.array(points, np.float64).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 3))


def _of(fdi: int | None, work: Callable):
    """The work's result; what goes wrong with it is said of the tooth."""
    whose = {None: "mesh", 0: "mesh of the gum"}.get(fdi, f"mesh of tooth {fdi}")
    try:
        return work()
    except InputError as error:
        raise InputError(error.what.replace("A mesh", f"The {whose}", 1), error.why, error.fix) from None
    except MemoryError:
        raise
    except Exception:  # parsers raise whatever they stumble over
        raise InputError(f"The {whose} is damaged.", "Its vertices and triangles cannot be read.",
                         "Save or copy it again.") from None


def _joined(meshes: list[cleaning.Mesh]) -> cleaning.Mesh:
    """Surfaces as one, without the vertices that none of them uses."""
    vertices = np.concatenate([mesh[0] for mesh in meshes])
    starts = np.cumsum([0, *(len(mesh[0]) for mesh in meshes[:-1])])
    faces = np.concatenate([mesh[1] + start for mesh, start in zip(meshes, starts)])
    used, faces = np.unique(faces, return_inverse=True)
    return vertices[used], faces.reshape(-1, 3)
