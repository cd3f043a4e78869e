"""What the measurements of the posterior samplers say."""

from collections.abc import Iterable, Sequence

from engine.report.tables import Row, groups, is_ours, number, reading, table, verdict

_FIGURES = {"psnr_db": ("PSNR of one, dB", 2), "psnr_mean_db": ("of the mean, dB", 2), "ssim_mean": ("SSIM, mean", 3),
            "spectral_error": ("spectral error", 3), "consistency": ("misfit", 3), "coverage": ("coverage", 3),
            "seconds": ("seconds", 1)}
_TITLES = {"box": "A box in the centre is missing", "small4": "Averages of 4 x 4 pixels",
           "blur": "Gaussian blur with noise of 0.02 of the range from black to white"}
_PARTICLES = "ours, AFDPS"
_HONEST = (0.80, 0.97)


def steering(rows: Sequence[Row]) -> Iterable[str]:
    """One table per problem, and what the goals say of it."""
    yield (f"Means over {rows[0]['pictures']} held-out flowers of 32 px, no class told, {_counts(rows)}. \"Equal "
           "time\" gives every method the time of 50 steps of DDNM with its samples, \"own steps\" its usual number. "
           "The misfit is in units of the noise, or a share of the measurement where there is none. Coverage is the "
           "share of the numbers not given away by the measurement whose truth lies in the 90 % interval of the "
           "samples. Seconds are of one processor core, for all samples.")
    for problem, group in groups(rows, "problem").items():
        shown = [{"method": row["method"], "budget": row["budget"],
                  "steps": f"{row['steps']:.0f}" if row["steps"] else ""}
                 | {title: number(row[key], digits) for key, (title, digits) in _FIGURES.items()} for row in group]
        yield f"**{_TITLES.get(problem, problem)}**\n\n" + table(shown)
        yield from _judged([row for row in group if is_ours(row)], [row for row in group if not is_ours(row)])


def _counts(rows: Sequence[Row]) -> str:
    """How many samples the methods draw: the usual number first, then who draws another."""
    by = {row["method"].removeprefix("ours, "): f"{row['samples']:.0f}" for row in rows if is_ours(row)}
    usual = max(set(by.values()), key=list(by.values()).count)
    return ", ".join([f"{usual} samples each", *(f"{count} of {name}" for name, count in by.items() if count != usual)])


def _judged(ours: Sequence[Row], others: Sequence[Row]) -> Iterable[str]:
    gain = max(map(reading("psnr_mean_db"), ours)) - max(map(reading("psnr_db"), others))
    yield verdict("the best method's mean at least 1 dB above the best classical one", 1,
                  [] if gain >= 1 else [f"{gain:+.2f} dB"])
    sharp = min(map(reading("spectral_error"), others))
    yield verdict(f"every method below the classical spectral error of {sharp:.3g}", len(ours),
                  [f"{_name(row)} ({row['spectral_error']:.3g})" for row in ours if row["spectral_error"] >= sharp])
    particles = [row for row in ours if row["method"].startswith(_PARTICLES) and row["coverage"] is not None]
    if particles:
        low, high = _HONEST
        yield verdict(f"coverage of AFDPS from {low:.0%} to {high:.0%}", len(particles),
                      [f"{row['budget']} ({row['coverage']:.0%})" for row in particles
                       if not low <= row["coverage"] <= high])


def _name(row: Row) -> str:
    return f"{row['method']}, {row['budget']}"
