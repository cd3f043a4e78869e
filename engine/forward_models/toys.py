"""Two toys whose signals are never seen, with the exact answer to every question about them.

Each has a law of signals, observations under a view, and a summary of a signal as a point in the plane. What is asked:
one observation is given, a second one under another view is unknown or known with noise, and the signal is wanted.
"""

import math
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from engine import exact, schedules
from engine.forward_models import motion, shadows
from engine.forward_models.rendered import Render, Seen

SCHEDULE = schedules.cosine()


class Scene(NamedTuple):
    """A signal (1, *) and what is seen of it: a given observation, a second, and one halfway between their views."""

    truth: Tensor
    given: Seen
    second: Seen
    between: Seen


class Answer(NamedTuple):
    """The exact law of the signal behind what was seen, of its points in the plane.

    shares (K,): probabilities of the toy's bins. spread: root of the mean squared distance from the mean. error: the
    same from the truth, which no honest sample can beat on average.
    """

    shares: Tensor
    spread: float
    error: float


class Toy(Protocol):
    """What `study` needs. view: lowest, highest and usual one of what a person chooses. noise: the usual one of a
    second observation. bins: what the shares are shares of.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    view: ClassVar[tuple[float, float, float]]
    noise: ClassVar[float]
    bins: ClassVar[tuple[str, ...] | tuple[float, ...]]

    def network(self) -> nn.Module:
        """An untrained estimate."""

    def train(self, network: nn.Module) -> list[float]:
        """Fit it to observations alone; the losses."""

    def scene(self, draw: int, view: float) -> Scene:
        """A signal of the law, seen."""

    def render(self, scene: Scene, count: int) -> Render:
        """The rendering of so many signals that are asked about in this scene."""

    def points(self, signal: Tensor) -> Tensor:
        """Signals (B, *) as points (B, 2)."""

    def bin(self, scene: Scene, signal: Tensor) -> Tensor:
        """The bin (B,) of each signal."""

    def law(self) -> Tensor:
        """Points (M, 2) of the law of signals."""

    def answer(self, scene: Scene, second: Tensor | None, noise: float) -> Answer:
        """What can be known from the given observation, and from a second one (1, *) with this noise."""


class Shadows:
    """Points of three clusters, of which only shadows on lines are seen. view: the angle between two lines, degrees."""

    name, title = "shadows", "Shadows of points"
    view, noise = (30.0, 150.0, 90.0), 0.3
    reach = 2.0
    bins = tuple(round(-1.9 + 0.2 * i, 1) for i in range(20))
    """Centres of bins along the line on which the given shadow leaves the point; the outer ones are open."""
    clusters = exact.mixture([0.5, 0.3, 0.2], [[1.0, 0.2], [-0.7, 0.8], [-0.1, -1.0]], [0.04, 0.03, 0.05])

    def network(self) -> nn.Module:
        return shadows.Guesser(96, 0.8)

    def train(self, network: nn.Module) -> list[float]:
        return shadows.train(network, self._seen, SCHEDULE, rounds=4000)

    def _seen(self, count: int, generator: torch.Generator):
        return shadows.triple(self.clusters.sample(count, generator).float(), generator)

    def scene(self, draw: int, view: float) -> Scene:
        generator = torch.Generator().manual_seed(draw)
        point = self.clusters.sample(1, generator).float()
        angle = math.pi * torch.rand(1, 1, generator=generator)
        angles = [angle + math.radians(part * view) for part in (0.0, 1.0, 0.5)]
        return Scene(point, *(Seen(shadows.render(point, turned), turned) for turned in angles))

    def render(self, scene: Scene, count: int) -> Render:
        return shadows.render

    def points(self, signal: Tensor) -> Tensor:
        return signal

    def across(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """Unit vectors (2,) along the line of the given shadow, and to the right along the one that it leaves open."""
        along = shadows.direction(scene.given.view)[0]
        return along, torch.stack([along[1], -along[0]])

    def bin(self, scene: Scene, signal: Tensor) -> Tensor:
        place = (signal @ self.across(scene)[1] + self.reach) / 0.2
        return place.floor().long().clamp(0, len(self.bins) - 1)

    def law(self) -> Tensor:
        return self.clusters.sample(600, torch.Generator().manual_seed(0)).float()

    def answer(self, scene: Scene, second: Tensor | None, noise: float) -> Answer:
        along, open_ = (axis.double() for axis in self.across(scene))
        seen, law = float(scene.given.observation), self.clusters
        means, variances = law.means @ open_, law.variances
        logs = law.weights.log() - variances.log() / 2 - (seen - law.means @ along) ** 2 / (2 * variances)
        if second is not None:
            # second = seen cos(turn) - place sin(turn) + noise eps
            turn = float(scene.second.view - scene.given.view)
            place, error = (seen * math.cos(turn) - float(second)) / math.sin(turn), (noise / math.sin(turn)) ** 2
            total = variances + error
            logs = logs - total.log() / 2 - (place - means) ** 2 / (2 * total)
            means, variances = (means * error + place * variances) / total, variances * error / total
        shares = logs.softmax(0)
        edges = torch.linspace(-self.reach, self.reach, len(self.bins) + 1, dtype=torch.float64)
        edges[0], edges[-1] = -math.inf, math.inf
        below = shares @ torch.special.ndtr((edges - means[:, None]) / variances.sqrt()[:, None])
        return Answer(below.diff(), *_distances(shares, means[:, None], variances, scene.truth[0].double() @ open_))


class Motion:
    """A thing that sets out in one of four ways, of which only pictures are seen. view: the time of the second one."""

    name, title = "motion", "Motion behind two pictures"
    view, noise = (0.4, 1.0, 1.0), 4.0
    bins = ("right", "down", "left", "up")

    def network(self) -> nn.Module:
        return motion.Mover()

    def train(self, network: nn.Module) -> list[float]:
        return motion.train(network, motion.scenes, SCHEDULE, rounds=4000, batch=256)

    def scene(self, draw: int, view: float) -> Scene:
        generator = torch.Generator().manual_seed(draw)
        way = self.law()[torch.randint(4, (1,), generator=generator)]
        start = (motion.SIDE - 1) / 2 + 2 * torch.rand(1, 2, generator=generator) - 1
        times = [torch.tensor([[part * view]]) for part in (0.0, 1.0, 0.5)]
        truth = torch.cat([way, torch.ones(1, 1)], 1)[:, None]
        return Scene(truth, *(Seen(motion.blob(start + time * way), time) for time in times))

    def render(self, scene: Scene, count: int) -> Render:
        return motion.moving(scene.given.observation.expand(count, -1, -1, -1))

    def points(self, signal: Tensor) -> Tensor:
        """The motion with the largest share."""
        return signal[torch.arange(len(signal)), signal[..., 2].argmax(1), :2]

    def bin(self, scene: Scene, signal: Tensor) -> Tensor:
        way = self.points(signal)
        return (torch.atan2(way[:, 1], way[:, 0]) / (math.pi / 2)).round().long() % 4

    def law(self) -> Tensor:
        return motion.ways()

    def answer(self, scene: Scene, second: Tensor | None, noise: float) -> Answer:
        ways = self.law().double()
        logs = torch.zeros(len(ways), dtype=torch.float64)
        if second is not None:
            logs = -(second - self._futures(scene)).square().flatten(1).sum(1) / (2 * noise ** 2)
        shares = logs.softmax(0)
        return Answer(shares, *_distances(shares, ways, torch.zeros(len(ways)), scene.truth[0, 0, :2].double()))

    def _futures(self, scene: Scene) -> Tensor:
        """The four second pictures (4, 1, SIDE, SIDE) that are possible from where the thing is in the first."""
        picture, middle = (scene.given.observation[0, 0] + 1).double(), motion.SIDE // 2
        # Of a Gaussian spot the ratio of two neighbours tells the centre.
        ratios = [(side[middle] / side[middle - 1]).log() for side in (picture.sum(0), picture.sum(1))]
        start = middle - 0.5 + motion.WIDTH ** 2 * torch.stack(ratios)
        return motion.blob(start + scene.second.view.double() * self.law().double())


def _distances(shares: Tensor, means: Tensor, variances: Tensor, truth: Tensor) -> tuple[float, float]:
    """Spread and error of a mixture (K,) with means (K, d), whose variances (K,) are those of all d together."""
    def root(centre: Tensor) -> float:
        return float((shares @ ((means - centre).square().sum(1) + variances)).sqrt())

    return root(shares @ means), root(truth)


TOYS: dict[str, Toy] = {toy.name: toy for toy in (Shadows(), Motion())}
