"""The world with a known answer: transforms, and scores of the optimal forecast."""

import numpy as np
import pytest

from engine.tasks.forecast import metrics
from engine.tasks.forecast.sphere import RossbyWaves, Sphere

WORLD = RossbyWaves()


def test_harmonics_are_orthonormal_and_maps_come_back():
    coefficients = WORLD.noise(np.random.default_rng(0), 3)
    maps = WORLD.sphere.synthesis(coefficients)
    np.testing.assert_allclose(WORLD.sphere.analysis(maps), coefficients, atol=1e-12)
    # Parseval: the mean square over the sphere is the sum of squares over 4 pi; m > 0 stands for both signs.
    twice = np.where(np.arange(22) > 0, 2, 1)
    power = (np.abs(coefficients) ** 2 * twice).sum((1, 2)) / (4 * np.pi)
    np.testing.assert_allclose((maps**2 * WORLD.sphere.weights[:, None]).mean((1, 2)), power, rtol=1e-12)


def test_a_turn_of_the_map_is_a_turn_of_its_coefficients():
    coefficients = WORLD.noise(np.random.default_rng(0))
    turned = coefficients * np.exp(-2j * np.pi * np.arange(22) * 5 / 64)
    np.testing.assert_allclose(Sphere().synthesis(turned), np.roll(Sphere().synthesis(coefficients), 5, -1), atol=1e-12)


def test_every_place_has_unit_variance():
    maps = WORLD.sphere.synthesis(np.sqrt(WORLD.power)[:, None] * WORLD.noise(np.random.default_rng(0), 3000))
    # A variance of 3000 values has standard error 2.6 %; the map's mean far less.
    assert maps.var(0).mean() == pytest.approx(1, abs=0.02)
    assert np.abs(maps.var(0) - 1).max() < 5 * 0.026


@pytest.mark.parametrize("lead", [1, 4, 12])
def test_draws_from_the_true_law_reach_the_optimal_scores(lead):
    states = WORLD.states(1200, seed=0)
    start = np.arange(0, 1200 - lead, 12)
    truth = WORLD.sphere.synthesis(states[start + lead])
    best = WORLD.sphere.synthesis(WORLD.forecast(states[start], lead))
    members = WORLD.sphere.synthesis(WORLD.members(states[start], lead, 10, seed=1))
    weights = WORLD.sphere.weights
    # 100 starts with some 30 independent modes each: 3 % covers three standard errors.
    assert metrics.rmse(best, truth, weights) == pytest.approx(WORLD.optimal_rmse(lead), rel=0.03)
    assert metrics.fair_crps(members, truth, weights) == pytest.approx(WORLD.optimal_crps(lead), rel=0.03)
    assert metrics.spread_skill(members, truth, weights) == pytest.approx(1, abs=0.04)


def test_the_history_is_stationary():
    states = WORLD.states(2500, seed=2)
    early, late = (WORLD.sphere.synthesis(states[part]).var() for part in (slice(0, 1250), slice(1250, None)))
    # The slowest waves forget in 60 steps: few independent maps, so the tolerance is wide.
    assert early == pytest.approx(1, abs=0.15) and late == pytest.approx(1, abs=0.15)


def test_the_linear_model_in_harmonics_is_the_world_itself():
    from engine.tasks.forecast.world import in_harmonics

    states = WORLD.states(3000, seed=4)
    model, numbers = in_harmonics(states, np.arange(3000) < 2500)
    maps = WORLD.sphere.synthesis(states[:3])
    np.testing.assert_allclose(model.space.anomalies(numbers[:3]), maps, atol=1e-9)
    np.testing.assert_allclose(model.space.states(maps), numbers[:3], atol=1e-9)
    past = np.stack((numbers[2600:2700], numbers[2599:2699]), 1)
    # Its mean is the optimal forecast up to the factors' sampling error, 1/sqrt(2500) of what is unpredictable.
    gap = model.space.anomalies(model.mean(past)) - WORLD.sphere.synthesis(WORLD.forecast(states[2600:2700], 1))
    assert gap.std() < 0.04 * WORLD.optimal_rmse(1)
    noise = model.space.anomalies(np.random.default_rng(0).standard_normal((2000, len(model.noise))) @ model.noise)
    assert noise.std() == pytest.approx(WORLD.optimal_rmse(1), rel=0.01)


@pytest.fixture(scope="module")
def whole():
    """A run of the task in this world, with an untrained network: the linear model of a short history."""
    from dataclasses import replace

    from engine.tasks.forecast import world
    from engine.tasks.forecast.task import Forecast
    from tests.engine.forecast import small

    made = small.model(world.history(seed=1))
    task = Forecast({"sphere": world.SPHERE}, lambda name: made)
    recipe = task.defaults.replace(samples=10, steps=2, seed=3, options={"days": 1.0})
    *_, result = task.run({}, recipe)
    return task, replace(result, files={}), result.files


def test_a_forecast_of_this_world_stands_beside_the_best_possible_one(whole):
    _, result, files = whole
    skill = {name: dict(zip(result.arrays["skill_scores"].values, scores)) for name, scores in zip(
        result.arrays["skill_methods"].values, result.arrays["skill"].values)}
    best, ours = skill["best possible"], skill["this forecast"]
    np.testing.assert_allclose(best["spread"], [WORLD.optimal_rmse(lead) for lead in (1, 2, 3, 4)], rtol=1e-5)
    # One map of some 100 independent places: its score is the law's to a fifth.
    np.testing.assert_allclose(best["crps"], [WORLD.optimal_crps(lead) for lead in (1, 2, 3, 4)], rtol=0.25)
    np.testing.assert_allclose(ours["crps"], best["crps"], rtol=0.1)
    assert result.arrays["truth"].values.shape == (4, 32, 64) and "tracks" not in result.arrays
    assert result.arrays["members"].unit == "1" and files["forecast.nc"] and files["animation.webp"]


def test_this_world_is_offered_when_its_model_is_there(whole, monkeypatch):
    from engine import models

    task, *_ = whole
    for there, offered in ((("forecast_sphere",), ("sphere",)), ((), ())):
        monkeypatch.setattr(models, "names", lambda there=there: there)
        assert task.offered == offered and task.settings[0].choices == ("auto", *offered)
        assert len(task.settings[0].labels) == len(task.settings[0].choices) and len(task.examples) == len(offered)
