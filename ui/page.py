"""The page: tabs in order, the look, one compute queue, and how it is served."""

import logging
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from engine import models, tasks
from engine.errors import InputError
from engine.runtime.settings import limits
from engine.tasks.base import Task
from ui.api import endpoint
from ui.assets import WEB, web
from ui.guard import BodyLimit
from ui.laboratory.endpoint import compare
from ui.tabs import laboratory as laboratory_tab
from ui.tabs import models as models_tab
from ui.task_tab import COMPUTE
from ui.theme import theme

NAME = "Diffuscope"
SENTENCE = "Use diffusion models on real pictures, and see every step of how they work."
REQUEST_BYTES = 4_000_000
"""Largest request that is no upload: settings and a painted mask."""
STYLES = ("page.css", "picture.css", "viewer.css", "laboratory.css", "mask.css", "forecast.css", "teeth.css",
          "sketch.css")
MODE_OF = {"contrast": "segmentation"}
"""Tasks that have no tab of their own, but are a mode in that of another task."""
CACHE_S = (600, 3600)
"""Files of the page are looked through every ten minutes and deleted after an hour."""

log = logging.getLogger("diffuscope.page")


def build(shown: Sequence[Task] | None = None) -> gr.Blocks:
    """The page with a tab for each task (default: all of them), built by `ui.tabs.NAME`, then the laboratory and
    the models.
    """
    entries = [tasks.load(name) for name in tasks.names()] if shown is None else list(shown)
    with gr.Blocks(title=NAME, analytics_enabled=False, delete_cache=CACHE_S, fill_width=True) as demo:
        gr.HTML(f"<h1>{NAME}</h1><p>{SENTENCE}</p>", elem_classes="masthead", padding=False)
        # The page looks for what events have read, from its top on, at each message of a run: so this stands first.
        kept = gr.Column(elem_classes="kept")
        with gr.Tabs(elem_classes="pages"):
            tabs = []
            for task, *further in _shared(entries):
                with gr.Tab(task.title, id=task.name):
                    tabs.append(import_module(f"ui.tabs.{task.name}").build(task, *further))
            with gr.Tab(laboratory_tab.TITLE, id="laboratory"):
                laboratory = laboratory_tab.build()
            with gr.Tab(models_tab.TITLE, id="models"):
                models_tab.build()
        with kept:
            laboratory.restore(demo)
            for tab in tabs:
                tab.restore(demo)
        for function in (*map(endpoint, entries), compare):
            gr.api(function, api_name=function.__name__, concurrency_id=COMPUTE,
                   concurrency_limit=limits().workers + limits().queue)
    # The engine has its own first-come-first-served places and tells each run its place, so waiting happens there.
    return demo.queue(default_concurrency_limit=limits().workers, max_size=limits().queue)


def _shared(entries: Sequence[Task]) -> list[list[Task]]:
    """The tasks by tab: one that is another mode of a task that is shown stands behind it."""
    names = {task.name for task in entries}
    leads = [task for task in entries if MODE_OF.get(task.name) not in names]
    return [[lead, *(task for task in entries if MODE_OF.get(task.name) == lead.name)] for lead in leads]


def serving() -> dict[str, Any]:
    """Arguments of `launch` that every way of serving the page shares."""
    return {"theme": theme(), "css": "\n".join(map(web, STYLES)),
            "js": web("page.js"), "show_error": False, "max_file_size": limits().scan_bytes, "strict_cors": True,
            "allowed_paths": [], "footer_links": ["api"], "run_history": False, "ssr_mode": False, "share": False,
            "favicon_path": str(WEB / "icon.svg"), "state_session_capacity": 1000,
            "app_kwargs": {"middleware": [Middleware(BodyLimit, json_bytes=REQUEST_BYTES,
                                                     upload_bytes=limits().request_bytes)]}}


def warm_up() -> threading.Thread:
    """Load the tasks' models in the background, so that the first run does not wait for them."""

    def load() -> None:
        for name in dict.fromkeys(model for task in tasks.names() for model in tasks.load(task).models):
            try:
                models.load(name)
            except InputError as problem:
                log.warning("%s", problem)

    thread = threading.Thread(target=load, name="warm-up", daemon=True)
    thread.start()
    return thread
