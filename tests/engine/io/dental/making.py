"""Files for the tests: invented teeth as STL, PLY, OBJ and zips, whole or broken on purpose."""

import io
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

from engine.tasks.teeth import anatomy

Mesh = tuple[np.ndarray, np.ndarray]


def meshes(teeth, patient: int = 0) -> dict[int, Mesh]:
    """Meshes by FDI number of a patient of the generator."""
    slots = np.flatnonzero(teeth.present[patient].numpy())
    return {anatomy.SLOTS[slot]: (one.vertices, one.faces) for slot, one in zip(slots, teeth.meshes(patient))}


def stl(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    rows = np.zeros(len(faces), [("normal", "<3f4"), ("corners", "<9f4"), ("rest", "<u2")])
    rows["corners"] = vertices[faces].reshape(-1, 9)
    return b"solid or not".ljust(80, b"\0") + struct.pack("<I", len(faces)) + rows.tobytes()


def ascii_stl(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    lines = ["solid tooth"]
    for corners in vertices[faces]:
        lines += ["facet normal 0 0 0", "outer loop", *(f"vertex {x:.6g} {y:.6g} {z:.6g}" for x, y, z in corners),
                  "endloop", "endfacet"]
    return "\n".join([*lines, "endsolid tooth", ""]).encode()


def ply(vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray | None = None) -> bytes:
    label = "" if labels is None else "property uchar label\n"
    head = (f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\nproperty float x\n"
            f"property float y\nproperty float z\n{label}element face {len(faces)}\n"
            "property list uchar int vertex_indices\nend_header\n")
    kind = [("xyz", "<3f4")] + ([] if labels is None else [("label", "u1")])
    rows = np.zeros(len(vertices), kind)
    rows["xyz"] = vertices
    if labels is not None:
        rows["label"] = labels
    corners = np.zeros(len(faces), [("n", "u1"), ("corners", "<3i4")])
    corners["n"], corners["corners"] = 3, faces
    return head.encode() + rows.tobytes() + corners.tobytes()


def obj(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    lines = [*(f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices),
             *(f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in faces + 1)]
    return "\n".join([*lines, ""]).encode()


def files(teeth: Mapping[int, Mesh], write=stl) -> list[tuple[str, bytes]]:
    return [(f"{fdi}.{write.__name__}", write(*mesh)) for fdi, mesh in teeth.items()]


def zipped(named: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in named:
            archive.writestr(name, data)
    return out.getvalue()


def moved(teeth: Mapping[int, Mesh], matrix: np.ndarray) -> dict[int, Mesh]:
    """All vertices carried by a (4, 4) matrix; triangles turned where it mirrors."""
    turn = np.linalg.det(matrix[:3, :3]) < 0
    return {fdi: (vertices @ matrix[:3, :3].T + matrix[:3, 3], faces[:, ::-1] if turn else faces)
            for fdi, (vertices, faces) in teeth.items()}


def whole(teeth: Mapping[int, Mesh]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces and the label of each vertex of teeth as one mesh, with a square of gum."""
    gum = np.array([[-30.0, 8, -30], [30, 8, -30], [30, 8, 20], [-30, 8, 20]]), np.array([[0, 1, 2], [0, 2, 3]])
    parts = [*((fdi, mesh) for fdi, mesh in teeth.items()), (0, gum)]
    starts = np.cumsum([0, *(len(mesh[0]) for _, mesh in parts[:-1])])
    return (np.concatenate([mesh[0] for _, mesh in parts]),
            np.concatenate([mesh[1] + start for (_, mesh), start in zip(parts, starts)]),
            np.concatenate([np.full(len(mesh[0]), fdi) for fdi, mesh in parts]))
