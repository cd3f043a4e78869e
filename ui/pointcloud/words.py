"""A text field that tells, while a person types, which words the models have never met."""

import html
from collections.abc import Sequence
from difflib import get_close_matches

import gradio as gr
import numpy as np

from engine import models
from engine.errors import InputError
from engine.tasks.base import InputSpec, Task
from engine.tasks.pointcloud import captions, tokens
from ui.events import QUIET

_ALIKE = 0.75
"""How alike a word must be to an unknown one to be proposed, see `difflib.SequenceMatcher.ratio`."""


class WordField:
    """The field and the line below it. Build it where it should stand. known: the words that the models know.

    box: a text component. told: what `told` says of its text.
    """

    def __init__(self, spec: InputSpec, known: Sequence[str], elem_id: str, value: str = "", lines: int = 1):
        self._known = tuple(known)
        self.box = gr.Textbox(value, label=spec.label, info=spec.help, lines=lines, max_length=tokens.MOST_CHARACTERS,
                              elem_id=elem_id)
        self.told = gr.HTML(told(value, self._known), elem_classes="said", elem_id=f"{elem_id}-told", padding=False)

    def connect(self) -> None:
        """Let the line follow the text."""
        self.box.change(self._tell, self.box, self.told, trigger_mode="always_last", **QUIET)

    def _tell(self, text: str | None) -> str:
        return told(text or "", self._known)


def vocabulary(task: Task) -> tuple[str, ...]:
    """The words that the task's models know, by their cards; without models those of the grammar they are taught."""
    for name in task.models:
        try:
            words = models.card(name).architecture.options.get("words")
        except InputError:
            continue
        if words:
            return tuple(words)
    return captions.vocabulary()


def told(text: str, known: Sequence[str]) -> str:
    """What the line says of a text, as HTML: how many words are known, and which are not."""
    try:
        read = tokens.encode(text, known)
    except InputError as problem:
        return f"<p>{html.escape(str(problem))}</p>"
    used = int(np.count_nonzero(read.ids != tokens.PAD)) - 1
    if not used and not read.unknown:
        return ""
    parts = [f"{used} word{'' if used == 1 else 's'} understood."]
    if read.unknown:
        parts.append("Not understood: " + ", ".join(_marked(word, known) for word in read.unknown) + ".")
    if read.cut:
        parts.append(f"{read.cut} word{'' if read.cut == 1 else 's'} too many, left out.")
    return f"<p>{' '.join(parts)}</p>"


def _marked(word: str, known: Sequence[str]) -> str:
    alike = get_close_matches(word, known, 1, _ALIKE)
    return f"<mark>{html.escape(word)}</mark>" + (f" (perhaps {html.escape(alike[0])})" if alike else "")
