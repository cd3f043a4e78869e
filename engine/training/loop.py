"""One training loop for every model: minutes budget, EMA, resume, loss curve, sample sheet, model card."""

import copy
import json
import math
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engine import models, networks, schedules
from engine.models.model import Runner, adapter
from engine.runtime import device as devices
from engine.training import objective
from engine.training.spec import Batch, Spec

CHECKPOINT_EVERY_S = 120.0
JUDGE_EVERY_S = 600.0
WARM_UP = 200
DECAY_SHARE = 0.3


def fit(spec: Spec, minutes: float, folder: Path, resume: bool = False, seed: int = 0) -> models.Card:
    """Train for `minutes` and write weights, card, loss curve and sample sheet to `folder`.

    The learning rate warms up over 200 iterations, stays, and falls to zero along a cosine over the last 30 % of the
    budget. resume continues from folder/checkpoint.pt, or from the shipped weights of this name where that is gone;
    the budget of the new call starts afresh. Interrupting keeps the last checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    device = devices.choose()
    precision = devices.precision(device)
    torch.manual_seed(seed)
    network = networks.build(spec.kind, **spec.options).to(device, memory_format=torch.channels_last)
    network.load_state_dict(dict(spec.buffers), strict=False)
    state = _start(spec, network, folder, resume)
    average = copy.deepcopy(network).requires_grad_(False).eval()
    if "average" in state:
        average.load_state_dict(state["average"])
    optimiser = torch.optim.AdamW(network.parameters(), spec.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4)
    if "optimiser" in state:
        optimiser.load_state_dict(state["optimiser"])
    done, samples = state.get("iterations", 0), state.get("samples", 0)
    spent, losses = state.get("minutes", 0.0), state.get("losses", [])
    schedule = schedules.by_name(spec.schedule[0], **spec.schedule[1])
    rng, generator = np.random.default_rng((seed, done)), torch.Generator().manual_seed(seed * 1_000_003 + done)

    def keep() -> float:
        minutes_now = spent + (time.monotonic() - start) / 60
        _checkpoint(folder, network=network.state_dict(), average=average.state_dict(),
                    optimiser=optimiser.state_dict(), iterations=done, samples=samples, minutes=minutes_now,
                    losses=losses)
        return minutes_now

    def judge(minutes_now: float) -> dict[str, float]:
        from PIL import Image

        denoise = adapter(spec.prediction)(Runner(average, device, precision), schedule)
        with torch.no_grad():
            Image.fromarray(spec.sheet(denoise)).save(folder / f"sheet_{done:06d}.png")
            scores = spec.validate(denoise)
        with open(folder / "validation.jsonl", "a") as log:
            log.write(json.dumps({"iterations": done, "minutes": round(minutes_now, 1), **scores}) + "\n")
        print(f"\n{done} iterations, {minutes_now:.0f} min: {scores}", file=sys.stderr, flush=True)
        return scores

    start = saved = judged = time.monotonic()
    first, running = done, None
    while (now := time.monotonic()) - start < minutes * 60:
        progress = (now - start) / (minutes * 60)
        for group in optimiser.param_groups:
            group["lr"] = spec.learning_rate * _rate(done - first, progress)
        batch = _to(spec.batch(rng, progress), device)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = (spec.loss or objective.loss)(network, batch, schedule, spec.prediction, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        done, samples = done + 1, samples + len(batch.x0)
        _follow(average, network, min(spec.ema, (1 + done) / (10 + done)))
        value = float(loss.detach())
        running = value if running is None else 0.99 * running + 0.01 * value
        if done % 50 == 0:
            losses.append((done, round(running, 5)))
            speed = (done - first) / (time.monotonic() - start)
            print(f"\r{spec.name}: {done} iterations, {speed:.2f}/s, loss {running:.4f}, {100 * progress:.0f} %",
                  end="", file=sys.stderr, flush=True)
        if now - saved > CHECKPOINT_EVERY_S:
            saved, minutes_now = now, keep()
            if now - judged > JUDGE_EVERY_S:
                judged = now
                judge(minutes_now)
    spent_in_total = keep()
    scores = judge(spent_in_total)
    _curve(losses, folder / "loss.png")
    card = models.Card(
        name=spec.name, task=spec.task, title=spec.title,
        architecture={"kind": spec.kind, "options": dict(spec.options)},
        parameters=networks.parameter_count(network),
        schedule={"name": spec.schedule[0], "options": dict(spec.schedule[1])}, prediction=spec.prediction,
        resolution_px=spec.resolution_px, classes=list(spec.classes),
        training={"data": [spec.data], "licences": spec.licences.split("; "),
                  "command": f"python -m engine train {spec.name} --data DIR --minutes {minutes:g}",
                  "device": f"{device.type}, {torch.get_num_threads()} threads, {precision}".replace("torch.", ""),
                  "minutes": round(spent_in_total, 1), "iterations": done, "samples": samples},
        metrics=[{"held-out": name, "value": value} for name, value in scores.items()],
        failures=list(spec.failures), note=spec.note)
    return models.save(average, card, folder)


def _start(spec: Spec, network: nn.Module, folder: Path, resume: bool) -> dict:
    """Put the starting weights into the network; the rest of the checkpoint's state, or {} for a fresh run."""
    if resume and (folder / "checkpoint.pt").exists():
        state = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
        network.load_state_dict(state["network"])
        return state
    if resume and spec.name in models.names():
        shipped = models.load(spec.name)
        network.load_state_dict(shipped.network.state_dict())
        record = shipped.card.training
        return {"iterations": record.iterations, "minutes": record.minutes, "samples": record.samples}
    if spec.start_from and spec.start_from in models.names():
        ours, theirs = network.state_dict(), models.load(spec.start_from).network.state_dict()
        fitting = {k: v for k, v in theirs.items() if k in ours and ours[k].shape == v.shape}
        network.load_state_dict(fitting, strict=False)
    return {}


def _rate(iterations: int, progress: float) -> float:
    warm = min(1.0, (iterations + 1) / WARM_UP)
    late = max(0.0, (progress - (1 - DECAY_SHARE)) / DECAY_SHARE)
    return warm * 0.5 * (1 + math.cos(math.pi * min(late, 1.0)))


def _to(batch: Batch, device: torch.device) -> Batch:
    moved = [None if v is None else v.to(device) for v in (batch.x0, batch.label, batch.cond, batch.weight)]
    return Batch(*moved, {name: value.to(device) for name, value in batch.conditions.items()})


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in network.parameters()], 1 - decay)


def _checkpoint(folder: Path, **state) -> None:
    partial = folder / "checkpoint.partial"
    torch.save(state, partial)
    os.replace(partial, folder / "checkpoint.pt")


def _curve(losses: list, path: Path) -> None:
    """The smoothed loss against iterations as a picture, logarithmic in the loss."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (640, 320), "white")
    if len(losses) > 1:
        steps, values = np.array(losses, float).T
        level = np.log(values)
        x = 40 + 580 * (steps - steps[0]) / max(np.ptp(steps), 1)
        y = 300 - 280 * (level - level.min()) / max(np.ptp(level), 1e-9)
        draw = ImageDraw.Draw(image)
        draw.line(list(zip(x, y)), fill=(30, 90, 160), width=2)
        draw.text((44, 4), f"loss {values[0]:.4f} -> {values[-1]:.4f}, {steps[-1]:.0f} iterations", fill="black")
    image.save(path)
