"""Arrangements of held-out patients beside the geometric methods and a regressor of equal size, in one run."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.tasks.teeth import axes, baselines, keys, malocclusion, metrics, procedural, sampling, state, statistical
from engine.tasks.teeth.cases import Cases, cases
from engine.tasks.teeth.dentition import Motion, Teeth
from engine.tasks.teeth.wishes import Wishes

SETS = {"easy": malocclusion.EASY, "hard": malocclusion.HARD, "missing teeth": malocclusion.ABSENT}
_PATIENTS = 40
_SEED = 2024
Method = Callable[[Teeth], Motion]


def evaluate(models: Mapping[str, Any], data: str | Path | None = None,
             limit: int | None = None) -> list[dict[str, Any]]:
    """One row per method, crowns (real, invented) and set: means over patients whom no training saw.

    models: "teeth" and "teeth_regressor" where they exist, as `engine.models.Model`. data: the folder of the
    statistical model; without it there are no real crowns. add_mm, pa_add_mm, rotation_deg, arch_mm: errors (see
    `metrics`); csa: 1 is best; collision_mm3, collisions, contact_mm, six_keys (share of the keys that are met): of
    the arrangement itself, the keys in the teeth's true axes: those that are found from surfaces are up to 9 degrees
    off, and a method that sets them upright would seem to meet all keys. "ours, one" is the first of 8 samples, "ours,
    mean" their mean, also with neighbours brought into contact, as runs do. seconds: per patient, for all samples.
    """
    rows = []
    for crowns, aligned in _patients(data, _PATIENTS if limit is None else limit):
        rng = np.random.default_rng(_SEED)
        told = axes.told(aligned, rng)
        for name, how in SETS.items():
            made = cases(aligned, told, how, rng, state.average_frame())
            for method, motion, seconds in _methods(models, made):
                rows.append({"crowns": crowns, "set": name, "method": method} | figures(made, motion)
                            | {"seconds": round(seconds / len(aligned), 3), "patients": len(aligned)})
    return rows


def figures(made: Cases, motion: Motion) -> dict[str, float]:
    """Mean figures of one method's motions of all cases."""
    result, goal = made.teeth.moved(motion), made.goal
    found = {"add_mm": metrics.add_mm(result, goal), "pa_add_mm": metrics.aligned_add_mm(result, goal),
             "rotation_deg": metrics.rotation_error_deg(result, goal), "csa": metrics.axes_cosine(result, goal),
             "arch_mm": metrics.arch_distance_mm(result, goal), "collision_mm3": metrics.collision_mm3(result),
             "collisions": metrics.collisions(result), "contact_mm": metrics.contact_error_mm(result),
             "six_keys": torch.stack(list(keys.six_keys(made.anatomic(result)).values())).float().mean(0)}
    return {name: round(float(value.mean()), 4) for name, value in found.items()}


def _patients(data: str | Path | None, count: int) -> Iterator[tuple[str, Teeth]]:
    if data is not None:
        model = statistical.read(statistical.found(Path(data)))
        yield "real", statistical.patients(model, count, np.random.default_rng(_SEED))
    yield "invented", procedural.patients(count, np.random.default_rng(_SEED))


def _methods(models: Mapping[str, Any], made: Cases) -> Iterator[tuple[str, Motion, float]]:
    """(name, motions, seconds) of every method; "truth" shows what the figures without a truth can reach."""
    plain = {"identity": baselines.identity, "average arrangement": baselines.average_arrangement,
             "arch fit with packing": baselines.arch_fit, "truth": lambda teeth: teeth.motion_to(made.goal)}
    for name, method in plain.items():
        start = time.perf_counter()
        motion = method(made.teeth)
        yield name, motion, time.perf_counter() - start
    if "teeth_regressor" in models:
        motions, seconds = _drawn(models["teeth_regressor"], made, 1, 1)
        yield "regressor, equal size", motions[0], seconds
    if "teeth" in models:
        motions, seconds = _drawn(models["teeth"], made, sampling.SAMPLES, sampling.STEPS)
        yield "ours, one", motions[0], seconds
        yield f"ours, mean of {len(motions)}", metrics.mean_motion(motions), seconds
        frame, start = state.frame_of(models["teeth"].network), time.perf_counter()
        contact = sampling.summary(frame, made.teeth, motions, Wishes(no_collisions=True, close_gaps=True))
        yield f"ours, mean of {len(motions)}, in contact", contact, seconds + time.perf_counter() - start


def _drawn(model: Any, made: Cases, samples: int, steps: int) -> tuple[list[Motion], float]:
    frame = state.frame_of(model.network)
    start = time.perf_counter()
    motions = sampling.draw(model.denoiser, frame, made.teeth, (made.base - frame.mean) / frame.spread, samples, steps,
                            encode=model.network.encode)
    return motions, time.perf_counter() - start
