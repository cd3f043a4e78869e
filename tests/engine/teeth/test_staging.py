import torch

from engine.tasks.teeth import anatomy, metrics, staging
from engine.tasks.teeth.dentition import Motion


def test_stages_stay_within_the_limits_and_arrive(patients, crooked):
    motion = crooked.motion_to(patients)
    for patient in range(2):
        before, goal = crooked[patient:patient + 1], patients[patient:patient + 1]
        stages = staging.staged(before, motion[patient:patient + 1])
        # Rounding of 32-bit rotations, and the last stage's rest of up to 1e-4 mm.
        assert stages.stage_mm.max() <= staging.LIMIT_MM + 1e-3
        assert stages.stage_deg.max() <= staging.LIMIT_DEG + 0.02
        assert metrics.add_mm(before.moved(stages.motions[-1]), goal).max() < 1e-3
        assert len(stages.motions) >= staging.fewest(before, motion[patient:patient + 1])
        assert stages.excess_mm[-1] < 0.01 and len(stages.remaining) < len(stages.motions) / 2


def test_number_of_stages_of_a_single_movement(patients):
    """2 mm at 0.25 mm each are eight stages; the others stay where they are. The gap makes way for a wisdom tooth."""
    patient = patients[:1]
    centres = patient.centres.clone()
    slot = 1
    centres[0, slot] -= 2.0 * patient.axes[0, slot, 0]
    stages = staging.staged(patient, Motion(torch.eye(3).expand_as(patient.axes), centres))
    assert len(stages.motions) == 8
    moved = stages.stage_mm.sum(0) > 1e-3
    assert moved[slot] and moved.sum() <= 3


def test_teeth_give_way_on_the_road(patients):
    """Two neighbours that change sides of the arch's line would pass through each other on straight paths."""
    patient = patients[:1]
    a, b = 8, 9
    start, goal = patient.centres.clone(), patient.centres.clone()
    for centres, sign in ((start, 1.0), (goal, -1.0)):
        centres[0, a] += sign * 4.0 * patient.axes[0, a, 1] - 1.5 * patient.axes[0, a, 0]
        centres[0, b] -= sign * 4.0 * patient.axes[0, b, 1] - 1.5 * patient.axes[0, b, 0]
    before = patient.at(patient.axes, start)
    stages = staging.staged(before, Motion(torch.eye(3).expand_as(patient.axes), goal))
    assert torch.allclose(stages.motions[-1].centre, goal, atol=1e-3)
    straight = [before.at(patient.axes, start + share * (goal - start)) for share in torch.linspace(0, 1, 17)]
    assert stages.overlap_mm.max() < max(metrics.collision_mm3(t).item() for t in straight)


def _only(patient, *numbers):
    """A patient with these teeth and no others."""
    kept = torch.isin(torch.tensor(anatomy.SLOTS), torch.tensor(numbers))
    return patient.without(~kept[None])


def test_teeth_far_apart_take_the_fewest_stages(patients):
    """3.1 mm at 0.25 mm each are thirteen stages, evenly; absent teeth stay where they are."""
    before = _only(patients[:1], 16, 37)
    shift = 3.1 * before.axes[:, :, 0] * before.present[..., None]
    motion = Motion(torch.eye(3).expand_as(before.axes), before.centres + shift)
    stages = staging.staged(before, motion)
    assert len(stages.motions) == staging.fewest(before, motion) == 13 and not stages.remaining
    present = before.present[0]
    assert torch.allclose(stages.stage_mm[:, present], torch.tensor(3.1 / 13), atol=1e-4)
    absent = torch.cat([m.centre - before.centres for m in stages.motions])[:, ~present]
    assert not absent.any() and not stages.stage_deg[:, ~present].any()


def test_crossbite_is_left_without_overlap(patients):
    """An upper incisor from behind a lower one to before it: on straight ways both meet face to face."""
    goal = _only(patients[:1], 11, 41)
    way = torch.zeros(32, 3)
    way[anatomy.slot_of(11), 2] = 9.0
    before = goal.at(goal.axes, goal.centres - way)
    straight = [before.at(goal.axes, before.centres + share * way) for share in torch.linspace(0, 1, 37)]
    assert max(metrics.collisions(teeth).item() for teeth in straight) > 0
    stages = staging.staged(before, before.motion_to(goal))
    assert stages.stage_mm.max() <= staging.LIMIT_MM + 1e-3 and stages.stage_deg.max() <= staging.LIMIT_DEG + 0.02
    assert len(stages.motions) == 36 and not stages.remaining
