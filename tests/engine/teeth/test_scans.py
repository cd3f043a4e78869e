import numpy as np
import pytest
import torch

from engine.errors import InputError
from engine.tasks.teeth import anatomy, metrics, pictures, rendering, rigid, scans


@pytest.fixture(scope="module")
def meshes(crooked):
    """The first patient's crowns as scans give them: meshes in the jaws' frame, by FDI number."""
    slots = np.flatnonzero(crooked.present[0].numpy())
    return {anatomy.SLOTS[slot]: (surface.vertices, surface.faces) for slot, surface in zip(slots, crooked.meshes(0))}


def test_meshes_become_the_same_teeth(meshes, crooked):
    """Places to 0.4 mm, because the base is told from the wall by another vertical, and axes to 5 degrees."""
    teeth = scans.teeth_of(meshes)
    assert torch.equal(teeth.present, crooked.present[:1])
    assert (teeth.centres - crooked.centres[:1]).norm(dim=-1).max() < 0.4
    wrong = torch.rad2deg(rigid.angle_rad(teeth.axes, crooked.axes[:1]))[teeth.present]
    assert wrong.median() < 5
    assert (teeth.area / crooked.area[:1])[teeth.present].sub(1).abs().median() < 0.1
    assert ((teeth.normals * teeth.points).sum(-1)[teeth.present] > 0).float().mean() > 0.9


def test_meshes_survive_the_way_through_own_axes(meshes):
    teeth = scans.teeth_of(meshes)
    shown = teeth.meshes(0)
    slots = np.flatnonzero(teeth.present[0].numpy())
    for slot, surface in zip(slots, shown):
        vertices, faces = meshes[anatomy.SLOTS[slot]]
        assert np.abs(surface.vertices[:len(vertices)] - vertices).max() < 1e-3
        assert np.array_equal(surface.faces, faces)


def test_too_few_teeth_are_refused(meshes):
    with pytest.raises(InputError, match="There are 3 teeth"):
        scans.teeth_of({fdi: meshes[fdi] for fdi in (11, 12, 13)})


def test_a_cube_is_drawn_where_it_is():
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    from scipy.spatial import ConvexHull

    faces = ConvexHull(corners).simplices
    inward = np.linalg.det(corners[faces]) < 0
    faces[inward] = faces[inward][:, ::-1]
    shown = rendering.picture([rendering.Surface(corners, faces)], "front", (60, 80), np.zeros(3), 0.1)
    bright = shown.max(-1) > 100
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    # 2 mm at 0.1 mm are 20 pixels in the middle; edges are smoothed over one.
    assert abs(len(rows) - 20) <= 1 and abs(len(columns) - 20) <= 1
    assert abs(rows.mean() - 29.5) <= 1 and abs(columns.mean() - 39.5) <= 1


def test_views_show_teeth(crooked):
    shown = pictures.views(crooked)
    assert shown.dtype == np.uint8 and (shown.max(-1) > 120).mean() > 0.1
    assert metrics.add_mm(crooked, crooked).max() == 0
