"""What the measurements of the clinical tasks say."""

from collections.abc import Iterable, Sequence

from engine.report.tables import Row, groups, number, table, verdict

_FIGURES = {"dice": ("Dice", 3), "iou": ("IoU", 3), "aji": ("aggregated Jaccard", 3), "count_error": ("count error", 3),
            "sensitivity": ("sensitivity", 3), "specificity": ("specificity", 3), "brier": ("Brier", 4),
            "calibration_error": ("calibration error", 4), "doubt_auroc": ("AUROC of doubt", 3),
            "energy_distance": ("energy distance", 3), "seconds": ("seconds", 2)}
_SETS = {"nuclei": ("Nuclei", 0.90), "vessels": ("Vessels", 0.76), "demo": ("Invented pictures", 0.0)}
_JUDGED, _RIVAL = "ours, 8 samples, 10 steps", "plain U-Net"


def segmentation(rows: Sequence[Row]) -> Iterable[str]:
    """One table per set, and what the goals say of 8 samples in 10 steps."""
    yield ("Means over held-out pictures. Dice and IoU are of the mean of the samples cut at 1/2; the count error is a "
           "share of the true count; the AUROC says how well the doubt points at the wrong pixels.")
    for name, group in groups(rows, "set").items():
        title, least = _SETS.get(name, (name, 0.0))
        yield f"**{title}, {group[0]['pictures']} pictures**\n\n" + table([
            {"method": row["method"]} | {shown: number(row[key], digits) for key, (shown, digits) in _FIGURES.items()
                                         if key in row} for row in group])
        by = {row["method"]: row for row in group}
        if _JUDGED in by:
            demands, missed = _judged(by[_JUDGED], by.get(_RIVAL), least)
            yield verdict(f"{_JUDGED[6:]}: Dice at least {least:g}, calibration error at most 0.05, AUROC of doubt at "
                          "least 0.85, and the Dice of the U-Net less 0.01 with a better Brier score and calibration",
                          demands, missed)


def _judged(ours: Row, rival: Row | None, least: float) -> tuple[int, list[str]]:
    """How many demands there are, and those that are missed, in words."""
    demands = {f"Dice {ours['dice']:.3f}": ours["dice"] >= least,
               f"calibration error {ours['calibration_error']:.3f} above 0.05": ours["calibration_error"] <= 0.05,
               f"AUROC of doubt {ours['doubt_auroc']:.3f} below 0.85": ours["doubt_auroc"] >= 0.85}
    if rival is not None:
        demands |= {f"Dice {ours['dice'] - rival['dice']:+.3f} against the U-Net": ours["dice"] >= rival["dice"] - 0.01,
                    f"Brier score {ours['brier']:.4f} against {rival['brier']:.4f}": ours["brier"] < rival["brier"],
                    f"calibration error {ours['calibration_error']:.4f} against {rival['calibration_error']:.4f}":
                        ours["calibration_error"] < rival["calibration_error"]}
    return len(demands), [words for words, met in demands.items() if not met]
