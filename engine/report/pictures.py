"""What the measurements of the picture tasks say: restoration, inpainting, super-resolution."""

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
