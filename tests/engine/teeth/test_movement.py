"""The words for movements: they invert, they follow the tooth's own axes, and both sides of the mouth are alike."""

import torch

from engine.tasks.teeth import anatomy, movement, rigid
from engine.tasks.teeth.dentition import Motion, mirrored, turned


def moves(crooked, seed: int = 0) -> torch.Tensor:
    """Quantities (B, 32, 6): up to a few mm and some 20 degrees, as in treatments."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(crooked), 32, 6, generator=generator) * torch.tensor([2.0, 2, 2, 15, 10, 10])


def test_quantities_and_motions_are_inverse(crooked):
    wanted = moves(crooked)
    motion = movement.motion_of(crooked, wanted)
    found = movement.movement(crooked, motion)
    # float32 at 50 mm and of angles through an arc sine.
    assert torch.allclose(found[..., :6], wanted, atol=2e-3)
    assert torch.allclose(found[..., 6], wanted[..., :3].norm(dim=-1), atol=1e-4)
    assert torch.allclose(found[..., 7], torch.rad2deg(rigid.angle_rad(motion.rotation)), atol=1e-4)


def test_one_rotation_at_a_time_is_its_angle_about_its_axis(crooked):
    for column, axis in ((3, 2), (4, 1), (5, 0)):
        wanted = torch.zeros(len(crooked), 32, 6)
        wanted[..., column] = 12.0
        motion = movement.motion_of(crooked, wanted)
        assert torch.allclose(torch.rad2deg(rigid.angle_rad(motion.rotation)), torch.tensor(12.0), atol=1e-3)
        kept = crooked.axes[..., axis, :]
        assert torch.allclose((kept[..., None, :] @ motion.rotation)[..., 0, :], kept, atol=1e-5)


def test_signs_are_those_of_the_words(crooked):
    """Rotation brings the mesial side to the cheek, tip leans the crown mesially, torque leans it to the cheek."""
    for column, (moving, towards) in {3: (0, 1), 4: (2, 0), 5: (2, 1)}.items():
        wanted = torch.zeros(len(crooked), 32, 6)
        wanted[..., column] = 10.0
        motion = movement.motion_of(crooked, wanted)
        after = (crooked.axes[..., moving, None, :] @ motion.rotation)[..., 0, :]
        assert ((after * crooked.axes[..., towards, :]).sum(-1) > 0.17).all()  # sin 10 degrees = 0.174


def test_the_mirror_image_has_the_same_table_with_sides_exchanged(crooked):
    swap, flip = torch.from_numpy(anatomy.MIRRORED), torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    motion = movement.motion_of(crooked, moves(crooked, 1))
    seen = Motion(flip @ motion.rotation[:, swap] @ flip, motion.centre[:, swap] @ flip)
    there = movement.movement(mirrored(crooked), seen)
    here = movement.movement(crooked, motion)[:, swap]
    assert torch.allclose(there[crooked.present[:, swap]], here[crooked.present[:, swap]], atol=2e-3)


def test_the_table_does_not_depend_on_how_the_patient_lies(crooked):
    wanted = moves(crooked, 2)
    turn = rigid.from_vector(torch.tensor([[0.3, -0.5, 0.8]])).expand(len(crooked), 3, 3)
    other = turned(crooked, turn, torch.tensor([[3.0, 4, -5]]).expand(len(crooked), 3))
    found = movement.movement(other, movement.motion_of(other, wanted))[..., :6]
    assert torch.allclose(found[crooked.present], wanted[crooked.present], atol=2e-3)


def test_matrices_carry_points_as_the_motion_does(crooked):
    motion = movement.motion_of(crooked, moves(crooked))
    matrix = movement.matrices(crooked, motion)
    before, after = crooked.surface, crooked.moved(motion).surface
    carried = before @ matrix[..., :3, :3].transpose(-1, -2) + matrix[..., None, :3, 3]
    assert torch.allclose(carried[crooked.present], after[crooked.present], atol=1e-3)
    assert torch.equal(matrix[..., 3, :], torch.tensor([0.0, 0, 0, 1]).expand(len(crooked), 32, 4))
