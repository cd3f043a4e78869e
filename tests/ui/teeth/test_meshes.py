"""Crowns for the page: thinned, lit by the full surface's normals, and packed."""

import base64

import numpy as np
import pytest
import trimesh

from ui.teeth import meshes
from ui.teeth.meshes import Crown


@pytest.fixture(scope="module")
def ball():
    """A sphere of radius 4 mm about the origin: its normals are its directions."""
    made = trimesh.creation.icosphere(subdivisions=5, radius=4.0)
    return np.asarray(made.vertices, float), np.asarray(made.faces)


@pytest.mark.parametrize("most", [300, 1000, 4000])
def test_a_thinned_sphere_is_still_one(ball, most):
    vertices, normals, faces = meshes.thinned(*ball, most)
    assert most / 3 < len(faces) <= most and len(ball[1]) == 20480
    # A mean over a cell of side h lies at most h^2 / 2 r inside the sphere; 300 triangles have cells of 1.3 mm or less.
    radius = np.linalg.norm(vertices, axis=1)
    assert radius.min() > 4 - 1.7**2 / 8 and radius.max() < 4.001
    assert (normals * vertices / radius[:, None]).sum(1).min() > np.cos(np.radians(6))
    corner = vertices[faces]
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    # Triangles still look outward, and together they still enclose the sphere: a divergence of 3 times the volume.
    assert (corner[:, 0] * across).sum() / 6 == pytest.approx(4 / 3 * np.pi * 64, rel=0.12)
    assert len(np.unique(faces)) == len(vertices) and not meshes.is_open(faces)


def test_a_small_surface_stays_as_it_is_without_loose_vertices(ball):
    vertices, faces = ball
    loose = np.concatenate([np.full((3, 3), 30.0), vertices])
    thinned = meshes.thinned(loose, faces + 3, len(faces))
    assert (thinned[0] == vertices).all() and (thinned[2] == faces).all()


def test_a_crown_that_ends_at_the_gum_is_open(ball):
    vertices, faces = ball
    above = faces[(vertices[faces][:, :, 2] > -2).all(1)]
    assert meshes.is_open(above) and not meshes.is_open(faces)
    assert meshes.is_open(meshes.thinned(vertices, above, 1000)[2])
    assert not meshes.is_open(np.zeros((0, 3), int))


def test_all_teeth_together_keep_to_the_limit(ball):
    vertices, faces = ball
    centres = np.array([(5.0, 0, 0), (-5, 0, 0)])
    many = {fdi: (vertices + centre, faces) for fdi, centre in zip((11, 21), centres)}
    teeth = meshes.crowns(many, centres, np.array([(0, -1.0, 0)] * 2), 2000)
    assert [tooth.fdi for tooth in teeth] == [11, 21] and sum(len(tooth.faces) for tooth in teeth) <= 2000
    assert abs(teeth[0].vertices).max() < 4.01


def test_what_is_packed_can_be_read_back(ball):
    vertices, normals, faces = meshes.thinned(*ball, 500)
    tooth = Crown(11, np.array([1.0, 2.0, np.nan]), vertices, normals, faces, np.array([0.0, -1.0, 0.0]))
    other = Crown(48, np.zeros(3), 2 * vertices, -normals, faces, np.array([0.0, 1.0, 0.0]))
    value = meshes.packed([tooth, other])
    assert value["fdi"] == [11, 48] and value["sizes"] == [[len(vertices), len(faces)]] * 2
    assert value["centres"] == [[1.0, 2.0, None], [0.0, 0.0, 0.0]] and value["open"] == [False, False]
    read = {name: np.frombuffer(base64.b64decode(value[name]), kind).reshape(-1, 3)
            for name, kind in (("vertices", "<i2"), ("normals", "i1"), ("faces", "<u2"))}
    # Half of the last digit that travels.
    both = np.concatenate([vertices, 2 * vertices])
    assert np.allclose(read["vertices"] / meshes.UNIT, both, atol=0.51 / meshes.UNIT)
    assert np.allclose(read["normals"] / 127, np.concatenate([normals, -normals]), atol=0.51 / 127)
    assert (read["faces"] == np.concatenate([faces, faces])).all()
