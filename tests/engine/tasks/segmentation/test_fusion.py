"""Fusion of masks: raters of known reliability are found again, maps have their closed forms, instances part."""

import numpy as np
import pytest

from engine.tasks.segmentation import fusion, metrics


def _disc(centre: tuple[float, float], radius: float, side: int = 64) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def _raters(truth: np.ndarray, sensitivity: list[float], specificity: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([np.where(truth, rng.random(truth.shape) < p, rng.random(truth.shape) > specificity)
                     for p in sensitivity])


@pytest.mark.parametrize(("sensitivity", "specificity"), [([0.9] * 10, 0.95), ([0.8] * 5, 0.9)])
def test_staple_finds_the_reliability_of_simulated_raters(sensitivity, specificity):
    truth = _disc((32, 32), 20)
    raters = _raters(truth, sensitivity, specificity, 0)
    found = fusion.staple(raters)
    # A share p of 1257 pixels has a standard error below 0.012; three of them, and a little for the hidden truth.
    assert np.abs(found.sensitivity - sensitivity).max() < 0.04
    assert np.abs(found.specificity - specificity).max() < 0.04
    assert metrics.dice(found.chance > 0.5, truth) > 0.95


def test_staple_trusts_good_raters_more_than_a_vote_does():
    truth = _disc((32, 32), 20)
    raters = _raters(truth, [0.95, 0.9, 0.6, 0.6, 0.6], 0.9, 1)
    fused = metrics.dice(fusion.staple(raters).chance > 0.5, truth)
    assert fused > metrics.dice(fusion.mean(raters) > 0.5, truth) + 0.01


def test_staple_without_disagreement_is_the_decision():
    truth = _disc((10, 12), 5)
    for decisions in (np.stack([truth] * 3), np.zeros((4, 64, 64)), np.ones((2, 8, 8))):
        assert np.array_equal(fusion.staple(decisions).chance, decisions[0])


def test_staple_does_not_depend_on_how_much_background_there_is():
    truth = _disc((32, 32), 14)
    raters = np.stack([_disc((32 + dy, 32), 14 + r) for dy, r in ((0, 0), (1, 1), (-1, 0), (0, -1), (2, 0))])
    wide = np.pad(raters, ((0, 0), (100, 100), (100, 100)))
    near, far = fusion.staple(raters), fusion.staple(wide)
    assert np.allclose(near.chance, far.chance[100:-100, 100:-100], atol=1e-6)
    assert metrics.dice(near.chance > 0.5, truth) > 0.95


def test_maps_of_known_samples():
    samples = np.array([0.0, 1.0, 1.0, 1.0])[:, None, None] * np.ones((4, 3, 3))
    assert np.allclose(fusion.mean(samples), 0.75)
    assert np.allclose(fusion.agreement(samples), 0.75)
    assert np.allclose(fusion.variance(samples), 0.75 * 0.25)
    assert np.allclose(fusion.calibrated(samples, np.full((3, 3), 0.5)), (3 / 4 + 1 / 2) / 2)
    assert np.allclose(fusion.entropy(np.array([0.0, 0.5, 1.0])), [0, 1, 0])
    assert np.allclose(fusion.entropy(np.array([0.25])), 0.25 * 2 + 0.75 * np.log2(4 / 3))


def test_touching_discs_become_two_instances_and_one_stays_one():
    two = _disc((32, 20), 12) | _disc((32, 42), 12)
    ids = fusion.instances(np.float64(two))
    assert ids.max() == 2 and np.array_equal(ids > 0, two)
    assert {ids[32, 20], ids[32, 42]} == {1, 2}
    assert fusion.instances(np.float64(_disc((32, 32), 15))).max() == 1


def test_small_pieces_are_kept_or_dropped_by_their_size():
    chance = np.float64(_disc((20, 20), 12))
    chance[50:53, 50:53] = 0.9  # nine pixels, far flatter than the disc
    chance[5, 60] = 0.9
    assert fusion.instances(chance).max() == 2
    assert fusion.instances(chance, least_px=10).max() == 1
    assert fusion.instances(chance, threshold=0.95).max() == 1
    assert fusion.instances(np.zeros((8, 8))).max() == 0


def test_many_discs_are_counted():
    centres = [(y, x) for y in range(12, 120, 18) for x in range(12, 120, 17)]
    mask = np.any([_disc(c, 7.5 + (i % 3), 128) for i, c in enumerate(centres)], axis=0)
    truth = sum((i + 1) * _disc(c, 5, 128) for i, c in enumerate(centres))
    ids = fusion.instances(np.float64(mask))
    assert ids.max() == len(centres)
    assert all(len(np.unique(ids[truth == i + 1])) == 1 for i in range(len(centres)))
