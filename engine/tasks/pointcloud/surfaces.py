"""Surfaces around clouds, by Open3D in a child process: its solvers end the process on sets of points they dislike."""

import io
from dataclasses import dataclass

import numpy as np

from engine.io import child

NONE = "none"
METHODS = ("poisson", "ball")
MOST_POINTS = 20_000
"""More points of a cloud are thinned for its surface, which would not look finer."""

_SECONDS = 90
_NEIGHBOURS = 16
_DEPTH = 7
"""Of Poisson's octree: cells of 1/128 of the box, about what 2048 points resolve."""
_THINNEST = 0.02
_FARTHEST = 3.5
_RADII = (1.2, 2.0, 3.5)
"""Of the balls, and of what Poisson may bridge, in distances between neighbouring points."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles. vertices (V, 3) float32; faces (F, 3) int32, outside counter-clockwise; colours (V, 3) uint8."""

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray


_EMPTY = Surface(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros((0, 3), np.uint8))


def around(points: np.ndarray, colours: np.ndarray, method: str) -> list[Surface]:
    """A surface for each of clouds (S, N, 3) with colours (S, N, 3) uint8; method: one of METHODS.

    Poisson (Kazhdan and Hoppe, 2013) closes gaps and is trimmed where hardly a point supports it; ball pivoting
    (Bernardini et al., 1999) spans the points themselves and leaves holes. May be empty for odd clouds. Raises
    InputError when it takes too long or too much memory.
    """
    packed = io.BytesIO()
    np.savez(packed, points=np.float32(points), colours=colours, method=np.array(method))
    found = child.parsed(reconstructed, packed.getvalue(), "surface", "surface", seconds=_SECONDS)
    return [Surface(*(found[f"{name}_{k}"] for name in ("vertices", "faces", "colours"))) for k in range(len(points))]


def reconstructed(data: bytes) -> dict[str, np.ndarray]:
    """The arrays that `around` makes its surfaces from. Runs in the child process."""
    with np.load(io.BytesIO(data), allow_pickle=False) as given:
        points, colours, method = given["points"], given["colours"], str(given["method"])
    found = {}
    for k, cloud in enumerate(points):
        some = np.random.default_rng(0).permutation(len(cloud))[:MOST_POINTS]
        try:
            surface = _one(cloud[some], colours[k][some], method)
        except RuntimeError:  # Open3D's word for clouds without volume
            surface = _EMPTY
        found |= {f"vertices_{k}": surface.vertices, f"faces_{k}": surface.faces, f"colours_{k}": surface.colours}
    return found


def _one(points: np.ndarray, colours: np.ndarray, method: str) -> Surface:
    import open3d
    import trimesh
    from scipy.spatial import cKDTree

    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(np.float64(points)))
    tree = cKDTree(points)
    spacing = float(np.median(tree.query(points, 2)[0][:, 1])) or 1e-3
    cloud.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(_NEIGHBOURS))
    cloud.orient_normals_consistent_tangent_plane(_NEIGHBOURS)
    make = {"poisson": _poisson, "ball": _ball}[method]
    mesh = make(open3d, cloud, spacing)
    vertices, faces = np.float32(mesh.vertices), np.int32(mesh.triangles)
    if not len(faces):
        return _EMPTY
    apart, nearest = tree.query(vertices)
    faces = faces[(apart[faces] < _FARTHEST * spacing).all(1)]
    used, faces = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[used], np.int32(faces.reshape(-1, 3))
    # Normals agree with each other, but whether they point out or in is a toss.
    if trimesh.Trimesh(vertices, faces, process=False).volume < 0:
        faces = faces[:, ::-1]
    return Surface(vertices, np.ascontiguousarray(faces), colours[nearest[used]])


def _poisson(open3d, cloud, spacing: float):
    mesh, density = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(cloud, depth=_DEPTH, n_threads=1)
    density = np.asarray(density)
    mesh.remove_vertices_by_mask(density < np.quantile(density, _THINNEST))
    return mesh


def _ball(open3d, cloud, spacing: float):
    radii = open3d.utility.DoubleVector([factor * spacing for factor in _RADII])
    return open3d.geometry.TriangleMesh.create_from_point_cloud_ball_pivoting(cloud, radii)
