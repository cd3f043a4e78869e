"""Patients from a public statistical model of real crowns, aligned like the invented ones.

The model (Chen et al., IEEE TVCG 2023; MIT licence) holds the mean surface, the principal modes of shape and the
covariance of sizes of 28 crowns, FDI x1 to x7, of about 130 orthodontic patients. The program ships none of it.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator

from engine.errors import InputError
from engine.tasks.teeth import anatomy, arches, even, facets, keys, rigid, sampled
from engine.tasks.teeth.aligned import Setup, accepted, aligned
from engine.tasks.teeth.balance import matched
from engine.tasks.teeth.dentition import Teeth

FILE = "teeth_ssm.npz"
MODES = 16
_CLIP = 2.0


@dataclass(frozen=True)
class ShapeModel:
    """Crowns in own axes: mean (32, V, 3), modes (32, V, 3, M) times their standard deviations, both mm.

    faces, owners (see `facets.owners`): per slot. sizes: a square root of the covariance of relative sizes (32, 28).
    samples (32, P); present (32,) bool; setup: where the mean crowns stand.
    """

    mean: np.ndarray
    modes: np.ndarray
    faces: list[np.ndarray]
    owners: list[np.ndarray]
    sizes: np.ndarray
    samples: np.ndarray
    present: np.ndarray
    setup: Setup


def found(data: Path) -> Path:
    """The model's file under a folder. Raises InputError when there is none."""
    paths = sorted(data.rglob(FILE))
    if not paths:
        raise InputError(f"There is no {FILE} under the data folder.",
                         "The statistical model of crowns is read from it.",
                         "Give --data the folder that holds it.", field="data")
    return paths[0]


@lru_cache(maxsize=2)
def read(path: Path) -> ShapeModel:
    """The model in a file: arrays fdi, mean, eigval, eigvec, scale_cov."""
    with np.load(path, allow_pickle=False) as file:
        slots = [anatomy.slot_of(int(fdi)) for fdi in file["fdi"]]
        surface, scale_cov = file["mean"], file["scale_cov"].astype(float)
        spread = np.sqrt(file["eigval"][:, :MODES])
        vectors = np.float32(file["eigvec"][..., :MODES]) * spread[:, None]
    count = surface.shape[1]
    frames, setup = _frames(surface, slots)
    mean = np.zeros((32, count, 3), np.float32)
    modes = np.zeros((32, count, 3, vectors.shape[-1]), np.float32)
    present = np.zeros(32, bool)
    faces, samples = [np.zeros((0, 3), int)] * 32, np.zeros((32, sampled.POINTS), int)
    owners = [np.zeros(0, int)] * 32
    for row, slot in enumerate(slots):
        own = frames[slot].astype(np.float32)
        mean[slot] = (surface[row] - surface[row].mean(0)) @ own.T
        modes[slot] = np.einsum("vcm,ac->vam", vectors[row].reshape(count, 3, -1), own)
        faces[slot] = _hull_faces(mean[slot])
        owners[slot] = facets.owners(mean[slot], faces[slot])
        samples[slot] = even.spread(mean[slot], _crown(mean[slot], faces[slot]), sampled.POINTS)
        present[slot] = True
    order = np.zeros((32, len(slots)))
    values, axes = np.linalg.eigh(scale_cov)
    order[slots] = axes * np.sqrt(np.maximum(values, 0))
    setup = _heights(setup, mean, faces, present)
    return ShapeModel(mean, modes, faces, owners, order, samples, present, setup)


def patients(model: ShapeModel, count: int, rng: Generator, meshes: bool = False) -> Teeth:
    """`count` well-aligned patients with crowns drawn from the model; without third molars."""
    return accepted(lambda n: aligned(matched(crowned(model, n, rng, meshes), rng), model.setup, rng), count)


def crowned(model: ShapeModel, count: int, rng: Generator, meshes: bool = False) -> Teeth:
    """Crowns of `count` patients, not yet placed: sizes jointly normal, shapes from the modes within 2 deviations."""
    size = 1 + np.clip(rng.normal(size=(count, model.sizes.shape[1])), -2.5, 2.5) @ model.sizes.T
    kinds = model.modes.shape[-1]
    share = np.clip(rng.normal(size=(count, 32, kinds)), -_CLIP, _CLIP).astype(np.float32)
    vertices = np.empty((count, *model.mean.shape), np.float32)
    for slot in range(32):
        shape = model.mean[slot] + (share[:, slot] @ model.modes[slot].reshape(-1, kinds).T).reshape(count, -1, 3)
        vertices[:, slot] = shape * size[:, slot, None, None]
    present = np.repeat(model.present[None], count, 0)
    return sampled.teeth(vertices, model.faces, model.owners, model.samples, present, meshes)


def _frames(surface: np.ndarray, slots: list[int]) -> tuple[np.ndarray, Setup]:
    """Own axes (32, 3, 3) of the mean crowns, which stand as the norms of `anatomy` say, and where they stand."""
    centres, present = torch.zeros(1, 32, 3), torch.zeros(1, 32, dtype=torch.bool)
    centres[0, slots] = torch.from_numpy(surface.mean(1))
    present[0, slots] = True
    axes, offset = torch.eye(3).repeat(32, 1, 1), torch.zeros(32)
    norm = rigid.local_rotation(torch.zeros(32), *(torch.deg2rad(torch.tensor(t, dtype=torch.float32))
                                                   for t in (anatomy.TIP_DEG, anatomy.LEAN_DEG)))
    for curve, upper in zip(arches.jaw_curves(centres, present), (True, False)):
        jaw = torch.from_numpy(upper == anatomy.UPPER)
        place, direction = curve.at(curve.length_to(centres[:, jaw, 0]))
        plain = keys.upright(direction, jaw)[0]
        axes[jaw] = norm[jaw] @ plain
        offset[jaw] = ((centres[0, jaw][:, ::2] - place[0]) * plain[:, 1, ::2]).sum(-1)
    height = -centres[0, :, 1] * torch.tensor(anatomy.OCCLUSAL, dtype=torch.float32)
    # The two sides of the mouth are made alike, and the curve of Spee is levelled from 2 to the 1.5 mm of Andrews.
    offset, height = ((v + v[torch.from_numpy(anatomy.MIRRORED)]) / 2 for v in (offset, height))
    level = torch.tensor([{6: 0.45, 7: 1.25}.get(place, 0.0) for place in anatomy.POSITION.tolist()])
    return axes.numpy(), Setup(offset, height + torch.where(torch.from_numpy(anatomy.UPPER), -level, level))


def _heights(setup: Setup, mean: np.ndarray, faces: list[np.ndarray], present: np.ndarray) -> Setup:
    """Heights of the crowns' centres in place of the means of their vertices."""
    lift = torch.zeros(32)
    for slot in np.flatnonzero(present):
        lift[slot] = float(sampled.centres(mean[slot][None], faces[slot])[0, 2])
    return Setup(setup.offset_mm, setup.height_mm - lift)


def _hull_faces(vertices: np.ndarray) -> np.ndarray:
    """Triangles of a surface that is star-shaped about its middle: those of the hull of the directions, outward."""
    from scipy.spatial import ConvexHull

    direction = vertices - vertices.mean(0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    faces = ConvexHull(direction).simplices
    corner = direction[faces]
    inward = np.linalg.det(corner) < 0
    faces[inward] = faces[inward][:, ::-1]
    return faces


def _crown(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Indices of the vertices that are not of the flat base by which the crowns are closed."""
    normal = sampled.vertex_normals(vertices[None], faces)[0]
    down = normal[:, 2] < -0.7 * np.linalg.norm(normal, axis=1)
    low = vertices[:, 2] < np.quantile(vertices[:, 2], 0.35)
    return np.flatnonzero(~(down & low))
