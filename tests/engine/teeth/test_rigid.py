import math

import torch

from engine.tasks.teeth import rigid


def rotations(count: int, most: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return rigid.from_vector(most * torch.randn(count, 3, generator=generator, dtype=torch.float64))


def test_six_numbers_give_back_the_rotation():
    turn = rotations(50)
    assert torch.allclose(rigid.from_six(rigid.to_six(turn)), turn, atol=1e-12)


def test_six_numbers_need_no_scale():
    """Rows are normalised, and the second made perpendicular: any combination with the first stands for the same."""
    turn = rotations(20)
    first, second = turn[:, 0], turn[:, 1]
    assert torch.allclose(rigid.from_six(torch.cat((3 * first, 0.5 * second + 2 * first), -1)), turn, atol=1e-12)


def test_kabsch_recovers_the_motion_exactly():
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(20, 30, 3, generator=generator, dtype=torch.float64)
    turn, shift = rotations(20), torch.randn(20, 1, 3, generator=generator, dtype=torch.float64)
    centre = points.mean(1, keepdim=True)
    found, before, after = rigid.kabsch(points, (points - centre) @ turn + centre + shift)
    assert torch.rad2deg(rigid.angle_rad(found, turn)).max() < 1e-4
    assert torch.allclose(after, before + shift[:, 0], atol=1e-12)


def test_kabsch_never_mirrors():
    points = torch.randn(5, 10, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found, _, _ = rigid.kabsch(points, points * torch.tensor([-1.0, 1, 1], dtype=torch.float64))
    assert torch.allclose(torch.linalg.det(found), torch.ones(5, dtype=torch.float64))


def test_angle_of_a_known_rotation():
    turn = rigid.from_vector(torch.tensor([[0.0, 0, math.radians(30)]], dtype=torch.float64))
    assert torch.allclose(torch.rad2deg(rigid.angle_rad(turn)), torch.tensor(30.0, dtype=torch.float64))


def test_vector_and_rotation_are_inverse():
    generator = torch.Generator().manual_seed(3)
    vector = 3 * torch.rand(40, 3, generator=generator, dtype=torch.float64) / 3**0.5
    assert torch.allclose(rigid.to_vector(rigid.from_vector(vector)), vector, atol=1e-9)
    assert torch.equal(rigid.to_vector(torch.eye(3)[None]), torch.zeros(1, 3))


def test_local_angles_are_the_inverse_of_local_rotation():
    turn, tip, lean = 0.4 * torch.randn(3, 40, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    assert all(torch.allclose(a, b) for a, b in zip(rigid.local_angles(rigid.local_rotation(turn, tip, lean)),
                                                    (turn, tip, lean)))


def test_signs_of_the_three_angles():
    """A crown that tips leans mesially, one that leans goes to the cheek; one that turns, its mesial side does."""
    zero, some = torch.tensor(0.0), torch.tensor(0.3)
    mesial, buccal, occlusal = 0, 1, 2
    assert rigid.local_rotation(zero, some, zero)[occlusal, mesial] > 0
    assert rigid.local_rotation(zero, zero, some)[occlusal, buccal] > 0
    assert rigid.local_rotation(some, zero, zero)[mesial, buccal] > 0
