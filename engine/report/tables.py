"""Markdown from rows of measurements: numbers, tables, what a goal comes to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def verdict(goal: str, count: int, missed: Sequence[str]) -> str:
    return (f"Goal: {goal}. Met in {count - len(missed)} of {count} cases"
            + ("; missed in " + ", ".join(missed) if missed else "") + ".")


def groups(rows: Sequence[Row], *names: str) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        key = row[names[0]] if len(names) == 1 else tuple(row[name] for name in names)
        groups.setdefault(key, []).append(row)
    return groups


def is_ours(row: Row) -> bool:
    return row["method"].startswith("ours")


def reading(name: str) -> Callable[[Row], float]:
    """Reads a figure; null stands for a number that was not finite, which only a perfect PSNR is."""
    return lambda row: float("inf") if row[name] is None else float(row[name])


def none_if_input(method: str) -> str:
    return "nothing helps" if method == "input" else method


def mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def db(value: float | None) -> str:
    return number(value, 2)


def number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def keys(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """A Markdown table: one column per key, text to the left and numbers to the right."""
    names = keys(rows)
    right = {key for key in names if all(_is_number(row.get(key, "")) for row in rows)}
    lines = [names, ["--:" if key in right else ":--" for key in names],
             *([row.get(key, "") for key in names] for row in rows)]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("", "–", "-")
    return True


def folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
