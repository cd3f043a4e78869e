"""Any Task as a tab: inputs, controls, Run and Stop, the live view, the result. No tab wires its own buttons."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import gradio as gr
from gradio.components import Component

from engine.errors import InputError
from engine.io.save import read_recipe
from engine.recipe import Recipe, changes
from engine.runtime.execution import Failed, Finished
from engine.runtime.settings import limits
from engine.tasks.base import Example, Task
from ui import figures, message, runs, settings, viewer
from ui.controls import Controls
from ui.events import QUIET, UNSEEN
from ui.models_view import model_line
from ui.picture_entry import PictureEntry
from ui.results import ResultView

COMPUTE = "compute"


class TaskTab:
    """The components of one task and the events between them. Build it inside a gr.Tab.

    entry: builds what people give, see `ui.picture_entry.PictureEntry`; result: builds what they get, see
    `ui.results.ResultView`; live: builds the live view.
    """

    def __init__(self, task: Task, entry: Callable[[Task], Any] = PictureEntry,
                 result: Callable[[str], Any] = ResultView, live: Callable[[str], gr.HTML] = viewer.viewer):
        self.task = task
        self._make_entry, self._make_result, self._make_viewer = entry, result, live
        with gr.Column(elem_id=f"tab-{task.name}", elem_classes="task-tab"):
            gr.HTML(_summary(task), elem_classes="summary", padding=False)
            with gr.Row(elem_classes="bench"):
                with gr.Column(scale=5, min_width=320, elem_classes="side"):
                    self._inputs()
                    with gr.Column(elem_classes="card"):
                        self.controls = Controls(task)
                with gr.Column(scale=7, min_width=320, elem_classes="main"):
                    self._stage()
            gr.HTML(model_line(task), elem_classes="model-line", padding=False)
        self._connect()

    def _inputs(self) -> None:
        self.entry = self._make_entry(self.task)
        self.example_buttons: list[tuple[gr.Button, Example]] = []
        if len(self.task.examples) > 1:
            with gr.Row(elem_classes="examples"):
                gr.HTML("<span>Examples</span>", padding=False, elem_classes="examples-label")
                for example in self.task.examples:
                    self.example_buttons.append((gr.Button(example.title, size="sm", min_width=60), example))

    def _stage(self) -> None:
        task = self.task
        with gr.Column(elem_classes="card run-card"):
            with gr.Row(elem_classes="run-row"):
                self.run = gr.Button("Run", variant="primary", elem_classes="run-button", elem_id=f"{task.name}-run",
                                     min_width=120, scale=2)
                self.stop = gr.Button("Stop", elem_classes="stop-button", elem_id=f"{task.name}-stop", min_width=90)
                start = settings.defaults(task)
                self.cost = gr.HTML(_cost(task, start), elem_classes="cost", elem_id=f"{task.name}-cost", padding=False)
            self.message = message.area(f"{task.name}-message")
        self.viewer = self._make_viewer(f"{task.name}-viewer")
        self.result = self._make_result(task.name)

    def _connect(self) -> None:
        controls, quiet = self.controls, QUIET
        parts, store = controls.components, controls.store
        save = {"fn": None, "inputs": parts, "outputs": store, "js": controls.save_script, "api_visibility": "private"}

        everything = [*parts, controls.hint, self.cost]
        self.entry.connect(controls)
        for button, example in self.example_buttons:
            button.click(self._example(example), parts, [*self.entry.components, *everything], **quiet).then(**save)

        for name, part in controls.parts.items():
            if name in {"seed", "random"}:
                part.input(**save)
            elif name == "solver" or name.startswith("task."):
                change = self._choose if name == "solver" else self._adapt
                part.input(change, parts, everything, trigger_mode="always_last", **quiet).then(**save)
            else:
                part.input(self._cost, parts, self.cost, trigger_mode="always_last", **quiet)
                part.input(**save)
        controls.connect_seed()

        started = self.run.click(self._run, [*self.entry.components, *parts], self._outputs(), concurrency_id=COMPUTE,
                                 concurrency_limit=limits().workers + limits().queue, trigger_mode="once",
                                 scroll_to_output=False, **UNSEEN)
        started.failure(None, js=_tell(self.task.name, "failed"), api_visibility="private")
        self.stop.click(None, cancels=[started], api_visibility="private")

        controls.recipe_file.upload(self._propose, [controls.recipe_file, *parts],
                                    [controls.changes, controls.change_list, controls.pending, self.message], **quiet)
        closing_ = [controls.changes, controls.recipe_file]
        controls.apply.click(self._apply, [controls.pending, *parts], [*everything, *closing_, self.message],
                             **quiet).then(**save)
        controls.dismiss.click(lambda: (gr.update(visible=False), None), None, closing_, **quiet)
        controls.reset.click(lambda: self._all(settings.defaults(self.task)), None, everything, **quiet).then(**save)

    def restore(self, demo: gr.Blocks) -> None:
        """Bring back the settings that the browser kept, when the page loads. To be called outside all tabs, since what
        stands in a closed one is read from the browser only when the tab opens."""
        self.controls.store.render()
        everything = [*self.controls.components, self.controls.hint, self.cost]
        demo.load(self._restore, self.controls.store, everything, **QUIET)

    def _outputs(self) -> list[Component]:
        return [self.viewer, self.message, self.controls.parts["seed"], self.controls.last_seed, self.cost,
                *self.result.components]

    def _all(self, values: Mapping[str, Any], had: Mapping[str, Any] | None = None) -> dict[Component, Any]:
        return self.controls.updates(values, had) | {self.cost: _cost(self.task, values)}

    def _adapt(self, *given: Any) -> dict[Component, Any]:
        had = self.controls.values(given)
        return self._all(settings.adapted(self.task, had), had)

    def _choose(self, *given: Any) -> dict[Component, Any]:
        had = self.controls.values(given)
        return self._all(settings.adapted(self.task, had, chosen=True), had)

    def _restore(self, kept: Any) -> dict[Component, Any]:
        return self._all(settings.cleaned(self.task, kept)) if kept else {self.cost: gr.skip()}

    def _cost(self, *given: Any) -> str:
        return _cost(self.task, self.controls.values(given))

    def _example(self, example: Example):
        def load(*given: Any) -> dict[Component, Any]:
            values = self.controls.values(given) | {f"task.{name}": value for name, value in example.options.items()}
            return self._all(settings.adapted(self.task, values)) | self.entry.filled(example.make())

        return load

    def _propose(self, path: str | None, *given: Any) -> dict[Component, Any]:
        controls, task = self.controls, self.task
        try:
            if path is None:
                raise InputError("There is no file.", fix="Choose a PNG or JSON that this program saved.")
            loaded, notes = read_recipe(path)
            if loaded.task != task.name:
                raise InputError(f"These settings are for the task {loaded.task[:40]!r}.", f"This is {task.title}.",
                                 "Load them in their own tab.")
            values = controls.values(given)
            mine = settings.recipe(task, values | {"seed": _seed(values["seed"])})
            lines = changes(mine, settings.recipe(task, settings.from_recipe(task, loaded)))
        except InputError as problem:
            return {controls.changes: gr.update(visible=False), self.message: message.error(task.name, problem)}
        text = "<p>This would change:</p>" if lines else "<p>These are the settings you have.</p>"
        return {controls.changes: gr.update(visible=True), controls.pending: loaded.write(), self.message: None,
                controls.change_list: text + figures.bullets(lines, "changes-list") + figures.bullets(notes)}

    def _apply(self, pending: str, *given: Any) -> dict[Component, Any]:
        controls = self.controls
        closed = {controls.changes: gr.update(visible=False), controls.recipe_file: None}
        try:
            loaded, _ = Recipe.read(pending or "")
            values = settings.from_recipe(self.task, loaded)
            settings.recipe(self.task, values)
        except InputError as problem:
            return closed | {self.message: message.error(self.task.name, problem)}
        kept = controls.values(given)
        return closed | self._all(kept | values | {"random": False}) | {self.message: None}

    def _run(self, *given: Any) -> Iterator[dict[Component, Any]]:
        run, task = runs.new_id(), self.task
        count = len(self.entry.components)
        values = self.controls.values(given[count:])
        try:
            values["seed"] = runs.new_seed() if values["random"] else _seed(values["seed"])
            recipe = settings.recipe(task, values)
            inputs = self.entry.read(*given[:count])
        except InputError as problem:
            yield self._refuse(run, problem)
            return
        yield {self.controls.parts["seed"]: recipe.seed, self.controls.last_seed: recipe.seed, self.message: None}
        try:
            yield from self._follow(run, inputs, recipe)
        except InputError as problem:
            yield self._refuse(run, problem)
        except Exception:
            yield self._refuse(run, runs.bug("The page", run))

    def _follow(self, run: str, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[dict[Component, Any]]:
        with closing(runs.events(self.task, inputs, recipe)) as events:
            for event in events:
                if isinstance(event, Finished):
                    yield {self.viewer: viewer.saving(run)}
                    with runs.saved(event.result) as files:
                        yield {self.viewer: viewer.message(run, event), **self.result.show(event.result, files, inputs),
                               self.cost: _cost(self.task, settings.from_recipe(self.task, recipe))}
                elif isinstance(event, Failed):
                    yield {self.viewer: viewer.message(run, event), self.message: message.failed(self.task.name, event)}
                else:
                    yield {self.viewer: viewer.message(run, event, bool(self.task.models))}

    def _refuse(self, run: str, problem: InputError) -> dict[Component, Any]:
        return {self.viewer: viewer.failure(run),
                self.message: message.error(self.task.name, problem)}


def _seed(value: Any) -> Any:
    if value is None:
        raise InputError("The seed is empty.", "It must be a whole number.", "Type one, or press New.", field="seed")
    return value


def _cost(task: Task, values: Mapping[str, Any]) -> str:
    samples = values.get("samples") or 1
    each_s, end_s = runs.pace.seconds_per_call(task.name, samples), runs.pace.end_s(task.name)
    return f"<p>{settings.cost(task, values, each_s, end_s)}</p>"


def _summary(task: Task) -> str:
    warning = figures.bullets([task.warning], "warning") if task.warning else ""
    return f"<p>{task.summary}</p>{warning}"


def _tell(task: str, name: str) -> str:
    return f"() => document.getElementById('tab-{task}').dispatchEvent(new CustomEvent('diffuscope:{name}'))"
