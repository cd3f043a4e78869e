"""The variants of the publication as a grid: target by handling of the lesion. Heads have one field, not two.

Ibarra et al. compare 22 models. Two are trained here; the other cells say so and hold no figures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.tasks.contrast.targets import TARGETS

HANDLINGS = ("vanilla", "ROI loss", "mask", "mask and ROI loss", "mask at times and ROI loss")
TRAINED = HANDLINGS[-1]
"""The region is told for some training slices and weighs in the loss; runs go with it and without it."""
WHOLE, REGION = "mae", "region_mae"


def grid(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A cell per target and handling: state "measured" or "not trained", and the errors of `rows` where measured.

    rows: of `engine.tasks.contrast.evaluate.evaluate`. One column of errors for runs without the region (mae,
    region_mae), and one for runs that were told it (told_mae, told_region_mae); None where there is no model.
    """
    return [_cell(target, handling, rows) for target in TARGETS for handling in HANDLINGS]


def _cell(target: str, handling: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = {row["told"]: row for row in rows
             if handling == TRAINED and row["target"] == target and row["samples"] > 1}
    figures = {f"{prefix}{name}": found[told][name] if told in found else None
               for told, prefix in (("nothing", ""), ("region", "told_")) for name in (WHOLE, REGION)}
    return {"target": target, "handling": handling, "state": "measured" if found else "not trained"} | figures
