"""Teeth from meshes of their crowns, as scans give them."""

from collections.abc import Mapping

import numpy as np
import torch

from engine.errors import InputError
from engine.tasks.teeth import anatomy, axes, facets, keys, sampled
from engine.tasks.teeth.dentition import Teeth

FEWEST_TEETH = 4


def teeth_of(meshes: Mapping[int, tuple[np.ndarray, np.ndarray]], seed: int = 0) -> Teeth:
    """One patient from crowns by FDI number: vertices (V, 3) in mm in the frame of `anatomy`, faces (F, 3) outward.

    The meshes may be open at the gum. Their axes are found from their surfaces (`axes.fitted`). Raises InputError for
    unknown numbers or fewer than four teeth.
    """
    if len(meshes) < FEWEST_TEETH:
        raise InputError(f"There are {len(meshes)} teeth.", f"An arch needs {FEWEST_TEETH} or more.",
                         "Give all teeth of the jaws.", field="teeth")
    rng, centres = np.random.default_rng(seed), np.zeros((1, 32, 3), np.float32)
    points, normals = np.zeros((2, 1, 32, sampled.POINTS, 3), np.float32)
    area, present, faces = np.zeros((1, 32), np.float32), np.zeros((1, 32), bool), [np.zeros((0, 3), int)] * 32
    surface = torch.zeros(1, 32, facets.FACETS, facets.NUMBERS)
    vertices = np.zeros((1, 32, max(len(mesh[0]) for mesh in meshes.values()), 3), np.float32)
    for fdi, (corners, triangles) in meshes.items():
        slot = anatomy.slot_of(fdi)
        present[0, slot], faces[slot] = True, np.asarray(triangles)
        points[0, slot], normals[0, slot], area[0, slot], centres[0, slot] = sampled.drawn(
            corners, triangles, 1, rng, anatomy.OCCLUSAL[slot])
        owner = facets.owners(corners, faces[slot], 1, anatomy.OCCLUSAL[slot])
        surface[0, slot] = facets.facets(corners[None] - centres[0, slot], faces[slot], owner)[0]
        vertices[0, slot, :len(corners)] = corners
    return _posed(*(torch.from_numpy(v) for v in (points, normals, area, present, centres, vertices)), faces, surface)


def _posed(points: torch.Tensor, normals: torch.Tensor, area: torch.Tensor, present: torch.Tensor,
           centres: torch.Tensor, vertices: torch.Tensor, faces: list[np.ndarray], surface: torch.Tensor) -> Teeth:
    """Teeth from samples, vertices and facets in the jaws' frame; the facets are told from the centres."""
    place = Teeth(points, normals, area, present, torch.eye(3).expand(1, 32, 3, 3), centres)
    own = keys.arch_axes(place).transpose(-1, -2)
    shown = present[..., None, None]
    inside = ((points - centres[..., None, :]) @ own * shown, normals @ own, (vertices - centres[..., None, :]) @ own)
    # Where own axes are left-handed, faces that are outward in the jaws' frame are inward in them.
    faces = [mine if torch.linalg.det(turn) > 0 else mine[:, ::-1] for mine, turn in zip(faces, own[0])]
    return axes.fitted(Teeth(inside[0], inside[1], area, present, own.transpose(-1, -2), centres, inside[2], faces,
                             facets.turned(surface, own)))
