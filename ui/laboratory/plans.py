"""A person's own plans: files that are checked before they are taken, and the stored plans to look at or start from."""

import html
import logging
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.utils import get_upload_folder

from engine.errors import InputError
from engine.solvers.plan import TEXT_BYTES, Plan
from engine.tasks.laboratory import problems, resources
from ui import message
from ui.events import QUIET

MOST_FILES = 20
_WORDS = ("A plan says for every step of the solver \u201cSearched plan\u201d where it ends and how it is made. Plans "
          "that you give are taken before the stored ones. Run that solver with as many steps as the plan makes calls.")
log = logging.getLogger("diffuscope.page")


def read(path: str) -> Plan:
    """The plan in an uploaded file. Raises InputError (field "plan") that says what is wrong with it."""
    try:
        size = Path(path).stat().st_size
        if size > TEXT_BYTES:
            raise InputError(f"The plan has {size} bytes.", f"The limit is {TEXT_BYTES}.", "Choose another file.",
                             "plan")
        return Plan.read(Path(path).read_bytes())
    except OSError:
        raise InputError("The plan is no longer here.", "Files are deleted one hour after they were sent.",
                         "Choose it again.", "plan") from None


def read_all(paths: Sequence[str] | None) -> tuple[Plan, ...]:
    """The plans in all uploaded files, in their order. Raises InputError as `read` does."""
    return tuple(map(read, paths or ()))


def sorted_out(paths: Sequence[str] | None) -> tuple[list[str], InputError | None]:
    """The files that hold plans, and what is wrong with the first one that does not."""
    good: list[str] = []
    trouble: InputError | None = None
    for path in paths or ():
        try:
            read(path)
            if len(good) == MOST_FILES:
                raise InputError(f"{len(paths or ())} plans were given.", f"The limit is {MOST_FILES}.", field="plan")
            good.append(path)
        except InputError as problem:
            trouble = trouble or problem
    return good, trouble


def told(paths: Sequence[str] | None) -> str:
    """A line per plan: what it does. The text inside a plan is somebody's own and is not shown."""
    lines = [f"<li>Plan {i}: {_calls(plan)}{_score(plan)}</li>" for i, plan in enumerate(read_all(paths), 1)]
    return f"<ul>{''.join(lines)}</ul>" if lines else ""


def stored() -> dict[str, tuple[str, Plan]]:
    """File name -> title and plan, for every stored plan of a problem that is here."""
    found: dict[str, tuple[str, Plan]] = {}
    try:
        plans = [plan for plan in resources.plans() if plan.model in problems.names()]
    except InputError as problem:
        log.warning("%s", problem)
        return found
    for plan in sorted(plans, key=lambda plan: (problems.names().index(plan.model), plan.calls)):
        name = re.sub(r"\W", "_", f"{plan.model}_{plan.calls:02d}")
        while f"{name}.json" in found:
            name += "_more"
        found[f"{name}.json"] = f"{problems.load(plan.model).title}: {_calls(plan)}{_score(plan)}", plan
    return found


class PlanFiles:
    """The drawer with the upload and the stored plans. Build it among a view's settings.

    files: the uploaded files, to be read by `read_all`; what is no plan does not stay among them.
    """

    def __init__(self, view: str):
        self.view = view
        self._stored = stored()
        with gr.Accordion("Own plans (JSON)", open=False, elem_id=f"{view}-plans"):
            gr.HTML(f"<p>{html.escape(_WORDS)}</p>", elem_classes="hint", padding=False)
            # Any suffix may come: the content decides, and then the words are ours.
            self.files = gr.File(label="Plans of your own", file_count="multiple", height=140, elem_id=f"{view}-plan")
            self.told = gr.HTML(elem_id=f"{view}-plan-told", elem_classes="hint", padding=False)
            self.choice = gr.Dropdown(label="Stored plans", value=None, filterable=False, visible=bool(self._stored),
                                      choices=[(title, name) for name, (title, _) in self._stored.items()],
                                      elem_id=f"{view}-stored")
            self.download = gr.DownloadButton("Download this plan", size="sm", interactive=False,
                                              visible=bool(self._stored), elem_id=f"{view}-download")

    def connect(self, area: Component, costs: dict[str, Any]) -> None:
        """Messages go to `area`. costs: the event that shows the run's cost again."""
        self.files.upload(self._take, self.files, [self.files, self.told, area], **QUIET).then(**costs)
        for gone in (self.files.clear, self.files.delete):
            gone(lambda paths: [told(sorted_out(paths)[0]), None], self.files, [self.told, area], **QUIET).then(**costs)
        self.choice.input(self._offer, self.choice, self.download, **QUIET)

    def _take(self, paths: list[str] | None) -> list[Any]:
        good, trouble = sorted_out(paths)
        area = message.error(self.view, trouble) if trouble else None
        return [gr.skip() if trouble is None else gr.update(value=good or None), told(good), area]

    def _offer(self, name: str) -> dict[str, Any]:
        if name not in self._stored:
            return gr.update(value=None, interactive=False)
        path = Path(get_upload_folder()) / secrets.token_hex(20) / name
        path.parent.mkdir(parents=True)
        path.write_text(self._stored[name][1].write(), encoding="utf-8")
        return gr.update(value=str(path), interactive=True)


def _calls(plan: Plan) -> str:
    return f"{plan.calls} call{'' if plan.calls == 1 else 's'}"


def _score(plan: Plan) -> str:
    return "" if plan.score is None else f", error {plan.score:.2g}"
