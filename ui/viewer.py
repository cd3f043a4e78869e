"""The live view: turns the events of a run into small messages that the script in the page draws.

Pictures travel as JPEG data URIs inside one gr.HTML value (5 ms from here to the screen, no file, no extra request),
point clouds as their coordinates, so that the hand can turn them; the script keeps the frames, so that looking back
needs no server.
"""

import base64
import time
from collections.abc import Sequence
from typing import Any

import gradio as gr
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine import models
from engine.io.save import jpeg_frame
from engine.runtime.execution import Event, Failed, Finished, Stopped, Waiting, Working
from engine.runtime.settings import limits
from engine.step import Step
from ui import points
from ui.assets import web
from ui.settings import duration

SHOWN_SAMPLES = 4
Message = dict[str, Any]


def viewer(elem_id: str, what: str = "picture", views: Sequence[points.View] = ()) -> gr.HTML:
    """The component. Its value is what `message` gives.

    what: the noun for what forms. views: for point clouds, directions that get a button; the first is the start.
    """
    return gr.HTML(None, html_template=web("viewer.html"), js_on_load=points.script("viewer.js", views, what),
                   apply_default_css=False, elem_id=elem_id, elem_classes="viewer", container=True, padding=True)


def message(run: str, event: Event, networked: bool = True) -> Message:
    """What the page shows after an event of the run with this id. networked: see `words`."""
    match event:
        case Waiting():
            return _message(run, "waiting", words(event))
        case Working():
            share = event.finished / event.total if event.total else None
            told = _message(run, "working", words(event, networked), share)
            return told if event.step is None else told | frames(event.step)
        case Finished():
            return _message(run, "done", words(event), fraction=1.0)
        case Stopped():
            return _message(run, "stopped", words(event))
        case Failed():
            return failure(run)


def words(event: Event, networked: bool = True) -> str:
    """An event in a few words, as the status line shows it. networked: whether there is a network whose calls count."""
    match event:
        case Waiting():
            return f"queued, place {event.place}"
        case Working() if not event.total:
            return "loading weights" if networked and models.loading() else "starting"
        case Working():
            left = f", {duration(event.left_s)} left" if event.left_s else ""
            calls = f", {event.calls} call{'' if event.calls == 1 else 's'}" if networked else ""
            return f"step {event.finished}/{event.total}{calls}{left}"
        case Finished():
            return f"finished in {duration(event.seconds)}"
        case Stopped():
            step = event.step
            return f"stopped at {step.index}/{step.total}" if step else "stopped before the first step"
        case Failed():
            return event.message


def failure(run: str) -> Message:
    """The state after an error, which stands in the message area; the frames that were shown stay."""
    return _message(run, "failed", "Not finished. The message above says why.")


def saving(run: str) -> Message:
    """The state between the last step and the finished files."""
    return _message(run, "working", "saving", fraction=1.0)


def frames(step: Step) -> Message:
    """The estimate and the state of a step as small pictures or point clouds, first four samples; of an ensemble the
    weights too. Points are (B, N, 3), or (B, N, 6) with colours; see `ui.points` for their range."""
    return {"step": step.index, "total": step.total, "sigma": round(float(step.sigma), 6),
            "x0": _shown(step.x0), "x": _shown(_tamed(step))} | _ensemble(step)


def to_pixels(x: Tensor, samples: int = SHOWN_SAMPLES) -> list[np.ndarray]:
    """Pictures (B, C, H, W) in [-1, 1] as at most `samples` arrays (h, w, 3) uint8 of preview size."""
    x = x[:samples].detach().to("cpu", torch.float32)
    longest = max(x.shape[-2:])
    if longest > 2 * limits().preview_px:
        scale = limits().preview_px / longest
        x = functional.interpolate(x, size=[max(1, round(n * scale)) for n in x.shape[-2:]], mode="area")
    if x.shape[1] == 1:
        x = x.expand(-1, 3, -1, -1)
    bytes_ = x[:, :3].nan_to_num(0).clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return [picture.permute(1, 2, 0).contiguous().numpy() for picture in bytes_]


def _ensemble(step: Step) -> Message:
    """Of a step whose samples have weights: those of the shown ones and the largest as shares of all, how many there
    are, how many count, and whether they were then drawn anew, which made the weights equal."""
    log_weights = getattr(step, "log_weights", None)
    if log_weights is None:
        return {}
    shares = log_weights.softmax(0).tolist()
    return {"weights": [round(share, 4) for share in shares[:SHOWN_SAMPLES]], "largest": round(max(shares), 4),
            "particles": len(shares), "ess": round(float(step.ess), 2),
            "anew": float(step.ess) < 0.999 / sum(share * share for share in shares)}


def _tamed(step: Step) -> Tensor:
    """The state at unit scale: in an exploding schedule sigma reaches 80 and nothing but black and white would show."""
    return step.x / (1 + step.sigma**2) ** 0.5 if step.sigma > 1 else step.x


def _shown(x: Tensor) -> list[str] | list[points.Cloud]:
    return points.live(x, SHOWN_SAMPLES) if points.is_cloud(x) else [_uri(picture) for picture in to_pixels(x)]


def _uri(picture: np.ndarray) -> str:
    data = jpeg_frame(picture, longest=limits().preview_px, quality=limits().preview_quality)
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _message(run: str, phase: str, text: str, fraction: float | None = None) -> Message:
    # The beat makes every message differ from the one before, so that the page can tell silence from slowness.
    return {"run": run, "phase": phase, "text": text, "fraction": fraction, "beat": round(time.monotonic(), 1)}
