"""The playground: a density in the plane, its way into noise and back, its fields, and solvers racing along them."""

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from engine import schedules
from engine.errors import InputError
from engine.recipe import Recipe
from engine.tasks.laboratory import playground
from engine.tasks.laboratory.work import executed
from ui import runs
from ui.assets import web
from ui.events import QUIET
from ui.laboratory import plane
from ui.laboratory.form import Form, Values, trusted
from ui.laboratory.plane import FRAMES, Scene
from ui.laboratory.run_card import RunCard, Updates

NAME = "play"
_DENSITIES = {"mixture": "Mixture of three", "rings": "Rings", "letters": "Letters", "drawing": "Your own drawing"}
_SCHEDULES = {"vp_linear": "VP linear", "cosine": "Cosine", "flow": "Flow (straight line)",
              "edm": "EDM (variance exploding)"}
_MOST_SOLVERS, _STEPS, _MOST_WEIGHT = 4, (2, 50), 10.0
_AGAIN = 4


def defaults() -> Values:
    """What a fresh page shows."""
    return {"density": "mixture", "text": "DIFFUSE", "schedule": "vp_linear", "solvers": ["ddim", "dpmpp_2m"],
            "steps": 8, "seed": 0, "towards": 0, "weight": 3.0}


def classes(density: str, text: str) -> tuple[str, ...]:
    """Names of the classes of a density, in the engine's order; () where it has none."""
    if density == "letters":
        return tuple(f"{i}: {letter}" for i, letter in enumerate((c for c in text if not c.isspace()), 1))
    return {"mixture": ("right", "left", "bottom"), "rings": ("inner", "outer")}.get(density, ())


def scene(values: Mapping[str, Any], drawing: Any) -> Scene:
    """What these values show. Raises InputError naming the control."""
    steps, seed, solvers = values["steps"], values["seed"], values["solvers"] or []
    if not isinstance(steps, int) or not _STEPS[0] <= steps <= _STEPS[1]:
        raise InputError(f"steps is {str(steps)[:20]}.", f"It must be a whole number from {_STEPS[0]} to {_STEPS[1]}.",
                         field="steps")
    if not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise InputError(f"The seed is {str(seed)[:20]}.", "It must be a whole number from 0 on.", field="seed")
    known = {row.name for row in playground.racers()}
    if len(solvers) > _MOST_SOLVERS or not set(solvers) <= known:
        raise InputError(f"{len(solvers)} solvers are chosen.", f"Up to {_MOST_SOLVERS} can race here.",
                         field="solvers")
    weight = values["weight"]
    if not isinstance(weight, (int, float)) or not 0 <= weight <= _MOST_WEIGHT:
        raise InputError(f"The guidance is {str(weight)[:20]}.", f"It must be a number from 0 to {_MOST_WEIGHT:g}.",
                         field="weight")
    law = playground.density(values["density"], str(values["text"]), plane.ink(drawing))
    return Scene(law, schedules.by_name(values["schedule"]), tuple(solvers), steps, seed, _towards(values), weight)


def _towards(values: Mapping[str, Any]) -> tuple[int, str] | None:
    """The class that guidance leads to. Raises InputError for one that the density does not have."""
    names, number = classes(values["density"], str(values["text"])), values["towards"]
    if not names:
        return None
    if not isinstance(number, int) or not 0 <= number < len(names):
        raise InputError(f"This density has no class {str(number)[:20]}.", f"It has {len(names)}, counted from 0.",
                         "Choose another class.", "towards")
    return number, names[number]


def cleaned(stored: Any) -> Values:
    """Values that can run, from whatever a browser kept."""
    return trusted(stored, defaults(), _check)


def _check(values: Values) -> None:
    """A drawing is not kept, so what else there is must do."""
    scene(values | {"density": "mixture"} if values["density"] == "drawing" else values, None)


def found(wanted: Scene) -> Iterator[Any]:
    """The paths, then the frames."""
    yield {"paths": plane.paths(wanted)}
    for index, frame in enumerate(plane.frames(wanted)):
        yield {"frames": [frame | {"index": index}]}


class PlayView:
    """The view's components and events. Build it inside a gr.Tab."""

    def __init__(self):
        start = defaults()
        with gr.Column(elem_id=f"tab-{NAME}", elem_classes="task-tab"):
            gr.HTML("<p>Diffusion in the plane, where everything is known exactly and nothing is trained. Move through "
                    "time, and look at the same process as noising, as a score and as a flow.</p>",
                    elem_classes="summary", padding=False)
            with gr.Row(elem_classes="bench"):
                with gr.Column(scale=4, min_width=320, elem_classes="side"):
                    self._settings(start)
                with gr.Column(scale=8, min_width=320, elem_classes="main"):
                    self.card = RunCard(NAME, f"<p>{FRAMES} pictures and the solvers' paths, a few seconds</p>")
                    self.plane = gr.HTML(None, html_template=web("plane.html"), js_on_load=web("plane.js"),
                                         apply_default_css=False, elem_id=f"{NAME}-plane", elem_classes="viewer",
                                         container=True, padding=True)
        self._connect()

    def _settings(self, start: Values) -> None:
        form = self.form = Form(NAME)
        with gr.Column(elem_classes="card"):
            form.add("density", gr.Dropdown, label="Density", filterable=False, value=start["density"],
                     choices=[(title, name) for name, title in _DENSITIES.items()])
            form.add("text", gr.Textbox, label="Letters", value=start["text"], max_length=12, visible=False)
            self.pad = gr.HTML(None, html_template=web("pad.html"), js_on_load=web("pad.js"), apply_default_css=False,
                               elem_id=f"{NAME}-drawing", visible=False, padding=False)
            form.add("schedule", gr.Dropdown, label="Noise schedule", filterable=False, value=start["schedule"],
                     choices=[(title, name) for name, title in _SCHEDULES.items()])
            form.add("solvers", gr.Dropdown, label="Solvers that race", multiselect=True, value=start["solvers"],
                     choices=[(row.title, row.name) for row in playground.racers()], max_choices=_MOST_SOLVERS,
                     info=f"up to {_MOST_SOLVERS}, all from the same noise")
            form.add("steps", gr.Slider, label="Steps of each solver", minimum=_STEPS[0], maximum=_STEPS[1], step=1,
                     value=start["steps"], buttons=[])
            form.add("seed", gr.Number, label="Seed", precision=0, minimum=0, maximum=2**31 - 1, value=start["seed"])
            form.add("towards", gr.Dropdown, label="Guidance towards", filterable=False, value=start["towards"],
                     choices=_menu(start))
            form.add("weight", gr.Slider, label="Guidance", minimum=0, maximum=_MOST_WEIGHT, step=0.5, buttons=[],
                     value=start["weight"], info="0 is no class, 1 the class itself")

    def _connect(self) -> None:
        form = self.form
        for name, part in form.parts.items():
            if name in {"density", "text"}:
                part.input(lambda *given: self._fitting(form.values(given)), form.components, self._changing,
                           trigger_mode="always_last", **QUIET).then(**form.save())
            else:
                part.input(**form.save())
        self.card.connect(self._run, [self.pad, *form.components], [self.plane], self.plane.expand)

    def restore(self, demo: gr.Blocks) -> None:
        """Bring back the settings that the browser kept, when the page loads."""
        def back(kept: Any) -> dict[Component, Any]:
            values = cleaned(kept)
            text = gr.update(value=values["text"], visible=values["density"] == "letters")
            return self.form.updates(values) | self._fitting(values) | {self.form.parts["text"]: text}

        self.form.keep(demo, back, [*self.form.components, self.pad])

    @property
    def _changing(self) -> list[Component]:
        return [*(self.form.parts[name] for name in ("text", "towards", "weight")), self.pad]

    def _fitting(self, values: Mapping[str, Any]) -> dict[Component, Any]:
        """What the density asks for: a text, a drawing, its classes."""
        menu, kind = _menu(values), values["density"]
        numbers = [number for _, number in menu]
        number = values["towards"] if values["towards"] in numbers else next(iter(numbers), None)
        parts = self.form.parts
        return {parts["text"]: gr.update(visible=kind == "letters"), self.pad: gr.update(visible=kind == "drawing"),
                parts["towards"]: gr.update(choices=menu, value=number, visible=bool(menu)),
                parts["weight"]: gr.update(visible=bool(menu))}

    def _run(self, drawing: Any, *given: Any) -> Iterator[Updates]:
        run, values = runs.new_id(), self.form.values(given)
        try:
            wanted = scene(values, drawing)
        except InputError as problem:
            yield self.card.refuse(run, problem)
            return
        whole: dict[str, Any] = {"run": run, "paths": [], "frames": []}

        def show(item: dict[str, Any]) -> tuple[Updates, str, float]:
            whole["paths"] += item.get("paths", [])
            frames = whole["frames"]
            frames += item.get("frames", [])
            # Of values that come together a busy page sees only the last: the newest frames come again, at the end all.
            return ({self.plane: {"run": run, **item, "frames": frames[-_AGAIN:]}},
                    f"{len(frames)} of {FRAMES} pictures", len(frames) / FRAMES)

        recipe = Recipe(task="laboratory", solver=(wanted.solvers or ("ddim",))[0], steps=wanted.steps)
        yield from self.card.follow(run, lambda: executed(found(wanted), FRAMES, recipe), show,
                                    lambda: {self.plane: whole})


def _menu(values: Mapping[str, Any]) -> list[tuple[str, int]]:
    return [(name, number) for number, name in enumerate(classes(values["density"], str(values["text"])))]
