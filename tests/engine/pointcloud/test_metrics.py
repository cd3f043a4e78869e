"""Distances in closed form, set metrics on laws that are known, retrieval of what was stored."""

import numpy as np
import pytest

from engine.tasks.pointcloud import metrics
from engine.tasks.pointcloud.baselines import Retrieval
from engine.tasks.pointcloud.captions import vocabulary
from engine.tasks.pointcloud.pool import example
from engine.tasks.pointcloud.shapes import PARTS, names


def test_distances_of_a_shifted_lattice():
    line = np.arange(8.0)
    lattice = np.stack(np.meshgrid(line, line, line), -1).reshape(-1, 3)
    moved = lattice + np.array([0.25, 0, 0])
    assert metrics.chamfer(lattice, moved) == pytest.approx(2 * 0.25**2)
    assert metrics.earth_mover(lattice, moved) == pytest.approx(0.25)
    assert metrics.f_score(lattice, moved, 0.26) == 1 and metrics.f_score(lattice, moved, 0.24) == 0


def test_f_score_is_the_harmonic_mean():
    truth = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    assert metrics.f_score(truth[:1], truth, 0.1) == pytest.approx(2 * 1 * 0.25 / 1.25)


def test_earth_mover_sees_crowding_that_chamfer_does_not():
    left, right = np.zeros((1, 3)), np.ones((1, 3))
    a, b = np.concatenate([left] * 3 + [right]), np.concatenate([left] + [right] * 3)
    assert metrics.chamfer(a, b) == 0 and metrics.earth_mover(a, b) == pytest.approx(2 * 3**0.5 / 4)


def test_two_samples_of_one_law_and_of_two():
    rng = np.random.default_rng(0)

    def clouds(count, shift):
        return [rng.normal(size=(1, 3)) + shift + 0.01 * rng.normal(size=(20, 3)) for _ in range(count)]

    a, b, far = clouds(60, 0), clouds(60, 0), clouds(60, 30)
    within = metrics.distances(a, a)
    same = metrics.two_sample(within, metrics.distances(a, b), metrics.distances(b, b))
    other = metrics.two_sample(within, metrics.distances(a, far), metrics.distances(far, far))
    # 120 draws of a fair coin, neighbours in pairs: a deviation of about 6 %.
    assert same == pytest.approx(0.5, abs=0.15) and other == 1
    assert metrics.coverage(metrics.distances(b, b)) == 1
    assert metrics.coverage(metrics.distances(b[:1] * 10, b)) == 1 / 60


def test_colours_and_parts():
    part = np.repeat([PARTS.index("seat"), PARTS.index("legs")], 50)
    rgb = np.where(part[:, None] == PARTS.index("seat"), [0.8, 0.1, 0.1], [0.1, 0.1, 0.1])
    assert metrics.colours_hit(rgb, part, {"seat": "red", "legs": "brown", "back": "blue"}) == [True, False]
    found = part.copy()
    found[:25] = PARTS.index("legs")
    assert metrics.part_iou(found, part) == pytest.approx((25 / 50 + 50 / 75) / 2)
    assert metrics.part_iou(part, part) == 1


def test_true_shapes_have_all_the_colours_that_are_named():
    hits = [hit for case in (example(name) for name in names(20, kept=True))
            for hit in metrics.colours_hit(case.rgb, case.part, case.named)]
    assert len(hits) > 20 and all(hits)


def test_retrieval_finds_what_it_has_stored_by_either_condition():
    stored = [example(name) for name in names(60)]
    retrieval = Retrieval(stored, vocabulary())
    for case in stored[::7]:
        assert retrieval.nearest(case.sketch, case.text) is case
        assert retrieval.nearest(case.sketch) is case
    family = stored[3].name.split("-")[0]
    assert retrieval.nearest(None, f"a {family}").name.startswith(family)
