"""What the measurements of the picture tasks say: restoration, inpainting, super-resolution, steering."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from engine.report.tables import Row, db, folded, groups, is_ours, mean, none_if_input, number, reading, table, verdict


def restoration(rows: Sequence[Row]) -> Iterable[str]:
    """One line per degradation. Doing nothing counts as a classical method; each of its figures is the best of all."""
    lines, missed = [], []
    for name, group in groups(rows, "degradation").items():
        ours = [row for row in group if is_ours(row)]
        others = [row for row in group if not is_ours(row)]
        best, ssim = max(others, key=reading("psnr_db")), max(map(reading("ssim"), others))
        gains = [reading("psnr_db")(row) - reading("psnr_db")(best) for row in ours]
        met = [gain >= 1 and reading("ssim")(row) > ssim for gain, row in zip(gains, ours)]
        lines.append({"degradation": name, "input": db(group[0]["psnr_db"]),
                      "best classical": f"{db(best['psnr_db'])} ({none_if_input(best['method'])})",
                      **{row["method"]: db(row["psnr_db"]) for row in ours}, "gain": f"{gains[0]:+.2f}",
                      "SSIM classical": number(ssim, 3), "SSIM ours": number(ours[0]["ssim"], 3),
                      "goal met": "yes" if met[0] else f"with the {ours[-1]['method'][6:]}" if met[-1] else "no"})
        if not met[0]:
            missed.append(f"{name} ({gains[0]:+.2f} dB, SSIM {reading('ssim')(ours[0]) - ssim:+.3f})")
    first = next(row for row in rows if is_ours(row))
    each_s = mean(row["seconds"] for row in rows if row["method"] == first["method"])
    strength = f" at strength {first['strength']:g}" if "strength" in first else ""
    yield (f"PSNR in dB, mean of {first['pictures']} pictures{strength}. The estimate ({first['method']}) has "
           "diversity 0: each step looks at the picture from another side, as far as the damage has no direction. "
           f"Samples of the mean have diversity 1. Gain and SSIM are those of the estimate ({each_s:.2g} s a picture). "
           "The best classical method is taken of all that were tried, doing nothing among them.")
    yield table(lines)
    yield verdict("the estimate at least 1 dB better than the best classical method, and better in SSIM", len(lines),
                   missed)


def inpainting(rows: Sequence[Row]) -> Iterable[str]:
    """One line per set and hole, one table per figure."""
    counts = {row["set"]: row["pictures"] for row in rows}
    yield ("Means over the pictures: " + ", ".join(f"{count} of {name}" for name, count in counts.items())
           + ". PSNR and SSIM count the hole only; the spectral error (0.3 is a factor of two) is taken on the square "
             "around it; the boundary jump is 0 where no seam shows.")
    cases = groups(rows, "set", "hole")
    large = {case: group for case, group in cases.items() if case[1] != "thin"}
    yield _pivot("PSNR, dB", cases, "psnr_db", 2)
    yield verdict("the mean of several samples above every classical method, on free-form and box holes", len(large),
                   _missed(large, "psnr_db", lambda ours, others: (ours[-1], max(others), ours[-1] > max(others))))
    yield _pivot("Spectral error", cases, "spectral_error", 3)
    yield verdict("one sample at most at half of every classical method", len(cases),
                   _missed(cases, "spectral_error", lambda ours, others: (ours[0], min(others),
                                                                          ours[0] <= min(others) / 2)))
    rest = (("SSIM", "ssim"), ("Boundary jump", "boundary_jump"), ("Seconds a picture", "seconds"))
    yield folded("SSIM, boundary jump, time", "\n\n".join(_pivot(title, cases, figure, 3) for title, figure in rest))


def _pivot(title: str, cases: Mapping[tuple[str, str], list[Row]], figure: str, digits: int) -> str:
    """One line per set and hole, one column per method."""
    return f"**{title}**\n\n" + table([
        {"set": name, "hole": _words(hole)} | {row["method"]: number(row[figure], digits) for row in group}
        for (name, hole), group in cases.items()])


def _missed(cases: Mapping[tuple[str, str], list[Row]], figure: str,
            judge: Callable[[list[float], list[float]], tuple[float, float, bool]]) -> list[str]:
    """The cases that miss a goal. judge(ours, others) gives the two figures that count and whether the goal is met."""
    missed = []
    for (name, hole), group in cases.items():
        ours = [reading(figure)(row) for row in group if is_ours(row)]
        others = [reading(figure)(row) for row in group if not is_ours(row)]
        own, theirs, met = judge(ours, others)
        if not met:
            missed.append(f"{_words(hole)} of {name} ({own:.3g} against {theirs:.3g})")
    return missed


def _words(name: str) -> str:
    return name.replace("_", " ")


def superres(rows: Sequence[Row]) -> Iterable[str]:
    """One line per method, and the two goals."""
    figures = {"psnr_db": ("PSNR, dB", 2), "ssim": ("SSIM", 3), "spectral_error": ("spectral error", 3),
               "high_spectral_error": ("in the top third of frequencies", 3), "consistency": ("misfit, grey levels", 2),
               "coverage": ("truth in the range of the samples", 3), "seconds": ("seconds", 2)}
    yield f"Means over {rows[0]['pictures']} held-out Sentinel-2 pictures, reduced by four with a bicubic filter."
    yield table([{"method": row["method"]} | {title: number(row[key], digits) if key in row else ""
                                               for key, (title, digits) in figures.items()} for row in rows])
    by = {row["method"]: row for row in rows}
    plain = by["bicubic"]
    one, mean = (next(row for row in rows if row["method"].startswith(f"ours, {kind}")) for kind in ("one", "mean"))
    gain, share = mean["psnr_db"] - plain["psnr_db"], one["spectral_error"] / plain["spectral_error"]
    yield verdict("the mean of several samples at least 1 dB above bicubic", 1,
                   [] if gain >= 1 else [f"{gain:+.2f} dB"])
    yield verdict("the spectral error of one sample at most half of that of bicubic", 1,
                   [] if share <= 0.5 else [f"a share of {share:.2f}"])


def steering(rows: Sequence[Row]) -> Iterable[str]:
    """One table per problem, and what the goals say of it."""
    yield (f"Means over {rows[0]['pictures']} held-out flowers of 32 px, 8 samples each, no class told. \"Equal time\" "
           "gives every method the time of 50 steps of DDNM, \"own steps\" its usual number. The misfit is in units of "
           "the noise, or a share of the measurement where there is none. Coverage is the share of pixels whose truth "
           "lies in the 90 % interval of the samples.")
    titles = {"psnr_db": ("PSNR of one, dB", 2), "psnr_mean_db": ("of the mean, dB", 2), "ssim_mean": ("SSIM, mean", 3),
              "spectral_error": ("spectral error", 3), "consistency": ("misfit", 3), "coverage": ("coverage", 3),
              "seconds": ("seconds", 1)}
    for problem, group in groups(rows, "problem").items():
        shown = [{"method": row["method"], "budget": row["budget"],
                  "steps": f"{row['steps']:.0f}" if row["steps"] else ""}
                 | {title: number(row[key], digits) for key, (title, digits) in titles.items()}
                 for row in group]
        yield f"**{_words(problem)}**\n\n" + table(shown)
        ours = [row for row in group if is_ours(row)]
        others = [row for row in group if not is_ours(row)]
        best, classical = max(r["psnr_mean_db"] for r in ours), max(r["psnr_db"] for r in others)
        sharp = min(r["spectral_error"] for r in others)
        yield verdict("the best method's mean at least 1 dB above the best classical one", 1,
                       [] if best - classical >= 1 else [f"{best - classical:+.2f} dB"])
        blunt = [f"{r['method']}, {r['budget']} ({r['spectral_error']:.3g})" for r in ours
                 if r["spectral_error"] >= sharp]
        yield verdict(f"every method below the classical spectral error of {sharp:.3g}", len(ours), blunt)
