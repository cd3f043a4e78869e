"""The results section of the README, made from the measurements in assets/results and from nothing else.

Each file there was written by `evaluate --json` or `bench --json`; what it holds is told from its rows.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from engine.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "assets" / "results"
BEGIN, END = "<!-- results -->", "<!-- /results -->"

Row = Mapping[str, Any]

# A table with more rows than this is folded up, so that the section stays readable.
_MOST_ROWS = 14
_NOTHING = ("Nothing was measured yet. `python -m engine evaluate TASK --data DIR --json assets/results/TASK.json` and "
            "`python -m engine bench --json assets/results/bench.json` measure, `python -m engine report` writes the "
            "tables here.")
_COLUMNS = {
    "restoration": {"degradation", "method", "psnr_db", "ssim", "seconds", "pictures"},
    "inpainting": {"set", "hole", "method", "psnr_db", "ssim", "spectral_error", "boundary_jump", "seconds",
                   "pictures"},
    "superres": {"method", "psnr_db", "ssim", "spectral_error", "high_spectral_error", "consistency", "seconds",
                 "pictures"},
    "steering": {"problem", "method", "budget", "steps", "psnr_db", "psnr_mean_db", "spectral_error", "consistency",
                 "coverage", "seconds", "pictures"},
    "bench": {"title", "rows"},
}


def write(readme: Path = README, results: Path = RESULTS) -> bool:
    """Put the section into the README; whether that changed it. Raises InputError for a file that cannot be used."""
    try:
        text = readme.read_text(encoding="utf-8")
        new = placed(text, section(results))
        if new != text:
            readme.write_text(new, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{readme.name} could not be read and written.",
                         f"{error.strerror or 'The system refused it'}.", "Check its place.", field="readme") from None
    return new != text


def placed(text: str, section: str) -> str:
    """The text with what stands between the two markers replaced. Raises InputError unless each is there once."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before + after:
        raise InputError("The README has no place for the results.", f"It needs {BEGIN} and {END} once, in this order.",
                         "Add the two lines.", field="readme")
    return f"{before}{BEGIN}\n{section}\n{END}{after}"


def section(results: Path = RESULTS) -> str:
    """The Markdown of all measurements in a folder: tasks, then bench, each by file name."""
    files = [(path, *_read(path)) for path in sorted(results.glob("*.json"))] if results.is_dir() else []
    parts = []
    for kind, show in _SECTIONS.items():
        for path, found, rows in files:
            if found == kind:
                title = _TITLES.get(kind, kind.capitalize()) + ("" if path.stem == kind else f", {path.stem}")
                parts += [f"### {title}", *show(rows)]
    return "\n\n".join(parts) or _NOTHING


def _read(path: Path) -> tuple[str, list[Row]]:
    """What kind of measurement a file holds, and its rows."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        rows = None
    if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        for kind, columns in _COLUMNS.items():
            if all(columns <= row.keys() for row in rows):
                return kind, rows
    raise InputError(f"{path.name[:60]} holds no measurement.", "It must be what evaluate or bench wrote with --json.",
                     "Measure again, or take the file away.", field="results")


def _restoration(rows: Sequence[Row]) -> Iterable[str]:
    """One line per degradation. Doing nothing counts as a classical method; each of its figures is the best of all."""
    lines, missed = [], []
    for name, group in _groups(rows, "degradation").items():
        ours = [row for row in group if _is_ours(row)]
        others = [row for row in group if not _is_ours(row)]
        best, ssim = max(others, key=_figure("psnr_db")), max(map(_figure("ssim"), others))
        gains = [_figure("psnr_db")(row) - _figure("psnr_db")(best) for row in ours]
        met = [gain >= 1 and _figure("ssim")(row) > ssim for gain, row in zip(gains, ours)]
        lines.append({"degradation": name, "input": _db(group[0]["psnr_db"]),
                      "best classical": f"{_db(best['psnr_db'])} ({_none_if_input(best['method'])})",
                      **{row["method"]: _db(row["psnr_db"]) for row in ours}, "gain": f"{gains[0]:+.2f}",
                      "SSIM classical": _number(ssim, 3), "SSIM ours": _number(ours[0]["ssim"], 3),
                      "goal met": "yes" if met[0] else f"with the {ours[-1]['method'][6:]}" if met[-1] else "no"})
        if not met[0]:
            missed.append(f"{name} ({gains[0]:+.2f} dB, SSIM {_figure('ssim')(ours[0]) - ssim:+.3f})")
    first = next(row for row in rows if _is_ours(row))
    each_s = _mean(row["seconds"] for row in rows if row["method"] == first["method"])
    strength = f" at strength {first['strength']:g}" if "strength" in first else ""
    yield (f"PSNR in dB, mean of {first['pictures']} pictures{strength}. One sample has diversity 0, those of the mean "
           f"have diversity 1. Gain and SSIM are those of one sample ({first['method']}; {each_s:.2g} s a picture). "
           "The best classical method is taken of all that were tried, doing nothing among them.")
    yield _table(lines)
    yield _verdict("one sample at least 1 dB better than the best classical method, and better in SSIM", len(lines),
                   missed)


def _inpainting(rows: Sequence[Row]) -> Iterable[str]:
    """One line per set and hole, one table per figure."""
    counts = {row["set"]: row["pictures"] for row in rows}
    yield ("Means over the pictures: " + ", ".join(f"{count} of {name}" for name, count in counts.items())
           + ". PSNR and SSIM count the hole only; the spectral error (0.3 is a factor of two) is taken on the square "
             "around it; the boundary jump is 0 where no seam shows.")
    cases = _groups(rows, "set", "hole")
    large = {case: group for case, group in cases.items() if case[1] != "thin"}
    yield _pivot("PSNR, dB", cases, "psnr_db", 2)
    yield _verdict("the mean of several samples above every classical method, on free-form and box holes", len(large),
                   _missed(large, "psnr_db", lambda ours, others: (ours[-1], max(others), ours[-1] > max(others))))
    yield _pivot("Spectral error", cases, "spectral_error", 3)
    yield _verdict("one sample at most at half of every classical method", len(cases),
                   _missed(cases, "spectral_error", lambda ours, others: (ours[0], min(others),
                                                                          ours[0] <= min(others) / 2)))
    rest = (("SSIM", "ssim"), ("Boundary jump", "boundary_jump"), ("Seconds a picture", "seconds"))
    yield _folded("SSIM, boundary jump, time", "\n\n".join(_pivot(title, cases, figure, 3) for title, figure in rest))


def _pivot(title: str, cases: Mapping[tuple[str, str], list[Row]], figure: str, digits: int) -> str:
    """One line per set and hole, one column per method."""
    return f"**{title}**\n\n" + _table([
        {"set": name, "hole": _words(hole)} | {row["method"]: _number(row[figure], digits) for row in group}
        for (name, hole), group in cases.items()])


def _missed(cases: Mapping[tuple[str, str], list[Row]], figure: str,
            judge: Callable[[list[float], list[float]], tuple[float, float, bool]]) -> list[str]:
    """The cases that miss a goal. judge(ours, others) gives the two figures that count and whether the goal is met."""
    missed = []
    for (name, hole), group in cases.items():
        ours = [_figure(figure)(row) for row in group if _is_ours(row)]
        others = [_figure(figure)(row) for row in group if not _is_ours(row)]
        own, theirs, met = judge(ours, others)
        if not met:
            missed.append(f"{_words(hole)} of {name} ({own:.3g} against {theirs:.3g})")
    return missed


def _words(name: str) -> str:
    return name.replace("_", " ")


def _superres(rows: Sequence[Row]) -> Iterable[str]:
    """One line per method, and the two goals."""
    figures = {"psnr_db": ("PSNR, dB", 2), "ssim": ("SSIM", 3), "spectral_error": ("spectral error", 3),
               "high_spectral_error": ("in the top third of frequencies", 3), "consistency": ("misfit, grey levels", 2),
               "coverage": ("truth in the range of the samples", 3), "seconds": ("seconds", 2)}
    yield f"Means over {rows[0]['pictures']} held-out Sentinel-2 pictures, reduced by four with a bicubic filter."
    yield _table([{"method": row["method"]} | {title: _number(row[key], digits) if key in row else ""
                                               for key, (title, digits) in figures.items()} for row in rows])
    by = {row["method"]: row for row in rows}
    plain = by["bicubic"]
    one, mean = (next(row for row in rows if row["method"].startswith(f"ours, {kind}")) for kind in ("one", "mean"))
    gain, share = mean["psnr_db"] - plain["psnr_db"], one["spectral_error"] / plain["spectral_error"]
    yield _verdict("the mean of several samples at least 1 dB above bicubic", 1,
                   [] if gain >= 1 else [f"{gain:+.2f} dB"])
    yield _verdict("the spectral error of one sample at most half of that of bicubic", 1,
                   [] if share <= 0.5 else [f"a share of {share:.2f}"])


def _steering(rows: Sequence[Row]) -> Iterable[str]:
    """One table per problem, and what the goals say of it."""
    yield (f"Means over {rows[0]['pictures']} held-out flowers of 32 px, 8 samples each, no class told. \"Equal time\" "
           "gives every method the time of 50 steps of DDNM, \"own steps\" its usual number. The misfit is in units of "
           "the noise, or a share of the measurement where there is none. Coverage is the share of pixels whose truth "
           "lies in the 90 % interval of the samples.")
    titles = {"psnr_db": ("PSNR of one, dB", 2), "psnr_mean_db": ("of the mean, dB", 2), "ssim_mean": ("SSIM, mean", 3),
              "spectral_error": ("spectral error", 3), "consistency": ("misfit", 3), "coverage": ("coverage", 3),
              "seconds": ("seconds", 1)}
    for problem, group in _groups(rows, "problem").items():
        shown = [{"method": row["method"], "budget": row["budget"],
                  "steps": f"{row['steps']:.0f}" if row["steps"] else ""}
                 | {title: _number(row[key], digits) for key, (title, digits) in titles.items()}
                 for row in group]
        yield f"**{_words(problem)}**\n\n" + _table(shown)
        ours = [row for row in group if _is_ours(row)]
        others = [row for row in group if not _is_ours(row)]
        best, classical = max(r["psnr_mean_db"] for r in ours), max(r["psnr_db"] for r in others)
        sharp = min(r["spectral_error"] for r in others)
        yield _verdict("the best method's mean at least 1 dB above the best classical one", 1,
                       [] if best - classical >= 1 else [f"{best - classical:+.2f} dB"])
        blunt = [f"{r['method']}, {r['budget']} ({r['spectral_error']:.3g})" for r in ours
                 if r["spectral_error"] >= sharp]
        yield _verdict(f"every method below the classical spectral error of {sharp:.3g}", len(ours), blunt)


def _bench(tables: Sequence[Row]) -> Iterable[str]:
    for table in tables:
        rows = table["rows"]
        text = _table([{key: _cell(row.get(key)) for key in _keys(rows)} for row in rows])
        yield f"**{table['title']}**\n\n{text}" if len(rows) <= _MOST_ROWS else _folded(table["title"], text)
        for column, (goal, met) in _BENCH_GOALS.items():
            if rows and column in rows[0]:
                missed = [f"{_label(row)} ({_cell(row[column])})" for row in rows if not met(row)]
                yield _verdict(goal, len(rows), missed)


def _label(row: Row) -> str:
    """What a row is about: the values that stand before its first measured number."""
    return " ".join(str(value) for value in takewhile(lambda value: not isinstance(value, float), row.values()))


def _cheap(row: Row) -> bool:
    less = row.get("diffusers ms") is None or row["ours ms"] < row["diffusers ms"]
    return less and (row["solver"] in _TWO_CALLS or row["over bare ms"] <= 0.05)


_TWO_CALLS = ("heun", "dpmpp_2s")
_BENCH_GOALS: dict[str, tuple[str, Callable[[Row], bool]]] = {
    "over bare ms": ("a step below the one of diffusers, and at most 0.05 ms over the bare arithmetic (solvers with "
                     "one call a step)", _cheap),
    "ratio": ("a run with previews at most at 1.05 times its bare network calls", lambda row: row["ratio"] <= 1.05),
    "throughput": ("runs at once at least at 1.3 times the throughput of the same runs one after another",
                   lambda row: row["throughput"] >= 1.3),
    "ours / diffusers": ("the best of ours at most at half the error of the best of diffusers",
                         lambda row: row["ours / diffusers"] <= 0.5),
}


def _verdict(goal: str, count: int, missed: Sequence[str]) -> str:
    return (f"Goal: {goal}. Met in {count - len(missed)} of {count} cases"
            + ("; missed in " + ", ".join(missed) if missed else "") + ".")


def _groups(rows: Sequence[Row], *names: str) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        key = row[names[0]] if len(names) == 1 else tuple(row[name] for name in names)
        groups.setdefault(key, []).append(row)
    return groups


def _is_ours(row: Row) -> bool:
    return row["method"].startswith("ours")


def _figure(name: str) -> Callable[[Row], float]:
    """Reads a figure; null stands for a number that was not finite, which only a perfect PSNR is."""
    return lambda row: float("inf") if row[name] is None else float(row[name])


def _none_if_input(method: str) -> str:
    return "nothing helps" if method == "input" else method


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _db(value: float | None) -> str:
    return _number(value, 2)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _keys(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    """A Markdown table: one column per key, text to the left and numbers to the right."""
    keys = _keys(rows)
    right = {key for key in keys if all(_is_number(row.get(key, "")) for row in rows)}
    lines = [keys, ["--:" if key in right else ":--" for key in keys],
             *([row.get(key, "") for key in keys] for row in rows)]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("", "–", "-")
    return True


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


_TITLES = {"superres": "Super-resolution of satellite pictures", "steering": "Steering one prior"}
_SECTIONS = {"restoration": _restoration, "inpainting": _inpainting, "superres": _superres, "steering": _steering,
             "bench": _bench}
