"""Sketches: the z-buffer hides what is behind, outlines are where they must be, drawings are brought to size."""

import numpy as np
import pytest

from engine.errors import InputError
from engine.tasks.pointcloud import kaykit, rendering, sketch
from engine.tasks.pointcloud.shapes import make
from engine.tasks.pointcloud.shapes.surface import Surface, sampled


def test_views_are_rotations_and_show_the_front():
    axes = sketch.seen(np.eye(3, dtype=np.float32), sketch.View(35, 20))
    assert np.allclose(axes @ axes.T, np.eye(3), atol=1e-6)
    assert np.allclose(sketch.seen(np.eye(3), sketch.View(0, 0)), np.eye(3), atol=1e-6)
    # From above, what is up comes nearer.
    assert sketch.seen(np.array([[0.0, 1, 0]]), sketch.View(0, 30))[0, 2] == pytest.approx(0.5)


def test_near_points_hide_far_ones():
    turned = np.array([[0, 0, 0.0], [0, 0, 1.0], [0, 0, -1.0]])
    found = sketch.visible(turned, np.full((3, 2), 5), 11, 1)
    assert found[5, 5] == 1 and found[0, 0] == -1 and (found == 1).sum() == 5


def _plate() -> Surface:
    """A square facing the viewer."""
    line = np.linspace(-1, 1, 130, dtype=np.float32)
    x, y = (v.ravel() for v in np.meshgrid(line, line))
    flat = np.zeros(len(x), np.int16)
    return Surface(np.stack((x, y, 0 * x), 1), np.tile(np.float32([0, 0, 1]), (len(x), 1)), flat, flat)


def test_a_plate_is_drawn_as_its_outline_alone():
    ink = sketch.lines(_plate(), sketch.View(0, 0)) > 0
    rows, columns = np.nonzero(ink)
    side = 96 * sketch.DRAWN_PX / sketch.SIDE_PX
    edge = np.minimum.reduce([abs(v - (48 + s * side / 2)) for v in (rows, columns) for s in (-1, 1)])
    # Discs of one pixel and the step between pixels widen the square by up to two pixels.
    assert edge.max() <= 2.5 and ink.sum() > 3.5 * side


def test_a_crease_is_drawn_and_a_small_bend_is_not():
    plate, bent = _plate(), _plate()
    for cloud, degrees in ((plate, 15), (bent, 80)):
        a = np.radians(degrees)
        cloud.normals[cloud.points[:, 0] > 0] = (np.sin(a), 0, np.cos(a))
    inner = np.s_[20:76, 40:56]
    assert not sketch.lines(plate, sketch.View(0, 0))[inner].any()
    assert sketch.lines(bent, sketch.View(0, 0))[inner].any(1).all()


def test_drawings_by_hand_differ_but_stay_in_place():
    rng = np.random.default_rng(0)
    dense = sampled(make("chair-1"), 12000, rng)
    first, second = (sketch.drawn(dense, sketch.THREE_QUARTER, rng) for _ in range(2))
    assert first.shape == (64, 64) and first.dtype == np.uint8 and (first != second).any()
    assert 0.02 < (first > 100).mean() < 0.4
    for drawn in (first, second):
        rows, columns = np.nonzero(drawn > 100)
        assert max(np.ptp(rows), np.ptp(columns)) == pytest.approx(sketch.DRAWN_PX, abs=5)


@pytest.mark.parametrize("scale", [0.4, 1, 3, 9])
def test_a_drawing_of_any_size_is_brought_to_place(scale):
    import cv2

    page = np.zeros((int(200 * scale), int(300 * scale)), np.float32)
    low, high = (int(20 * scale), int(30 * scale)), (int(120 * scale), int(80 * scale))
    cv2.rectangle(page, low, high, 1.0, max(1, int(3 * scale)))
    found = sketch.prepared(page)
    rows, columns = np.nonzero(found > 100)
    assert np.ptp(columns) + 1 == pytest.approx(sketch.DRAWN_PX, abs=2)
    assert np.ptp(rows) + 1 == pytest.approx(sketch.DRAWN_PX / 2, abs=4)
    assert columns.mean() == pytest.approx(31.5, abs=1.5) and rows.mean() == pytest.approx(31.5, abs=1.5)


@pytest.mark.parametrize("page, words", [
    (np.zeros((200, 200)), "0 drawn pixels"), (np.ones((100, 100)), "100 % of the sketch"),
    (np.pad(np.ones((4, 4)), 40), "4 x 4 px")])
def test_no_sketch_is_told(page, words):
    with pytest.raises(InputError, match=words):
        sketch.prepared(page.astype(np.float32))


def test_normals_of_a_ball_point_outwards_or_inwards():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2048, 3))
    points = np.float32(points / np.linalg.norm(points, axis=1, keepdims=True))
    # Twelve random neighbours of 2048 points lie on a cap of some 9 degrees.
    assert np.abs((kaykit.normals(points) * points).sum(1)).min() > np.cos(np.radians(25))


def test_props_are_read_split_and_refused(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "shapes_kaykit"
    folder.mkdir()
    names = [f"thing_{i}" for i in range(40)]
    np.savez(folder / "shapes.npz", pts=rng.integers(-32767, 32767, (40, 64, 3)).astype(np.int16),
             rgb=np.tile(np.uint8([200, 30, 30]), (40, 64, 1)), name=np.array(names), category=np.array(["rock"] * 40))
    train, kept = kaykit.props(tmp_path), kaykit.props(tmp_path, kept=True)
    assert sorted(p.name for p in (*train, *kept)) == sorted(names) and kept
    assert all(p.colours == ("red",) and p.noun == "rock" for p in train)
    assert np.ptp(train[0].surface.points, axis=0).max() == pytest.approx(2)
    assert kaykit.props(tmp_path / "elsewhere") == []
    np.savez(folder / "shapes.npz", pts=np.zeros((1, 8, 3), np.int16))
    with pytest.raises(InputError, match="lacks rgb"):
        kaykit.props(tmp_path)


def test_renders_show_colours_on_white():
    cloud = sampled(make("mug-3"), 2048, np.random.default_rng(0)).points
    shown = rendering.picture(cloud, np.tile([1.0, 0, 0], (2048, 1)), 96)
    assert shown.shape == (96, 96, 3) and (shown[0, 0] == 250).all()
    inked = shown[(shown < 240).any(-1)]
    assert len(inked) > 800 and (inked[:, 0] > inked[:, 1]).mean() > 0.95
