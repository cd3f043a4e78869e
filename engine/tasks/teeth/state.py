"""What is diffused: the motion of each tooth as nine standardised numbers, in axes that all patients share.

The state of a tooth is its displacement in mm (TADPM: the new centre) and the first two rows of its rotation minus the
identity, both in the average axes of its slot, so that the two sides of the mouth are alike. Before, the whole
dentition is laid over the average one as well as it goes (`levelling`), so that nothing depends on how a scan lies in
space.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.tasks.teeth import anatomy, facets, procedural, rigid
from engine.tasks.teeth.dentition import Motion, Teeth

STATE = 9
SAMPLES = 128
"""Samples per crown that the networks see."""
_IDENTITY = torch.tensor([1.0, 0, 0, 0, 1, 0])
_LEAST_SPREAD = torch.tensor([0.05] * 3 + [0.02] * 6)


@dataclass(frozen=True)
class Frame:
    """Average axes (32, 3, 3) and centres (32, 3) mm of the slots; mean and spread (32, 9) of the raw state."""

    axes: Tensor
    centres: Tensor
    mean: Tensor
    spread: Tensor

    def encode(self, teeth: Teeth, motion: Motion) -> Tensor:
        """The state (B, 32, 9) of a motion of these (levelled) teeth; zero for absent ones."""
        shift = ((motion.centre - teeth.centres)[..., None, :] @ self.axes.transpose(-1, -2))[..., 0, :]
        rotation = self.axes @ motion.rotation @ self.axes.transpose(-1, -2)
        raw = torch.cat((shift, rigid.to_six(rotation) - _IDENTITY), -1)
        return (raw - self.mean) / self.spread * teeth.present[..., None]

    def decode(self, centres: Tensor, state: Tensor) -> Motion:
        """The motion of a state (B, 32, 9) of teeth with these centres (B, 32, 3)."""
        raw = state * self.spread + self.mean
        shift = (raw[..., None, :3] @ self.axes)[..., 0, :]
        rotation = self.axes.transpose(-1, -2) @ rigid.from_six(raw[..., 3:] + _IDENTITY) @ self.axes
        return Motion(rotation, centres + shift)

    def conditions(self, teeth: Teeth, base: Tensor, samples: Tensor | None = None) -> dict[str, Tensor]:
        """What the network is told of levelled teeth: the arguments of `TeethNetwork.encode`.

        base (B, 32, 9): a state; samples: indices of the crown samples to show, the first SAMPLES without it.
        """
        samples = torch.arange(SAMPLES) if samples is None else samples
        turn = teeth.axes @ self.axes.transpose(-1, -2)
        away = ((teeth.centres - self.centres)[..., None, :] @ self.axes.transpose(-1, -2))[..., 0, :]
        shown = teeth.present[..., None]
        told = {"points": teeth.points[:, :, samples] @ turn, "normals": teeth.normals[:, :, samples] @ turn,
                "centres": away * shown, "base": base * shown, "present": teeth.present}
        return told if teeth.facets is None else told | {"facets": facets.turned(teeth.facets, turn)}


def average_frame() -> Frame:
    """The slots' average axes and centres of the invented patients, with the plain scales 0 and 1."""
    model = procedural.average()
    # The noise of one patient is no part of an average: both sides are made alike.
    swap, flip = torch.from_numpy(anatomy.MIRRORED), torch.tensor([-1.0, 1.0, 1.0])
    centres = (model.centres[0] + model.centres[0, swap] * flip) / 2
    summed = model.axes[0] + model.axes[0, swap] * flip
    u, _, v = torch.linalg.svd(summed)
    return Frame(u @ v, centres - centres.mean(0), torch.zeros(32, 9), torch.ones(32, 9))


def frame_of(network) -> Frame:
    """The frame that a network's weights belong to. Stored in 16 bit, so its axes are made orthonormal again."""
    u, _, v = torch.linalg.svd(network.axes.float().cpu())
    return Frame(u @ v, *(getattr(network, name).float().cpu() for name in ("centres", "mean", "spread")))


def scaled(frame: Frame, states: Tensor, present: Tensor) -> Frame:
    """The frame with mean and spread of raw states (N, 32, 9) of present teeth (N, 32); both sides alike."""
    weight = present[..., None].float()
    swap = torch.from_numpy(anatomy.MIRRORED)
    weight, states = torch.cat((weight, weight[:, swap])), torch.cat((states, states[:, swap]))
    count = weight.sum(0)
    mean = (weight * states).sum(0) / count.clamp_min(1)
    spread = ((weight * (states - mean) ** 2).sum(0) / count.clamp_min(1)).sqrt()
    # Slots that no patient has take what is usual.
    spread = torch.where(count > 50, spread, spread[count[:, 0] > 50].mean(0))
    return Frame(frame.axes, frame.centres, mean, torch.maximum(spread, _LEAST_SPREAD))


@dataclass(frozen=True)
class Level:
    """A rigid motion of whole patients: p -> (p - centre) @ turn + target; turn (B, 3, 3), centre, target (B, 3)."""

    turn: Tensor
    centre: Tensor
    target: Tensor

    def apply(self, teeth: Teeth) -> Teeth:
        """The teeth moved as a whole."""
        centres = ((teeth.centres - self.centre[:, None]) @ self.turn + self.target[:, None]) * teeth.present[..., None]
        return teeth.at(teeth.axes @ self.turn[:, None], centres)

    def inverse(self) -> "Level":
        """The way back; its `undo` turns motions of the teeth where they were into those of the levelled teeth."""
        return Level(self.turn.transpose(-1, -2), self.target, self.centre)

    def undo(self, motion: Motion) -> Motion:
        """A motion of the levelled teeth as one of the teeth where they were; (B or more, 32) motions."""
        turn = self.turn[:, None]
        centre = (motion.centre - self.target[:, None]) @ self.turn.transpose(-1, -2) + self.centre[:, None]
        return Motion(turn @ motion.rotation @ turn.transpose(-1, -2), centre)


def levelling(teeth: Teeth, frame: Frame) -> Level:
    """How to lay the teeth's centres over the average ones, by least squares (Kabsch)."""
    weight = (teeth.present & ~torch.from_numpy(anatomy.WISDOM))[..., None].float()
    total = weight.sum(1).clamp_min(1)
    centre, target = ((weight * v).sum(1) / total for v in (teeth.centres, frame.centres))
    product = (weight * (teeth.centres - centre[:, None])).transpose(-1, -2) @ (frame.centres - target[:, None])
    return Level(rigid.nearest_rotation(product), centre, target)
