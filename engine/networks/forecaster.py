"""Forecasts of the next map: diffusion of what a linear inverse model leaves over, whitened by its error law."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import schedules
from engine.networks.blocks import PixelNorm, TimeEmbedding


class Forecaster(nn.Module):
    """Predicts v of eta, where the next state is z = linear mean + eta, eta white by the linear model's error law.

    For eta ~ N(0, I) the posterior mean of a variance-preserving diffusion is alpha x_t, that is v = 0. So a network
    that answers 0 draws exactly the ensemble of the linear inverse model. What is learned is the mean m, which depends
    on the past alone, the deviation b that the better mean leaves, and a change c of the law's shape:
    v = -sigma m + alpha sigma (1 - b^2) / (alpha^2 b^2 + sigma^2) (x_t - alpha m) + c, exact for c = 0 and N(m, b^2).

    State vectors hold principal components of unit variance. rows, columns: the grid; components: K; waves: number of
    harmonics of the climatology; annual: how many of the year; hourly: whether hours of the day matter.
    width, depth: channels and residual blocks that read the past; narrow, shallow: those that read the noisy state.
    wraps: the columns go around the earth. fading: the numbers of a `Fading`, which change nothing until they are
    fitted.
    """

    def __init__(self, rows: int, columns: int, components: int, waves: int, annual: int, hourly: bool, width: int = 64,
                 depth: int = 6, narrow: int = 32, shallow: int = 2, dropout: float = 0.2, groups: int = 8,
                 wraps: bool = False, schedule: str = "cosine"):
        super().__init__()
        self.shape, self.components, self.annual, self.hourly = (rows, columns), components, annual, hourly
        self.schedule = schedules.by_name(schedule)
        places = rows * columns
        # One axis each: matrices would be stored with 16 bits, which is too coarse for a climatology of 1013 hPa.
        for name, size in {"climate_mean": waves * places, "climate_season": 2 * places,
                           "patterns": components * places, "scales": components, "roots": places,
                           "transition": 2 * components**2, "noise": components * places, "levels": components,
                           "lat": rows, "lon": columns}.items():
            self.register_buffer(name, torch.ones(size))
        self.register_buffer("fading", torch.tensor([0, 0, 1, 1, 240.0]))
        self.reader = Reader(3, width, depth, rows, columns, dropout, wraps)
        self.shaper = Shaper(width, narrow, shallow, wraps)
        self.trust = nn.Parameter(torch.ones(groups))
        self.breadth = nn.Parameter(torch.zeros(2, groups))
        group = torch.linspace(0, groups, components + 1)[:-1].long()
        self.register_buffer("group", group, persistent=False)

    def linear(self, past: Tensor) -> Tensor:
        """Linear mean of the next state (B, K) from past (B, 2, K), the newest first."""
        return past.flatten(1) @ self.transition.reshape(-1, self.components)

    def maps(self, states: Tensor) -> Tensor:
        """Anomalies (*, rows, columns), in the field's unit, of states (*, K)."""
        flat = (states * self.scales) @ self.patterns.reshape(self.components, -1) / self.roots
        return flat.unflatten(-1, self.shape)

    def coloured(self, eta: Tensor) -> Tensor:
        """The states' errors (B, K) that white eta (B, K) stands for."""
        return (eta @ self.noise.reshape(self.components, -1)) @ self._patterns().T / self.scales

    def noise_maps(self, eta: Tensor) -> Tensor:
        """The same as maps of anomalies (B, rows, columns)."""
        return (eta @ self.noise.reshape(self.components, -1) / self.roots).unflatten(-1, self.shape)

    def whitened(self, maps: Tensor) -> Tensor:
        """eta (B, K) of maps (B, rows, columns); patterns much weaker than the strongest ones are held back.

        levels are the standard deviations s of the noise patterns: a map's share along one is divided by s + s_1^2 / s.
        """
        power = self.levels.square()
        return self._along(maps) / (power + power.mean())

    def unmapped(self, maps: Tensor) -> Tensor:
        """eta (B, K) whose `noise_maps` come nearest to maps (B, rows, columns): their exact inverse."""
        return self._along(maps) / self.levels.square()

    def _along(self, maps: Tensor) -> Tensor:
        return (maps.flatten(1) * self.roots) @ self.noise.reshape(self.components, -1).T

    def _patterns(self) -> Tensor:
        return self.patterns.reshape(self.components, -1)

    def read(self, past: Tensor, when: Tensor) -> tuple[Tensor, Tensor]:
        """Shift m (B, K) of the mean before `trust`, and features of the past for the shape.

        past (B, 2, K): the newest first; when (B, 2): time of the year and of the day, angles. The features are
        (B, width, rows / 2, columns / 2), rounded up.
        """
        with torch.autocast(past.device.type, enabled=False):
            seen = torch.cat((past, self.linear(past)[:, None]), 1)
            level = self.scales.norm() / math.sqrt(self.shape[0] * self.shape[1])
            maps = self.maps(seen) / level
        shift, features = self.reader(maps, seasonal(when, self.hourly))
        with torch.autocast(past.device.type, enabled=False):
            return self.whitened(shift[:, 0].float() * self.levels[0]), features

    def trusted(self, shift: Tensor) -> Tensor:
        """The shift times how far it is trusted, learned on days that the reader was not trained on."""
        return shift * self.trust[self.group]

    def log_breadth(self, taught: bool = False) -> Tensor:
        """log b (K,) of what the shift leaves: on new days, or on the days that taught it, where it is too small."""
        return self.breadth[int(taught)][self.group]

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None,
                past: Tensor | None = None, when: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """v (B, K) at x (B, K). Give past and when, or what `read` makes of them: cond the features, shift trusted."""
        if cond is None:
            shift, cond = self.read(past, when)
            shift = self.trusted(shift)
        alpha, sigma = (v.float()[:, None] for v in self.schedule(t.clamp(1e-3, self.schedule.t_max)))
        with torch.autocast(x.device.type, enabled=False):
            rest = x - alpha * shift
            variance = (2 * self.log_breadth()).exp()
            narrowing = alpha * sigma * (1 - variance) / (alpha**2 * variance + sigma**2)
            maps = self.noise_maps(rest) / self.levels[0]
        change = self.shaper(maps[:, None], cond, t)
        with torch.autocast(x.device.type, enabled=False):
            return narrowing * rest - sigma * shift + self.whitened(change[:, 0].float() * self.levels[0])


def seasonal(when: Tensor, hourly: bool) -> Tensor:
    """(B, 8) waves of the time of the year and, where hourly, of the day."""
    year, day = when.float().unbind(1)
    waves = [f(k * year) for k in (1, 2) for f in (torch.sin, torch.cos)]
    waves += [f(k * day) * float(hourly) for k in (1, 2) for f in (torch.sin, torch.cos)]
    return torch.stack(waves, 1)


def surrounded(x: Tensor, reach: int, wraps: bool) -> Tensor:
    """x (B, C, H, W) with `reach` more rows and columns on each side: edges repeated, columns around the earth."""
    if not wraps:
        return F.pad(x, (reach,) * 4, "replicate")
    return F.pad(F.pad(x, (reach, reach, 0, 0), "circular"), (0, 0, reach, reach), "replicate")


class GridConv(nn.Conv2d):
    """3x3 convolution that keeps the grid's size; see `surrounded` for what it finds beyond the edges."""

    def __init__(self, channels: int, out: int, wraps: bool, dilation: int = 1):
        super().__init__(channels, out, 3, dilation=dilation)
        self.wraps = wraps

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(surrounded(x, self.dilation[0], self.wraps))


class Halve(nn.Conv2d):
    """4x4 convolution that halves the grid, rounding up; a grid that wraps must have an even number of columns.

    What is corrected is smooth. On half the grid an iteration costs a quarter and sees twice as far.
    """

    def __init__(self, channels: int, out: int, wraps: bool):
        super().__init__(channels, out, 4, stride=2)
        self.wraps = wraps

    def forward(self, x: Tensor) -> Tensor:
        even = F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2), "replicate")
        return super().forward(surrounded(even, 1, self.wraps))


def doubled(x: Tensor, shape: tuple[int, int], wraps: bool) -> Tensor:
    """The way back from `Halve` to a grid of that shape: bilinear."""
    fine = F.interpolate(surrounded(x.float(), 1, wraps), scale_factor=2, mode="bilinear")
    return fine[..., 2:2 + shape[0], 2:2 + shape[1]]


class Block(nn.Module):
    """Two 3x3 convolutions, the first dilated, scaled and shifted by an embedding between them; starts as identity."""

    def __init__(self, channels: int, embedding: int, dilation: int, dropout: float, wraps: bool):
        super().__init__()
        self.norm1, self.norm2 = PixelNorm(channels), PixelNorm(channels)
        self.conv1 = GridConv(channels, channels, wraps, dilation)
        self.conv2 = GridConv(channels, channels, wraps)
        self.modulation = nn.Linear(embedding, 2 * channels)
        self.dropout = nn.Dropout2d(dropout)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulation(embedding)[..., None, None].chunk(2, 1)
        h = self.norm2(self.conv1(F.silu(self.norm1(x)))) * (1 + scale) + shift
        return x + self.conv2(self.dropout(F.silu(h)))


class Reader(nn.Module):
    """Convolutions over maps of past and linear forecast, on half the grid: one map, zero at first, and features."""

    def __init__(self, maps: int, width: int, depth: int, rows: int, columns: int, dropout: float,
                 wraps: bool):
        super().__init__()
        self.shape, self.wraps = (rows, columns), wraps
        self.enter = Halve(maps, width, wraps)
        self.place = nn.Parameter(torch.zeros(1, width, (rows + 1) // 2, (columns + 1) // 2))
        self.season = nn.Sequential(nn.Linear(8, width), nn.SiLU())
        self.blocks = nn.ModuleList(Block(width, width, 1 + i % 3, dropout, wraps) for i in range(depth))
        self.norm = PixelNorm(width)
        self.leave = GridConv(width, 1, wraps)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, maps: Tensor, season: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.season(season)
        h = self.enter(maps) + self.place
        for block in self.blocks:
            h = block(h, embedding)
        h = F.silu(self.norm(h))
        return self.leave(doubled(h, self.shape, self.wraps)), h


class Shaper(nn.Module):
    """Convolutions over the noisy map on half the grid, modulated there by features of the past; answers 0 at first."""

    def __init__(self, features: int, width: int, depth: int, wraps: bool):
        super().__init__()
        self.time = TimeEmbedding(width)
        self.wraps = wraps
        self.enter = Halve(1, width, wraps)
        self.guide = nn.Conv2d(features, 2 * width, 1)
        self.blocks = nn.ModuleList(Block(width, width, 1 + i % 3, 0.0, wraps) for i in range(depth))
        self.leave = GridConv(width, 1, wraps)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, features: Tensor, t: Tensor) -> Tensor:
        embedding = self.time(t)
        scale, shift = self.guide(features).chunk(2, 1)
        h = self.enter(x) * (1 + scale) + shift
        for block in self.blocks:
            h = block(h, embedding)
        return self.leave(doubled(F.silu(h), tuple(x.shape[-2:]), self.wraps))
