"""Clouds and surfaces as files that other programs open. The same numbers give the same bytes."""

import io

import numpy as np

from engine.tasks.pointcloud.shapes import PARTS
from engine.tasks.pointcloud.surfaces import Surface

SURFACE_FORMATS = ("glb", "obj", "stl", "ply")


def cloud_files(points: np.ndarray, colours: np.ndarray, part: np.ndarray) -> dict[str, bytes]:
    """A cloud by the end of a file's name: "glb" and "ply" of coloured points, "csv" with the names of parts as well.

    points (N, 3) float32, y up; colours (N, 3) uint8; part (N,), places in shapes.PARTS.
    """
    import trimesh

    cloud = trimesh.PointCloud(points, colors=_opaque(colours))
    return {"glb": _bytes(trimesh.Scene([cloud]).export(file_type="glb")), "ply": _bytes(cloud.export(file_type="ply")),
            "csv": _table(points, colours, part)}


def surface_files(surface: Surface) -> dict[str, bytes]:
    """A surface by the end of a file's name; STL has no colours."""
    import trimesh

    mesh = trimesh.Trimesh(surface.vertices, surface.faces, vertex_colors=_opaque(surface.colours), process=False)
    return {form: _bytes(mesh.export(file_type=form)) for form in SURFACE_FORMATS}


def _opaque(colours: np.ndarray) -> np.ndarray:
    return np.concatenate((colours, np.full((len(colours), 1), 255, np.uint8)), axis=1)


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else bytes(content)


def _table(points: np.ndarray, colours: np.ndarray, part: np.ndarray) -> bytes:
    out = io.StringIO()
    out.write("x,y,z,red,green,blue,part\n")
    for (x, y, z), (red, green, blue), label in zip(points.tolist(), colours.tolist(), part.tolist()):
        out.write(f"{x:.6f},{y:.6f},{z:.6f},{red},{green},{blue},{PARTS[label]}\n")
    return out.getvalue().encode()
