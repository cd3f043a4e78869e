"""What an arrangement means in numbers: measurements before and after, contacts, stages. All of it as escaped HTML."""

import numpy as np

from engine.tasks.base import Result
from ui import figures
from ui.teeth.contacts import beside, size, worth
from ui.teeth.table import signed

NOTICE = "Research use, not for treatment."
_MOST_CONTACTS = 60
_STAGE_LIMITS = (("stage_mm", "mm"), ("stage_deg", "°"))


def facts(result: Result) -> str:
    """The measurements before and after."""
    names, units, values = (result.arrays[name].values for name in ("fact_names", "fact_units", "facts"))
    rows = [[name, _written(before), _written(after), unit]
            for name, unit, (before, after) in zip(names.tolist(), units.tolist(), values.tolist())]
    return "<h3>Measurements</h3>" + figures.table(["Measurement", "Before", "After", "Unit"], rows)


def contacts(result: Result) -> str:
    """The teeth that overlap or gape, before and after, the worst after first."""
    arrays = {name: array.values for name, array in result.arrays.items()}
    before, after = arrays["gaps_before"], arrays["gaps_after"]
    chosen = worth(arrays["fdi"].tolist(), arrays["pairs"], before, after)
    if not chosen:
        return "<h3>Collisions and gaps</h3><p>None, neither before nor after.</p>"
    rows = []
    for k in chosen[:_MOST_CONTACTS]:
        first, second = arrays["pairs"][k].tolist()
        side = beside(arrays["fdi"].tolist(), first, second)
        rows.append([f"{first} – {second}", gap(before[k], side), gap(after[k], side)])
    more = f"<p>And {len(chosen) - _MOST_CONTACTS} more.</p>" if len(chosen) > _MOST_CONTACTS else ""
    return "<h3>Collisions and gaps</h3>" + figures.table(["Teeth", "Before", "After"], rows) + more


def gap(distance_mm: float, side_by_side: bool = True) -> str:
    """A signed distance in words: "overlap 0.4 mm", "gap 0.2 mm", "contact"; how far apart other teeth than neighbours
    are says nothing."""
    if not np.isfinite(distance_mm):
        return "–"
    if round(abs(distance_mm), 1) == 0:
        return "contact"
    if distance_mm > 0 and not side_by_side:
        return "apart"
    return f"{'overlap' if distance_mm < 0 else 'gap'} {size(distance_mm)} mm"


def stages(result: Result) -> str:
    """How many stages there are, and what they keep to."""
    count = len(result.arrays["stages"].values)
    options = result.recipe.options
    limits = [f"{figures.number(float(options[name]))} {unit}" for name, unit in _STAGE_LIMITS if name in options]
    kept = f", each tooth at most {' and '.join(limits)} in one" if limits else ""
    return f"<h3>Stages</h3><p>{count} stage{'' if count == 1 else 's'}{kept}.</p>"


def measured(result: Result) -> str:
    """The task's own numbers and notes."""
    rows = {name: int(value) if float(value).is_integer() else float(value) for name, value in result.metrics.items()}
    return ("<h3>Measured</h3>" + figures.pairs(rows) if rows else "") + figures.bullets(result.notes)


def _written(value: float) -> str:
    return signed(value, 1) if np.isfinite(value) else "–"
