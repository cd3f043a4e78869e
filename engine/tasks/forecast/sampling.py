"""Ensembles from a forecast model: step by step in time, and within each step from noise to the next state."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine import grids, solvers
from engine.networks.forecaster import Forecaster
from engine.rng import Rng
from engine.step import Step
from engine.tasks.forecast.climate import Climate, phases
from engine.tasks.forecast.fading import Fading
from engine.tasks.forecast.space import Space

SOLVER, STEPS = "interpolant_sde", 8
OPTIONS = {"diffusion": "none", "variant": "euler", "last_step": "euler"}
"""The probability flow by Euler's rule in the schedule's own time: exact where the network answers 0 (v = 0 there), and
nearly so for the small corrections that it learns. Solvers that are exact for white noise shrink eta instead."""

Read = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""read(past (B, 2, K), when (B, 2)) -> trusted shift (B, K), features; see `Forecaster.read`."""


@dataclass(frozen=True)
class Moment:
    """One solver step of one step in time. lead: 1 for the first; past (B, 2, K): what this step in time goes on from;
    state (B, K): the next state with its fading, once it is finished.
    """

    lead: int
    step: Step
    past: Tensor
    state: Tensor | None


@dataclass(frozen=True)
class Emulator:
    """All that a rollout needs of a model. network: on the processor, float32; read, denoise: on the model's device.

    weight: of the network's answers in `denoise`, see `engine.tasks.forecast.task.weighed`; with 0 nothing fades.
    steps: of each diffusion, unless a run is told others.
    """

    network: Forecaster
    read: Read
    denoise: Callable[..., Tensor]
    schedule: Any
    weight: float = 1.0
    steps: int = STEPS

    def run(self, past: Tensor, start: np.ndarray, step_hours: int, steps: int, rng: Rng, solver: str = SOLVER,
            solver_steps: int | None = None, spacing: str = "uniform",
            options: Mapping[str, Any] | None = None) -> Iterator[Moment]:
        """Follow states into the future. past (B, 2, K), the newest first; start (B,) datetime64: times of the newest.

        rng: of B samples, one per member, so that a member is the same whatever the size of the ensemble.
        """
        options = OPTIONS if options is None and solver == SOLVER else options or {}
        times = grids.make(spacing, self.schedule, solver_steps or self.steps)
        noise = self.schedule(float(times[0]))[1]
        pace, fading = np.timedelta64(step_hours * 3600, "s"), Fading.of(self.network)
        twin = linear = past
        for lead in range(1, steps + 1):
            shift, features = self.read(past, _when(start + (lead - 1) * pace))
            eta = rng.normal(past.shape[-1]) * noise

            def denoise(x: Tensor, t: Any, features: Tensor = features, shift: Tensor = shift) -> Tensor:
                return self.denoise(x, t, cond=features, shift=shift)

            for step in solvers.solve(solver, denoise, eta, times, self.schedule, rng=rng, **options):
                if step.index < step.total:
                    yield Moment(lead, step, past, None)
            before, past = past, self._next(past, step.x.float())
            shown = past[:, 0]
            if fading.changes:
                twin, linear = self._next(twin, eta), self._next(linear)
                faded = fading.applied(shown, twin[:, 0], linear[:, 0], lead * step_hours)
                shown = torch.lerp(shown, faded, min(self.weight, 1.0))
            yield Moment(lead, step, before, shown)

    @torch.no_grad()
    def _next(self, past: Tensor, eta: Tensor | None = None) -> Tensor:
        """Past states (B, 2, K) one step later, for errors eta (B, K) of the linear model or none."""
        state = self.network.linear(past)
        state = state if eta is None else state + self.network.coloured(eta)
        return torch.cat((state[:, None], past[:, :-1]), 1)


def _when(times: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(phases(times), -1)).float()


def emulator(model) -> Emulator:
    """Of an `engine.models.Model` whose network is a `Forecaster`."""
    return Emulator(model.network, _reader(model), model.denoiser, model.schedule)


def plain_emulator(network: Forecaster, schedule: Any) -> Emulator:
    """Of a network alone, on the processor, such as one that answers 0: the linear ensemble."""
    from engine.models.model import Runner, adapter
    from engine.runtime import device as devices

    device = torch.device("cpu")
    runner = Runner(network, device, devices.precision(device))
    return Emulator(network, _read_by(runner), adapter("v")(runner, schedule), schedule)


@lru_cache(maxsize=4)
def _reader(model) -> Read:
    from engine.models.model import Runner
    from engine.runtime import device as devices

    device = devices.choose()
    return _read_by(Runner(model.network, device, devices.precision(device)))


def _read_by(runner) -> Read:
    network, device, precision = runner.network, runner.device, runner.precision

    @torch.no_grad()
    def read(past: Tensor, when: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            shift, features = network.read(past.to(device), when.to(device))
        return network.trusted(shift).float().to(past.device), features.float().to(past.device)

    return read


def climate_of(network: Forecaster) -> Climate:
    """The climatology that is stored with the weights."""
    def grid(values: Tensor) -> np.ndarray:
        return values.double().numpy().reshape(-1, *network.shape)

    return Climate(grid(network.climate_mean), grid(network.climate_season), network.annual, network.hourly)


def space_of(network: Forecaster) -> Space:
    """The principal components that are stored with the weights."""
    patterns, scales, roots = (v.double().numpy() for v in (network.patterns, network.scales, network.roots))
    return Space(patterns.reshape(network.components, -1), scales, roots, network.shape)


def forecast(model, past: np.ndarray, start: np.datetime64, step_hours: int, leads: Sequence[int], members: int,
             seed: int, solver: str = SOLVER, steps: int = STEPS, spacing: str = "uniform",
             options: Mapping[str, Any] | None = None) -> np.ndarray:
    """Ensemble (members, leads, lat, lon) float32 in the field's unit, on the model's grid.

    past (2, lat, lon): the maps one step before the start and at it, in time order; start: UTC; leads: in steps of
    the model, rising; solver, steps, spacing, options: of the diffusion within each step in time.
    """
    network = model.network
    climate, space = climate_of(network), space_of(network)
    pace = np.timedelta64(step_hours * 3600, "s")
    start = np.datetime64(start, "s")
    states = space.states(climate.anomalies(past, np.array([start - pace, start])))[::-1].copy()
    told = torch.from_numpy(states).float().expand(members, -1, -1)
    moments = emulator(model).run(told, np.full(members, start), step_hours, max(leads), Rng(seed, members), solver,
                                  steps, spacing, options)
    wanted, maps = set(leads), []
    for moment in moments:
        if moment.state is not None and moment.lead in wanted:
            at = np.full(members, start + moment.lead * pace)
            maps.append(climate.fields(space.anomalies(moment.state.double().numpy()), at).astype(np.float32))
    return np.stack(maps, 1)


def silent(network: Forecaster) -> Forecaster:
    """The same linear model with a network that answers 0: its ensemble is that of the linear inverse model."""
    import copy

    network = copy.deepcopy(network)
    for last in (network.reader.leave, network.shaper.leave):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return network
