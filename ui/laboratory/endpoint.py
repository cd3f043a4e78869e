"""Comparisons for programs: the typed public endpoint "compare"."""

import json
import math
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import gradio as gr

from engine.errors import InputError
from engine.runtime.execution import Failed
from engine.tasks.laboratory import compare as comparing
from engine.tasks.laboratory.compare import Cell, Comparison
from ui import api, viewer
from ui.laboratory.compare import write


def compare(axes: dict, fixed: dict | None = None, samples: int = 0, plans: list | None = None) -> dict:
    """Compare solvers and settings from the same noise, cell by cell.

    axes: {"solver": ["ddim", "dpmpp_2m"], "steps": [5, 10]}, up to three; the last runs across. fixed: the settings
    that are the same in every cell, such as {"problem": "flowers", "seed": 3}. samples: per cell, 0 for the usual
    number. plans: plans of your own as JSON objects. It yields {"progress": text, "cells": [...], "files": [...]} after
    each event, so that a cancelled job stops within a step; the last one is the answer, with the table as a picture and
    its numbers as JSON.
    """
    try:
        yield from _answers(comparing.from_values(axes, fixed or {}, samples, plans or ()))
    except InputError as problem:
        raise gr.Error(str(problem), print_exception=False) from None


def _answers(wanted: Comparison) -> Iterator[dict[str, Any]]:
    found: list[Cell] = []
    total = math.prod(wanted.shape)
    with closing(comparing.run(wanted)) as events:
        for event in events:
            if isinstance(event, Failed):
                raise InputError(event.message)
            if isinstance(event, Cell):
                found.append(event)
            doing = "" if isinstance(event, Cell) else f", {viewer.words(event)}"
            yield {"progress": f"{len(found)} of {total} cells{doing}", "cells": [], "files": []}
    files = write(wanted, found, api.new_folder())
    cells = json.loads(comparing.to_json(wanted, found))["cells"]
    yield {"progress": "finished", "cells": cells, "files": api.published(files)}
