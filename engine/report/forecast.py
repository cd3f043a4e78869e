"""What the measurements of the forecasts say."""

from collections.abc import Iterable, Sequence

from engine.report.tables import Row, folded, groups, number, table, verdict

_FIGURES = {"rmse": ("RMSE of the mean", 3), "crps": ("CRPS", 3), "spread_skill": ("spread / RMSE", 3),
            "outer_ranks": ("outer ranks", 2), "energy": ("energy score", 3), "spectrum": ("short waves", 3),
            "seconds": ("seconds", 2)}
_TITLES = {"pressure": "North Atlantic pressure", "temperature": "North American temperature",
           "sphere": "Known-answer world on the sphere"}
_EARLY_H = {"pressure": (24, 72), "temperature": (6, 48)}
"""Leads at which the best linear method is to be beaten."""
_OURS, _OPTIMAL, _DAMPED, _CLIMATE = "ours", "optimal (closed form)", "damped persistence", "climatology"
_LINEAR = ("linear inverse model", _DAMPED)


def forecast(rows: Sequence[Row]) -> Iterable[str]:
    """CRPS against lead of all methods, all figures folded, and what the goals say, for each record."""
    yield ("20 members from starts that are evenly spaced over the validation part, which is later than all that "
           "anything was fitted to. The CRPS is fair to the number of members; spread / RMSE and the share of truths "
           "outside all members (outer ranks) are 1 for a calibrated ensemble; short waves is the power of members "
           "over that of the truth.")
    for name, group in groups([row for row in rows if "crps" in row], "record").items():
        by_lead = groups(group, "lead_h")
        methods = list(dict.fromkeys(row["method"] for row in group))
        yield (f"**{_TITLES.get(name, name)}, {group[0]['starts']} starts, CRPS in {group[0]['unit']}**\n\n"
               + table([{"lead, hours": str(lead)} | {method: _of(at, method, "crps") for method in methods}
                        for lead, at in by_lead.items()]))
        yield folded("All figures", table([
            {"lead, hours": str(row["lead_h"]), "method": row["method"]}
            | {shown: number(row.get(key), digits) for key, (shown, digits) in _FIGURES.items()} for row in group]))
        yield from _judged(name, by_lead)
    yield from _storms([row for row in rows if "track_error" in row])


def _storms(rows: Sequence[Row]) -> Iterable[str]:
    if rows:
        yield ("**Centres of tropical storms: distance in km to the best track**, in brackets the share of members "
               "that still have the low\n\n" + table([{"lead, hours": str(lead)} | {
                   row["method"]: f"{row['track_error']:.0f} ({row['followed']:.2f})" for row in group}
                   for lead, group in groups(rows, "lead_h").items()]))


def _of(rows: Sequence[Row], method: str, key: str) -> str:
    return next((number(row.get(key), 3) for row in rows if row["method"] == method), "–")


def _judged(record: str, by_lead: dict[int, list[Row]]) -> Iterable[str]:
    demands: dict[str, bool] = {}
    early = _EARLY_H.get(record)
    for lead, rows in by_lead.items():
        crps = {row["method"]: row["crps"] for row in rows}
        ours = next((row for row in rows if row["method"] == _OURS), None)
        if ours is None:
            return
        rivals = {_OPTIMAL: 1.05} if _OPTIMAL in crps else {_DAMPED: 1.0, _CLIMATE: 1.0}
        if early and early[0] <= lead <= early[1]:
            rivals |= dict.fromkeys(_LINEAR, 1.0)
        for rival, times in rivals.items():
            if rival in crps:
                demands[f"{lead} h: CRPS {ours['crps']:.3f} against {crps[rival]:.3f} ({rival})"] = (
                    ours["crps"] < times * crps[rival])
        if _OPTIMAL not in crps:
            demands[f"{lead} h: spread / RMSE {ours['spread_skill']:.2f}"] = 0.9 <= ours["spread_skill"] <= 1.1
    goal = ("CRPS within 5 % of the optimal one" if any(_OPTIMAL in {row["method"] for row in rows}
                                                        for rows in by_lead.values())
            else "CRPS below damped persistence and climatology at every lead, below the best linear method at "
                 f"{early[0]} to {early[1]} h, spread / RMSE from 0.9 to 1.1" if early else "CRPS below climatology")
    yield verdict(goal, len(demands), [words for words, met in demands.items() if not met])
