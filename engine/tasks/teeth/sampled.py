"""Samples of crown surfaces: few points of equal area with their normals, which is all that the models see."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.random import Generator

from engine.errors import InputError
from engine.tasks.teeth import even, facets
from engine.tasks.teeth.dentition import Teeth

POINTS = 256
"""Samples per crown: about one per square millimetre."""
_CANDIDATES = 2048


def teeth(vertices: np.ndarray, faces: Sequence[np.ndarray], owners: Sequence[np.ndarray], samples: np.ndarray,
          present: np.ndarray, meshes: bool) -> Teeth:
    """Teeth that stand nowhere yet, from meshes (B, 32, V, 3) in own axes about any origin.

    faces: outward where own axes are right-handed, (F, 3) per slot; owners: per slot, see `facets.owners`; samples
    (32, P): vertices without the base.
    """
    count, slots = vertices.shape[:2]
    points = np.empty((count, slots, samples.shape[1], 3), np.float32)
    normals, area = np.empty_like(points), np.empty((count, slots), np.float32)
    middle = np.empty((count, slots, 1, 3), np.float32)
    surface = torch.zeros(count, slots, facets.FACETS, facets.NUMBERS)
    for slot in range(slots):
        chosen, mine = samples[slot], vertices[:, slot]
        normal = vertex_normals(mine, faces[slot])
        share = _shares(mine, normal)
        middle[:, slot, 0] = _weighted(mine, share)
        area[:, slot] = share.sum(1) / len(chosen)
        points[:, slot] = mine[:, chosen] - middle[:, slot]
        size = np.linalg.norm(normal[:, chosen], axis=-1, keepdims=True)
        normals[:, slot] = normal[:, chosen] / np.maximum(size, 1e-9)
        if len(faces[slot]):
            surface[:, slot] = facets.facets(mine - middle[:, slot], faces[slot], owners[slot])
    shown = present[..., None, None]
    return Teeth(points=torch.from_numpy(points * shown), normals=torch.from_numpy(normals * shown),
                 area=torch.from_numpy(area * present), present=torch.from_numpy(present),
                 axes=torch.eye(3).expand(count, slots, 3, 3), centres=torch.zeros(count, slots, 3),
                 vertices=torch.from_numpy(np.float32(vertices - middle)) if meshes else None,
                 faces=list(faces) if meshes else None,
                 facets=surface * torch.from_numpy(present)[..., None, None])


def centres(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Centres (B, 3) of crowns (B, V, 3): of the area of their surface without the base."""
    return _weighted(vertices, _shares(vertices, vertex_normals(vertices, faces)))


def _weighted(vertices: np.ndarray, share: np.ndarray) -> np.ndarray:
    return (vertices * share[..., None]).sum(1) / np.maximum(share.sum(1), 1e-9)[:, None]


def _shares(vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Area (B, V) in mm2 of the surface that belongs to each vertex; none for the base that closes a crown."""
    size = np.linalg.norm(normals, axis=-1)
    base = (normals[..., 2] < -0.7 * size) & (vertices[..., 2] < np.quantile(vertices[..., 2], 0.3, axis=1)[:, None])
    # A third of each triangle belongs to each of its corners; the sums hold twice the areas.
    return np.where(base, 0.0, size / 6)


def drawn(vertices: np.ndarray, faces: np.ndarray, up: int, rng: Generator,
          sign: float = 1.0) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """Evenly spread points (P, 3) of any crown without its base, their normals, the area of one, the crown's centre.

    up, sign: axis of the vertices, and its direction, that points to the crown's tip. Raises InputError for a mesh
    without any area.
    """
    corner = vertices[faces]
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    size = np.linalg.norm(across, axis=1)
    height = corner.mean(1)[:, up] * sign
    share = size * ~((across[:, up] * sign < -0.7 * size) & (height < np.quantile(height, 0.3)))
    if not share.sum() > 0:
        raise InputError("A crown has no surface.", "All its triangles are empty.", "Repair the mesh.", field="teeth")
    chosen = rng.choice(len(faces), _CANDIDATES, p=share / share.sum())
    points = (corner[chosen] * rng.dirichlet((1, 1, 1), _CANDIDATES)[..., None]).sum(1)
    kept = even.spread(points, np.arange(_CANDIDATES), POINTS)
    normals = across[chosen[kept]] / np.maximum(size[chosen[kept], None], 1e-12)
    centre = (corner.mean(1) * share[:, None]).sum(0) / share.sum()
    return points[kept], normals, share.sum() / 2 / POINTS, centre


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Sums (B, V, 3) of the normals of the triangles at each vertex, weighted by area."""
    corner = vertices[:, faces]
    across = np.cross(corner[:, :, 1] - corner[:, :, 0], corner[:, :, 2] - corner[:, :, 0])
    index = torch.from_numpy(np.ascontiguousarray(faces.T.ravel()))
    total = torch.zeros(vertices.shape, dtype=torch.float32)
    return total.index_add_(1, index, torch.from_numpy(np.float32(across)).repeat(1, 3, 1)).numpy()
