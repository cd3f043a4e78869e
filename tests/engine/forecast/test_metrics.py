"""Scores against closed forms and brute force."""

import numpy as np
import pytest

from engine.tasks.forecast import metrics

EVEN = np.ones(4)


def _calibrated(cases=4000, members=10, seed=0):
    """Members and truth from one law, standard normal, (cases, M, 4, 3)."""
    drawn = np.random.default_rng(seed).standard_normal((cases, members + 1, 4, 3))
    return drawn[:, :-1], drawn[:, -1]


def test_fair_crps_is_that_of_the_law_whatever_the_number_of_members():
    # Its mean is 1/sqrt(pi). A case's deviates by less than 0.6; of 12 x 4000 cases the mean by 0.003; four of those.
    for members in (2, 10):
        ensemble, truth = _calibrated(members=members)
        assert metrics.fair_crps(ensemble, truth, EVEN) == pytest.approx(np.pi**-0.5, abs=0.011)


def test_fair_crps_equals_the_double_sum():
    ensemble, truth = _calibrated(20, 7)
    apart = np.abs(ensemble[:, :, None] - ensemble[:, None]).sum((1, 2)) / (2 * 7 * 6)
    brute = (np.abs(ensemble - truth[:, None]).mean(1) - apart).mean()
    assert metrics.fair_crps(ensemble, truth, EVEN) == pytest.approx(brute, rel=1e-12)


def test_one_member_gives_the_absolute_error():
    ensemble, truth = _calibrated(50, 1)
    assert metrics.fair_crps(ensemble, truth, EVEN) == pytest.approx(np.abs(ensemble[:, 0] - truth).mean())


def test_gaussian_crps_equals_its_integral():
    from scipy.stats import norm

    x = np.linspace(-30, 30, 200_001)
    law, step = norm(0.7, 1.9).cdf(x), x[1] - x[0]
    for truth in (-3.0, 0.7, 2.5):
        integral = ((law - (x >= truth)) ** 2).sum() * step
        # The rule of rectangles is off by up to one step where the indicator jumps.
        assert metrics.gaussian_crps(0.7, 1.9, truth) == pytest.approx(integral, abs=step)


def test_weights_count_by_area():
    weights = np.array([2.0, 1.0, 1.0, 0.0])
    mean, truth = np.zeros((1, 4, 3)), np.zeros((1, 4, 3))
    truth[:, 0], truth[:, 3] = 3.0, 99.0
    assert metrics.rmse(mean, truth, weights) == pytest.approx((2 * 9 / 4) ** 0.5)


def test_a_calibrated_ensemble_is_told_as_such_and_a_narrow_one_too():
    ensemble, truth = _calibrated()
    # 48 000 values: their relative error is some 1/sqrt(2 x 48 000) = 0.3 %.
    assert metrics.spread_skill(ensemble, truth, EVEN) == pytest.approx(1, abs=0.015)
    assert metrics.spread_skill(ensemble / 2, truth, EVEN) < 0.7
    assert metrics.outer_ranks(ensemble, truth) == pytest.approx(1, abs=0.05)
    assert metrics.outer_ranks(ensemble / 2, truth) > 1.5


def test_ranks_of_a_calibrated_ensemble_are_flat_and_ties_are_shared():
    ensemble, truth = _calibrated()
    histogram = metrics.rank_histogram(ensemble, truth)
    expected, count = 1 / 11, truth.size
    # Four standard errors of a bin of so many independent values.
    assert np.abs(histogram - expected).max() < 4 * (expected / count) ** 0.5
    same = metrics.rank_histogram(np.zeros((500, 10, 4, 3)), np.zeros((500, 4, 3)))
    assert np.abs(same - expected).max() < 4 * (expected / 6000) ** 0.5


def test_energy_score_equals_brute_force_and_for_one_place_the_crps():
    ensemble, truth = _calibrated(5, 6)
    weights = np.array([0.5, 1.5, 1.2, 0.8])

    def distance(a, b):
        return np.sqrt(((a - b) ** 2 * weights[:, None]).sum((-2, -1)) / (weights.sum() * 3))

    to_truth = distance(ensemble, truth[:, None]).mean(1)
    apart = distance(ensemble[:, :, None], ensemble[:, None]).sum((1, 2)) / (2 * 6 * 5)
    assert metrics.energy_score(ensemble, truth, weights) == pytest.approx((to_truth - apart).mean(), rel=1e-9)
    one = np.s_[..., :1, :1]
    assert metrics.energy_score(ensemble[one], truth[one], np.ones(1)) == pytest.approx(
        metrics.fair_crps(ensemble[one], truth[one], np.ones(1)), rel=1e-9)


def test_the_spectrum_ratio_is_one_for_the_same_law_and_falls_with_smoothing():
    ensemble, truth = (v.reshape(400, -1, 6, 20) for v in (np.random.default_rng(s).standard_normal((400, 600))
                                                           for s in (0, 1)))
    # Some 10 x 6 x 2000 independent powers, each with relative spread 1.
    assert metrics.spectrum_ratio(ensemble, truth) == pytest.approx(1, abs=0.03)
    assert metrics.spectrum_ratio(ensemble * 0.5, ensemble) == pytest.approx(0.25)
    smooth = (ensemble + np.roll(ensemble, 1, -1)) / 2
    assert metrics.spectrum_ratio(smooth, truth) < 0.5
