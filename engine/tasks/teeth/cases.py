"""Training and test cases: crooked teeth with the true motions, levelled, from a pool of well-aligned patients."""

from dataclasses import dataclass

import torch
from numpy.random import Generator
from torch import Tensor

from engine.tasks.teeth import anatomy, axes, sampling, state
from engine.tasks.teeth.dentition import Teeth
from engine.tasks.teeth.malocclusion import Range, crooked


@dataclass(frozen=True)
class Cases:
    """B patients before treatment, levelled: `teeth` in axes found from their surfaces, and the `goal` in the same.

    truth, base (B, 32, 9): the true motion and the geometric start as raw states of the frame they were made with.
    told (B, 32, 3, 3): the found axes relative to the true ones.
    """

    teeth: Teeth
    goal: Teeth
    truth: Tensor
    base: Tensor
    told: Tensor

    def anatomic(self, teeth: Teeth) -> Teeth:
        """`teeth` or `goal`, moved or not, in the true axes, which no method is told, and levelled as they stand."""
        true = axes.described(teeth, self.told.transpose(-1, -2) @ teeth.axes)
        return state.levelling(true, state.average_frame()).apply(true)


def cases(aligned: Teeth, told: Tensor, how: Range, rng: Generator, frame: state.Frame) -> Cases:
    """One malocclusion of each well-aligned patient. told (B, 32, 3, 3): see `axes.told`."""
    before = crooked(aligned, how, rng)
    after = aligned.without(~before.present)
    level = state.levelling(before, frame)
    before, after = level.apply(before), level.apply(after)
    before, after = (axes.described(teeth, told @ teeth.axes) for teeth in (before, after))
    truth = frame.encode(before, before.motion_to(after))
    return Cases(before, after, truth, sampling.base_of(frame, before), told)


class Pool:
    """Well-aligned patients and a stock of their malocclusions, a few of which are replaced at every batch.

    frame: with the scales of these cases. gain, offset, left (32, 9): the best linear use of the geometric start, and
    the deviation that it leaves, in scaled states.
    """

    def __init__(self, aligned: Teeth, how: Range, rng: Generator, stock: int, fresh: int = 6):
        self.aligned, self.how, self.fresh = aligned, how, fresh
        self.told = axes.told(aligned, rng)
        self._plain = state.average_frame()
        self._owner = torch.from_numpy(rng.integers(len(aligned), size=stock))
        parts = [self._made(owner, rng) for owner in self._owner.split(256)]
        self._rows = [torch.cat(column) for column in zip(*parts)]
        self._next = self._waiting = 0
        present, _, _, truth, base = self._rows
        self.frame = state.scaled(self._plain, truth, present)
        self.gain, self.offset, self.left = _linear(self._scaled(truth), self._scaled(base), present)

    def _made(self, owner: Tensor, rng: Generator) -> tuple[Tensor, ...]:
        """(present, axes, centres, truth, base) of new malocclusions of these patients."""
        made = cases(self.aligned[owner], self.told[owner], self.how, rng, self._plain)
        return made.teeth.present, made.teeth.axes, made.teeth.centres, made.truth, made.base

    def _scaled(self, raw: Tensor) -> Tensor:
        return (raw - self.frame.mean) / self.frame.spread

    def batch(self, count: int, rng: Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """x0 (count, 32, 9) and the network's conditions of `count` cases, half of them mirrored."""
        self._refresh(count, rng)
        rows = torch.from_numpy(rng.integers(len(self._owner), size=count))
        owner = self._owner[rows]
        present, own, centres, truth, base = (column[rows] for column in self._rows)
        samples = torch.from_numpy(rng.permutation(self.aligned.points.shape[2])[:state.SAMPLES])
        crowns = self.aligned[owner]
        # The stock holds axes found from surfaces, the pool's points are in the true ones.
        true = self.told[owner].transpose(-1, -2) @ own
        shown = crowns.without(~present).at(true, centres)
        told = self.frame.conditions(shown, self._scaled(base), samples)
        x0 = self._scaled(truth) * present[..., None]
        return _half_mirrored(x0, told, rng)

    def _refresh(self, count: int, rng: Generator) -> None:
        """New malocclusions for a part of the stock, made many at a time because that is cheaper."""
        self._waiting += self.fresh
        if self._waiting < 64:
            return
        place = (self._next + torch.arange(self._waiting)) % len(self._owner)
        self._owner[place] = torch.from_numpy(rng.integers(len(self.aligned), size=len(place)))
        for column, new in zip(self._rows, self._made(self._owner[place], rng)):
            column[place] = new
        self._next, self._waiting = int(place[-1]) + 1, 0


def _half_mirrored(x0: Tensor, told: dict[str, Tensor], rng: Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """Every second patient as its mirror image: in the slots' own axes that only swaps the slots."""
    order = torch.arange(32).repeat(len(x0), 1)
    order[torch.from_numpy(rng.random(len(x0)) < 0.5)] = torch.from_numpy(anatomy.MIRRORED)

    def swapped(value: Tensor) -> Tensor:
        return value[torch.arange(len(value))[:, None], order]

    return swapped(x0), {name: swapped(value) for name, value in told.items()}


def _linear(truth: Tensor, base: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gain, offset and remaining deviation (32, 9) of the regression of truth on base, by slot; both sides alike."""
    swap = torch.from_numpy(anatomy.MIRRORED)
    truth, base, present = (torch.cat((v, v[:, swap])) for v in (truth, base, present))
    weight = present[..., None].float()
    count = weight.sum(0).clamp_min(1)
    x, y = ((weight * v).sum(0) / count for v in (base, truth))
    gain = (weight * (base - x) * (truth - y)).sum(0) / ((weight * (base - x) ** 2).sum(0) + 1e-2 * count)
    left = ((weight * (truth - y - gain * (base - x)) ** 2).sum(0) / count).sqrt()
    return gain, y - gain * x, left.clamp(0.05, 1.0)
