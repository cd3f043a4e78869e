"""The controls of a task: solver, steps, guidance, seed, samples, the task's own settings, and Advanced.

`Controls` builds the components and turns their values, in the order of `names`, into the plain values of
`ui.settings` and back. Settings without an effect are hidden.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from engine.options import Option
from engine.recipe import RANGES
from engine.tasks.base import Setting, Task
from ui import settings
from ui.settings import Values

_SPACINGS = {"uniform": "Uniform in time", "log_snr": "Uniform in log-SNR", "karras": "Karras",
             "quadratic": "Quadratic"}
_SAVE = "(...values) => [Object.fromEntries({names}.map((name, i) => [name, values[i]]))]"
_NEW_SEED = "() => [Math.floor(Math.random() * 2 ** 31), false]"
_LAST_SEED = "(last, seed) => [last === null || last === undefined ? seed : last, false]"


class Controls:
    """The settings of one task as components; build it where they should stand.

    parts: components by the names of `ui.settings.names`. hint: what the chosen solver is good for. last_seed: hidden,
    the seed of the newest run. store: the browser's copy, which survives a reload; not yet in the page.
    """

    def __init__(self, task: Task):
        self.task = task
        self.parts: dict[str, Component] = {}
        start = settings.defaults(task)
        self._shown = settings.shown(task, start)
        self._start = start
        for setting in task.settings:
            if not setting.advanced:
                self._add(f"task.{setting.name}", _setting_component(setting))
        self._add("solver", gr.Dropdown, label="Solver", choices=_solver_choices(task, start), filterable=False)
        self.hint = gr.HTML(_hint(task, start["solver"]), elem_classes="hint", padding=False)
        with gr.Row(elem_classes="tight"):
            self._range("steps", "Steps", task.steps_range, 1, "finer, but slower")
            self._range("guidance", "Guidance", task.guidance_range, 0.1, "1 is neutral")
            self._range("samples", "Samples", task.samples_range, 1, "several show the spread")
            low, high = RANGES["seed"]
            self._add("seed", gr.Number, label="Seed", precision=0, minimum=low, maximum=high, min_width=200,
                      info="same seed, same result")
        with gr.Row(elem_classes="tight seed"):
            self.new_seed = gr.Button("New seed", size="sm", min_width=60, elem_id=f"{task.name}-new-seed")
            self.reuse_seed = gr.Button("Reuse last", size="sm", min_width=60)
            self._add("random", gr.Checkbox, label="random each run", min_width=140, container=False)
        self.last_seed = gr.Number(visible=False, precision=0)
        with gr.Accordion("Advanced", open=False, elem_id=f"{task.name}-advanced"):
            self._add("spacing", gr.Dropdown, label="Spacing of the steps", choices=_spacing_choices(start["solver"]),
                      filterable=False)
            for setting in task.settings:
                if setting.advanced:
                    self._add(f"task.{setting.name}", _setting_component(setting))
            # Options of one name may differ between solvers; a page starts with those of the solver that it shows.
            for name, option in (settings.all_options(task) | settings.solver_options(task, start["solver"])).items():
                self._add(f"solver.{name}", _option_component(option))
            self._add("model", gr.Textbox, label="Your own model", max_length=300,
                      info="local:FOLDER or hub:owner/name in diffusers format; empty takes the shipped one")
            gr.HTML("<p>Load settings from a saved PNG or JSON</p>", elem_classes="hint", padding=False)
            self.recipe_file = gr.File(label="Load settings from a saved PNG or JSON", show_label=False, height=132,
                                       file_count="single", elem_id=f"{task.name}-recipe-file")
            with gr.Column(visible=False, elem_classes="changes") as self.changes:
                self.change_list = gr.HTML(padding=False)
                with gr.Row():
                    self.apply = gr.Button("Use these settings", variant="primary", size="sm",
                                           elem_id=f"{task.name}-apply")
                    self.dismiss = gr.Button("Keep mine", size="sm")
            self.pending = gr.Textbox(visible=False)
            self.reset = gr.Button("Back to the defaults", size="sm")
        self.names = settings.names(task)
        self.components = [self.parts[name] for name in self.names]
        self.store = gr.BrowserState(None, storage_key=f"diffuscope.{task.name}", secret="diffuscope", render=False)

    def _range(self, name: str, label: str, limits: tuple[float, float], step: float, info: str) -> None:
        # A range of one value is never shown, but a slider needs a width.
        top = max(limits[1], limits[0] + step)
        self._add(name, gr.Slider, label=label, minimum=limits[0], maximum=top, step=step, info=info, buttons=[],
                  min_width=200)

    def _add(self, name: str, kind: Any, **arguments: Any) -> None:
        component = kind(value=self._start.get(name), visible=name in self._shown,
                         elem_id=f"{self.task.name}-{name.rpartition('.')[2]}", **arguments)
        self.parts[name] = component

    def values(self, given: Sequence[Any]) -> Values:
        """Component values in the order of `names` as a dict."""
        return dict(zip(self.names, given, strict=True))

    def updates(self, values: Mapping[str, Any], had: Mapping[str, Any] | None = None) -> dict[Component, Any]:
        """What brings every control to these values, with its choices and whether it is shown.

        had: the values that the page sent. What equals them is not sent back, so that the answer cannot undo what a
        person changes meanwhile.
        """
        task, visible = self.task, settings.shown(self.task, values)
        changes: dict[str, dict[str, Any]] = {name: {"visible": name in visible} for name in self.names}
        changes["solver"]["choices"] = _solver_choices(task, values)
        changes["spacing"]["choices"] = _spacing_choices(values["solver"])
        for name, option in settings.solver_options(task, values["solver"]).items():
            changes[f"solver.{name}"] |= _option_words(option)
        for name, change in changes.items():
            if name in values and (had is None or had.get(name) != values[name]):
                change["value"] = values[name]
        return {self.parts[name]: gr.update(**change) for name, change in changes.items()} | {
            self.hint: _hint(task, values["solver"])}

    @property
    def save_script(self) -> str:
        """Script that turns the components' values into what `store` keeps."""
        return _SAVE.format(names=str(self.names).replace("'", '"'))

    def connect_seed(self) -> None:
        """The two seed buttons; both work in the page alone."""
        targets = [self.parts["seed"], self.parts["random"]]
        for button, script, inputs in ((self.new_seed, _NEW_SEED, []),
                                       (self.reuse_seed, _LAST_SEED, [self.last_seed, self.parts["seed"]])):
            button.click(None, inputs, targets, js=script, api_visibility="private").then(
                None, self.components, self.store, js=self.save_script, api_visibility="private")


def _solver_choices(task: Task, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(entry.title, entry.name) for entry in settings.solver_rows(task, values)]


def _spacing_choices(solver: str) -> list[tuple[str, str]]:
    return [(_SPACINGS.get(name, name), name) for name in settings.spacings(solver)]


def _hint(task: Task, solver: str) -> str:
    return f"<p>{settings.hint(task, solver)}</p>"


def _setting_component(setting: Setting) -> Any:
    label = f"{setting.label} ({setting.unit})" if setting.unit else setting.label
    words = {"label": label, "info": setting.help}
    if setting.choices:
        choices = list(zip(setting.labels or setting.choices, setting.choices, strict=True))
        return _made(gr.Dropdown, choices=choices, filterable=False, **words)
    if isinstance(setting.default, bool):
        return _made(gr.Checkbox, **words)
    if setting.minimum is not None and setting.maximum is not None:
        return _made(gr.Slider, minimum=setting.minimum, maximum=setting.maximum, step=setting.step, buttons=[],
                     **words)
    if isinstance(setting.default, (int, float)):
        return _made(gr.Number, **words)
    return _made(gr.Textbox, max_length=200, **words)


def _option_component(option: Option) -> Any:
    words = _option_words(option)
    if option.choices:
        return _made(gr.Dropdown, filterable=False, **words)
    if isinstance(option.default, bool):
        return _made(gr.Checkbox, **words)
    if option.minimum is not None and option.maximum is not None:
        return _made(gr.Slider, buttons=[], step=1 if isinstance(option.default, int) else 0.05, **words)
    return _made(gr.Number, **words)


def _option_words(option: Option) -> dict[str, Any]:
    words: dict[str, Any] = {"label": option.label, "info": option.help}
    if option.choices:
        return words | {"choices": list(option.choices)}
    if isinstance(option.default, bool) or option.minimum is None:
        return words
    return words | {"minimum": option.minimum, "maximum": option.maximum}


def _made(kind: Any, **fixed: Any) -> Any:
    return lambda **arguments: kind(**fixed, **arguments)
