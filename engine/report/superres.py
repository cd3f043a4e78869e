"""What the measurements of super-resolution say: satellite pictures, the searched start, photographs, the dark."""

from collections.abc import Iterable, Sequence

from engine.report.tables import Row, groups, mean, number, table, verdict

_FIGURES = {"psnr_db": ("PSNR, dB", 2), "ssim": ("SSIM", 3), "spectral_error": ("spectral error", 3),
            "high_spectral_error": ("in the top third of frequencies", 3), "consistency": ("misfit, grey levels", 2),
            "coverage": ("truth in the range of the samples", 3), "seconds": ("seconds", 2)}
_SATELLITE = "satellite"


def superres(rows: Sequence[Row]) -> Iterable[str]:
    """A table of satellite pictures with its two goals, and one of each other kind that was measured."""
    kinds = groups([{"kind": _SATELLITE} | dict(row) for row in rows], "kind")
    yield from _satellite(kinds.pop(_SATELLITE))
    yield from _starts({kind: group for kind, group in kinds.items() if kind.startswith("start noise")})
    yield from _photographs({kind: group for kind, group in kinds.items() if kind.startswith("photographs")})
    yield from _dark({kind: group for kind, group in kinds.items() if kind.startswith("dark")})


def _lines(rows: Sequence[Row]) -> str:
    return table([{"method": row["method"]} | {title: number(row[key], digits) if key in row else ""
                                               for key, (title, digits) in _FIGURES.items()} for row in rows])


def _satellite(rows: Sequence[Row]) -> Iterable[str]:
    yield f"Means over {rows[0]['pictures']} held-out Sentinel-2 pictures, reduced by four with a bicubic filter."
    yield _lines(rows)
    by = {row["method"]: row for row in rows}
    plain = by["bicubic"]
    one, average = (next(row for row in rows if row["method"].startswith(f"ours, {kind}")) for kind in ("one", "mean"))
    gain, share = average["psnr_db"] - plain["psnr_db"], one["spectral_error"] / plain["spectral_error"]
    yield verdict("the mean of several samples at least 1 dB above bicubic", 1,
                  [] if gain >= 1 else [f"{gain:+.2f} dB"])
    yield verdict("the spectral error of one sample at most half of that of bicubic", 1,
                  [] if share <= 0.5 else [f"a share of {share:.2f}"])


def _starts(kinds: dict[str, list[Row]]) -> Iterable[str]:
    if not kinds:
        return
    lines, missed = [], []
    for kind, group in kinds.items():
        steps = kind.removeprefix("start noise, ")
        random, searched, zero = ({row["method"]: row for row in group}[f"{name} start"]
                                  for name in ("random", "searched", "zero"))
        gain, error = searched["psnr_db"] - random["psnr_db"], searched["psnr_error_db"]
        lines.append({"steps": steps.removesuffix(" steps")}
                     | {f"{name}, {title}": number(row[key], digits) for key, title, digits in
                        (("psnr_db", "dB", 2), ("ssim", "SSIM", 3), ("spectral_error", "spectral error", 3))
                        for name, row in (("random", random), ("searched", searched), ("zero", zero))}
                     | {"gain of the search, dB": f"{gain:+.2f} ± {error:.2f}"})
        if gain <= error:
            missed.append(f"{steps} ({gain:+.2f} ± {error:.2f} dB)")
    yield (f"**One start noise, searched once.** A single sample of the same model and solver on "
           f"{next(iter(kinds.values()))[0]['pictures']} held-out pictures, from a random start (mean of four), from "
           "the start that did best (SSIM) on 16 training pictures, and from none. Start zero is smooth: best in PSNR, "
           "far from the spectrum of the truth.")
    yield table(lines)
    yield verdict("the searched start above the mean random one by more than a standard error of PSNR", len(lines),
                  missed)


def _photographs(kinds: dict[str, list[Row]]) -> Iterable[str]:
    if not kinds:
        return
    missed = []
    yield ("**Photographs, four times.** Central squares of 128 px, averaged over 4 x 4 px. The misfit is that of the "
           "result's averages.")
    for kind, group in kinds.items():
        yield f"{kind.capitalize()}, {group[0]['pictures']} pictures:\n\n{_lines(group)}"
        by = {row["method"]: row for row in group}
        gain = by["ours, estimate"]["psnr_db"] - by["bicubic"]["psnr_db"]
        if gain <= 0:
            missed.append(f"{kind} ({gain:+.2f} dB)")
    yield verdict("the estimate above bicubic in PSNR", len(kinds), missed)


def _dark(kinds: dict[str, list[Row]]) -> Iterable[str]:
    if not kinds:
        return
    missed, lines = [], []
    for kind, group in kinds.items():
        ours = [row for row in group if row["method"].startswith("ours, estimate")]
        classical = [row for row in group if not row["method"].startswith("ours")]
        lines.append({"set": kind.removeprefix("dark "),
                      **{row["method"]: f"{row['psnr_db']:.2f} / {row['ssim']:.3f}" for row in group}})
        best, known = max(classical, key=lambda row: row["psnr_db"]), ours[-1]
        if known["psnr_db"] <= best["psnr_db"]:
            missed.append(f"{kind} ({known['psnr_db'] - best['psnr_db']:+.2f} dB against {best['method']})")
    first = next(iter(kinds.values()))
    yield (f"**Photographs in the dark, two times.** PSNR in dB / SSIM on {first[0]['pictures']} pictures a set, "
           "recorded with so many stops too little light, mosaicked, with sensor noise. Classical methods enlarge "
           "(bicubic) what they brighten. \"Known\": by the exposure that a camera knows; the others judge the "
           f"picture. Our estimate takes {mean(row['seconds'] for row in first if 'estimate' in row['method']):.2g} s.")
    yield table(lines)
    yield verdict("the estimate with known exposure above every classical method in PSNR", len(kinds), missed)
