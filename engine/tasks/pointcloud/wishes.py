"""What a person asks for, brought to what the networks take, with what is to be said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import InputError
from engine.io.clouds import CloudFile
from engine.tasks.pointcloud import tokens
from engine.tasks.pointcloud.sketch import prepared

CREATE, RECOLOUR, PARTS = MODES = ("create", "recolour", "parts")
# Turns z up, x to the right into y up; a point's z becomes its height, its y points away from the viewer.
_STANDING = np.float32([[1, 0, 0], [0, 0, -1], [0, 1, 0]])


@dataclass(frozen=True)
class Wish:
    """A checked request. sketch: (64, 64) uint8 or None; text, appearance: may be empty; cloud: y up, in [-1, 1]."""

    mode: str
    sketch: np.ndarray | None
    text: str
    appearance: str
    cloud: CloudFile | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> "Wish":
        """From a task's inputs. Raises InputError when the mode lacks what it needs."""
        mode, text = options["mode"], inputs.get("text") or ""
        appearance = inputs.get("appearance") or ""
        sketch, cloud = inputs.get("sketch"), inputs.get("cloud")
        if mode == CREATE:
            if sketch is None and not text:
                raise InputError("There is neither a sketch nor a text.", "One of them must say what to make.",
                                 "Draw at least one stroke, or type a few words.", field="sketch")
            left = ("The point cloud was not used: choose another mode to colour it or to see its parts.",)
            return cls(mode, None if sketch is None else prepared(sketch.ink), text, appearance, None,
                       (*(sketch.notes if sketch else ()), *(left if cloud else ())))
        if cloud is None:
            raise InputError("There is no point cloud.", "This mode works on one that exists.",
                             "Choose a file, or create a shape first.", field="cloud")
        if mode == RECOLOUR and not (appearance or text):
            raise InputError("There are no words.", "They tell which colours the cloud gets.",
                             'Type some, such as "red with black legs".', field="appearance")
        turned = cloud.turned(_STANDING) if options["up"] == "z" else cloud
        return cls(mode, None, text, appearance, turned, cloud.notes)

    @property
    def colour_words(self) -> str:
        """What the colours follow."""
        return self.appearance or self.text

    def ids(self, words: Sequence[str]) -> np.ndarray | None:
        """Tokens (40,) of the text, None without one."""
        return tokens.encode(self.text, words).ids if self.text else None

    def told(self, words: Sequence[str]) -> tuple[str, ...]:
        """All notes, with those on words that a network does not know."""
        if self.mode == PARTS:
            return self.notes
        said = (self.text, self.appearance) if self.mode == CREATE else (self.colour_words,)
        found = [note for text in dict.fromkeys(said) if text for note in tokens.encode(text, words).notes]
        if not self.colour_words:
            found.append("No words were given, so the colours are the model's choice.")
        return (*self.notes, *dict.fromkeys(found))
