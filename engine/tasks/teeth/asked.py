"""What the settings ask of an arrangement, from texts and switches to `Wishes`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import InputError
from engine.io.dental import Dentition
from engine.tasks.teeth import anatomy
from engine.tasks.teeth.wishes import Wishes

_ENTRY = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?")
_RULE = "Teeth are FDI numbers such as 16, or ranges along a jaw such as 13-23, with commas between."


@dataclass(frozen=True)
class Asked:
    """The wishes, and notes on those that mean nothing for these teeth."""

    wishes: Wishes
    notes: tuple[str, ...]


def read(options: Mapping[str, Any], dentition: Dentition) -> Asked:
    """The wishes of a run's options. Raises InputError for a list of teeth that cannot be read."""
    fixed = numbers(options["fixed"])
    absent = [fdi for fdi in fixed if fdi not in dentition.meshes]
    notes = [f"Teeth that should stay are not there: {', '.join(map(str, absent))}."] if absent else []
    midline = options["midline_mm"] if options["keep_midline"] else None
    if midline is not None and not {11, 21} <= dentition.meshes.keys():
        notes.append("The midline was not set, because an upper central incisor is missing.")
        midline = None
    return Asked(Wishes(tuple(fdi for fdi in fixed if fdi not in absent), options["limit_mm"] or None,
                        options["limit_deg"] or None, options["no_collisions"], options["keep_width"], midline,
                        options["close_gaps"]),
                 tuple(notes))


def numbers(text: str) -> tuple[int, ...]:
    """FDI numbers of a text such as "11, 21 36" or "13-23,46", in the order of `anatomy.SLOTS`. Raises InputError."""
    found: set[int] = set()
    for word in re.split(r"[\s,;:.+]+", str(text).strip()):
        match = _ENTRY.fullmatch(word)
        if word and match is None:
            raise _refused(f"{word[:20]!r} names no tooth.")
        if match:
            first, last = int(match[1]), int(match[2] or match[1])
            found |= set(_between(first, last))
    return tuple(fdi for fdi in anatomy.SLOTS if fdi in found)


def written(teeth: Sequence[int]) -> str:
    """The shortest text that `numbers` reads as these teeth; it has no blanks, so that a recipe can hold it."""
    slots, runs = sorted(anatomy.slot_of(fdi) for fdi in teeth), []
    for slot in slots:
        if runs and slot == runs[-1][-1] + 1 and anatomy.UPPER[slot] == anatomy.UPPER[slot - 1]:
            runs[-1].append(slot)
        else:
            runs.append([slot])
    return ",".join(f"{anatomy.SLOTS[run[0]]}" + (f"-{anatomy.SLOTS[run[-1]]}" if len(run) > 1 else "") for run in runs)


def _between(first: int, last: int) -> tuple[int, ...]:
    """The teeth of one jaw from one to the other, both included."""
    for fdi in (first, last):
        if fdi not in anatomy.SLOTS:
            raise _refused(f"There is no permanent tooth {fdi}.")
    low, high = sorted((anatomy.slot_of(first), anatomy.slot_of(last)))
    if anatomy.UPPER[low] != anatomy.UPPER[high]:
        raise _refused(f"{first}-{last} goes from one jaw to the other.")
    return anatomy.SLOTS[low:high + 1]


def _refused(what: str) -> InputError:
    return InputError(what, _RULE, "Correct the list of teeth that stay.", field="fixed")
