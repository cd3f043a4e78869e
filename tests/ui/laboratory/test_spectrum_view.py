"""The spectrum's view: what it asks for, and what it tells of a run that is known."""

import json

import numpy as np
import pytest

from engine.errors import InputError
from engine.tasks.laboratory.spectrum import Estimate, Spectra
from ui.laboratory import spectrum

needs_model = pytest.mark.skipif(not spectrum.defaults()["problem"], reason="no weights are installed")


@pytest.fixture
def found():
    frequency = np.arange(1, 9) / 16
    clean = 0.05 * frequency**-2
    picture = np.full((8, 8, 3), 128, np.uint8)
    levels = [(0.0, 1.0), (0.6, 0.8), (0.8, 0.6), (1.0, 0.0)]
    power = [np.zeros_like(clean), 0.6 * clean, 0.9 * clean, clean]
    return Spectra(frequency, clean, tuple(Estimate(i, *level, own[None], picture)
                                           for i, (level, own) in enumerate(zip(levels, power), 1)))


def test_the_slider_holds_every_step_and_starts_with_what_the_chart_shows(found):
    value = json.loads(json.dumps(spectrum.steps("r1", found, 2)))
    assert value["run"] == "r1" and value["at"] == 2 and len(value["steps"]) == 4
    traces = json.loads(spectrum.drawn(found, 2).plot)["data"]
    assert [trace["y"] for trace in traces[1:]] == value["steps"][2]["y"]
    assert value["traces"] == [1, 2, 3] and value["chart"] == "spectrum-chart"
    assert all(step["picture"].startswith("data:image/jpeg") for step in value["steps"])
    # Zero power cannot stand on a logarithmic axis.
    assert value["steps"][0]["y"][0] == [None] * 8


def test_words_say_what_is_there_in_pixels(found):
    first, second, _, last = (spectrum.words(found, estimate) for estimate in found.estimates)
    assert "nowhere yet" in first and "Step 2 of 3" in second and last == "The finished pictures, after 3 steps."
    # Half at .05 / f^2 = (.8 / .6)^2: f = .168, waves of 6 px; the model has 60 % everywhere.
    assert "up to 0.5 cycles per pixel, detail of 2 px" in second and "0.17 cycles per pixel, detail of 6 px" in second


def test_the_front_has_a_gap_where_nothing_is_recovered(found):
    own, linear = json.loads(spectrum.front(found).plot)["data"]
    assert own["x"] == [1, 2, 3] and own["y"] == [None, 0.5, 0.5] and linear["y"][0] is None
    assert 0.1 < linear["y"][1] < linear["y"][2] < 0.5


def test_the_axis_stays_while_the_steps_change(found):
    axis = json.loads(spectrum.drawn(found, 0).plot)["layout"]["yaxis"]
    assert axis["range"][0] == pytest.approx(np.log10(found.clean.min() / 300))
    assert json.loads(spectrum.drawn(None, 0).plot)["data"][0]["x"] == []


@pytest.mark.parametrize("stored", [None, ["x"], {"steps": {}}, {"steps": "x", "seed": -5}, {"reference": "<b>"},
                                    {"problem": "mixture"}, {"samples": 1000}])
def test_what_a_browser_kept_is_taken_only_when_it_is_good(stored):
    assert spectrum.cleaned(stored) == spectrum.defaults()


@needs_model
def test_good_values_come_back_and_fit_together():
    start = spectrum.defaults()
    kept = start | {"steps": 20, "seed": 3, "samples": 2}
    assert spectrum.cleaned(kept) == kept
    assert spectrum.adapted(start | {"label": "gone", "guidance": 3.0}) == start
    assert spectrum.adapted(start | {"reference": "nothing"})["reference"] == "run"


@needs_model
def test_the_cost_counts_calls_or_says_why_not():
    assert spectrum.cost(spectrum.defaults() | {"samples": 1}) == "<p>10 network calls on 1 picture, a few seconds</p>"
    assert "limit is 100" in spectrum.cost(spectrum.defaults() | {"steps": 400})
    with pytest.raises(InputError):
        spectrum.recovery(spectrum.defaults() | {"guidance": 3.0})
