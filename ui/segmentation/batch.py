"""Many pictures in a row with the settings of the tab: a table that fills in, and one zip of all results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr

from engine.errors import InputError
from engine.runtime.execution import Working
from engine.tasks.base import Task
from ui import figures, runs, settings
from ui.controls import Controls
from ui.events import QUIET
from ui.laboratory.run_card import RunCard, Updates, progress
from ui.segmentation import scans, series
from ui.segmentation.series import DONE, HEAD, MOST, WAITS, WORKS, Row
from ui.shelf import Shelf

_KEPT_S, _KEPT = 3600, 1000
_CONSENT = "I have checked that no name is burned into any of these pictures"
_NOTE = ("Mean doubt is the standard deviation over the samples, averaged over the mask: 0 is certain, 0.5 the most. "
         "Count and areas are medians over the samples.")


@dataclass
class Work:
    """A batch: the folder of its files and its rows, as far as they are known."""

    folder: Path
    rows: list[Row] = field(default_factory=list)


_works: Shelf[Work] = Shelf(_KEPT, _KEPT_S)


class Batch:
    """The accordion below a tab. Build it where it should stand. controls: whose settings hold for all pictures."""

    def __init__(self, task: Task, controls: Controls):
        self.task, self.controls, name = task, controls, f"{task.name}-batch"
        with gr.Accordion("Several pictures at once", open=False, elem_id=name, elem_classes="batch"):
            with gr.Column(elem_id=f"tab-{name}", elem_classes="task-tab"):
                gr.HTML(f"<p>All pictures are run with the settings above, one after the other. Give up to {MOST} "
                        "files or one zip. The table numbers them in the order in which you gave them.</p>",
                        elem_classes="summary", padding=False)
                self.given = gr.File(label="Pictures, DICOM or NIfTI files, or one zip", file_count="multiple",
                                     height=150, elem_id=f"{name}-given")
                self.consent = gr.Checkbox(label=_CONSENT, info="needed for DICOM files that may show names",
                                           elem_id=f"{name}-consent")
                self.card = RunCard(name, _counted(None))
                self.table = gr.HTML(padding=False, elem_id=f"{name}-table")
                self.zip = gr.File(label="All results as one zip", visible=False, interactive=False,
                                   elem_id=f"{name}-zip")
                self.key = gr.Textbox(visible=False)
        self.given.change(_counted, self.given, self.card.cost, **QUIET)
        self.card.connect(self._run, [self.given, self.consent, *controls.components],
                          [self.table, self.zip, self.key])
        # Stopping ends the run where it is, so what was found until then is packed by an event of its own.
        self.card.stop.click(_stopped, self.key, [self.table, self.zip], **QUIET)

    def _run(self, given: Any, consent: Any, *chosen: Any) -> Iterator[Updates]:
        run, values, card = runs.new_id(), self.controls.values(chosen), self.card
        yield {card.progress: progress(run, "working", "reading the files", 0.0), card.message: None}
        try:
            values["seed"] = runs.new_seed() if values["random"] or values["seed"] is None else values["seed"]
            recipe = settings.recipe(self.task, values)
            work = Work(scans.new_folder())
            paths = series.sources(given, work.folder)
        except InputError as problem:
            yield card.refuse(run, problem)
            return
        rows = work.rows
        rows += [Row(number) for number in range(1, len(paths) + 1)]
        key = _works.put(work, 1)
        yield {self.table: table(rows), self.zip: gr.update(value=None, visible=False), self.key: key}

        def show(row: Row) -> tuple[Updates, str, float]:
            rows[row.number - 1] = row
            finished = sum(row.state not in (WAITS, WORKS) for row in rows)
            return {self.table: table(rows)}, f"{finished} of {len(rows)} pictures", finished / len(rows)

        def words(event: Working) -> str:
            return f"picture {sum(row.state != WAITS for row in rows)} of {len(rows)}"

        def make() -> Iterator[Any]:
            return series.results(self.task, paths, recipe, consent is True, work.folder)

        yield from card.follow(run, make, show, lambda: {self.zip: _packed(work)}, words)


def table(rows: Sequence[Row]) -> str:
    """The rows as HTML."""
    return figures.table(HEAD, [row.cells() for row in rows]) + figures.bullets([_NOTE])


def _counted(given: Any) -> str:
    count = len(given or ())
    if not count:
        return "<p>No files yet</p>"
    return f"<p>{count} file{'' if count == 1 else 's'}, run with the settings above</p>"


def _stopped(key: Any) -> tuple[Any, Any]:
    """The table and the zip of a batch that was stopped."""
    work = _works.get(key) if isinstance(key, str) else None
    if work is None:
        return gr.skip(), gr.skip()
    rows = [replace(row, state="stopped") if row.state in (WAITS, WORKS) else row for row in work.rows]
    return table(rows), _packed(work)


def _packed(work: Work) -> Any:
    if not any(row.state == DONE for row in work.rows):
        return gr.update(visible=False)
    return gr.update(value=str(series.packed(work.folder, work.rows)), visible=True)
