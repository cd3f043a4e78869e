"""Surfaces that the invented shapes are put together from: triangle meshes in a y-up frame whose front is +z."""

import numpy as np

Mesh = tuple[np.ndarray, np.ndarray]
"""Corners (V, 3) float and triangles (F, 3) int."""

Point = tuple[float, float, float]

_BOX = np.array([(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1), (2, 3, 7), (2, 7, 6), (0, 2, 6),
                 (0, 6, 4), (1, 5, 7), (1, 7, 3)])
_SIDES = 16


def box(centre: Point, size: Point, lean: tuple[float, float] = (0, 0), taper: tuple[float, float] = (1, 1)) -> Mesh:
    """A box; its top is moved by `lean` and scaled by `taper`, both along (x, z)."""
    corners = np.array([(x, y, z) for y in (-0.5, 0.5) for x in (-0.5, 0.5) for z in (-0.5, 0.5)])
    points = corners * size
    points[4:, 0] = points[4:, 0] * taper[0] + lean[0]
    points[4:, 2] = points[4:, 2] * taper[1] + lean[1]
    return points + centre, _BOX


def revolve(profile: list[tuple[float, float]], centre: Point = (0, 0, 0), sides: int = _SIDES) -> Mesh:
    """A profile of (radius, height) pairs turned about the vertical through `centre`."""
    radius, height = np.array(profile, float).T
    angle = np.arange(sides) * 2 * np.pi / sides
    points = np.stack((radius[:, None] * np.cos(angle), np.repeat(height[:, None], sides, 1),
                       radius[:, None] * np.sin(angle)), axis=-1)
    return points.reshape(-1, 3) + centre, _grid(len(profile), sides, closed=True)


def ball(centre: Point, radii: Point, rings: int = 8) -> Mesh:
    """An ellipsoid."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    points, faces = revolve(list(zip(np.cos(angle), np.sin(angle))))
    return points * radii + centre, faces


def rod(start: Point, end: Point, radius: float, end_radius: float | None = None, sides: int = 10) -> Mesh:
    """A closed round rod from one point to another, which may become thinner."""
    start, end = np.array(start, float), np.array(end, float)
    length = np.linalg.norm(end - start)
    last = radius if end_radius is None else end_radius
    points, faces = revolve([(0, 0), (radius, 0), (last, length), (0, length)], sides=sides)
    return points @ _frame((end - start) / length) + start, faces


def ring(centre: Point, radius: float, tube: float, axis: Point = (0, 1, 0), turn: tuple[float, float] = (0, 2 * np.pi),
         stretch: float = 1.0) -> Mesh:
    """A torus about `axis`, or its arc between two angles (rad); stretch: factor on its second direction."""
    along, around = np.linspace(*turn, 15)[:, None], np.arange(8) * 2 * np.pi / 8
    reach = radius + tube * np.cos(around)
    points = np.stack((reach * np.cos(along), tube * np.sin(around) + 0 * along, stretch * reach * np.sin(along)), -1)
    return points.reshape(-1, 3) @ _frame(np.array(axis, float)) + centre, _grid(15, 8, closed=True)


def prism(outline: list[tuple[float, float]], low: float, high: float, axis: int) -> Mesh:
    """A convex outline, given along the other two axes in cyclic order, drawn out from `low` to `high` along `axis`."""
    flat, count = np.array(outline, float), len(outline)
    points = np.empty((2 * count, 3))
    points[:count, axis], points[count:, axis] = low, high
    points[:, [(axis + 1) % 3, (axis + 2) % 3]] = np.concatenate((flat, flat))
    fan = np.array([(0, i, i + 1) for i in range(1, count - 1)])
    return points, np.concatenate((_grid(2, count, closed=True), fan, fan + count))


def mirrored(mesh: Mesh) -> Mesh:
    """The same on the other side of x = 0."""
    return mesh[0] * (-1, 1, 1), mesh[1]


def _grid(rows: int, columns: int, closed: bool) -> np.ndarray:
    """Triangles of a grid of points (rows, columns); closed: the last column joins the first."""
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    a, b = row * columns + column, row * columns + (column + 1) % columns
    return np.concatenate([np.stack(corner, -1).reshape(-1, 3)
                           for corner in ((a, a + columns, b), (b, a + columns, b + columns))])


def _frame(up: np.ndarray) -> np.ndarray:
    """Rotation, for rows, that takes the y axis to the unit vector `up`."""
    helper = np.array([0.0, 0, 1]) if abs(up[2]) < 0.9 else np.array([1.0, 0, 0])
    right = np.cross(up, helper)
    right /= np.linalg.norm(right)
    return np.stack((right, up, np.cross(right, up)))
