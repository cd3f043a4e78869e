"""Words that people type: checked at the edge, kept as they are."""

import re
import unicodedata
from typing import Any

from engine.errors import InputError

MOST_CHARACTERS = 1000
_LONGEST_SHOWN = 5
# Invisible in any font, but line breaks and tabs, which become spaces.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SPACES = re.compile(r"\s+")


def read_text(source: Any, field: str = "text") -> str:
    """A text of at most 1000 characters on one line, without blanks at its ends; may be empty.

    Whatever script it is in, with HTML or emoji, it stays as it is: who shows it has to escape it. Raises InputError
    (field named) for what is no text, is too long, or holds null bytes, other control characters or half characters.
    """
    if not isinstance(source, str):
        raise InputError("The text is no text.", "Words were expected, not a file or a number.", "Type a sentence.",
                         field=field)
    # Counted before anything walks through it, since it may have millions.
    if len(source) > MOST_CHARACTERS:
        raise InputError(f"The text has {len(source)} characters.", f"At most {MOST_CHARACTERS} are read.",
                         "Describe the object in one sentence.", field=field)
    found = _CONTROL.findall(source)
    if found:
        codes = ", ".join(sorted({f"U+{ord(sign):04X}" for sign in found})[:_LONGEST_SHOWN])
        raise InputError(f"The text holds {len(found)} control character{'s' if len(found) > 1 else ''} ({codes}).",
                         "Such characters cannot be seen and mean nothing here.", "Type the sentence anew.",
                         field=field)
    if any(unicodedata.category(sign) == "Cs" for sign in source):
        raise InputError("The text holds half of a character.", "It was cut inside an emoji or a rare letter.",
                         "Type the sentence anew.", field=field)
    return _SPACES.sub(" ", source).strip()
