"""Figures for masks and doubt on cases whose answer is known in closed form."""

import math

import numpy as np
import pytest

from engine.tasks.segmentation import metrics


def _square(top: int, left: int, side: int, size: int = 32) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[top:top + side, left:left + side] = True
    return mask


def test_overlap_of_two_squares():
    found, truth = _square(4, 4, 8), _square(8, 4, 8)  # share half of each
    assert metrics.dice(found, truth) == pytest.approx(0.5)
    assert metrics.iou(found, truth) == pytest.approx(1 / 3)
    assert metrics.sensitivity(found, truth) == pytest.approx(0.5)
    assert metrics.specificity(found, truth) == pytest.approx(1 - 32 / (32 * 32 - 64))
    upper = np.zeros((32, 32), bool)
    upper[:8] = True
    assert metrics.dice(found, truth, upper) == 0.0
    assert math.isnan(metrics.sensitivity(found, truth, upper))


def test_dice_and_iou_of_one_case_determine_each_other():
    rng = np.random.default_rng(0)
    for _ in range(20):
        found, truth = rng.random((2, 12, 12)) < rng.random((2, 1, 1))
        d = metrics.dice(found, truth)
        assert metrics.iou(found, truth) == pytest.approx(d / (2 - d))


def test_two_empty_masks_agree():
    nothing = np.zeros((5, 5), bool)
    assert metrics.dice(nothing, nothing) == metrics.iou(nothing, nothing) == 1.0
    assert metrics.aggregated_jaccard(nothing.astype(int), nothing.astype(int)) == 1.0
    assert metrics.aggregated_jaccard(nothing.astype(int), _square(0, 0, 2, 5).astype(int)) == 0.0
    assert metrics.energy_distance(nothing[None], nothing[None]) == 0.0


def test_aggregated_jaccard_counts_merged_missed_and_invented_instances():
    truth = 1 * _square(0, 0, 4) + 2 * _square(0, 10, 4) + 3 * _square(10, 0, 4)
    assert metrics.aggregated_jaccard(truth, truth) == 1.0
    assert metrics.aggregated_jaccard(7 * truth, truth) == 1.0  # the ids themselves mean nothing
    without_third = np.where(truth == 3, 0, truth)
    assert metrics.aggregated_jaccard(without_third, truth) == pytest.approx(32 / 48)
    invented = truth + 4 * _square(20, 20, 4)
    assert metrics.aggregated_jaccard(invented, truth) == pytest.approx(48 / 64)
    merged = np.where(truth == 2, 1, truth)  # both squares take the joined one: unions of 32 each
    assert metrics.aggregated_jaccard(merged, truth) == pytest.approx((16 + 16 + 16) / (32 + 32 + 16))


def test_brier_score_of_constants():
    truth = np.zeros((10, 10), bool)
    truth[:3] = True
    for chance in (0.0, 0.3, 1.0):
        expected = 0.3 * (1 - chance) ** 2 + 0.7 * chance**2
        assert metrics.brier(np.full(truth.shape, chance), truth) == pytest.approx(expected)


def test_calibration_error_of_honest_and_of_shifted_chances():
    # Of 100 pixels at each chance k / 10 exactly 10 k are true.
    chance = np.repeat(np.arange(1, 10) / 10, 100)
    truth = np.concatenate([np.arange(100) < 10 * k for k in range(1, 10)])
    assert metrics.calibration_error(chance, truth) == pytest.approx(0, abs=1e-12)
    assert metrics.calibration_error(chance + 0.07, truth) == pytest.approx(0.07)
    means, shares, weights = metrics.reliability(chance, truth, bins=9)
    assert weights.sum() == pytest.approx(1) and np.allclose(means, shares)


def test_equal_mass_bins_part_nothing_that_is_equal():
    chance = np.concatenate((np.zeros(990), np.full(10, 0.8)))
    truth = chance > 0
    assert metrics.calibration_error(chance, truth) == pytest.approx(0.01 * 0.2)


def test_area_under_the_curve():
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    assert metrics.auroc(np.array([3.0, 2, 1, 0]), np.array([True, True, False, False])) == 1.0
    assert metrics.auroc(np.ones(4), np.array([True, False, True, False])) == 0.5
    assert math.isnan(metrics.auroc(np.ones(4), np.ones(4, bool)))
    score = rng.normal(size=40_000)
    positive = np.arange(40_000) % 2 == 0
    # Two normal laws one apart: Phi(1 / sqrt 2); standard error about 0.0025.
    assert metrics.auroc(score + positive, positive) == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.01)


def test_energy_distance_of_known_sets():
    a, b = _square(0, 0, 4), _square(10, 10, 4)
    both = np.stack([a, b])
    assert metrics.energy_distance(both, both) == pytest.approx(0)
    assert metrics.energy_distance(a[None], b[None]) == pytest.approx(2)  # 2 * 1 - 0 - 0
    assert metrics.energy_distance(a[None], both) == pytest.approx(2 * 0.5 - 0 - 0.5)
