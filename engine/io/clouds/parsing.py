"""The parsers of the child process, one for each kind of file: bytes to the arrays that a cloud is made of."""

import io
from collections.abc import Callable, Iterable

import numpy as np

from engine.errors import InputError
from engine.io.clouds import pcd, tables
from engine.io.clouds.cloud import cleaned
from engine.runtime.settings import limits

SAMPLED = 16_384
"""Points laid on the surface of a mesh."""

_PLAIN = np.uint8([160, 160, 160])
Found = dict[str, np.ndarray]
Parts = tuple[np.ndarray, np.ndarray | None]
"""Points (N, 3), and their colours (N, 3) uint8 where they have some."""


def parse_ply(data: bytes) -> Found:
    """A mesh or a cloud."""
    return _found(lambda notes: _by_trimesh(data, "ply", notes))


def parse_obj(data: bytes) -> Found:
    """A mesh or a cloud; its material file is not read."""
    def read(notes: list[str]) -> list[Parts]:
        if b"mtllib" in data:
            notes.append("The file names a file of materials, which is not read.")
        return _by_trimesh(data, "obj", notes)

    return _found(read)


def parse_stl(data: bytes) -> Found:
    """A mesh."""
    return _found(lambda notes: _by_trimesh(data, "stl", notes))


def parse_off(data: bytes) -> Found:
    """A mesh or a cloud."""
    return _found(lambda notes: _by_trimesh(data, "off", notes))


def parse_glb(data: bytes) -> Found:
    """A scene of meshes and clouds."""
    return _found(lambda notes: _by_trimesh(data, "glb", notes))


def parse_pcd(data: bytes) -> Found:
    """A cloud of the Point Cloud Library."""
    return _found(lambda notes: [pcd.read(data)])


def parse_csv(data: bytes) -> Found:
    """A table of points."""
    return _found(lambda notes: [tables.read(data, notes)])


def _found(read: Callable[[list[str]], Iterable[Parts]]) -> Found:
    """The arrays of all parts together, cleaned, with what is to be told."""
    notes: list[str] = []
    parts = [part for part in read(notes) if len(part[0])]
    points = np.concatenate([points for points, _ in parts]) if parts else np.zeros((0, 3))
    colours = None
    if any(own is not None for _, own in parts):
        colours = np.concatenate([np.broadcast_to(_PLAIN, (len(points), 3)) if own is None else own
                                  for points, own in parts])
    cloud = cleaned(points, colours, notes)
    found = {"points": cloud.points, "centre": cloud.centre, "half": np.array(cloud.half),
             "notes": np.array(cloud.notes, str)}
    return found if cloud.colours is None else found | {"colours": np.ascontiguousarray(cloud.colours)}


def _by_trimesh(data: bytes, form: str, notes: list[str]) -> list[Parts]:
    import trimesh

    try:
        # Without a resolver nothing but these bytes is ever opened.
        scene = trimesh.load_scene(io.BytesIO(data), file_type=form, process=False, resolver=None)
    except InputError:
        raise
    except Exception:  # parsers raise whatever they stumble over
        raise InputError(f"The {form.upper()} file is damaged.", "Its points or faces do not fit together.",
                         "Save or copy it again.") from None
    placed = [scene.geometry[scene.graph[node][1]] for node in scene.graph.nodes_geometry]
    faces = sum(len(getattr(one, "faces", ())) for one in placed)
    if faces > limits().mesh_faces:
        raise InputError(f"The file has {faces} faces.", f"The limit is {limits().mesh_faces}.",
                         "Simplify it, or give its points.")
    shapes = scene.dump()
    meshes = [shape for shape in shapes if isinstance(shape, trimesh.Trimesh) and len(shape.faces)]
    clouds = [(np.asarray(shape.vertices, np.float64), _of_cloud(shape)) for shape in shapes
              if hasattr(shape, "vertices") and shape.vertices.ndim == 2 and not len(getattr(shape, "faces", ()))]
    return [(points[:, :3], colours) for points, colours in clouds] + _sampled(meshes, notes)


def _sampled(meshes: list, notes: list[str]) -> list[Parts]:
    """Points on meshes, as many on each as its area asks for."""
    sound = [_sound(mesh, notes) for mesh in meshes]
    areas = np.array([mesh.area for mesh in sound])
    if not areas.size:
        return []
    if not areas.sum() > 0:
        return [(np.asarray(mesh.vertices), None) for mesh in sound]
    notes.append(f"{SAMPLED} points were laid evenly on the surface of {sum(len(mesh.faces) for mesh in sound)} "
                 "faces.")
    counts = np.diff(np.round(np.concatenate(([0], np.cumsum(areas))) / areas.sum() * SAMPLED)).astype(int)
    return [_on(mesh, count) for mesh, count in zip(sound, counts) if count]


def _sound(mesh, notes: list[str]):
    """The mesh without faces whose corners are no numbers. Raises InputError for corners that do not exist."""
    faces, vertices = np.asarray(mesh.faces), np.asarray(mesh.vertices)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"A face of the mesh names point {int(faces.max())}.",
                         f"The mesh has {len(vertices)} points, counted from 0.", "Save it again.")
    good = np.isfinite(vertices).all(1)[faces].all(1)
    if not good.all():
        notes.append(f"{int((~good).sum())} faces have corners that are no numbers and were left out.")
        mesh.update_faces(good)
    return mesh


def _on(mesh, count: int) -> Parts:
    """`count` points on a mesh, always the same, with the colours of its corners, faces or texture."""
    import trimesh

    points, face, shares = trimesh.sample.sample_surface(mesh, count, return_barycentric=True, seed=0)
    try:
        visual = mesh.visual.to_color() if mesh.visual.kind == "texture" else mesh.visual
        if visual.kind == "vertex":
            corners = np.asarray(visual.vertex_colors)[mesh.faces[face], :3]
            return points, np.uint8((corners * shares[..., None]).sum(1) + 0.5)
        if visual.kind == "face":
            return points, np.asarray(visual.face_colors)[face, :3]
    except Exception:  # a texture that cannot be decoded
        pass
    return points, None


def _of_cloud(shape) -> np.ndarray | None:
    colours = getattr(shape, "colors", None)
    if colours is None or len(colours) != len(shape.vertices):
        return None
    return np.uint8(np.asarray(colours)[:, :3])
