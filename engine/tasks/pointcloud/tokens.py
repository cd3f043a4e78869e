"""Words as numbers. Words that the network has never met are reported, never dropped in silence."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine.errors import InputError

LENGTH = 40
PAD, START = 0, 1
FIRST_WORD = 2
MOST_CHARACTERS = 1000
EMPTY = np.array([START] + [PAD] * (LENGTH - 1))
"""The tokens of no text."""

_DIGITS = {str(number): word for number, word in enumerate(("no", "one", "two", "three", "four", "five", "six"))}


@dataclass(frozen=True)
class Tokens:
    """ids (40,) int64: the start sign, words, padding. unknown: words outside the vocabulary; cut: words too many."""

    ids: np.ndarray
    unknown: tuple[str, ...]
    cut: int

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it, in sentences."""
        found = []
        if self.unknown:
            found.append("Not understood: " + ", ".join(self.unknown[:8])
                         + (f" and {len(self.unknown) - 8} more" if len(self.unknown) > 8 else "") + ".")
        if self.cut:
            found.append(f"Only the first {LENGTH - 1} known words were used, {self.cut} were left out.")
        return tuple(found)


def encode(text: str, words: Sequence[str]) -> Tokens:
    """A sentence in any letter case; digits up to 6 are read as words. Raises InputError above 1000 characters."""
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"The text has {len(text)} characters.", f"At most {MOST_CHARACTERS} are read.",
                         "Describe the object in one sentence.", "text")
    place = _places(tuple(words))
    plain = unicodedata.normalize("NFKC", text).lower()
    said = [_DIGITS.get(word, word) for word in re.findall(r"[^\W_]+", plain)]
    known = [place[word] for word in said if word in place]
    unknown = tuple(dict.fromkeys(word[:30] for word in said if word not in place))
    kept = known[:LENGTH - 1]
    ids = np.array([START, *kept] + [PAD] * (LENGTH - 1 - len(kept)))
    return Tokens(ids, unknown, len(known) - len(kept))


@lru_cache(maxsize=4)
def _places(words: tuple[str, ...]) -> dict[str, int]:
    return {word: FIRST_WORD + i for i, word in enumerate(words)}
