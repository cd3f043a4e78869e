"""Run, Stop, the cost before, the progress during and the message after: what every view of the laboratory has."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from engine.errors import InputError
from engine.runtime.execution import Failed, Stopped, Waiting, Working
from engine.runtime.settings import limits
from ui import message, runs, viewer
from ui.assets import web
from ui.events import UNSEEN
from ui.settings import duration
from ui.task_tab import COMPUTE

Updates = Mapping[Component, Any]
Shown = tuple[Updates, str, float | None]


class RunCard:
    """The card of the view called `name`; build it inside the view's column, whose class is "task-tab".

    progress: where the run is told: a line in the card, or with `live` a live viewer (`ui.viewer`) below it.
    """

    def __init__(self, name: str, cost: str, live: bool = False):
        self.name = name
        with gr.Column(elem_classes="card run-card"):
            with gr.Row(elem_classes="run-row"):
                self.run = gr.Button("Run", variant="primary", elem_classes="run-button", elem_id=f"{name}-run",
                                     min_width=120, scale=2)
                self.stop = gr.Button("Stop", elem_classes="stop-button", elem_id=f"{name}-stop", min_width=90)
                self.cost = gr.HTML(cost, elem_classes="cost", elem_id=f"{name}-cost", padding=False)
            self.message = message.area(f"{name}-message")
            if not live:
                self.progress = gr.HTML(None, html_template=web("progress.html"), js_on_load=web("progress.js"),
                                        apply_default_css=False, elem_id=f"{name}-progress", padding=False)
        if live:
            self.progress = viewer.viewer(f"{name}-viewer")

    def connect(self, run: Callable[..., Iterator[Updates]], inputs: Sequence[Component],
                outputs: Sequence[Component], opened: Callable[..., Dependency] | None = None,
                first_run: Callable[..., Iterator[Updates]] | None = None) -> None:
        """Run starts `run(*values)`, whose updates go to `outputs` and this card; Stop closes it.

        opened: the event of a view that is seen for the first time, which starts `first_run(*values)`. That one gives
        way to what a person starts.
        """
        shared = {"inputs": list(inputs), "outputs": [*outputs, self.message, self.progress],
                  "concurrency_id": COMPUTE, "concurrency_limit": limits().workers + limits().queue,
                  "trigger_mode": "once", "scroll_to_output": False} | UNSEEN
        first = [opened(first_run or run, **shared)] if opened else []
        started = self.run.click(run, cancels=first, **shared)
        for event in (*first, started):
            event.failure(None, js=_tell(self.name), api_visibility="private")
        self.stop.click(None, cancels=[*first, started], api_visibility="private")

    def follow(self, run: str, make: Callable[[], Iterator[Any]], show: Callable[[Any], Shown],
               end: Callable[[], Updates], words: Callable[[Working], str] = viewer.words) -> Iterator[Updates]:
        """Updates for everything that `make()` yields: the events of a run are told here, all else is for `show`.

        run: an id of its own. show(item): updates, what the status line says, the finished share. end(): updates when
        all went well. An InputError is shown in the message area; any other error is logged and shown by its id.
        """
        started, said = time.monotonic(), "preparing"
        yield {self.progress: progress(run, "working", said, 0.0), self.message: None}
        try:
            with closing(make()) as events:
                for event in events:
                    match event:
                        case Waiting():
                            yield {self.progress: progress(run, "waiting", viewer.words(event))}
                        case Working():
                            share = event.finished / event.total if event.total else None
                            # Work that makes no steps has nothing to count; what was said last still holds.
                            text = words(event) if event.total else said
                            yield {self.progress: progress(run, "working", text, share)}
                        case Failed():
                            yield self._failed(run) | {self.message: message.failed(self.name, event)}
                            return
                        case Stopped():
                            yield {self.progress: progress(run, "stopped", "Stopped. What was found so far is kept.")}
                            return
                        case _:
                            updates, said, share = show(event)
                            told = progress(run, "working", said, share)
                            yield {**updates, self.progress: told | updates.get(self.progress, {})}
            yield {**end(), self.progress: progress(run, "done", f"finished in {duration(time.monotonic() - started)}",
                                                    1.0)}
        except InputError as problem:
            yield self.refuse(run, problem)
        except Exception:
            yield self.refuse(run, runs.bug("The laboratory", run))

    def refuse(self, run: str, problem: InputError) -> Updates:
        """Updates that say why the run could not start or go on."""
        return self._failed(run) | {self.message: message.error(self.name, problem)}

    def _failed(self, run: str) -> dict[Component, Any]:
        return {self.progress: progress(run, "failed", "Not finished. The message above says why.")}


def progress(run: str, phase: str, text: str, fraction: float | None = None) -> dict[str, Any]:
    """The progress line's value. fraction: finished share from 0 to 1; None leaves the bar."""
    # The beat makes every value differ from the one before, so that the page can tell silence from slowness.
    return {"run": run, "phase": phase, "text": text, "fraction": fraction, "beat": round(time.monotonic(), 1)}


def _tell(name: str) -> str:
    return f"() => document.getElementById('tab-{name}').dispatchEvent(new CustomEvent('diffuscope:failed'))"
