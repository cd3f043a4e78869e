"""Points on a shape's surface, as many on each piece as its area asks for."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from engine.tasks.pointcloud.shapes.shape import Shape


@dataclass(frozen=True, eq=False)
class Surface:
    """Points (N, 3) with unit normals (N, 3), float32; part (N,) labels and piece (N,): the primitive, or -1."""

    points: np.ndarray
    normals: np.ndarray
    part: np.ndarray
    piece: np.ndarray


def sampled(shape: Shape, count: int, rng: Generator) -> Surface:
    """`count` points even by area: the triangles are walked along with equal steps of area (systematic sampling).

    Their order is random.
    """
    corners = shape.points[shape.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    double = np.linalg.norm(cross, axis=1)
    walked = np.cumsum(double)
    steps = (rng.permutation(count) + rng.random(count)) * (walked[-1] / count)
    face = np.minimum(np.searchsorted(walked, steps, side="right"), len(walked) - 1)
    share = np.sqrt(rng.random((count, 1), np.float32))
    other = rng.random((count, 1), np.float32)
    a, b, c = corners[face].transpose(1, 0, 2)
    points = (1 - share) * a + share * (1 - other) * b + share * other * c
    normals = cross[face] / np.maximum(double[face], 1e-12)[:, None]
    return Surface(np.float32(points), np.float32(normals), np.int16(shape.part[face]), np.int16(shape.piece[face]))
