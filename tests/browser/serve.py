"""Serves the page for the browser tests in a process of its own: `serve.py TRACE_FILE NAME...` with these fake tasks,
or `serve.py` with the real ones; `serve.py TRACE_FILE points` serves one tab with point clouds and a bare live view of
teeth-like views.

Prints its address once it answers. Two runs compute at once. The fake restoration takes 0.2 s per network call, the
others are fast.
"""

import os
import sys
from functools import partial
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["DIFFUSCOPE_WORKERS"] = "2"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import gradio as gr
import numpy as np
import torch

from engine.step import Step
from tests.ui.fake_task import FakePointsTask, FakeTask, torus
from tests.ui.forecast.fake_forecast_task import FakeForecastTask
from tests.ui.pointcloud.fake_cloud_task import FakeCloudTask
from tests.ui.segmentation.fake_scan_task import FakeScanTask
from tests.ui.teeth.fake_teeth_task import FakeTeethTask
from ui import page, viewer
from ui.points import TEETH_VIEWS
from ui.points_view import PointsView
from ui.task_tab import TaskTab

FAKES = {"inpainting": partial(FakeTask, name="inpainting", title="Inpainting", paints=True, delay_s=0.02),
         "restoration": partial(FakeTask, delay_s=0.2), "segmentation": partial(FakeScanTask, delay_s=0.02),
         "teeth": partial(FakeTeethTask, delay_s=0.02), "pointcloud": partial(FakeCloudTask, delay_s=0.02),
         "forecast": partial(FakeForecastTask, delay_s=0.02)}


def main() -> None:
    """Build, launch, print the address, wait for the end of the input."""
    demo = _build(*sys.argv[1:])
    _, url, _ = demo.launch(server_name="127.0.0.1", server_port=_free_port(), prevent_thread_lock=True, quiet=True,
                            **page.serving())
    print(url, flush=True)
    sys.stdin.read()
    demo.close()


def _build(trace: str = "", *names: str) -> gr.Blocks:
    if names == ("points",):
        return _points(Path(trace))
    return page.build([FAKES[name](trace=Path(trace)) for name in names] or None)


def _points(trace: Path) -> gr.Blocks:
    points, _ = torus(3600)
    clean = torch.from_numpy(np.stack([points] * 2))
    clean = clean[:, clean[0, :, 1].argsort(descending=True)]
    frames = viewer.frames(Step(9, 9, 0.0, 0.0, clean, clean, 9))
    told = viewer.saving("bare") | frames | {"phase": "done", "text": "done"}
    with gr.Blocks(delete_cache=page.CACHE_S, fill_width=True) as demo:
        with gr.Tabs(), gr.Tab("Points"):
            tab = TaskTab(FakePointsTask(delay_s=0.05, trace=trace), result=PointsView)
            bare = viewer.viewer("bare", "arrangement", TEETH_VIEWS)
        tab.restore(demo)
        demo.load(lambda: told, None, bare)
    return demo.queue()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
