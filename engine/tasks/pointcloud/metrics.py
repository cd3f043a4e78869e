"""How near clouds are to each other, how alike two sets of clouds are, and whether colours and parts are right.

Clouds are (N, 3) float arrays in shape coordinates (the longest side of a shape goes from -1 to 1). Distances here are
squared unless said otherwise.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from engine.tasks.pointcloud import palette
from engine.tasks.pointcloud.shapes.shape import PARTS

EMD_POINTS = 512
F_DISTANCE = 0.05
"""Distance at which a point counts as found: 2.5 % of the longest side."""


def nearest(points: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (N,), not squared, from each point to its nearest other, and which one that is."""
    from scipy.spatial import cKDTree

    return cKDTree(others).query(points)


def chamfer(a: np.ndarray, b: np.ndarray) -> float:
    """mean over a of the least |a - b|^2, plus the same the other way round."""
    return float(np.mean(nearest(a, b)[0] ** 2) + np.mean(nearest(b, a)[0] ** 2))


def earth_mover(a: np.ndarray, b: np.ndarray, count: int = EMD_POINTS) -> float:
    """Least mean distance (not squared) of a one-to-one matching, exact, of the first `count` points of each.

    Both need as many points; their order must be random.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    cost = cdist(a[:count], b[:count])
    return float(cost[linear_sum_assignment(cost)].mean())


def f_score(a: np.ndarray, b: np.ndarray, distance: float = F_DISTANCE) -> float:
    """2 P R / (P + R): P the share of a within the distance of b, R that of b within it of a; 0 when both are 0."""
    precision, recall = (float(np.mean(nearest(x, y)[0] < distance)) for x, y in ((a, b), (b, a)))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def distances(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
    """Chamfer distance of every pair, (len(a), len(b))."""
    from scipy.spatial import cKDTree

    trees_a, trees_b = [cKDTree(x) for x in a], [cKDTree(x) for x in b]
    found = np.empty((len(a), len(b)))
    for i, (x, tree) in enumerate(zip(a, trees_a)):
        for j, (y, other) in enumerate(zip(b, trees_b)):
            found[i, j] = np.mean(other.query(x)[0] ** 2) + np.mean(tree.query(y)[0] ** 2)
    return found


def two_sample(within_a: np.ndarray, between: np.ndarray, within_b: np.ndarray) -> float:
    """1-NNA (Lopez-Paz and Oquab, 2017): share of clouds whose nearest neighbour is of their own set; 1/2 is ideal.

    Distance matrices of set a (n, n), of a to b (n, m) and of b (m, m).
    """
    whole = np.block([[within_a, between], [between.T, within_b]])
    np.fill_diagonal(whole, np.inf)
    of_a = np.arange(len(whole)) < len(within_a)
    return float(np.mean(of_a[np.argmin(whole, axis=1)] == of_a))


def coverage(between: np.ndarray) -> float:
    """Share of the reference clouds (columns) that are nearest to some generated cloud (rows)."""
    return len(np.unique(np.argmin(between, axis=1))) / between.shape[1]


def colours_hit(rgb: np.ndarray, part: np.ndarray, named: Mapping[str, str]) -> list[bool]:
    """For each part with a named colour: whether the median of its points' colours goes by that name.

    rgb (N, 3) in [0, 1]; part (N,) labels. The colours that shapes are made with have all their names (a test says so).
    """
    found = []
    for name, colour in named.items():
        inside = part == PARTS.index(name)
        if inside.any():
            found.append(palette.NAMES[int(palette.named(np.median(rgb[inside], axis=0)))] == colour)
    return found


def part_iou(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean IoU over the parts that are in either labelling, both (N,)."""
    labels = np.union1d(found, truth)
    return float(np.mean([np.sum((found == k) & (truth == k)) / np.sum((found == k) | (truth == k)) for k in labels]))
