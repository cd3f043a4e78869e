"""Closed forms of the linear inverse model, against ensembles that were drawn and against the record itself."""

from itertools import islice

import numpy as np
import pytest

from engine.tasks.forecast import metrics, skill
from engine.tasks.forecast import start as starting
from engine.tasks.forecast.baselines import linear_inverse
from engine.tasks.forecast.data import starts
from engine.tasks.forecast.law import Law
from engine.tasks.forecast.space import area_weights
from tests.engine.forecast import small


@pytest.fixture(scope="module")
def network(record):
    return small.model(record).network


@pytest.fixture(scope="module")
def law(network):
    return Law.of(network)


def test_what_the_network_stores_is_the_fitted_model(law, record):
    # float32 buffers.
    np.testing.assert_allclose(law.transition, record.model.transition, atol=1e-5)
    np.testing.assert_allclose(law.noise, record.model.noise, atol=1e-4)


def test_means_and_spreads_are_those_of_a_large_ensemble(law, record):
    at = starts(record, 3, 1)
    past = np.stack([record.states[at[0] - lag] for lag in range(2)])
    drawn = linear_inverse(record, at, 3, 4000, np.random.default_rng(0))
    climate, times = record.model.climate, record.field.times
    for lead, ((mean, spread), members) in enumerate(zip(law.forecast(past), drawn), 1):
        anomalies = climate.anomalies(members[0].astype(np.float64), np.full(4000, times[at[0] + lead]))
        # A mean of 4000 is known to spread / 63, a deviation to 1.1 %; five of those for the worst of 96 places.
        np.testing.assert_allclose(anomalies.mean(0), mean, atol=5 * float(spread.max()) / 63)
        np.testing.assert_allclose(anomalies.std(0), spread, rtol=0.06)


def test_memory_is_the_lag_correlation_of_what_the_model_makes(law):
    eta = np.random.default_rng(0).standard_normal((30_000, 12))
    maps = law.space.anomalies(law.series(eta)[200:])
    for lead, held in enumerate(islice(law.memory(), 3), 1):
        first, later = maps[:-lead], maps[lead:]
        found = (first * later).mean(0) / np.sqrt((first**2).mean(0) * (later**2).mean(0))
        # Successive maps hold together for some five steps: 6000 independent ones, and 0.013 is one deviation.
        np.testing.assert_allclose(found, held, atol=0.06)


def test_the_usual_deviation_is_that_of_the_record(law, record):
    seen = record.training
    anomalies = record.model.climate.anomalies(record.field.values[seen], record.field.times[seen])
    # Twelve components hold all of the invented waves.
    np.testing.assert_allclose(law.usual, anomalies.std(0), rtol=0.02)


def test_scores_are_those_of_the_metrics_and_the_laws_agree_with_ensembles(record, network):
    """Means over many starts: the law's CRPS is what the fair CRPS of drawn members estimates."""
    at = starts(record, 3, 60)
    drawn = list(linear_inverse(record, at, 3, 20, np.random.default_rng(0)))
    found = []
    for number, index in enumerate(at):
        start = starting.given(record.field, str(record.field.times[index]), network, record.domain, 3)
        members = np.stack([lead[number] for lead in drawn], 1)
        found.append(skill.judged(members, start, network, record.domain))
    values = np.mean([one.values for one in found], 0)
    weights = area_weights(record.field.lat)
    for lead in range(3):
        truth = record.field.values[at + lead + 1]
        assert values[0, 0, lead] == pytest.approx(metrics.fair_crps(drawn[lead], truth, weights), rel=1e-5)
    # 60 starts of 20 members: the sampling error of the ensemble's score is some per cent.
    np.testing.assert_allclose(values[0, 0], values[1, 0], rtol=0.05)
    crps = dict(zip(skill.METHODS, values[:, 0]))
    assert (crps["linear inverse model"] < crps["damped persistence"]).all()
    assert (crps["damped persistence"] < crps["climatology"] * 1.02).all()
    assert (crps["damped persistence"] < crps["persistence"]).all()
    assert np.isnan(values[skill.METHODS.index("persistence"), 2]).all()
    assert all(one.rank.sum() == 3 * record.field.values[0].size and len(one.rank) == 21 for one in found)
