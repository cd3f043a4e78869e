"""Teeth of several patients as tensors: their shapes in their own axes, and where they stand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from engine.tasks.teeth import anatomy
from engine.tasks.teeth.rendering import IVORY, Surface


@dataclass(frozen=True)
class Motion:
    """What each tooth does (see `rigid`): rotation (B, 32, 3, 3), and its new centre (B, 32, 3) in mm."""

    rotation: Tensor
    centre: Tensor

    def __getitem__(self, which) -> "Motion":
        return Motion(self.rotation[which], self.centre[which])


@dataclass(frozen=True)
class Teeth:
    """B patients with 32 slots each (`anatomy.SLOTS`); float32, mm, frame of `anatomy`.

    points, normals (B, 32, P, 3): samples of equal area of the crown's surface without its base, in the tooth's own
    axes from its centre, that of the crown's area; area (B, 32) mm2: of one sample. present (B, 32) bool. Absent
    teeth hold zeros. axes (B, 32, 3, 3): rows mesial, buccal, occlusal; centres (B, 32, 3).
    vertices (B, 32, V, 3) and faces (one (F, 3) array per slot): the meshes in the same own axes, where they are kept.
    facets (B, 32, F, 10): what the networks see of the meshes (`engine.tasks.teeth.facets`), where they are known.
    """

    points: Tensor
    normals: Tensor
    area: Tensor
    present: Tensor
    axes: Tensor
    centres: Tensor
    vertices: Tensor | None = None
    faces: Sequence[np.ndarray] | None = None
    facets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, which) -> "Teeth":
        """Some of the patients: a slice, or indices as a list or tensor."""
        tensors = {name: value[which] for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **tensors)

    @property
    def surface(self) -> Tensor:
        """The samples where they are, (B, 32, P, 3)."""
        return self.points @ self.axes + self.centres[..., None, :]

    @property
    def surface_normals(self) -> Tensor:
        """Outward unit normals of the samples, (B, 32, P, 3)."""
        return self.normals @ self.axes

    def at(self, axes: Tensor, centres: Tensor) -> "Teeth":
        """The same teeth elsewhere."""
        return replace(self, axes=axes, centres=centres)

    def moved(self, motion: Motion) -> "Teeth":
        """The teeth after a motion."""
        return self.at(self.axes @ motion.rotation, motion.centre)

    def motion_to(self, other: "Teeth") -> Motion:
        """The exact motion that carries these teeth to the same ones elsewhere; absent teeth do not turn."""
        rotation = self.axes.transpose(-1, -2) @ other.axes
        return Motion(torch.where(self.present[..., None, None], rotation, torch.eye(3)), other.centres)

    def without(self, absent: Tensor) -> "Teeth":
        """The same with some teeth (B, 32) bool taken out."""
        present = self.present & ~absent
        shown = present[..., None]
        return replace(self, present=present, points=self.points * shown[..., None], area=self.area * present,
                       normals=self.normals * shown[..., None], centres=self.centres * shown,
                       facets=None if self.facets is None else self.facets * shown[..., None])

    def meshes(self, patient: int, colour: tuple[int, int, int] = IVORY, jaw: str = "both") -> list[Surface]:
        """One patient's teeth as surfaces. jaw: "upper", "lower" or "both"."""
        found = []
        for slot in np.flatnonzero(self.present[patient].numpy()):
            if jaw != "both" and (jaw == "upper") != anatomy.UPPER[slot]:
                continue
            axes = self.axes[patient, slot]
            faces = self.faces[slot] if torch.linalg.det(axes) > 0 else self.faces[slot][:, ::-1]
            world = self.vertices[patient, slot] @ axes + self.centres[patient, slot]
            found.append(Surface(world.double().numpy(), faces, colour))
        return found

    def widths(self) -> tuple[Tensor, Tensor]:
        """How far each tooth reaches mesially and distally of its centre, mm, (B, 32) each."""
        along = self.points[..., 0]
        return along.amax(-1), -along.amin(-1)


def joined(parts: Sequence[Teeth]) -> Teeth:
    """Several groups of patients as one; meshes stay where all groups have the same ones."""
    names = ["points", "normals", "area", "present", "axes", "centres"]
    names += ["facets"] if all(part.facets is not None for part in parts) else []
    faces = parts[0].faces
    if faces is not None and all(part.faces is faces or _same(part.faces, faces) for part in parts):
        names.append("vertices")
    else:
        faces = None
    return Teeth(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names}, faces=faces)


def _same(faces: Sequence[np.ndarray] | None, others: Sequence[np.ndarray]) -> bool:
    return faces is not None and all(one is other for one, other in zip(faces, others))


def mirrored(teeth: Teeth) -> Teeth:
    """The patients' mirror images: left and right change places; own axes and shapes stay."""
    swap = torch.from_numpy(anatomy.MIRRORED)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    own = {name: getattr(teeth, name)[:, swap] for name in ("points", "normals", "area", "present")}
    own["facets"] = None if teeth.facets is None else teeth.facets[:, swap]
    return Teeth(**own, axes=teeth.axes[:, swap] * flip, centres=teeth.centres[:, swap] * flip)


def turned(teeth: Teeth, rotation: Tensor, shift: Tensor) -> Teeth:
    """All patients turned (B, 3, 3) about the origin and shifted (B, 3) as a whole."""
    centres = (teeth.centres @ rotation + shift[:, None]) * teeth.present[..., None]
    return teeth.at(teeth.axes @ rotation[:, None], centres)


