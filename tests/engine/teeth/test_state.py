import numpy as np
import torch

from engine.tasks.teeth import anatomy, axes, metrics, rigid, state
from engine.tasks.teeth.dentition import mirrored, turned


def test_motion_and_state_are_inverse(patients, crooked, frame):
    motion = crooked.motion_to(patients)
    found = frame.decode(crooked.centres, frame.encode(crooked, motion))
    assert torch.allclose(crooked.moved(found).surface, patients.surface, atol=1e-3)


def test_no_motion_is_the_state_of_the_identity(crooked, frame):
    still = frame.decode(crooked.centres, torch.zeros(len(crooked), 32, 9))
    assert torch.allclose(still.rotation, torch.eye(3).expand(len(crooked), 32, 3, 3), atol=1e-5)
    assert torch.equal(still.centre, crooked.centres)


def test_levelling_undoes_any_position_in_space(patients, crooked, frame):
    """A scan that lies elsewhere gives the same levelled teeth, and its motions come back where it lies."""
    turn = rigid.from_vector(torch.tensor([[0.3, -0.8, 0.4]])).repeat(len(crooked), 1, 1)
    shift = torch.tensor([[30.0, -12.0, 7.0]]).repeat(len(crooked), 1)
    there, goal = turned(crooked, turn, shift), turned(patients, turn, shift)
    here, level = state.levelling(crooked, frame).apply(crooked), state.levelling(there, frame)
    assert torch.allclose(level.apply(there).surface, here.surface, atol=1e-3)
    motion = level.apply(there).motion_to(level.apply(goal))
    assert metrics.add_mm(there.moved(level.undo(motion)), goal).max() < 1e-3


def test_mirror_image_has_the_mirrored_state(patients, crooked, frame):
    """The state is told in the slots' own axes, so a mirrored patient's only has its slots swapped (1e-4: 32 bit)."""
    def told(before, after):
        level = state.levelling(before, frame)
        before, after = level.apply(before), level.apply(after)
        conditions = frame.conditions(before, torch.zeros(len(before), 32, 9))
        return frame.encode(before, before.motion_to(after)), conditions

    x, conditions = told(crooked, patients)
    image, mirror_conditions = told(mirrored(crooked), mirrored(patients))
    swap = torch.from_numpy(anatomy.MIRRORED)
    assert torch.allclose(image, x[:, swap], atol=1e-3)
    for name, value in conditions.items():
        assert torch.allclose(mirror_conditions[name].float(), value[:, swap].float(), atol=1e-3), name


def test_axes_are_found_again_from_surfaces(patients, crooked):
    """To 5 degrees, because crowns differ and some are nearly round; and the teeth stay where they are."""
    found = axes.fitted(crooked)
    assert torch.allclose(found.surface, crooked.surface, atol=1e-3)
    wrong = torch.rad2deg(rigid.angle_rad(found.axes, crooked.axes))[crooked.present]
    assert wrong.median() < 5
    told = axes.told(patients, np.random.default_rng(0))
    assert torch.rad2deg(rigid.angle_rad(told))[patients.present].median() < 5
