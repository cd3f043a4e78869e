import numpy as np
import pytest
import torch

from engine.tasks.teeth import facets, rigid, scans

RADIUS = 4.0


@pytest.fixture(scope="module")
def ball():
    """Vertices and outward triangles of a sphere."""
    from scipy.spatial import ConvexHull

    height = 1 - 2 * (np.arange(600) + 0.5) / 600
    angle = np.pi * (1 + 5**0.5) * np.arange(600)
    flat = np.sqrt(1 - height**2)
    vertices = RADIUS * np.stack((flat * np.cos(angle), flat * np.sin(angle), height), -1)
    faces = ConvexHull(vertices).simplices
    inward = np.linalg.det(vertices[faces]) < 0
    faces[inward] = faces[inward][:, ::-1]
    return vertices, faces


def test_a_sphere_without_its_base(ball):
    """Normals are radial and curvatures 1 / R; the base is where normals fall more than 0.7 among the lowest 30 %."""
    vertices, faces = ball
    found = facets.facets(vertices[None], faces, facets.owners(vertices, faces))[0]
    centre, normal, area, bent = found.split([3, 3, 1, 3], -1)
    assert (area > 0).all()
    assert float(area.sum()) == pytest.approx(2 * np.pi * RADIUS**2 * 1.7, rel=0.05)
    assert (torch.nn.functional.normalize(centre, dim=-1) * normal).sum(-1).min() > 0.995
    assert bent.median().item() == pytest.approx(1 / RADIUS, rel=0.05)


def test_finer_triangles_give_the_same_facets(ball):
    """Each triangle cut in four along its middles has the same plane, area and middle."""
    vertices, faces = ball
    owner = facets.owners(vertices, faces)
    corner = vertices[faces]
    middle = (corner + np.roll(corner, -1, 1)) / 2
    a, b, c = corner.transpose(1, 0, 2)
    ab, bc, ca = middle.transpose(1, 0, 2)
    fine = np.stack([np.stack(part, 1) for part in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))], 1)
    cut = facets.facets(fine.reshape(1, -1, 3), np.arange(12 * len(faces)).reshape(-1, 3), np.repeat(owner, 4))
    assert torch.allclose(cut, facets.facets(vertices[None], faces, owner), atol=1e-3)


def test_turning_and_scaling_facets_is_that_of_the_mesh(ball):
    vertices, faces = ball
    owner = facets.owners(vertices, faces)
    turn = rigid.from_vector(torch.tensor([0.3, -0.2, 0.5]))
    plain = facets.facets(vertices[None], faces, owner)[None]
    there = facets.facets(1.5 * vertices[None] @ turn.double().numpy(), faces, owner)[None]
    made = facets.scaled(facets.turned(plain, turn), torch.full((1, 1), 1.5))
    assert torch.allclose(made, there, atol=1e-3)


def test_a_mesh_without_area_has_no_facets(ball):
    vertices, faces = ball
    owner = facets.owners(0 * vertices, faces)
    assert (owner == facets.FACETS).all()
    assert not facets.facets(0 * vertices[None], faces, owner).any()


def test_scans_have_the_facets_of_their_crowns(dentition, crooked):
    """Those of a scan are chosen anew: their sum and their spread agree, not each of them."""
    found, made = scans.teeth_of(dentition.meshes).facets[0], crooked.facets[0]
    present = crooked.present[0]
    area = [values[present][..., 6].sum(-1) for values in (found, made)]
    assert (area[0] / area[1] - 1).abs().median() < 0.1
    reach = [values[present][..., :3].abs().amax(-2) for values in (found, made)]
    assert (reach[0] - reach[1]).abs().median() < 0.3
    assert not found[~present].any()
