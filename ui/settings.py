"""Settings of a task as plain values, and back: what the controls show, what is saved, what a Recipe needs.

Values are one flat dict. Common settings keep their names (solver, steps, spacing, guidance, seed, samples) and
"random" says whether each run picks a new seed, "model" names a person's own model ("" for the shipped one); a task's
own setting is "task.NAME", a solver's option "solver.NAME".
Works without gradio.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

from engine import grids, samplers
from engine.errors import InputError
from engine.options import Option
from engine.recipe import Recipe
from engine.samplers import Row, row
from engine.steering import SteeringRow
from engine.tasks.base import Task, check

Values = dict[str, Any]
COMMON = ("solver", "steps", "spacing", "guidance", "seed", "samples")
_PARTICLES = 16
_USUAL_STEPS = re.compile(r"\b(\d+) to (\d+) (?:steps|calls)\b")


def solver_rows(task: Task, values: Mapping[str, Any]) -> list[Row]:
    """The samplers that work with these task settings, in the task's order."""
    allowed = set(task.solvers(_task_options(task, values)))
    return [row(name) for name in task.samplers if name in allowed]


def all_options(task: Task) -> dict[str, Option]:
    """Every option that some sampler of the task takes, by name; the first one's wording stands for all at start."""
    found: dict[str, Option] = {}
    for name in task.samplers:
        found = solver_options(task, name) | found
    return found


def solver_options(task: Task, solver: str) -> dict[str, Option]:
    """The options of a solver that the task does not set itself, by name."""
    own = {setting.name for setting in task.settings}
    return {option.name: option for option in row(solver).options if option.name not in own}


def names(task: Task) -> list[str]:
    """The names of all values of a task, shown or not, in a fixed order."""
    own, options = (f"task.{setting.name}" for setting in task.settings), (f"solver.{n}" for n in all_options(task))
    return [*COMMON, "random", "model", *own, *options]


def spacings(solver: str) -> list[str]:
    """The time spacings that a solver accepts."""
    return list(row(solver).spacings or grids.names())


def defaults(task: Task) -> Values:
    """The values that a fresh page shows."""
    return from_recipe(task, task.defaults) | {"random": False}


def from_recipe(task: Task, recipe: Recipe) -> Values:
    """The values that stand for a recipe; settings that it does not name get their defaults."""
    values: Values = {name: getattr(recipe, name) for name in COMMON}
    values["model"] = "" if recipe.model in {"", task.defaults.model, *task.models} else recipe.model
    for setting in task.settings:
        values[f"task.{setting.name}"] = recipe.options.get(setting.name, setting.default)
    for name, option in solver_options(task, recipe.solver).items():
        values[f"solver.{name}"] = recipe.options.get(name, option.default)
    return values


def shown(task: Task, values: Mapping[str, Any]) -> set[str]:
    """Names of the values that have an effect now; the others are hidden.

    A task may narrow its own settings with a method `relevant(options) -> names`, name common settings without effect
    with `ignored(options) -> names`, and let people bring a model with `takes_model(options) -> bool`.
    """
    options = _task_options(task, values)
    names = {"solver", "seed", "random"}
    names |= {"steps"} if task.steps_range[0] < task.steps_range[1] else set()
    names |= {"guidance"} if task.guidance_range[0] < task.guidance_range[1] else set()
    names |= {"samples"} if task.samples_range[0] < task.samples_range[1] else set()
    names |= {"spacing"} if len(spacings(values["solver"])) > 1 else set()
    names |= {"model"} if takes_model(task, values) else set()
    names -= set(task.ignored(options)) if hasattr(task, "ignored") else set()
    own = task.relevant(options) if hasattr(task, "relevant") else [setting.name for setting in task.settings]
    return names | {f"task.{name}" for name in own} | {f"solver.{n}" for n in solver_options(task, values["solver"])}


def takes_model(task: Task, values: Mapping[str, Any]) -> bool:
    """Whether a person's own model can run here: the task must say so, and a public Space reads no folders or hub."""
    can = getattr(task, "takes_model", None)
    return can is not None and "SPACE_ID" not in os.environ and can(_task_options(task, values))


def recipe(task: Task, values: Mapping[str, Any]) -> Recipe:
    """The checked recipe of these values. Raises InputError naming the field."""
    solver = row(values["solver"])
    options = _task_options(task, values)
    for name, option in solver_options(task, solver.name).items():
        options[name] = values.get(f"solver.{name}", option.default)
        option.check(options[name])
    spacing = values["spacing"]
    if spacing not in spacings(solver.name):
        raise InputError(f"{solver.title} cannot use the spacing {str(spacing)[:40]!r}.",
                         fix="Choose one of " + ", ".join(spacings(solver.name)) + ".", field="spacing")
    model = values.get("model") if takes_model(task, values) else ""
    common = {name: values[name] for name in COMMON}
    return check(task, Recipe(task=task.name, model=model or task.defaults.model, **common, options=options))


def cleaned(task: Task, stored: Any) -> Values:
    """Values that run, from whatever a browser kept: unknown ones are dropped, bad ones get their defaults."""
    values = defaults(task)
    if not isinstance(stored, Mapping):
        return values
    wanted = {name: stored[name] for name in names(task) if isinstance(stored.get(name), (str, int, float, bool))}
    for _ in range(len(wanted) + 1):
        try:
            trial = adapted(task, values | wanted)
            recipe(task, trial | {"seed": trial["seed"] or 0})
            return trial
        except InputError as error:
            bad = [name for name in wanted if name == error.field or name.partition(".")[2] == error.field]
            if not bad:
                break
            for name in bad:
                del wanted[name]
    return values


def hint(task: Task, solver: str) -> str:
    """What a solver is good for. Its usual steps are told as those of elsewhere where the task's own default, which was
    measured, is none of them."""
    text = samplers.hint(solver)
    usual = _USUAL_STEPS.search(text)
    if usual is None or int(usual[1]) <= task.defaults.steps <= int(usual[2]):
        return text
    return f"{text[:usual.start()]}Usual elsewhere: {text[usual.start():]}"


def adapted(task: Task, values: Mapping[str, Any], chosen: bool = False) -> Values:
    """The same values made to fit together after a change: a solver that still works, its spacing, its options.

    chosen: the solver itself was changed. A new solver starts with its own defaults: equal names mean different things.
    """
    fitting = [entry.name for entry in solver_rows(task, values)]
    solver = next(name for name in (values["solver"], task.defaults.solver, *fitting) if name in fitting)
    spacing = values["spacing"] if values["spacing"] in spacings(solver) else spacings(solver)[0]
    result = dict(values) | {"solver": solver, "spacing": spacing, "random": bool(values.get("random"))}
    fresh = chosen or solver != values["solver"]
    if fresh:
        result |= _usual(task, row(values["solver"]), row(solver))
    for name, option in solver_options(task, solver).items():
        value = result.get(f"solver.{name}", option.default)
        result[f"solver.{name}"] = option.default if fresh or _refused(option, value) else value
    return result


def _usual(task: Task, before: Row, now: Row) -> Values:
    """Steps and samples that suit a steering sampler; on the way back to a solver those of the task."""
    if isinstance(now, SteeringRow):
        (low, high), (_, most) = task.steps_range, task.samples_range
        samples = {"samples": min(_PARTICLES, most)} if "particles" in now.tags else {}
        return {"steps": min(max(now.steps[1], low), high)} | samples
    return {"steps": task.defaults.steps} if isinstance(before, SteeringRow) else {}


def cost(task: Task, values: Mapping[str, Any], seconds_per_call: float | None, end_s: float = 0.0) -> str:
    """"20 steps x 1 = 20 network calls, about 0.4 s". Without a measured time the last part is left out, steps and
    samples where they have no effect, the product where the calls do not grow with the steps, and the calls where the
    task has no network. end_s: seconds that a run takes after its last step.
    """
    try:
        wanted = recipe(task, dict(values) | {"seed": 0})
    except InputError as error:
        return str(error)
    effective = shown(task, values)
    text = _work(task, wanted, "steps" in effective)
    if "samples" in effective and wanted.samples > 1:
        text += f" for {wanted.samples} samples"
    if seconds_per_call is None:
        return text
    return f"{text}, about {duration(task.calls(wanted) * seconds_per_call + end_s)}"


def _work(task: Task, wanted: Recipe, stepped: bool) -> str:
    steps, calls = _count(wanted.steps, "step"), task.calls(wanted)
    if not task.models:
        return steps
    text = _count(calls, "network call")
    if not stepped:
        return text
    each, rest = divmod(calls, wanted.steps)
    other = 1 if wanted.steps > 1 else 2
    even = each and not rest and task.calls(wanted.replace(steps=other)) == other * each
    return f"{steps}{f' x {each} = ' if even else ', '}{text}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def duration(seconds: float) -> str:
    """A duration for people: "0.4 s", "12 s", "3 min"."""
    if seconds < 9.95:
        return f"{max(seconds, 0.1):.1f} s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _task_options(task: Task, values: Mapping[str, Any]) -> dict[str, Any]:
    return {s.name: values.get(f"task.{s.name}", s.default) for s in task.settings}


def _refused(option: Option, value: Any) -> bool:
    try:
        option.check(value)
    except InputError:
        return True
    return False
