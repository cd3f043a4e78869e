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


def contrast(rows: Sequence[Row]) -> Iterable[str]:
    """One table of methods, the grid of variants, and what the goals say of the means that were told nothing."""
    from engine.tasks.contrast.variants import grid

    yield (f"Means over {rows[0]['slices']} slices of the one patient whom no model was trained on, who was also the "
           "one that steps and diversity were chosen on: take the figures for optimistic. Slices after contrast were "
           "brought to the grey scale of those before. The region is where the true slice takes up contrast; no expert "
           "drew it. A run that is told the region knows what it has to find.")
    yield table([{"method": row["method"], "told": row["told"]} | {
        shown: number(row.get(key), digits) for key, (shown, digits) in _CONTRAST.items()} for row in rows])
    yield "**Variants**\n\n" + table([
        {"target": cell["target"], "handling of the lesion": cell["handling"], "state": cell["state"]} | {
            shown: number(cell[key], 4) for key, shown in _VARIANTS.items()} for cell in grid(rows)])
    plain = rows[0]
    means = {row["target"]: row for row in rows if row["samples"] > 1 and row["told"] == "nothing"}
    for target, row in means.items():
        yield verdict(f"{target}: better than no change in MAE, PSNR and SSIM", 3, [
            f"{key} {row[key]:.4g} against {plain[key]:.4g}" for key, sign in (("mae", -1), ("psnr_db", 1), ("ssim", 1))
            if sign * (row[key] - plain[key]) <= 0])
    if len(means) == 2:
        ours, other = means["subtraction"], means["post-contrast"]
        yield verdict("subtraction better than post-contrast in MAE", 1,
                      [] if ours["mae"] < other["mae"] else [f"{ours['mae']:.4g} against {other['mae']:.4g}"])


_CONTRAST = {"mae": ("MAE", 4), "psnr_db": ("PSNR, dB", 2), "ssim": ("SSIM", 3), "region_mae": ("MAE in the region", 4),
             "recall": ("uptake found", 3), "coverage": ("truth in the range of the samples", 3),
             "seconds": ("seconds", 2)}
_VARIANTS = {"mae": "MAE", "region_mae": "in the region", "told_mae": "MAE, told the region",
             "told_region_mae": "in the region, told it"}
