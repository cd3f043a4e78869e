"""The command line: run, evaluate, train, prepare, search, bench, models, report. Heavy things load when needed."""

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import InputError

if TYPE_CHECKING:
    from engine.recipe import Recipe
    from engine.tasks.base import Setting, Task

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
                  help="Diffuscope's engine: diffusion models at work.")

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="Name of a task; an unknown one lists them all.")]
Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder of pictures.")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the rows as JSON.")]


@app.command()
def run(
    name: TaskName,
    files: Annotated[list[str] | None, typer.Option(
        "--in", metavar="FILE...", help="Inputs in the task's order, or NAME=FILE. A mask may be x0,y0,x1,y1; texts "
                                        "are NAME=WORDS.")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")] = Path("out"),
    recipe: Annotated[Path | None, typer.Option(metavar="FILE", help="Take the settings of a saved result.")] = None,
    solver: Annotated[str | None, typer.Option(help="Name of a solver.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the solver.")] = None,
    spacing: Annotated[str | None, typer.Option(help="Spacing of the steps in time.")] = None,
    guidance: Annotated[float | None, typer.Option(help="1 is plain conditional.")] = None,
    seed: Annotated[int | None, typer.Option(help="Number that the noise is made from.")] = None,
    samples: Annotated[int | None, typer.Option(help="Number of results.")] = None,
    model: Annotated[str | None, typer.Option(help="A shipped model, local:FOLDER or hub:owner/name.")] = None,
    options: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE",
                                                      help="A setting of the task or solver.")] = None,
) -> None:
    """Run a task on files and save its results with the recipe inside."""
    from engine import tasks
    from engine.tasks.base import check

    task = tasks.load(name)
    given = {"solver": solver, "steps": steps, "spacing": spacing, "guidance": guidance, "seed": seed,
             "samples": samples, "model": model}
    chosen = _recipe(task, recipe, {key: value for key, value in given.items() if value is not None}, options or [])
    _execute(task, _inputs(task, files or []), check(task, chosen), out)


def _recipe(task: "Task", file: Path | None, given: Mapping[str, Any], options: Sequence[str]) -> "Recipe":
    """The task's defaults, or a saved recipe, with what was given on the command line."""
    from engine.io import read_recipe

    start = task.defaults
    if file is not None:
        start, notes = read_recipe(file)
        _say(notes)
        if start.task != task.name:
            raise InputError(f"The recipe is for the task {start.task}.", f"This run is for {task.name}.",
                             "Give the matching task or another recipe.", field="recipe")
    recipe = start.replace(**given)
    return recipe.replace(options={**recipe.options, **_options(task, recipe.solver, options)})


def _options(task: "Task", solver: str, texts: Sequence[str]) -> dict[str, Any]:
    from engine.samplers import row

    known: dict[str, Any] = {entry.name: entry for entry in (*task.settings, *row(solver).options)}
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            raise InputError(f"There is no setting {name[:40]!r} here." if equals else f"{text[:40]!r} sets nothing.",
                             "Known are " + ", ".join(known) + ".", "Write --set NAME=VALUE.", field="set")
        found[name] = _value(known[name], value)
    return found


def _value(setting: "Setting", text: str) -> bool | int | float | str:
    """The text as the type of the setting's default."""
    kind = type(setting.default)
    try:
        if kind is bool:
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        return float(text) if kind is float else kind(text)
    except (KeyError, ValueError):
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise InputError(f"{setting.name} is {text[:40]!r}.", f"It must be {wanted}.", "Change the value.",
                         field=setting.name) from None


def _inputs(task: "Task", texts: Sequence[str]) -> dict[str, Any]:
    """The task's inputs, read and checked."""
    from engine.io import inputs

    names = [spec.name for spec in task.inputs]
    given, free = {}, list(names)
    for text in texts:
        name, equals, path = text.partition("=")
        if not (equals and name in names):
            name, path = (free[0] if free else ""), text
        if name not in free:
            raise InputError(f"{len(texts)} inputs were given.", f"{task.title} takes " + ", ".join(names) + ".",
                             "Give each of them once.", field="in")
        free.remove(name)
        given[name] = path
    missing = [spec.name for spec in task.inputs if spec.required and spec.name in free]
    if missing:
        raise InputError(f"The input {missing[0]} is missing.", f"{task.title} needs " + ", ".join(names) + ".",
                         "Give it with --in.", field=missing[0])
    found: dict[str, Any] = {}
    for spec in inputs.order(task.inputs):
        if spec.name in given:
            found[spec.name], notes = inputs.read(spec, given[spec.name], found)
            _say(notes)
    return found


def _execute(task: "Task", inputs: Mapping[str, Any], recipe: "Recipe", out: Path) -> None:
    from engine.io import save_result
    from engine.runtime.execution import Failed, Finished, Waiting, Working, execute

    for event in execute(task, inputs, recipe, every_s=0.5):
        if isinstance(event, Waiting):
            _progress(f"queued, place {event.place}")
        elif isinstance(event, Working):
            _progress(event.message)
        elif isinstance(event, Failed):
            _progress("")
            if event.error_id:
                typer.echo(f"{event.message}", err=True)
                raise typer.Exit(1)
            raise InputError(event.message, field=event.field)
        elif isinstance(event, Finished):
            _progress("saving")
            paths = save_result(event.result, out)
            _progress("")
            _say((*event.result.notes, f"Done in {event.seconds:.1f} s."))
            for name, value in event.result.metrics.items():
                typer.echo(f"{name}: {value:.4g}")
            for path in paths:
                typer.echo(path)


@app.command()
def evaluate(
    name: Annotated[str, typer.Argument(metavar="TASK", help="A task, or steering for all posterior samplers.")],
    data: Data,
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most so many pictures of a set.")] = None,
    file: JsonFile = None,
) -> None:
    """Measure a task beside its baselines on a folder of pictures."""
    from engine import tasks

    rows = tasks.evaluation(name)(str(_folder(data)), limit)
    typer.echo("\n".join(table(rows)))
    _dump(file, rows)


@app.command()
def train(
    name: Annotated[str, typer.Argument(metavar="TASK", help="Task or model to train.")], data: Data,
    minutes: Annotated[float, typer.Option(help="Budget of wall time.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from a checkpoint or shipped weights.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where weights, card and sheets go.")] = None,
) -> None:
    """Train a model within a budget of minutes, on whatever device is there."""
    from engine import training

    card = training.train(task=name, data=str(_folder(data)), minutes=minutes, resume=resume, folder=out)
    typer.echo("\n".join(card.lines()))


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="A shipped model that makes pictures from noise.")],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of pictures; else the model's own.")] = None,
    only: Annotated[str | None, typer.Option(help="statistics, transport or circuit; all without it. Of forecasts, "
                                                  "fading; of ediffsr, start.")] = None,
) -> None:
    """Learn what DPM-Solver-v3, DPM-OT and, from pictures, Tiramisu need, and store it beside a model's weights.

    For a forecast model: how far it is believed with lead time, from the records in the data folder. For ediffsr: the
    start noise that serves best, from the pictures in the data folder.
    """
    kinds = {"statistics": _prepare_statistics, "transport": _prepare_transport, "circuit": _prepare_circuit}
    if name.startswith("forecast_"):
        kinds = {"fading": _prepare_fading}
    if name == "ediffsr":
        kinds = {"start": _prepare_start}
    if only is not None and only not in kinds:
        raise InputError(f"Nothing named {only[:40]!r} can be prepared.", fix="Choose one of " + ", ".join(kinds) + ".",
                         field="only")
    if data is not None:
        _folder(data)
    elif only == "circuit" or kinds.keys() & {"fading", "start"}:
        raise InputError("The data folder is missing.", "This is learned from data.", "Give it with --data.",
                         field="data")
    for kind in (only,) if only else kinds:
        if kind != "circuit" or data is not None:
            line = kinds[kind](name, data)
            _progress("")
            typer.echo(line)


def _prepare_statistics(name: str, data: Path | None) -> str:
    from engine import estimation

    return str(estimation.prepare(name, data, on_progress=lambda done, total: _progress(f"level {done}/{total}")))


def _prepare_transport(name: str, data: Path | None) -> str:
    from engine import transport

    path, found = transport.prepare_model(name, on_progress=lambda done, total: _progress(f"transport {done}/{total}"))
    return f"{path}: {found.empty} empty cells, error {found.gradient:.4f} where counting alone gives {found.floor:.4f}"


def _prepare_circuit(name: str, data: Path) -> str:
    from engine.training import circuit

    path, score = circuit.prepare_model(name, data,
                                        on_progress=lambda done, total: _progress(f"circuit {done}/{total}"))
    return f"{path}: {score:.3f} nats per number on held-out pictures"


def _prepare_fading(name: str, data: Path) -> str:
    from engine.tasks.forecast import calibration

    path, note = calibration.prepare_model(name, data, on_progress=_progress)
    return f"{path}: {note}"


def _prepare_start(name: str, data: Path) -> str:
    from engine.tasks.superres import starts

    path, found = starts.prepare(data, on_progress=lambda done, total: _progress(f"start {done}/{total}"))
    return f"{path}: start {found.chosen} of {len(found.scores)}, agreement {found.agreement:.2f} between references"


@app.command()
def search(
    name: Annotated[str, typer.Argument(metavar="PROBLEM", help="mixture, patches or a model that makes pictures.")],
    calls: Annotated[int, typer.Option(help="Network calls of the plan.")],
    evaluations: Annotated[int, typer.Option(help="Plans that are tried.")] = 200,
    steps: Annotated[int, typer.Option(help="Steps of the refinement by gradients; 0 leaves it out.")] = 20,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: assets/plans.")] = None,
) -> None:
    """Search for the best plan of so many calls for a problem, refine it, and store it as JSON."""
    from engine.tasks.laboratory import searching

    def told(now) -> None:
        _progress(f"{now.stage}: {now.done}/{now.total}, error {now.error:.3g}")

    path, plan = searching.store(name, calls, evaluations=evaluations, steps=steps, folder=out, on_progress=told)
    _progress("")
    typer.echo(f"{path}: {plan.calls} calls, error {plan.score:.3g}. {plan.found}")


@app.command()
def bench(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One measurement; all without it.")] = None,
    data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Folder that holds flowers.")] = None,
    file: JsonFile = None,
) -> None:
    """Measure the engine itself and print tables."""
    from engine.bench import run as measure

    tables = measure(name, data=None if data is None else _folder(data))
    for title, rows in tables:
        typer.echo("\n".join((title, *table(rows), "")))
    _dump(file, [{"title": title, "rows": rows} for title, rows in tables])


@app.command()
def models() -> None:
    """Print the cards of the shipped models."""
    from engine import models as shelf

    for name in shelf.names():
        typer.echo("\n".join((*shelf.card(name).lines(), "")))
    if not shelf.names():
        typer.echo("No models are shipped here. They belong in assets/models/NAME.", err=True)


@app.command()
def report(
    readme: Annotated[Path | None, typer.Option(metavar="FILE", help="README.md of the program by default.")] = None,
    results: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: assets/results.")] = None,
) -> None:
    """Write the tables of the README from what evaluate and bench measured."""
    from engine import report as page

    changed = page.write(readme or page.README, results or page.RESULTS)
    typer.echo("The results were written." if changed else "The results were up to date.")


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows as aligned lines with a header: one column per key, numbers to the right and with four digits."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    numeric = {key for key in keys if all(isinstance(row.get(key, 0), Real) for row in rows)}
    cells = [keys, *([_cell(row.get(key)) for key in keys] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(keys))]
    return ["  ".join(text.rjust(width) if key in numeric else text.ljust(width)
                      for key, text, width in zip(keys, line, widths)).rstrip() for line in cells]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, Real) and not isinstance(value, Integral) else str(value)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise InputError("The data folder is not there.", "--data needs a folder of pictures.", "Check its name.",
                         field="data")
    return path


def _dump(file: Path | None, rows: Any) -> None:
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(_plain(rows), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError("The JSON file could not be written.", f"{error.strerror or 'The system refused it'}.",
                         "Choose another place.", field="json") from None


def _plain(value: Any) -> Any:
    """Rows as JSON can hold them: numpy numbers as Python's, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line, err=True)


def _progress(text: str) -> None:
    """One line on stderr that is written over; "" clears it. Plain lines where stderr is no terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
    elif text:
        sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _spread(words: Sequence[str]) -> list[str]:
    """`--in a b` as `--in a --in b`, which is the form that typer understands."""
    spread, inside = [], False
    for i, word in enumerate(words):
        if word.startswith("--"):
            inside = word == "--in"
        elif inside and words[i - 1] != "--in":
            spread.append("--in")
        spread.append(word)
    return spread


def main(words: Sequence[str] | None = None) -> None:
    """Run a command. What a person can put right ends with its sentences on stderr and exit code 2."""
    try:
        app(args=_spread(sys.argv[1:] if words is None else words), prog_name="python -m engine")
    except InputError as error:
        _say(part for part in (error.what, error.why, error.fix) if part)
        sys.exit(2)


if __name__ == "__main__":
    main()
