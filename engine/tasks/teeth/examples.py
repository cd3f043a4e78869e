"""Invented patients before treatment, one for each of the commonest malocclusions."""

from collections.abc import Callable

import numpy as np

from engine.io.dental import Dentition
from engine.tasks.base import Example
from engine.tasks.teeth import anatomy, malocclusion, procedural
from engine.tasks.teeth.dentition import Teeth
from engine.tasks.teeth.malocclusion import ABSENT, EASY, Range

# The generator draws traits at random; these seeds are those of 40 where one stands out.
_CASES = (("Crowded", EASY, 34), ("Spaced", EASY, 26), ("Deep bite", EASY, 39), ("Open bite", EASY, 32),
          ("Class II", EASY, 23), ("Missing tooth", ABSENT, 4))


def examples() -> tuple[Example, ...]:
    """All of them; `make()` gives {"teeth": Dentition}, the same every time."""
    return tuple(Example(title, _maker(how, seed)) for title, how, seed in _CASES)


def patient(how: Range, seed: int) -> Teeth:
    """One invented patient before treatment, with meshes and without third molars."""
    aligned = procedural.patients(1, np.random.default_rng(seed), meshes=True, wisdom=0.0)
    return malocclusion.crooked(aligned, how, np.random.default_rng(seed))


def dentition_of(teeth: Teeth, patient: int = 0) -> Dentition:
    """A patient of the generator as if it had been read from files in mm."""
    slots = np.flatnonzero(teeth.present[patient].numpy())
    return Dentition({anatomy.SLOTS[slot]: (one.vertices, np.int64(one.faces))
                      for slot, one in zip(slots, teeth.meshes(patient))})


def _maker(how: Range, seed: int) -> Callable[[], dict[str, Dentition]]:
    return lambda: {"teeth": dentition_of(patient(how, seed))}
