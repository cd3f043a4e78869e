"""Times of files as datetime64, whatever calendar they count in."""

import numpy as np

from engine.errors import InputError

_SECOND = np.timedelta64(1, "s")


def decoded(values: np.ndarray, units: str, calendar: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """datetime64[s] of an axis as it is stored, and notes. Dates that only the file's calendar has become NaT.

    values: datetime64, text in ISO form, or numbers in `units` ("hours since ...") of a CF calendar. Climate models
    count years of 360 or 365 days; their dates keep their names, so that seasons stay where they are.
    Raises InputError when they cannot be understood.
    """
    if values.dtype.kind == "M":
        return _rounded(values), ()
    if values.dtype.kind in "OSU":
        return _from_text(values), ("Times were given as text.",)
    found = _counted(values, units, calendar)
    if found.dtype.kind == "M":
        return _rounded(found), ()
    dates = np.array([_named(date) for date in found.ravel()], "datetime64[s]").reshape(found.shape)
    return dates, _calendar_notes(calendar, int(np.isnat(dates).sum()))


def _counted(values: np.ndarray, units: str, calendar: str) -> np.ndarray:
    import xarray

    attributes = {"units": units} | ({"calendar": calendar} if calendar else {})
    try:
        assert "since" in units
        coded = xarray.Dataset({"time": ("time", values, attributes)})
        found = xarray.decode_cf(coded)["time"].values
        assert found.dtype.kind in "MO"
        return found
    except Exception:  # the decoders raise whatever they stumble over
        raise InputError("The times of the file cannot be understood.",
                         f"Their unit is {units[:40]!r}, their calendar {calendar[:40]!r}.",
                         'Give them as "hours since 2001-01-01" in a calendar of the CF conventions.') from None


def _rounded(values: np.ndarray) -> np.ndarray:
    """To whole seconds: days that are stored as floating-point numbers are a little off."""
    return (values.astype("datetime64[ms]") + np.timedelta64(500, "ms")).astype("datetime64[s]")


def _from_text(values: np.ndarray) -> np.ndarray:
    try:
        words = [value.decode() if isinstance(value, bytes) else str(value) for value in values.ravel()]
        return np.array([word.strip().removesuffix("Z") for word in words], "datetime64[s]").reshape(values.shape)
    except (ValueError, UnicodeDecodeError):
        raise InputError("The times of the file are text that is no date.", "Dates look like 2001-01-31T06:00.",
                         'Give them in this form or as "hours since 2001-01-01".') from None


def _named(date) -> np.datetime64:
    """The date of that name, NaT where our calendar has none, such as 30 February."""
    try:
        return np.datetime64(f"{date.year:04}-{date.month:02}-{date.day:02}", "s") + (
            (date.hour * 60 + date.minute) * 60 + date.second) * _SECOND
    except ValueError:
        return np.datetime64("NaT")


def _calendar_notes(calendar: str, dropped: int) -> tuple[str, ...]:
    notes = (f"The calendar is {calendar[:20]}; dates keep their names, and days that it lacks are missing.",)
    if dropped:
        notes += (f"{dropped} times on days that our calendar lacks were left out.",)
    return notes
