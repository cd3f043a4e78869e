"""Climatology, principal components and the lag regression on records whose laws are known."""

import numpy as np
import pytest

from engine.tasks.forecast import linear
from engine.tasks.forecast.climate import Climate, harmonics, phases
from engine.tasks.forecast.space import Space, area_weights

TIMES = np.datetime64("2001-01-01", "s") + np.arange(6000) * np.timedelta64(6 * 3600, "s")


def test_a_climatology_of_harmonics_is_found_exactly():
    waves = harmonics(TIMES, 2, True)
    told = np.random.default_rng(0).standard_normal((waves.shape[1], 3, 4))
    climate = Climate.fit(np.tensordot(waves, told, 1), TIMES, 2, True, 1.0)
    np.testing.assert_allclose(climate.mean, told, atol=1e-8)


def test_phases_are_angles_of_the_year_and_the_day():
    year, day = phases(np.array(["2001-01-01T00", "2001-07-02T15", "2001-01-01T06"], "datetime64[s]"))
    assert year[0] == day[0] == 0
    assert year[1] == pytest.approx(np.pi, abs=0.02)
    assert day[2] == pytest.approx(np.pi / 2)


def test_anomalies_and_fields_are_inverse_and_seasons_become_alike():
    rng, (year, _) = np.random.default_rng(0), phases(TIMES)
    spread = np.exp(0.5 * np.cos(year))
    values = 5 + spread[:, None, None] * rng.standard_normal((6000, 4, 5))
    climate = Climate.fit(values, TIMES, 1, False, 1.0)
    anomalies = climate.anomalies(values, TIMES)
    np.testing.assert_allclose(climate.fields(anomalies, TIMES), values, atol=1e-9)
    winter, summer = np.cos(year) > 0.7, np.cos(year) < -0.7
    # Of some 1500 x 20 values each; before, winter's spread is 2.3 times the summer's.
    assert anomalies[winter].std() / anomalies[summer].std() == pytest.approx(1, abs=0.05)
    assert values[winter].std() / values[summer].std() > 2


def test_components_are_white_and_orthonormal_and_lose_nothing_when_complete():
    rng, lat = np.random.default_rng(0), np.linspace(20, 80, 4)
    anomalies = (rng.standard_normal((300, 20)) @ rng.standard_normal((20, 20))).reshape(300, 4, 5)
    space = Space.fit(anomalies, lat, 20)
    states = space.states(anomalies)
    np.testing.assert_allclose(states.T @ states / 300, np.eye(20), atol=1e-9)
    np.testing.assert_allclose(space.patterns @ space.patterns.T, np.eye(20), atol=1e-9)
    np.testing.assert_allclose(space.anomalies(states), anomalies, atol=1e-9)
    assert area_weights(lat).mean() == pytest.approx(1)


def _autoregression(count, seed):
    """A stable process of order two with three coupled components of unit noise."""
    rng = np.random.default_rng(seed)
    transition = np.concatenate((0.5 * np.eye(3) + 0.2 * np.roll(np.eye(3), 1, 0), -0.2 * np.eye(3)))
    states = np.zeros((count, 3))
    for i in range(2, count):
        states[i] = np.concatenate((states[i - 1], states[i - 2])) @ transition + rng.standard_normal(3)
    return states, transition


def test_the_regression_finds_the_transition_and_its_noise():
    states, transition = _autoregression(20_000, 0)
    past, future, _ = linear.pairs(states, np.ones(len(states), bool))
    found = linear.regress(past, future, np.ones(3), 1e-9)
    # Standard error 1/sqrt(20 000) = 0.007 in units of the components.
    np.testing.assert_allclose(found, transition, atol=0.03)
    errors = linear.held_out_errors(past, future, np.ones(3), 1e-9)
    np.testing.assert_allclose(errors.T @ errors / len(errors), np.eye(3), atol=0.04)


def test_a_strong_ridge_leaves_each_component_its_own_persistence():
    states, _ = _autoregression(3000, 0)
    past, future, _ = linear.pairs(states, np.ones(len(states), bool))
    found = linear.regress(past, future, np.ones(3), 1e9)
    for k in range(3):
        own = np.linalg.lstsq(past[:, :, k], future[:, k], rcond=None)[0]
        np.testing.assert_allclose(found[[k, 3 + k], k], own, atol=1e-6)
        np.testing.assert_allclose(np.delete(found[:, k], [k, 3 + k]), 0, atol=1e-6)


def test_errors_are_judged_on_cases_that_were_not_fitted():
    rng = np.random.default_rng(0)
    past, future = rng.standard_normal((240, 2, 20)), rng.standard_normal((240, 20))
    fitted = future - past.reshape(240, -1) @ linear.regress(past, future, np.ones(20), 1e-9)
    held_out = linear.held_out_errors(past, future, np.ones(20), 1e-9)
    # Forty coefficients of pure noise fit a sixth of the variance and cost about as much on new cases.
    assert fitted.var() < 0.9 < 1.1 < held_out.var()


def test_noise_patterns_have_the_covariance_of_the_errors_and_fall():
    rng, scales = np.random.default_rng(0), np.array([3.0, 2.0, 1.0, 0.5])
    errors = rng.standard_normal((500, 4)) @ rng.standard_normal((4, 4))
    patterns = linear.noise_patterns(errors, scales)
    np.testing.assert_allclose(patterns.T @ patterns, errors.T @ errors / 500, atol=1e-9)
    sizes = np.linalg.norm(patterns * scales, axis=1)
    assert (np.diff(sizes) < 0).all()


def test_pairs_never_reach_over_what_may_not_be_used():
    whole = np.ones(20, bool)
    whole[8] = False
    states = np.arange(20.0)[:, None]
    past, future, now = linear.pairs(states, whole, lead=3)
    touched = np.concatenate((past[..., 0], future), 1)
    assert 8 not in touched
    assert (future[:, 0] == now + 3).all() and (past[:, 1, 0] == now - 1).all()


def test_nothing_of_the_fit_comes_from_the_validation_part(record):
    from dataclasses import replace

    from engine.tasks.forecast.data import prepare

    spoilt = record.field.values.copy()
    spoilt[~record.training] += 1000
    again = prepare(replace(record.field, values=spoilt), record.domain)
    np.testing.assert_array_equal(again.model.transition, record.model.transition)
    np.testing.assert_array_equal(again.model.noise, record.model.noise)
    np.testing.assert_array_equal(again.model.climate.mean, record.model.climate.mean)
