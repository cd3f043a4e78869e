"""What the engine knows about a density in the plane, packed for the picture that the page draws.

Everything is drawn in x / sqrt(alpha^2 + sigma^2), where all schedules have one scale.
"""

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.exact import Mixture
from engine.schedules import Schedule
from engine.tasks.laboratory import playground
from engine.tasks.laboratory.playground import Arrows, Paths
from ui.laboratory.charts import COLOURS as _CHART_COLOURS

FRAMES = 24
UNIT = 2000
"""int16 steps per unit of length; the script of the page knows the same number."""
# The density itself has the first colour.
_COLOURS = _CHART_COLOURS[1:]
_DASHES = ([], [16, 8], [4, 8], [16, 8, 4, 8])
_REFERENCE = "#8a96a0"
Frame = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """What to show. solvers: that race over `steps` steps from the same noise. towards: the class that guidance of
    strength `weight` leads to, and its name; None for a density without classes.
    """

    law: Mixture
    schedule: Schedule
    solvers: tuple[str, ...]
    steps: int
    seed: int
    towards: tuple[int, str] | None = None
    weight: float = 1.0

    @property
    def times(self) -> list[float]:
        """Times of the frames, from noise to data, even in time."""
        return np.linspace(self.schedule.t_max, self.schedule.t_min, FRAMES).tolist()


def frames(scene: Scene) -> Iterator[Frame]:
    """One frame per time, from noise to data."""
    law, schedule = scene.law, scene.schedule
    carried, before = playground.lattice(law, schedule, scene.times[0]), scene.times[0]
    for t in scene.times:
        if t != before:
            # From frame to frame: flow maps compose, so nothing is integrated twice.
            carried, before = playground.flow_map(law, schedule, carried, before, t, steps=8), t
        alpha, sigma = schedule(t)
        scale = math.hypot(alpha, sigma)
        heat = playground.heat_map(law, schedule, t)
        velocity = playground.velocity_field(law, schedule, t)
        yield {"t": t, "alpha": alpha, "sigma": sigma, "reach": float(heat.x[-1]) / scale,
               "heat": _bytes(np.sqrt(heat.values / heat.values.max()) * 255, np.uint8),
               "cloud": _lengths(playground.cloud(law, schedule, t, seed=scene.seed).noisy / scale),
               "score": _directions(playground.score_field(law, schedule, t)),
               "velocity": _directions(Arrows(velocity.points, -velocity.vectors)),
               "denoise": _directions(playground.denoising_field(law, schedule, t)),
               "flow": _lengths(carried / scale)}


def paths(scene: Scene) -> list[dict[str, Any]]:
    """Groups of trajectories: the solvers' race, the three couplings, runs with fresh noise, and guided ones."""
    law, schedule, seed = scene.law, scene.schedule, scene.seed
    tracks, fine = playground.race(law, schedule, scene.solvers, scene.steps, seed=seed)
    solvers = [_track(schedule, fine, "Exact flow", "", _REFERENCE, [], thin=True),
               *(_track(schedule, track.paths, track.title, f"{track.calls} calls, error {track.error:.3g}",
                        _COLOURS[i % len(_COLOURS)], _DASHES[i % len(_DASHES)]) for i, track in enumerate(tracks))]
    ways = playground.couplings(law, schedule, seed=seed)
    couplings = [_track(schedule, way, title, "", _COLOURS[i], _DASHES[i]) for i, (title, way) in enumerate(
        (("To its own data point", ways.conditional), ("Along the flow", ways.marginal),
         ("To where the flow ends", ways.reflowed)))]
    ensembles = []
    for i, (title, eta) in enumerate((("No new noise", 0.0), ("Full new noise", 1.0))):
        found = playground.ensemble(law, schedule, eta=eta, count=40, seed=seed)
        ensembles.append(_track(schedule, found.paths, title, f"energy distance {found.energy:.2g}", _COLOURS[i],
                                _DASHES[i]))
    return [{"title": "Solvers", "tracks": solvers, "words": "All solvers start from the same noise."},
            {"title": "Noise to data, three ways", "tracks": couplings, "words":
             "Lines to a sample's own data point cross; the flow is their mean and does not; reflow draws straight "
             "lines to where the flow ends."},
            {"title": "With and without new noise", "tracks": ensembles, "words":
             "Both end in the same density: the energy distance tells how far the ends are from it."},
            *([] if scene.towards is None else [_guidance(scene, *scene.towards)])]


def _guidance(scene: Scene, label: int, name: str) -> dict[str, Any]:
    found = playground.guided(scene.law, scene.schedule, label, scene.weight, count=24, seed=scene.seed)
    ways = (("Of no class", "", found.free), (f"Class {name}", f"spread of the class {found.class_spread:.2f}",
                                              found.conditional),
            (f"Guided, weight {scene.weight:g}", f"spread {found.spread:.2f}, certain of the class to "
             f"{100 * found.share:.0f} %", found.guided))
    tracks = [_track(scene.schedule, way, title, facts, _COLOURS[i], _DASHES[i])
              for i, (title, facts, way) in enumerate(ways)]
    return {"title": "Guidance", "tracks": tracks, "words": "The same noise three times. Above weight 1 guidance "
            "overshoots: samples become more typical of the class than its own are, and less varied."}


def ink(sent: Any) -> np.ndarray | None:
    """The pad's drawing as (64, 64) uint8, or None when nothing usable was sent."""
    if not isinstance(sent, str) or len(sent) > 8192:
        return None
    try:
        data = base64.b64decode(sent, validate=True)
    except ValueError:
        return None
    return np.frombuffer(data, np.uint8).reshape(64, 64) if len(data) == 64 * 64 else None


def _track(schedule: Schedule, found: Paths, title: str, facts: str, colour: str, dash: Sequence[int], *,
           thin: bool = False) -> dict[str, Any]:
    scales = np.array([math.hypot(*schedule(float(t))) for t in found.times])
    return {"title": title, "facts": facts, "colour": colour, "dash": list(dash), "thin": thin,
            "times": [float(t) for t in found.times], "count": found.states.shape[1],
            "states": _lengths(found.states / scales[:, None, None])}


def _lengths(values: np.ndarray) -> str:
    return _bytes(np.clip(np.nan_to_num(values) * UNIT, -32767, 32767), np.int16)


def _directions(field: Arrows) -> str:
    longest = float(np.linalg.norm(field.vectors, axis=1).max()) or 1.0
    return _bytes(field.vectors / longest * 127, np.int8)


def _bytes(values: np.ndarray, kind: type) -> str:
    return base64.b64encode(np.ascontiguousarray(np.rint(values).astype(kind)).tobytes()).decode()
