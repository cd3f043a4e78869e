"""Crowns small enough for the page: thinned, with the normals of the full surface, as base64 for its scripts."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.tasks.teeth.sampled import vertex_normals

MOST_FACES = 24_000
"""Triangles of all teeth that the page draws: a turn of the hand redraws them all, without a GPU."""
UNIT = 1000
"""Vertices travel in thousandths of a mm from their tooth's centre: int16 reaches 32 mm, farther than any crown."""
_REACH_MM = 32.7
_COARSER = 1.12
_RIM = 0.4
"""Edges with one triangle only, as a share of the root of all triangles: the rim at the gum is about one such length,
and thinning leaves a few in closed surfaces, too."""


@dataclass(frozen=True)
class Crown:
    """One tooth's surface. fdi: its number; centre (3,) mm; vertices (V, 3) mm from the centre, unit normals (V, 3),
    faces (F, 3) outward; up (3,): the unit vector to its chewing surface or edge."""

    fdi: int
    centre: np.ndarray
    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    up: np.ndarray


def crowns(meshes: Mapping[int, tuple[np.ndarray, np.ndarray]], centres: np.ndarray, ups: np.ndarray,
           most: int = MOST_FACES) -> list[Crown]:
    """Teeth for the page, at most about `most` triangles of all together, shared by how many each has.

    meshes: by FDI number, vertices (V, 3) in mm and outward faces (F, 3); centres, ups (T, 3) in the same order.
    """
    whole = max(sum(len(faces) for _, faces in meshes.values()), 1)
    return [Crown(fdi, centre, *thinned(vertices - centre, faces, max(64, most * len(faces) // whole)), up)
            for (fdi, (vertices, faces)), centre, up in zip(meshes.items(), centres, ups)]


def thinned(vertices: np.ndarray, faces: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vertices, unit normals, faces) of a surface with at most `most` triangles.

    Vertices in one cell of a cubic grid become one, at their mean and with the mean of their normals (Rossignac and
    Borrel, 1993), in the finest grid that leaves few enough; so the shading is still that of the full surface.
    """
    normals = vertex_normals(vertices[None], faces)[0]
    if len(faces) <= most:
        used, corners = np.unique(faces, return_inverse=True)
        return vertices[used], _unit(normals[used]), corners.reshape(faces.shape)
    corner = vertices[faces]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1).sum() / 2
    # An even surface of F triangles has half as many vertices, each with a square of this side to itself.
    cell = max(float(np.sqrt(2 * area / most)) / _COARSER**3, 1e-6)
    while True:
        places, kept = _merged(vertices, faces, cell)
        if len(kept) <= most:
            break
        cell *= _COARSER
    used, corners = np.unique(kept, return_inverse=True)
    middles = _summed(vertices, places) / np.bincount(places)[:, None]
    return middles[used], _unit(_summed(normals, places)[used]), corners.reshape(kept.shape)


def packed(teeth: Sequence[Crown]) -> dict[str, Any]:
    """Teeth as the scripts read them: numbers and counts as lists, the long arrays of all teeth one after another as
    base64: vertices int16 in 1/1000 mm, normals int8 in 1/127, corners uint16 counted within the tooth."""
    return {"fdi": [tooth.fdi for tooth in teeth], "sizes": [[len(t.vertices), len(t.faces)] for t in teeth],
            "centres": rounded([tooth.centre for tooth in teeth]), "ups": rounded([tooth.up for tooth in teeth]),
            "open": [is_open(tooth.faces) for tooth in teeth],
            "vertices": text((_joined(t.vertices for t in teeth).clip(-_REACH_MM, _REACH_MM) * UNIT).round(), "<i2"),
            "normals": text((_joined(t.normals for t in teeth) * 127).round(), "i1"),
            "faces": text(_joined(t.faces for t in teeth), "<u2")}


def is_open(faces: np.ndarray) -> bool:
    """Whether a surface has an edge of its own, as crowns of scans have at the gum: through it one sees the inside."""
    edges = np.sort(np.concatenate([faces[:, pair] for pair in ((0, 1), (1, 2), (2, 0))]), axis=1)
    single = np.unique(_numbered(edges), return_counts=True)[1] == 1
    return bool(single.sum() > _RIM * len(faces) ** 0.5)


def text(values: np.ndarray, kind: str) -> str:
    """An array of that type as base64, row by row."""
    return base64.b64encode(np.ascontiguousarray(values.astype(kind)).data).decode()


def rounded(values: Any) -> list[Any]:
    """Numbers as nested lists with three decimals, whatever is not finite as None."""
    array = np.asarray(values, float)
    return np.where(np.isfinite(array), array.round(3), None).tolist()


def _merged(vertices: np.ndarray, faces: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """The new index (V,) of each vertex, and the triangles that still have three different corners."""
    keys = np.floor((vertices - vertices.min(0)) / cell).astype(np.int64)
    places = np.unique(_numbered(keys), return_inverse=True)[1]
    turned = places[faces]
    turned = turned[(turned[:, 0] != turned[:, 1]) & (turned[:, 1] != turned[:, 2]) & (turned[:, 2] != turned[:, 0])]
    # The same triangle may be left several times. Where it is left with both its sides, both are kept: a fold is seen
    # from either side.
    order = (turned.argmin(1)[:, None] + np.arange(3)) % 3
    first = np.unique(_numbered(np.take_along_axis(turned, order, 1)), return_index=True)[1]
    return places, turned[np.sort(first)]


def _numbered(rows: np.ndarray) -> np.ndarray:
    """One number (N,) for each row (N, K) of whole numbers from 0, the same for equal rows only."""
    number = np.zeros(len(rows), np.int64)
    for column in rows.T:
        number = number * (int(column.max(initial=0)) + 1) + column
    return number


def _summed(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.stack([np.bincount(places, values[:, axis]) for axis in range(3)], 1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _joined(parts: Any) -> np.ndarray:
    return np.concatenate([np.zeros((0, 3)), *parts])
