"""One typed public endpoint per task, with the same words as the command line."""

import inspect
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from gradio.utils import get_upload_folder, is_in_or_equal

from engine.errors import InputError
from engine.io import inputs
from engine.io.save import save_result
from engine.runtime.execution import Failed, Finished
from engine.tasks.base import Result, Setting, Task
from ui import runs, settings, viewer
from ui.settings import Values

_BOTH = inspect.Parameter.POSITIONAL_OR_KEYWORD
_TEXT = "text"
"""The one kind of input that is no file."""
_COMMON = {"solver": str, "steps": int, "spacing": str, "guidance": float, "seed": int, "samples": int}


def endpoint(task: Task) -> Callable[..., Iterator[dict[str, Any]]]:
    """A generator function for `gr.api`, whose signature names the task's inputs and settings.

    Inputs are files (`gradio_client.handle_file`), texts the words themselves. `options` holds further options of the
    solver; `model` names a person's own where the task takes one. It yields
    {"progress": text, "files": [...], "recipe": JSON text, "metrics": {...}, "notes": [...]} after each event, so that
    a cancelled job stops within a step; the last one is the answer.
    """

    def typed(setting: Setting) -> inspect.Parameter:
        default = task.defaults.options.get(setting.name, setting.default)
        return inspect.Parameter(setting.name, _BOTH, annotation=type(setting.default), default=default)

    def call(*given: Any, **named: Any) -> Iterator[dict[str, Any]]:
        values = signature.bind(*given, **named)
        values.apply_defaults()
        try:
            yield from _answers(task, values.arguments)
        except InputError as problem:
            raise gr.Error(str(problem), print_exception=False) from None

    parameters = [inspect.Parameter(entry.name, _BOTH, annotation=str if entry.kind == _TEXT else dict,
                                    **({} if entry.required else {"default": "" if entry.kind == _TEXT else None}))
                  for entry in task.inputs]
    parameters += [inspect.Parameter(name, _BOTH, annotation=kind, default=getattr(task.defaults, name))
                   for name, kind in _COMMON.items()]
    parameters += [typed(setting) for setting in task.settings]
    if hasattr(task, "takes_model"):
        parameters.append(inspect.Parameter("model", _BOTH, annotation=str, default=""))
    parameters.append(inspect.Parameter("options", _BOTH, annotation=dict, default={}))
    signature = inspect.Signature(parameters, return_annotation=dict)
    call.__signature__ = signature
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": dict}
    call.__name__ = task.name
    call.__doc__ = f"{task.title}. {task.summary}"
    return call


def _answers(task: Task, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    recipe = settings.recipe(task, _values(task, given))
    with closing(runs.events(task, _inputs(task, given), recipe)) as events:
        for event in events:
            if isinstance(event, Failed):
                raise InputError(event.message)
            if isinstance(event, Finished):
                yield _answer(event.result)
            else:
                yield {"progress": viewer.words(event, bool(task.models)), "recipe": recipe.write(), "files": [],
                       "metrics": {}, "notes": []}


def _answer(result: Result) -> dict[str, Any]:
    files = published(save_result(result, new_folder()))
    return {"progress": "finished", "recipe": result.recipe.write(), "files": files, "metrics": dict(result.metrics),
            "notes": list(result.notes)}


def new_folder() -> Path:
    """A folder for an answer's files, below that of the uploads. Its name cannot be guessed; it is not made yet."""
    return Path(get_upload_folder()) / secrets.token_hex(20)


def published(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Files in a `new_folder` as a program gets them. They are deleted after an hour, like uploads."""
    served = LocalContext.blocks.get(None)
    if served is not None:
        served.upload_file_set.update(str(path) for path in paths)
    return [{"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}} for path in paths]


def _inputs(task: Task, given: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in inputs.order(task.inputs):
        text = entry.kind == _TEXT
        source = given[entry.name] or None if text else _path(given[entry.name], entry.name)
        if source is not None:
            found[entry.name], _ = inputs.read(entry, source, found)
        elif entry.required:
            raise InputError(f"{entry.label} is missing.", fix=f"Send it as a {'text' if text else 'file'}.",
                             field=entry.name)
    return found


def _values(task: Task, given: dict[str, Any]) -> Values:
    values = settings.defaults(task) | {name: given[name] for name in _COMMON}
    values |= {f"task.{setting.name}": given[setting.name] for setting in task.settings}
    values["model"] = given.get("model", "")
    if values["model"] and not settings.takes_model(task, values):
        raise InputError("These settings take no model of your own.", fix="Leave model empty.", field="model")
    options = given["options"]
    if not isinstance(options, dict):
        raise InputError("options is no list of named values.", fix='Give an object such as {"eta": 0.5}.',
                         field="options")
    known = settings.solver_options(task, given["solver"])
    for name, value in options.items():
        if name not in known:
            raise InputError(f"The solver has no option {str(name)[:40]!r}.",
                             fix="It takes " + (", ".join(known) or "no options") + ".", field="options")
        values[f"solver.{name}"] = value
    for name, option in known.items():
        values.setdefault(f"solver.{name}", option.default)
    return values


def _path(file: Any, field: str) -> str | None:
    """The path of an uploaded file. Anything that does not lie in the upload folder is refused unread."""
    if file is None:
        return None
    path = file.get("path") if isinstance(file, dict) else None
    inside = isinstance(path, str) and "\0" not in path and is_in_or_equal(path, get_upload_folder())
    if inside and Path(path).is_file():
        return path
    raise InputError(f"{field} is no uploaded file.",
                     fix="Upload it first, for example with gradio_client.handle_file.", field=field)
