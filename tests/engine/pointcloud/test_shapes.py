"""Invented shapes: closed forms of the primitives, even sampling, words that are true, and a split that holds."""

import numpy as np
import pytest

from engine.tasks.pointcloud.shapes import FAMILIES, PARTS, held_out, make, names, primitives
from engine.tasks.pointcloud.shapes.shape import Builder
from engine.tasks.pointcloud.shapes.surface import sampled


def _area(mesh: primitives.Mesh) -> float:
    a, b, c = mesh[0][mesh[1]].transpose(1, 0, 2)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def test_areas_are_those_of_the_solids():
    assert _area(primitives.box((1, 2, 3), (0.5, 0.4, 0.3))) == pytest.approx(2 * (0.2 + 0.15 + 0.12))
    # Polygons of 16 and 10 sides inside a circle lose up to 3 % and 7 % of its area.
    assert _area(primitives.ball((0, 0, 0), (1, 1, 1), 16)) == pytest.approx(4 * np.pi, rel=0.04)
    assert _area(primitives.rod((0, 0, 0), (3, 4, 0), 0.5)) == pytest.approx(2 * np.pi * 0.5 * 5.5, rel=0.07)
    assert _area(primitives.ring((0, 0, 0), 1.0, 0.2)) == pytest.approx(4 * np.pi**2 * 0.2, rel=0.12)
    assert _area(primitives.prism([(0, 0), (1, 0), (1, 2), (0, 2)], 0, 3, 1)) == pytest.approx(2 * (2 + 3 + 6))


def test_a_rod_goes_from_one_point_to_the_other():
    start, end = np.array([0.2, -1, 0.5]), np.array([1.0, 1, -0.5])
    points, _ = primitives.rod(start, end, 0.1)
    along = (points - start) @ (end - start) / ((end - start) @ (end - start))
    beside = np.linalg.norm(points - start - along[:, None] * (end - start), axis=1)
    assert along.min() == pytest.approx(0, abs=1e-9) and along.max() == pytest.approx(1)
    assert beside.max() == pytest.approx(0.1)


def test_half_a_ring_about_z_bulges_to_the_right():
    points, _ = primitives.ring((0, 0, 0), 1.0, 0.1, (0, 0, 1), (0, np.pi))
    assert points[:, 0].min() > -0.11 and points[:, 0].max() == pytest.approx(1.1)


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_fill_their_box_and_speak_of_parts_they_have(family):
    for name in (f"{family}-{i}" for i in range(12)):
        shape = make(name)
        low, high = shape.points.min(0), shape.points.max(0)
        assert np.allclose(low + high, 0, atol=1e-5) and (high - low).max() == pytest.approx(2, abs=1e-5)
        assert set(shape.details) <= set(shape.parts) <= set(PARTS)
        assert len(shape.parts) >= 1 and shape.faces.max() < len(shape.points)
        assert np.array_equal(make(name).points, shape.points)


def test_families_vary_and_tall_ones_are_taller():
    ratio = {"low": [], "tall": []}
    for i in range(150):
        tower = make(f"tower-{i}")
        sides = np.ptp(tower.points, axis=0)
        for word in set(tower.adjectives) & set(ratio):
            ratio[word].append(sides[1] / max(sides[0], sides[2]))
    assert np.median(ratio["tall"]) > 1.4 * np.median(ratio["low"])
    assert len({make(f"chair-{i}").points.tobytes() for i in range(20)}) == 20


def test_points_lie_on_the_surface_in_proportion_to_area():
    made = Builder()
    made.add("seat", primitives.box((0, 0, 0), (2, 1, 1)))
    made.add("legs", primitives.box((0, -2, 0), (1, 1, 1)))
    cloud = sampled(made.build("test-0", "test"), 4000, np.random.default_rng(0))
    share = np.mean(cloud.part == PARTS.index("seat"))
    # Areas 10 and 6; systematic sampling is off by at most two points.
    assert share == pytest.approx(10 / 16, abs=2 / 4000)
    assert np.allclose(np.linalg.norm(cloud.normals, axis=1), 1, atol=1e-5)
    assert np.allclose(np.abs(cloud.normals).max(1), 1, atol=1e-5)


def test_the_split_keeps_a_tenth_and_never_overlaps():
    train, kept = set(names(300)), set(names(60, kept=True))
    assert not train & kept and all(map(held_out, kept))
    share = np.mean([held_out(f"chair-{i}") for i in range(2000)])
    # The first byte modulo ten is 0 for 26 of 256 values; 2000 draws have a deviation of 0.7 %.
    assert share == pytest.approx(26 / 256, abs=0.025)
