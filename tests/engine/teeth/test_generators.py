import numpy as np
import torch

from engine.tasks.teeth import anatomy, crowns, keys, malocclusion, metrics, procedural
from engine.tasks.teeth.dentition import mirrored


def test_crowns_are_closed_and_outward():
    """Each edge of the mesh belongs to two triangles in opposite senses, and the volume comes out positive."""
    faces = crowns.faces()
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert {tuple(e) for e in edges} == {tuple(e[::-1]) for e in edges} and len({tuple(e) for e in edges}) == len(edges)
    vertices = procedural.average().vertices[0, anatomy.slot_of(16)].numpy()
    volume = np.linalg.det(vertices[faces]).sum() / 6
    assert 150 < volume < 700


def test_crowns_have_the_sizes_of_the_table():
    """Width and depth of average crowns: a slanted or tapering outline differs by some per cent."""
    vertices = procedural.average().vertices[0].numpy()
    size = np.ptp(vertices, axis=1)
    table = anatomy.CROWNS[:, [1, 3, 0]] * (1, 1, procedural.CLINICAL)
    assert np.abs(size / table - 1)[:, 0].max() < 0.12
    assert np.abs(size / table - 1)[:, 1].max() < 0.12


def test_molars_have_cusps_and_a_fossa_and_incisors_an_edge():
    rings = np.arange(crowns.AROUND * (crowns.WALL + crowns.LID)).reshape(-1, crowns.AROUND)
    average = procedural.average().vertices[0].numpy()
    for fdi, cusps in ((16, 4), (46, 5), (14, 2), (34, 1)):
        rim = average[anatomy.slot_of(fdi)][rings[crowns.WALL - 1:crowns.WALL + 3].ravel(), 2]
        ridge = rim.reshape(-1, crowns.AROUND).max(0)
        peaks = (ridge > np.roll(ridge, 1)) & (ridge >= np.roll(ridge, -1)) & (ridge > ridge.max() - 1.5)
        assert peaks.sum() == cusps, (fdi, peaks.sum())
        assert average[anatomy.slot_of(fdi)][-2, 2] < ridge.max() - 0.3
    incisor = average[anatomy.slot_of(11)]
    top = incisor[incisor[:, 2] > incisor[:, 2].max() - 1.0]
    assert np.ptp(top[:, 0]) > 3 * np.ptp(top[:, 1])


def test_well_aligned_patients_satisfy_the_six_keys(patients):
    assert all(met.all() for met in keys.six_keys(patients).values())
    overjet, overbite = keys.overjet_overbite(patients)
    assert ((overjet > 2) & (overjet < 4.5)).all() and ((overbite > 0) & (overbite < 3.5)).all()


def test_crooked_patients_do_not(crooked):
    met = torch.stack(list(keys.six_keys(crooked).values())).all(0)
    assert met.float().mean() <= 0.1


def test_true_motion_leads_exactly_to_the_goal(patients, crooked):
    result = crooked.moved(crooked.motion_to(patients))
    assert metrics.add_mm(result, patients).max() < 1e-4
    assert torch.allclose(torch.linalg.det(crooked.motion_to(patients).rotation), torch.ones(len(patients), 32))


def test_harder_ranges_are_harder(patients):
    def mean_add(how):
        made = malocclusion.crooked(patients, how, np.random.default_rng(3))
        return metrics.add_mm(made, patients.without(~made.present)).mean()

    assert mean_add(malocclusion.HARD) > 1.2 * mean_add(malocclusion.EASY)


def test_missing_teeth(patients):
    made = malocclusion.crooked(patients, malocclusion.ABSENT, np.random.default_rng(4))
    assert (made.present.sum(1) < patients.present.sum(1)).all()
    assert (made.points[~made.present] == 0).all() and (made.centres[~made.present] == 0).all()


def test_class_two_and_three_move_the_molars(patients):
    made = [malocclusion.crooked(patients, malocclusion.HARD, np.random.default_rng(seed)) for seed in range(6)]
    offsets = torch.cat([keys.molar_class(teeth) for teeth in made])
    assert offsets.max() > 2.5 and offsets.min() < -2


def test_mirror_image_is_a_patient(patients):
    image = mirrored(patients)
    assert torch.allclose(keys.midline_shift(image), -keys.midline_shift(patients), atol=1e-4)
    assert torch.allclose(keys.molar_class(image), keys.molar_class(patients).flip(1), atol=1e-3)
    back = mirrored(image)
    assert torch.equal(back.surface, patients.surface)


def test_generation_is_repeatable():
    one, other = (procedural.patients(2, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(one.surface, other.surface)
