"""Where a forecast starts: two states from a person's field, brought to the model's grid, or invented ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from engine.errors import InputError
from engine.io.fields import Field
from engine.rng import Rng
from engine.tasks.forecast import regrid
from engine.tasks.forecast.data import Domain
from engine.tasks.forecast.linear import LAGS
from engine.tasks.forecast.sampling import climate_of, space_of

_PAST = 5
"""Most states before the forecast that are shown."""
_SPIN_UP_DAYS = 90
"""Of the linear model from the mean state on; by then its memory of the mean is gone."""
_INVENTED_YEAR = 2001
_UNUSUAL = 3.0
"""Mean size of a start's components, in their usual ones, above which a note says so."""
_WORDS = {"pressure": "sea-level pressure", "temperature": "air temperature"}
_MISSED = "A forecast needs the state at its start and the one a step of the model before."


@dataclass(frozen=True)
class Start:
    """past (N, lat, lon), N >= 2: states in time order, the last one at `time`; hours (N,): theirs, the last is 0.

    truth (lead, lat, lon): what came later, NaN where the file does not have it; None where it has nothing. All on the
    model's grid, in the base unit. seen (lead,) bool: where truth is there.
    """

    past: np.ndarray
    hours: np.ndarray
    time: np.datetime64
    truth: np.ndarray | None
    seen: np.ndarray
    notes: tuple[str, ...] = ()


def chosen(field: Field | None, name: str, domains: dict[str, Domain]) -> tuple[Domain, Field | None]:
    """The domain of that name, and the field of its quantity; "auto" takes the domain of the file's first field.

    Raises InputError when the file shows something else.
    """
    if field is None:
        return (next(iter(domains.values())) if name == "auto" else domains[name]), None
    fields = {one.unit: one for one in reversed((field, *field.others))}
    fitting = [domain for domain in domains.values() if domain.unit in fields] if name == "auto" else [domains[name]]
    fitting.sort(key=lambda domain: domain.unit != field.unit)
    if not fitting or fitting[0].unit not in fields:
        wanted = " or ".join(_WORDS.get(domain.name, domain.title) for domain in fitting or domains.values())
        raise InputError(f"The field shows {field.name[:40]} in {field.unit[:20] or 'no unit'}.",
                         f"The model needs {wanted}.", "Choose the matching model or give another field.",
                         field="field")
    return fitting[0], fields[fitting[0].unit]


def given(field: Field, text: str, network: Any, domain: Domain, leads: int) -> Start:
    """From a field. text: an ISO date, or "" for the last time that has its previous state. Raises InputError."""
    lat, lon = (axis.double().numpy() for axis in (network.lat, network.lon))
    regrid.check_covered(field, lat, lon)
    pace = _pace(domain)
    now = _index(field, text, pace)
    back = [_at(field.times, field.times[now] - lag * pace) for lag in range(_PAST)]
    kept = back[:back.index(None)] if None in back else back
    if len(kept) < LAGS:
        raise InputError(f"The state of {_day(field.times[now] - pace)} is missing.", _MISSED,
                         "Choose another start or give a file without the gap.", field="start")
    later = [_at(field.times, field.times[now] + lead * pace) for lead in range(1, leads + 1)]
    seen = np.array([index is not None for index in later])
    needed = [index for index in (*reversed(kept), *later) if index is not None]
    values, notes = regrid.onto(field, field.values[needed], lat, lon)
    truth = np.full((leads, *values.shape[1:]), np.nan)
    truth[seen] = values[len(kept):]
    past, hours = values[:len(kept)], np.arange(1 - len(kept), 1) * float(domain.step_hours)
    return Start(past, hours, field.times[now], truth if seen.any() else None, seen,
                 (*notes, *_of_pace(field, domain), *_unusual(network, past[-1], field.times[now])))


def invented(network: Any, domain: Domain, leads: int, seed: int) -> Start:
    """From the model's own climate: a day of the year, and what the linear model makes of noise until that day."""
    from engine.tasks.forecast.law import Law

    rng = Rng(seed, 1, first=2**20)
    day = int(rng.uniform().item() * 365)
    time = np.datetime64(f"{_INVENTED_YEAR}-01-01", "s") + np.timedelta64(day * 86400, "s")
    climate, space, pace = climate_of(network), space_of(network), _pace(domain)
    count = _SPIN_UP_DAYS * 24 // domain.step_hours
    states = Law.of(network).series(rng.normal(count, network.components)[0].double().numpy())[-_PAST:]
    times = time + np.arange(1 - len(states), 1) * pace
    past = climate.fields(space.anomalies(states), times)
    note = (f"The start is invented: a state drawn from the model's own climate for {_day(time)[5:10]} (month-day). "
            "Give a file for a real one.")
    return Start(past, np.arange(1 - len(past), 1) * float(domain.step_hours), time, None, np.zeros(leads, bool),
                 (note,))


def simulated(domain: Domain, leads: int, seed: int) -> Start:
    """A stretch of a history of the known-answer world: states, and what came of them."""
    from engine.tasks.forecast.world import WORLD

    maps = WORLD.sphere.synthesis(WORLD.states(_PAST + leads, seed))
    return Start(maps[:_PAST], np.arange(1 - _PAST, 1) * float(domain.step_hours),
                 np.datetime64(f"{_INVENTED_YEAR}-01-01", "s"), maps[_PAST:], np.ones(leads, bool),
                 ("The world is invented: a piece of one of its histories. The best possible forecast is known.",))


def states(start: Start, network: Any, pace: np.timedelta64) -> torch.Tensor:
    """The last two states (1, 2, K) float32, the newest first, as the rollout takes them."""
    climate, space = climate_of(network), space_of(network)
    times = np.array([start.time - pace, start.time])
    found = space.states(climate.anomalies(start.past[-LAGS:], times))[::-1].copy()
    return torch.from_numpy(found).float()[None]


def _pace(domain: Domain) -> np.timedelta64:
    return np.timedelta64(domain.step_hours * 3600, "s")


def _day(time: np.datetime64) -> str:
    return str(time.astype("datetime64[m]")).replace("T", " ")


def _at(times: np.ndarray, time: np.datetime64) -> int | None:
    index = int(np.searchsorted(times, time))
    return index if index < len(times) and times[index] == time else None


def _index(field: Field, text: str, pace: np.timedelta64) -> int:
    """Index of the start's time in the field."""
    times = field.times
    if not text.strip():
        fitting = np.flatnonzero(np.isin(times - pace, times))
        if len(fitting):
            return int(fitting[-1])
        raise InputError(f"No two of the {len(times)} maps are {pace / np.timedelta64(3600, 's'):g} h apart.", _MISSED,
                         "Give a file with both.", field="field")
    try:
        wanted = np.datetime64(text.strip().removesuffix("Z"), "s")
    except ValueError:
        raise InputError(f"{text.strip()[:30]!r} is no date of the calendar.", "Dates look like 2008-01-31T06:00.",
                         "Correct the start.", field="start") from None
    index = _at(times, wanted)
    if index is None and "T" not in text:
        same_day = np.flatnonzero(times.astype("datetime64[D]") == wanted.astype("datetime64[D]"))
        index = int(same_day[0]) if len(same_day) else None
    if index is None:
        near = times[np.abs(times - wanted).argmin()]
        raise InputError(f"The file has no map of {_day(wanted)}.",
                         f"Its maps are from {_day(times[0])} to {_day(times[-1])}; the nearest is of {_day(near)}.",
                         "Choose one of its times.", field="start")
    return index


def _of_pace(field: Field, domain: Domain) -> tuple[str, ...]:
    """A note where the file's steps are finer than the model's."""
    if len(field.times) < 2:
        return ()
    hours = float(np.diff(field.times).min() / np.timedelta64(3600, "s"))
    if hours >= domain.step_hours:
        return ()
    means = " It was trained on daily means; these are single moments." if domain.step_hours == 24 else ""
    return (f"The file has a map every {hours:g} h; the model takes those {domain.step_hours} h apart.{means}",)


def _unusual(network: Any, state: np.ndarray, time: np.datetime64) -> Sequence[str]:
    climate, space = climate_of(network), space_of(network)
    size = float(np.sqrt(np.square(space.states(climate.anomalies(state[None], np.array([time])))).mean()))
    return (f"The start is {size:.1f} times as far from the climate as usual: unlike what the model was trained on.",
            ) if size > _UNUSUAL else ()
