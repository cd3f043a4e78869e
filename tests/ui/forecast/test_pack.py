"""What the forecast page is sent: quantised maps, thinning, storms, skill."""

import json

import numpy as np
import pytest

from engine.recipe import Recipe
from engine.tasks.base import Array, Result
from tests.ui.forecast.fake_forecast_task import GRIDS, METHODS, result, weather
from ui.forecast import pack
from ui.forecast.pack import LEVELS, MESSAGE_BYTES, packed, unpacked

RECIPE = Recipe(task="forecast", solver="ddim", steps=2, samples=3, options={"threshold": 1000.0})


def _result(domain="pressure", members=3, leads=4, unit="hPa", judged=True):
    hours = np.arange(1, leads + 1) * GRIDS[domain][2]
    states = np.stack([weather(domain, hours, seed, 1.0) for seed in range(members)])
    return result(domain, states, hours, RECIPE, unit, judged)


def test_maps_come_back_to_half_a_step():
    values = np.random.default_rng(0).normal(1010, 15, (3, 4, 5, 7)).astype(np.float32)
    message = packed(values)
    # Half a step, and what float32 leaves of 1010.
    tolerance = np.ptp(values) / LEVELS / 2 + 1e-4
    assert np.abs(unpacked(message) - values).max() <= tolerance
    assert message["step"] < 0.01


@pytest.mark.parametrize("values", [np.full((2, 3), 4.5), np.array([[1.0, np.nan, 3.0], [np.inf, 2.0, -np.inf]]),
                                    np.full((2, 2), np.nan)])
def test_constant_and_missing_values_survive(values):
    again = unpacked(packed(values))
    assert np.allclose(again, np.where(np.isfinite(values), values, np.nan), atol=1e-4, equal_nan=True)


def test_the_message_is_plain_json_and_holds_everything():
    message = pack.message(_result())
    assert json.loads(json.dumps(message, allow_nan=False)) == message
    assert message["members"]["shape"] == [3, 4, 17, 33] and message["leads"] == [24.0, 48.0, 72.0, 96.0]
    assert message["precision"]["shape"] == [4, 17, 33]
    assert message["past_h"] == [-24.0, 0.0] and message["past"]["shape"] == [2, 17, 33]
    assert (message["unit"], message["start"], message["threshold"]) == ("hPa", "2008-07-01T00:00", 1000.0)
    assert list(message["skill"]["scores"]["crps"]) == list(METHODS) and message["thinned"] == ""
    assert message["skill"]["scores"]["spread"]["persistence"] == [None] * 4
    assert sum(message["rank"]) == 4 * 17 * 33


def test_without_a_verifying_field_there_is_no_skill():
    message = pack.message(_result(judged=False))
    assert message["truth"] is None and message["skill"] is None and message["rank"] is None


def test_latitudes_and_longitudes_rise_whatever_the_result_has():
    plain, turned = _result(), _result()
    arrays = dict(turned.arrays)
    for name, array in arrays.items():
        for axis, letter in ((-2, "y"), (-1, "x")):
            if len(array.axes) > 1 and array.axes[axis] == letter:
                array = Array(np.flip(array.values, axis), array.axes, array.unit)
        arrays[name] = Array(array.values[::-1], array.axes) if name in ("lat", "lon") else array
    assert pack.message(Result(arrays, {}, RECIPE))["members"] == pack.message(plain)["members"]


def test_the_largest_forecast_fits_and_says_what_was_left_out():
    rng = np.random.default_rng(1)
    found = _result("temperature", leads=40, unit="K", judged=False)
    noise = np.float32(280 + 10 * rng.normal(size=(50, 40, 25, 53)))
    members = Array(noise, ("sample", "lead", "y", "x"), "K")
    message = pack.message(Result(found.arrays | {"members": members}, {}, RECIPE))
    size = sum(len(entry["data"]) for entry in message.values() if isinstance(entry, dict) and "data" in entry)
    # White noise cannot be packed: the worst that can come.
    assert MESSAGE_BYTES / 3 < size <= MESSAGE_BYTES
    kept = len(message["leads"])
    assert message["members"]["shape"] == [50, kept, 25, 53] and message["leads"][-1] == 240.0
    assert "lead time" in message["thinned"] and message["climate"]["shape"] == [kept, 25, 53]


def test_a_whole_forecast_of_fifty_members_is_not_thinned():
    hours = np.arange(1, 21) * 6
    states = np.stack([weather("temperature", hours, seed, 1.0) for seed in range(5)])
    members = np.repeat(states, 10, 0) + np.random.default_rng(0).normal(0, 0.1, (50, 20, 25, 53)).astype(np.float32)
    assert pack.message(result("temperature", members, hours, RECIPE, "K", True))["thinned"] == ""
