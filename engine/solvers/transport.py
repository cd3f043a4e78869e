"""DPM-OT: one jump by optimal transport from pure noise to slightly structured noise, then a few reverse steps.

Li et al., "DPM-OT: A New Diffusion Probabilistic Model Based on Optimal Transport", ICCV 2023. The paper jumps with
uniform noise into an annealed Langevin chain; here the noise is N(0, I) throughout, in fitting and in sampling, and the
chain is the model's own reverse process. Fitting lives in `engine.transport`.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from engine.denoisers import spread
from engine.errors import InputError
from engine.options import Option
from engine.solvers.exponential import path
from engine.solvers.first_order import ddim
from engine.solvers.loops import Denoise
from engine.solvers.registry import solver
from engine.step import Step

FILE = "transport.safetensors"
_FORMAT = "1"
_FILE_BYTES = 200_000_000


class Landing(NamedTuple):
    """Where the map carries a batch of noise. index: (B,) the target of each sample.

    second: (B,) the runner-up. wall: (B,) distance to the wall between both cells; the noise has spread 1. angle: (B,)
    between the two planes of the potential, 0 for the smallest and 1 for the largest that is usual.
    """

    index: Tensor
    second: Tensor
    wall: Tensor
    angle: Tensor


@dataclass(frozen=True, eq=False)
class Transport:
    """The semi-discrete optimal transport map of N(0, I) onto n equally likely targets: x -> the y_i of x's cell.

    targets: (n, *shape), y_i = alpha x_i + sigma z_i, finite. heights: (n,) of the convex potential
    u(x) = max_i (<x, y_i> + h_i), whose gradient is the map (equations 6 to 8). alpha, sigma: the noise level of the
    targets. angles: smallest and largest angle in radians between neighbouring planes that fitting saw. model_sha256:
    of the weights that the targets belong to, "" when none. source: "model" (drawn from it) or "data".
    """

    targets: Tensor
    heights: Tensor
    alpha: float
    sigma: float
    angles: tuple[float, float] = (0.0, math.pi / 2)
    model_sha256: str = ""
    source: str = "model"
    _flat: Tensor = field(init=False, repr=False)

    def __post_init__(self):
        targets, heights = self.targets, self.heights
        if targets.ndim < 1 or heights.shape != targets.shape[:1] or len(heights) < 2:
            raise _refused(f"The transport has targets {list(targets.shape)} and heights {list(heights.shape)}.",
                           "It needs one height per target and at least 2 targets.")
        if not (0 < self.alpha < math.inf and 0 < self.sigma < math.inf):
            raise _refused(f"The transport's noise level is alpha {self.alpha:g}, sigma {self.sigma:g}.",
                           "Both must be above 0 and finite.")
        if not (bool(targets.isfinite().all()) and bool(heights.isfinite().all())):
            raise _refused("The transport holds values that are not finite numbers.", "It would give only noise.")
        low, high = self.angles
        if not 0 <= low <= high <= math.pi:
            raise _refused(f"The transport's angles are {low:g} to {high:g}.", "They must rise, from 0 to at most pi.")
        object.__setattr__(self, "_flat", targets.reshape(len(targets), -1))

    @property
    def log_snr(self) -> float:
        """log(alpha / sigma) of the targets."""
        return math.log(self.alpha / self.sigma)

    def locate(self, noise: Tensor) -> Landing:
        """The cell of each sample of N(0, I), (B, *shape). Nothing depends on the other samples of the batch."""
        flat, targets = noise.reshape(len(noise), -1), self._flat.to(noise)
        planes = flat @ targets.T + self.heights.to(noise)
        (first, other), (index, second) = (part.unbind(1) for part in planes.topk(2, dim=1))
        gap = (targets[index] - targets[second]).norm(dim=1)
        tiny = torch.finfo(noise.dtype).tiny
        low, high = self.angles
        angle = (_dihedral(targets[index], targets[second]) - low) / max(high - low, 1e-12)
        return Landing(index, second, (first - other) / gap.clamp_min(tiny), angle)

    def singular(self, landing: Landing, threshold: float = 0.7) -> Tensor:
        """(B,) bool: the two best planes meet at a sharp angle, so the map jumps between unlike targets near here."""
        return landing.angle > threshold

    def carry(self, noise: Tensor) -> Tensor:
        """The map itself: the target of each sample's cell, (B, *shape)."""
        return self.targets.to(noise)[self.locate(noise).index]

    def blend(self, noise: Tensor, fresh: Tensor, threshold: float = 0.7) -> Tensor:
        """The map, smoothed across the walls that are not singular; `fresh` is other noise of the same shape.

        The runner-up's share is the chance that noise of spread 1 along the wall's normal crosses the wall: 1/2 at the
        wall, 0.16 at distance 1. Mixing two targets averages part of their noise away; `fresh` puts it back, so that
        the result is the mixture of both clean points at the full noise level.
        """
        landing = self.locate(noise)
        share = torch.special.erfc(landing.wall / math.sqrt(2)) / 2
        share = spread(torch.where(self.singular(landing, threshold), 0.0, share), noise)
        targets = self.targets.to(noise)
        lost = (1 - share.square() - (1 - share).square()).clamp_min(0).sqrt()
        return (1 - share) * targets[landing.index] + share * targets[landing.second] + self.sigma * lost * fresh

    def write(self, file: Path | str) -> Path:
        """Store as safetensors: targets in 16 bits, heights in 32."""
        from safetensors.torch import save

        from engine.io.files import write_whole

        about = {"format": _FORMAT, "model_sha256": self.model_sha256, "source": self.source,
                 "level": json.dumps([self.alpha, self.sigma]), "angles": json.dumps(self.angles)}
        tensors = {"targets": self.targets.detach().cpu().half().contiguous(),
                   "heights": self.heights.detach().cpu().float().contiguous()}
        return write_whole(Path(file), save(tensors, metadata=about))


def read(file: Path | str, model_sha256: str = "") -> Transport:
    """The transport in a file. model_sha256: of the model that it must belong to, "" for any.

    Raises InputError for a missing or damaged file and for the transport of another model.
    """
    from safetensors.torch import load

    from engine.io.files import read_bytes
    from engine.models.weights import check_header

    data = read_bytes(file, _FILE_BYTES, "transport")
    header = check_header(data)
    about = json.loads(data[8:8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    if header.keys() != {"targets", "heights"} or about.get("format") != _FORMAT:
        raise _refused("The file is not a transport of this version.", f"Version {_FORMAT} is read.")
    if model_sha256 and about.get("model_sha256") != model_sha256:
        raise _refused("The transport belongs to another model.",
                       f"Its weights' SHA-256 is {str(about.get('model_sha256'))[:12]}..., "
                       f"the chosen model's is {model_sha256[:12]}...")
    try:
        (alpha, sigma), angles = json.loads(about["level"]), json.loads(about["angles"])
        levels = float(alpha), float(sigma)
        low, high = map(float, angles)
    except (KeyError, ValueError, TypeError):
        raise _refused("The transport's noise level cannot be read.", "The file is damaged.") from None
    tensors = load(data)
    return Transport(tensors["targets"].float(), tensors["heights"].float(), *levels, (low, high),
                     about["model_sha256"], about.get("source", "data"))


@solver("dpm_ot", title="DPM-OT", order=1, needs="transport", steps=(3, 10, 50), deterministic=True,
        paper="Li et al. 2023 (ICCV), DPM-OT, algorithm 2 with a variance-preserving reverse process",
        hint="First order, 1 call per step. 5 to 15 steps: optimal transport jumps over the noisy part of the run.",
        options=(Option("eta", "Noise", 0.0, "0 is deterministic, 1 is DDPM's small variance.", 0.0, 1.0),
                 Option("blend", "Blend neighbours", False,
                        "Mix the two nearest targets where the map has no sharp edge. Draws noise."),
                 Option("threshold", "Sharp edge", 0.7, "Angle above which two targets are never mixed, of its range.",
                        0.0, 1.0)))
def dpm_ot(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, transport: Transport, eta: float = 0.0,
           blend: bool = False, threshold: float = 0.7) -> Iterator[Step]:
    """Map the start noise onto a target, then DDIM (eta = 0) to DDPM (eta = 1) steps from the target's level.

    The jump costs no call. All N steps are spent below it: the times are moved, evenly in t, so that they begin at the
    targets' level and end where they did. Order 1 from there, one call per step. Every sample starts from one of n
    targets, so at most n results exist without eta or blend; see `engine.transport.nearest` for how far they stay
    from the pictures behind the targets.

    >>> for step in dpm_ot(denoise, x, grids.make("uniform", schedule, 10), schedule, transport=transport): ...
    """
    if x.shape[1:] != transport.targets.shape[1:]:
        raise _refused(f"The transport makes samples of shape {list(transport.targets.shape[1:])}.",
                       f"This run has the shape {list(x.shape[1:])}.")
    if blend and rng is None:
        raise InputError("Blending draws new noise.", "It was given no random numbers.",
                         "Pass rng=Rng(seed, samples).", "rng")
    (start, *_, end), level = path(times, schedule), float(schedule.time_at(transport.log_snr))
    if not end.t < level < start.t:
        raise _refused(f"The transport ends at time {level:.3g}.",
                       f"The run goes from time {start.t:.3g} to time {end.t:.3g} and must contain it.")
    noise = x / start.sigma
    landed = transport.blend(noise, rng.normal_like(x), threshold) if blend else transport.carry(noise)
    # The same log-SNR may be scaled otherwise on the schedule that the run uses.
    landed = landed * (schedule(level)[0] / transport.alpha)
    return ddim(denoise, landed, shifted(times, level), schedule, rng, eta=eta)


def shifted(times: Tensor, level: float) -> Tensor:
    """The same spacing, stretched evenly in t so that it begins at time `level`; (N+1,) float64."""
    times = times.detach().to("cpu", torch.float64)
    moved = times[-1] + (times - times[-1]) * ((level - times[-1]) / (times[0] - times[-1]))
    moved[0] = level
    return moved


def _dihedral(first: Tensor, second: Tensor) -> Tensor:
    """Angle in radians between the planes z = <x, y_0> and z = <x, y_1>, whose normals are (y, -1); (B, d) each.

    From the tangent of the half angle, which keeps its digits where the planes are almost parallel.
    """
    a, b = (torch.nn.functional.normalize(torch.cat([y, -torch.ones_like(y[:, :1])], 1), dim=1)
            for y in (first, second))
    return 2 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))


def _refused(what: str, why: str) -> InputError:
    return InputError(what, why, "Prepare a transport for this model, or choose another solver.", "transport")
