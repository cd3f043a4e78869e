"""Where forecasts start: exact states or none, in the words of the one who gave the file."""

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.fields import Field
from engine.tasks.forecast import start as starting
from engine.tasks.forecast.law import Law
from tests.engine.forecast import small

DAY = np.timedelta64(86400, "s")


@pytest.fixture(scope="module")
def network(record):
    return small.model(record).network


def _part(record, first=1000, count=12, **changes) -> Field:
    kept = slice(first, first + count)
    return replace(record.field, values=record.field.values[kept], times=record.field.times[kept], **changes)


def _given(record, network, field, text="", leads=3):
    return starting.given(field, text, network, record.domain, leads)


def test_without_a_date_the_last_state_is_the_start_and_there_is_nothing_to_verify(record, network):
    field = _part(record)
    start = _given(record, network, field)
    assert start.time == field.times[-1] and start.truth is None and not start.seen.any()
    np.testing.assert_array_equal(start.past, field.values[-5:])
    assert start.hours.tolist() == [-96, -72, -48, -24, 0]


def test_with_a_date_what_follows_verifies(record, network):
    field = _part(record)
    for text in (str(field.times[4]), str(field.times[4])[:10], f" {field.times[4]}Z "):
        start = _given(record, network, field, text, leads=10)
        assert start.time == field.times[4] and start.seen.tolist() == [True] * 7 + [False] * 3
        np.testing.assert_array_equal(start.truth[:7], field.values[5:])
        assert np.isnan(start.truth[7:]).all()


def test_gaps_after_the_start_are_left_out_of_the_truth(record, network):
    field = _part(record)
    holed = replace(field, values=np.delete(field.values, 6, 0), times=np.delete(field.times, 6))
    start = _given(record, network, holed, str(field.times[4]))
    assert start.seen.tolist() == [True, False, True]
    np.testing.assert_array_equal(start.truth[2], field.values[7])


def test_a_missing_previous_state_is_named(record, network):
    field = _part(record)
    holed = replace(field, values=np.delete(field.values, 3, 0), times=np.delete(field.times, 3))
    with pytest.raises(InputError, match=str(field.times[3])[:10]) as caught:
        _given(record, network, holed, str(field.times[4]))
    assert caught.value.field == "start"
    with pytest.raises(InputError, match=r"No two of the 1 maps are 24 h apart"):
        _given(record, network, _part(record, count=1))
    with pytest.raises(InputError, match=r"No two of the 6 maps"):
        _given(record, network, replace(field, values=field.values[::2], times=field.times[::2]))


@pytest.mark.parametrize("text, words", [("2007-02-30", "no date of the calendar"), ("soon", "no date"),
                                         ("2051-01-01", "no map of 2051-01-01"), ("1800-01-01", "nearest is of")])
def test_dates_outside_the_calendar_or_the_file_are_named(record, network, text, words):
    with pytest.raises(InputError, match=words) as caught:
        _given(record, network, _part(record), text)
    assert caught.value.field == "start"


def test_finer_steps_are_picked_and_said(record, network):
    field = _part(record)
    quarter = field.times[0] + np.arange(4 * len(field.times)) * (DAY // 4)
    often = replace(field, values=field.values.repeat(4, 0), times=quarter)
    start = _given(record, network, often, str(field.times[5]))
    np.testing.assert_array_equal(start.past[-2:], field.values[4:6])
    assert any("every 6 h" in note and "single moments" in note for note in start.notes)


def test_states_far_from_the_climate_are_said(record, network):
    field = _part(record)
    strange = replace(field, values=field.values + np.float32(60) * np.linspace(-1, 1, 12, dtype=np.float32))
    assert any("unlike what" in note for note in _given(record, network, strange).notes)
    assert _given(record, network, field).notes == ()


def test_invented_starts_come_from_the_climate_and_the_seed(record, network):
    def made(seed):
        return starting.invented(network, record.domain, 3, seed)

    first, again, other = made(0), made(0), made(1)
    np.testing.assert_array_equal(first.past, again.past)
    assert first.time != other.time and first.truth is None and "invented" in first.notes[0]
    law = Law.of(network)
    found = np.stack([(start.past[-1] - law.climate.mean_at(start.time)) / law.climate.swing(start.time)
                      for start in map(made, range(40))])
    # Six waves of 40 draws: variances over the map are known to about 2 / sqrt(40 x 6).
    assert float(np.square(found).mean() / np.square(law.usual).mean()) == pytest.approx(1, abs=0.3)


def test_a_file_with_both_quantities_goes_to_the_wanted_model(record):
    warm, heavy = _part(record), _part(record, unit="hPa", name="slp")
    both = replace(warm, others=(heavy,))
    domains = {"pressure": replace(record.domain, name="pressure", unit="hPa"),
               "temperature": replace(record.domain, name="temperature")}
    assert starting.chosen(both, "auto", domains)[0].name == "temperature"
    domain, field = starting.chosen(both, "pressure", domains)
    assert domain.name == "pressure" and field is heavy
    assert starting.chosen(heavy, "auto", domains)[0].name == "pressure"
    assert starting.chosen(None, "auto", domains) == (domains["pressure"], None)
    with pytest.raises(InputError, match="sea-level pressure"):
        starting.chosen(warm, "pressure", domains)
    with pytest.raises(InputError, match="m s-1"):
        starting.chosen(_part(record, unit="m s-1"), "auto", domains)
