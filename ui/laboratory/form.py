"""The controls of a laboratory view as named values, kept in the browser so that they survive a reload."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from engine.errors import InputError
from ui.events import QUIET

Values = dict[str, Any]
_PLAIN = (str, int, float, list)
_SAVE = "(...values) => [Object.fromEntries({names}.map((name, i) => [name, values[i]]))]"


class Form:
    """Components by name; each gets the id "VIEW-NAME", under which the message area marks it.

    store: the browser's copy of the values. It is not in the page before `keep`.
    """

    def __init__(self, view: str):
        self.view = view
        self.parts: dict[str, Component] = {}
        self.store = gr.BrowserState(None, storage_key=f"diffuscope.{view}", secret="diffuscope",
                                     render=False)

    def add(self, name: str, kind: type[Component], **arguments: Any) -> Any:
        """Build a component and enter it."""
        self.parts[name] = kind(elem_id=f"{self.view}-{name}", **arguments)
        return self.parts[name]

    @property
    def components(self) -> list[Component]:
        return list(self.parts.values())

    def values(self, given: Sequence[Any]) -> Values:
        """What an event got for `components`, by name."""
        return dict(zip(self.parts, given, strict=True))

    def updates(self, values: Mapping[str, Any]) -> dict[Component, Any]:
        """What brings the components to these values."""
        return {self.parts[name]: gr.update(value=value) for name, value in values.items() if name in self.parts}

    def keep(self, demo: gr.Blocks, restore: Callable[[Any], dict[Component, Any]],
             outputs: Sequence[Component]) -> None:
        """Let `restore(what the browser kept)` bring the outputs back when the page loads.

        To be called outside all tabs: what stands in a closed tab is read from the browser only when the tab opens,
        which is after the page has loaded.
        """
        self.store.render()
        demo.load(restore, self.store, list(outputs), **QUIET)

    def save(self) -> dict[str, Any]:
        """Arguments of an event that keeps the values in the browser."""
        return {"fn": None, "inputs": self.components, "outputs": self.store, "api_visibility": "private",
                "js": _SAVE.format(names=json.dumps(list(self.parts)))}


def trusted(stored: Any, usual: Values, check: Callable[[Values], Any]) -> Values:
    """The usual values with what a browser kept of them, where `check` lets these through. check: raises InputError, or
    TypeError, for values that cannot run.
    """
    if not isinstance(stored, Mapping):
        return usual
    values = usual | {name: stored[name] for name in usual if isinstance(stored.get(name), _PLAIN)}
    try:
        check(values)
    except (InputError, TypeError):
        return usual
    return values
