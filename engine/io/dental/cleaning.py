"""Meshes of single teeth made sound: what no surface should have is taken out or turned, and told."""

from collections.abc import Iterable, Mapping

import numpy as np

from engine.errors import InputError
from engine.io.dental.arch import listed

Mesh = tuple[np.ndarray, np.ndarray]
_NAMED = 6
_ISLAND = 0.1
"""Pieces with less than this share of the largest one's area are no part of a tooth."""
_WORDS = {"missing": "Triangles with corners that are no numbers were left out",
          "empty": "Triangles without any area were left out",
          "double": "Triangles that were there twice were left out",
          "islands": "Small separate pieces were left out",
          "uneven": "Triangles were turned, because some faced inwards and some outwards",
          "inwards": "All triangles were turned, because they faced inwards",
          "branching": "At some edges more than two triangles meet, which was left as it is"}


def sound(vertices: np.ndarray, faces: np.ndarray) -> tuple[Mesh, set[str]]:
    """A tooth's mesh repaired, and what was done, as names that `told` knows. Raises InputError if nothing is left."""
    import trimesh

    done: set[str] = set()
    check_corners(vertices, faces)

    def kept(good: np.ndarray, name: str) -> None:
        nonlocal faces
        if not good.all():
            done.add(name)
            faces = faces[good]

    kept(np.isfinite(vertices).all(1)[faces].all(1), "missing")
    vertices = np.where(np.isfinite(vertices), vertices, 0.0)
    mesh = trimesh.Trimesh(vertices, faces, process=False, validate=False)
    # The triangles of STL files share no vertices.
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    kept(_areas(vertices, faces) > 0, "empty")
    kept(_first_of_each(np.sort(faces, axis=1)), "double")
    if not len(faces):
        raise InputError("A mesh has no triangle with any area.", "A tooth needs a surface.", "Repair the mesh.")
    kept(_large_pieces(vertices, faces), "islands")
    mesh = trimesh.Trimesh(vertices, faces, process=False, validate=False)
    mesh.remove_unreferenced_vertices()
    if not mesh.is_winding_consistent:
        mesh.fix_normals(multibody=False)
        done.add("uneven")
    vertices, faces = np.array(mesh.vertices, np.float64), np.array(mesh.faces, np.int64)
    if _outward(vertices, faces) < 0:
        faces = faces[:, ::-1].copy()
        done.add("inwards")
    if np.unique(mesh.edges_sorted, axis=0, return_counts=True)[1].max() > 2:
        done.add("branching")
    return (vertices, faces), done


def told(done: Mapping[int, Iterable[str]]) -> list[str]:
    """Sentences about repairs, of `sound` by FDI number; each names its teeth."""
    found = []
    for name, words in _WORDS.items():
        numbers = [fdi for fdi, names in done.items() if name in names]
        if numbers:
            whose = f"teeth {listed(numbers)}" if 1 < len(numbers) <= _NAMED else f"{len(numbers)} teeth"
            found.append(f"{words} ({f'tooth {numbers[0]}' if len(numbers) == 1 else whose}).")
    return found


def check_corners(vertices: np.ndarray, faces: np.ndarray) -> None:
    """Raises InputError where there are no triangles, or such that name vertices that do not exist."""
    if not len(faces):
        raise InputError("A mesh has 0 triangles.", "A tooth needs a surface.", "Export the mesh again.")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"A triangle names vertex {int(faces.max())}.",
                         f"The mesh has {len(vertices)}, counted from 0.", "Export the mesh again.")


def _cross(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corner = vertices[faces]
    return np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])


def _areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    return np.linalg.norm(_cross(vertices, faces), axis=1) / 2


def _first_of_each(rows: np.ndarray) -> np.ndarray:
    first = np.zeros(len(rows), bool)
    first[np.unique(rows, axis=0, return_index=True)[1]] = True
    return first


def _large_pieces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Which faces (F,) belong to a piece that is large; pieces share no vertex."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    links = coo_matrix((np.ones(len(start), bool), (start, end)), (len(vertices), len(vertices)))
    piece = connected_components(links, directed=False)[1][faces[:, 0]]
    area = np.bincount(piece, _areas(vertices, faces))
    return area[piece] >= _ISLAND * area.max()


def _outward(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Flux of the distance from the surface's centre: > 0 where triangles face outwards, of open crowns too."""
    across = _cross(vertices, faces)
    area, middle = np.linalg.norm(across, axis=1), vertices[faces].mean(1)
    centre = (middle * area[:, None]).sum(0) / area.sum()
    return float(((middle - centre) * across).sum())
