"""Evenly spread points of a surface."""

import numpy as np


def spread(vertices: np.ndarray, allowed: np.ndarray, count: int) -> np.ndarray:
    """Indices (count,) of vertices that lie evenly: each the farthest from all before, among the allowed indices."""
    points = vertices[allowed]
    chosen = [int(np.argmax(points[:, 2]))]
    distance = np.full(len(points), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(-1))
        chosen.append(int(np.argmax(distance)))
    return allowed[chosen]
