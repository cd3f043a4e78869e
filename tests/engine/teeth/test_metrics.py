import math

import torch

from engine.tasks.teeth import baselines, keys, metrics, rigid
from engine.tasks.teeth.dentition import Motion, turned


def test_truth_is_perfect(patients):
    assert metrics.add_mm(patients, patients).max() == 0
    assert metrics.rotation_error_deg(patients, patients).max() == 0
    assert metrics.arch_distance_mm(patients, patients).max() == 0
    assert torch.allclose(metrics.axes_cosine(patients, patients), torch.ones(len(patients)))


def test_a_shift_of_everything_counts_in_add_only(patients):
    turn = rigid.from_vector(torch.tensor([[0.0, 0.02, 0.0]])).repeat(len(patients), 1, 1)
    moved = turned(patients, turn, torch.tensor([[1.0, 2.0, 2.0]]).repeat(len(patients), 1))
    assert (metrics.add_mm(moved, patients) > 2.5).all()
    assert metrics.aligned_add_mm(moved, patients).max() < 1e-3


def test_aligned_add_is_never_the_larger_one(patients, crooked):
    """Procrustes minimises squares, ADD averages lengths: in practice smaller, by the squares never larger."""
    assert (metrics.aligned_add_mm(crooked, patients) <= metrics.add_mm(crooked, patients) + 1e-4).all()


def test_rotation_error_of_known_turns(patients):
    turn = rigid.from_vector(torch.tensor([0.0, math.radians(10), 0.0])).expand_as(patients.axes)
    moved = patients.moved(Motion(turn, patients.centres))
    assert torch.allclose(metrics.rotation_error_deg(moved, patients), torch.full((len(patients),), 10.0), atol=1e-3)


def test_teeth_in_one_another_collide(patients):
    assert metrics.collisions(patients).max() <= 4
    centres = patients.centres.clone()
    centres[:, 8] = (centres[:, 7] + 2 * centres[:, 8]) / 3
    assert (metrics.collision_mm3(patients.at(patients.axes, centres)) > metrics.collision_mm3(patients) + 5).all()


def test_mean_and_spread_of_motions(crooked):
    up = Motion(torch.eye(3).expand_as(crooked.axes), crooked.centres + torch.tensor([0.0, 1.0, 0.0]))
    down = Motion(torch.eye(3).expand_as(crooked.axes), crooked.centres - torch.tensor([0.0, 1.0, 0.0]))
    assert torch.allclose(metrics.mean_motion([up, down]).centre, crooked.centres, atol=1e-5)
    away, turn = metrics.spread([up, down])
    assert torch.allclose(away, torch.ones_like(away), atol=1e-4) and turn.max() < 1e-2


def test_overjet_and_midline_follow_a_shift_of_the_lower_jaw(patients):
    moved = patients.centres.clone()
    moved[:, 16:] += torch.tensor([1.0, -0.5, -2.0])
    shifted = patients.at(patients.axes, moved)
    (jet, bite), (jet_before, bite_before) = keys.overjet_overbite(shifted), keys.overjet_overbite(patients)
    assert torch.allclose(jet - jet_before, torch.full_like(jet, 2.0), atol=1e-3)
    assert torch.allclose(bite - bite_before, torch.full_like(bite, -0.5), atol=1e-3)
    assert torch.allclose(keys.midline_shift(shifted) - keys.midline_shift(patients), torch.ones_like(jet), atol=1e-3)
    assert (keys.molar_class(shifted) - keys.molar_class(patients) > 1.5).all()


def test_little_index_grows_with_crookedness(patients, crooked):
    assert keys.little_index(crooked)[0].mean() > 1.3 * keys.little_index(patients)[0].mean()


def test_geometric_arrangements_are_motions_that_help(patients, crooked):
    """Upright crowns of known axes on an arch turn out better than left alone; places are harder to beat."""
    alone = metrics.rotation_error_deg(crooked, patients).mean()
    for method in (baselines.average_arrangement, baselines.arch_fit):
        motion = method(crooked)
        result = crooked.moved(motion)
        assert torch.allclose(torch.linalg.det(motion.rotation), torch.ones(len(crooked), 32), atol=1e-4)
        assert metrics.rotation_error_deg(result, patients).mean() < alone
    assert metrics.contact_error_mm(crooked.moved(baselines.arch_fit(crooked))).mean() < 0.3
    assert metrics.add_mm(crooked.moved(baselines.identity(crooked)), crooked).max() == 0
