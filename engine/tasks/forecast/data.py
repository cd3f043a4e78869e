"""The two weather records: where they lie, how they are split in time, and the linear model fitted to their past."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import InputError
from engine.io.fields import Field, read_netcdf
from engine.tasks.forecast import linear
from engine.tasks.forecast.linear import Linear

_WITHHELD_DAYS, _WITHHELD_EVERY = 20, 8


@dataclass(frozen=True)
class Domain:
    """One record and the choices that its linear model was tuned to, by blocks of days within the training part.

    Records from `judged_from` on are for validation; training ends the longest lead earlier. step_hours: between maps;
    steps: of the longest forecast; report_hours: leads that tables show. The rest: see `linear.fit`.
    """

    name: str
    title: str
    folder: str
    variable: str
    unit: str
    step_hours: int
    steps: int
    report_hours: tuple[int, ...]
    judged_from: str
    components: int
    ridge: float
    annual: int
    hourly: bool
    trust: float
    levelling: float = 0.0


PRESSURE = Domain("pressure", "Sea-level pressure, North Atlantic", "weather_ncep_slp_daily", "slp", "hPa", 24, 10,
                  (24, 48, 72, 120, 168, 240), "2008-07-01", 100, 0.003, 2, False, 1.0)
TEMPERATURE = Domain("temperature", "Air temperature, North America", "weather_ncep_t995_6h", "air", "K", 6, 20,
                     (6, 12, 24, 48, 72, 120), "2014-06-15", 400, 0.05, 1, True, 0.7, 0.5)
DOMAINS = {domain.name: domain for domain in (PRESSURE, TEMPERATURE)}


@dataclass(frozen=True)
class Record:
    """A record, split and fitted. training, judged (T,) bool; states (T, K); errors (N, K): held-out one-step errors.

    The errors are those of the cases of `linear.pairs(states, training)`.
    """

    domain: Domain
    field: Field
    training: np.ndarray
    judged: np.ndarray
    model: Linear
    states: np.ndarray
    errors: np.ndarray


def find(data: str | Path, domain: Domain) -> Path:
    """The record's NetCDF file in its folder of `data`, or in `data` if that is it. Raises InputError without one."""
    folder = Path(data)
    place = folder if folder.name == domain.folder else folder / domain.folder
    found = sorted(place.glob("*.nc"))
    if found:
        return found[0]
    raise InputError(f"There is no NetCDF file in the folder {domain.folder}.",
                     f"The record of {domain.title} is looked for there.", "Check the data folder.", field="data")


def read(data: str | Path, domain: Domain) -> Field:
    """The record of a domain. Raises InputError when its unit or time step is another."""
    field = read_netcdf(find(data, domain), domain.variable)
    if field.unit != domain.unit:
        raise InputError(f"The record's unit is {field.unit[:20]!r}.", f"{domain.title} is in {domain.unit}.",
                         "Give the unit in the file.", field="data")
    hours = np.unique(np.diff(field.times) / np.timedelta64(3600, "s"))
    if len(hours) != 1 or hours[0] != domain.step_hours:
        raise InputError(f"The record's times are {hours.min():g} to {hours.max():g} h apart.",
                         f"{domain.title} needs {domain.step_hours} h between maps, without gaps.",
                         "Choose a part without gaps.", field="data")
    return field


def split(times: np.ndarray, domain: Domain) -> tuple[np.ndarray, np.ndarray]:
    """(training, judged), both (T,) bool: by time, with a gap of the longest lead between them."""
    judged = times >= np.datetime64(domain.judged_from)
    gap = np.timedelta64(domain.step_hours * domain.steps * 3600, "s")
    return times < np.datetime64(domain.judged_from) - gap, judged


def prepare(field: Field, domain: Domain, left_out: np.ndarray | bool = False) -> Record:
    """Split the record and fit the linear model to its training part, less what is left out, (T,) bool."""
    training, judged = split(field.times, domain)
    training &= ~np.broadcast_to(left_out, training.shape)
    model, states, errors = linear.fit(
        field.values, field.times, field.lat, training, components=domain.components, ridge=domain.ridge,
        annual=domain.annual, hourly=domain.hourly, trust=domain.trust,
        levelling=domain.levelling)
    return Record(domain, field, training, judged, model, states, errors)


def withheld(field: Field, domain: Domain) -> np.ndarray:
    """Times (T,) bool of the training part that teach networks no mean: every eighth stretch of 20 days."""
    stretch = np.arange(len(field.times)) * domain.step_hours // (24 * _WITHHELD_DAYS)
    return split(field.times, domain)[0] & (stretch % _WITHHELD_EVERY == _WITHHELD_EVERY // 2)


def starts(record: Record, steps: int, limit: int | None = None) -> np.ndarray:
    """Indices of validation times from which a forecast of `steps` can start and be judged: all, or `limit` of them."""
    now = np.arange(linear.LAGS - 1, len(record.field.times) - steps)
    now = now[record.judged[now - linear.LAGS + 1]]
    if limit is not None and limit < len(now):
        now = now[np.round(np.linspace(0, len(now) - 1, limit)).astype(int)]
    return now
