"""Surfaces of a ball are balls, and every file opens again in trimesh and in Open3D with the same content."""

import io

import numpy as np
import pytest
import trimesh

from engine.io import child
from engine.tasks.pointcloud import exports, surfaces
from engine.tasks.pointcloud.shapes import PARTS

open3d = pytest.importorskip("open3d")


@pytest.fixture(scope="module")
def ball() -> tuple[np.ndarray, np.ndarray]:
    """2048 points evenly on the unit ball (Fibonacci's spiral), red above and blue below."""
    k = np.arange(2048) + 0.5
    z, angle = 1 - k / 1024, np.pi * (1 + 5**0.5) * k
    rim = np.sqrt(1 - z**2)
    points = np.float32(np.stack((rim * np.cos(angle), z, rim * np.sin(angle)), axis=1))
    return points, np.where(points[:, 1:2] > 0, np.uint8([200, 20, 20]), np.uint8([20, 20, 200]))


@pytest.fixture(scope="module", params=surfaces.METHODS)
def surface(request, ball) -> surfaces.Surface:
    packed = io.BytesIO()
    np.savez(packed, points=ball[0][None], colours=ball[1][None], method=np.array(request.param))
    found = surfaces.reconstructed(packed.getvalue())
    return surfaces.Surface(found["vertices_0"], found["faces_0"], found["colours_0"])


def test_the_surface_of_a_ball_is_a_ball(surface):
    radii = np.linalg.norm(surface.vertices, axis=1)
    # Poisson's cells are 1/50 of the radius; its surface may bend by about one.
    assert abs(radii - 1).max() < 0.03
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    # Outward faces give a positive volume; trimming may leave a small hole.
    assert mesh.volume == pytest.approx(4 / 3 * np.pi, rel=0.06) and mesh.area == pytest.approx(4 * np.pi, rel=0.06)
    assert set(map(tuple, surface.colours)) == {(200, 20, 20), (20, 20, 200)}
    away = abs(surface.vertices[:, 1]) > 0.1
    assert np.array_equal(surface.colours[away, 0] > 100, surface.vertices[away, 1] > 0)


@pytest.mark.parametrize("form", exports.SURFACE_FORMATS)
def test_surfaces_open_again(surface, form, tmp_path):
    files = exports.surface_files(surface)
    assert files == exports.surface_files(surface)
    path = tmp_path / f"surface.{form}"
    path.write_bytes(files[form])
    mesh = trimesh.load_mesh(path, process=False)
    # OBJ holds eight digits, STL and GLB single precision.
    assert np.allclose(np.asarray(mesh.triangles), surface.vertices[surface.faces], atol=1e-6)
    if form != "stl":
        assert np.array_equal(mesh.visual.vertex_colors[:, :3], surface.colours)
    again = open3d.io.read_triangle_mesh(str(path))
    assert len(again.triangles) == len(surface.faces)
    corners = np.asarray(again.vertices)[np.asarray(again.triangles)]
    assert np.allclose(corners, surface.vertices[surface.faces], atol=1e-6)


def test_clouds_open_again(ball, tmp_path):
    points, colours = ball
    part = np.int32(points[:, 1] > 0) * PARTS.index("back")
    files = exports.cloud_files(points, colours, part)
    assert files == exports.cloud_files(points, colours, part) and list(files) == ["glb", "ply", "csv"]
    for form in ("glb", "ply"):
        path = tmp_path / f"shape.{form}"
        path.write_bytes(files[form])
        found, = trimesh.load_scene(path).geometry.values()
        assert isinstance(found, trimesh.PointCloud)
        assert np.allclose(found.vertices, points, atol=1e-6) and np.array_equal(found.colors[:, :3], colours)
    again = open3d.io.read_point_cloud(str(tmp_path / "shape.ply"))
    assert np.allclose(np.asarray(again.points), points, atol=1e-6)
    assert np.array_equal(np.rint(np.asarray(again.colors) * 255), colours)
    lines = files["csv"].decode().splitlines()
    assert lines[0] == "x,y,z,red,green,blue,part" and len(lines) == 2049
    first = lines[1].split(",")
    assert np.allclose(np.float64(first[:3]), points[0], atol=1e-6) and first[3:] == ["200", "20", "20", "back"]


@pytest.mark.parametrize("method", surfaces.METHODS)
def test_clouds_without_volume_do_not_take_the_others_with_them(ball, method, monkeypatch):
    points, colours = (np.repeat(values[None], 3, 0) for values in ball)
    points[0, :, 1:], points[1, :, 2] = 0, 0
    monkeypatch.setattr(child, "parsed", lambda parser, data, *given, **more: parser(data))
    line, plate, round_ = surfaces.around(points, colours, method)
    assert all(one.vertices.shape[1] == one.faces.shape[1] == one.colours.shape[1] == 3 for one in (line, plate))
    assert len(round_.faces) > 2000
