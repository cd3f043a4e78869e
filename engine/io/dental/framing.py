"""The frame of a dentition: found from the arch that the teeth form, their FDI numbers, and where crowns point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import InputError
from engine.io.dental.arch import Fit, crown_sign, fit, is_upper, places, rigid, teeth

Mesh = tuple[np.ndarray, np.ndarray]
_KEPT_DEG, _KEPT_MM = 15.0, 60.0
"""Files whose axes are so near to the program's keep them: what is left is how the teeth stand, not the scanner."""
_LEAST_JAW, _LEAST_SPREAD_MM = 3, 2.0
_APART_DEG, _APART_MM = 60.0, 12.0
_VOTE = 0.05
_END = 0.3
_OPEN_MM = 6.0
_ROOT_MM = 15.0
_STRAY_MM = 15.0
_NO_BITE = ("The jaws of the files do not meet as in a bite, so each was laid on an average arch by itself: overjet, "
            "overbite and midline are guesses.")


@dataclass(frozen=True)
class Found:
    """frame (4, 4): from the files' coordinates in mm. lower: that of lower teeth where it is another."""

    frame: np.ndarray
    lower: np.ndarray | None
    notes: tuple[str, ...]

    def of(self, fdi: int) -> np.ndarray:
        """The frame of one tooth."""
        return self.frame if self.lower is None or is_upper(fdi) else self.lower


def find(meshes: Mapping[int, Mesh], field: str, size: float = 1.0) -> Found:
    """The frame of teeth, by least squares of their centres onto an average arch.

    size: mm per unit of the vertices, where they are not in mm. Jaws that do not lie as in a mouth are laid on the arch
    one by one. Raises InputError for a jaw that is a mirror image of what its numbers say, and for teeth that lie in
    the other jaw.
    """
    meshes = {fdi: (vertices * size, faces) for fdi, (vertices, faces) in meshes.items()}
    centres = {fdi: centre(mesh) for fdi, mesh in meshes.items()}
    whole = _laid(centres, list(centres))
    jaws = {name: [fdi for fdi in centres if is_upper(fdi) == (name == "upper")] for name in ("upper", "lower")}
    own = {name: _laid(centres, jaw) for name, jaw in jaws.items() if _is_arch(centres, jaw)}
    _check_mirrored(meshes, centres, jaws, own, whole, field)
    if len(own) == 2 and _in_parts(centres, jaws, own):
        frames = [rigid(one.turn, one.shift / size) for one in own.values()]
        return Found(*frames, (*_turned(own["upper"], "upper teeth"), *_turned(own["lower"], "lower teeth"), _NO_BITE))
    _check_mixed(meshes, jaws, whole, field)
    strays = [fdi for fdi, point in centres.items()
              if np.linalg.norm(whole.turn @ point + whole.shift - places([fdi])[0]) > _STRAY_MM]
    notes = [f"Far from where teeth of their numbers stand: {teeth(strays)}. Check the numbers."] if strays else []
    if whole.angle_deg <= _KEPT_DEG:
        near = np.linalg.norm(whole.shift) <= _KEPT_MM
        level = np.mean(places(list(centres)), 0) - np.mean(list(centres.values()), 0)
        return Found(rigid(np.eye(3), np.zeros(3) if near else level / size), None, tuple(notes))
    return Found(rigid(whole.turn, whole.shift / size), None, (*_turned(whole, "teeth"), *notes))


def centre(mesh: Mesh) -> np.ndarray:
    """Centre (3,) of a mesh's area."""
    across, middle = _triangles(mesh)
    area = np.linalg.norm(across, axis=1)
    return (middle * area[:, None]).sum(0) / area.sum()


def uprightness(mesh: Mesh, turn: np.ndarray, sign: float) -> float:
    """In [-1, 1]: > 0 where a crown points the way `sign` along y after the turn (3, 3), 0 where that cannot be told.

    A crown's gum end is open, or flatter than its chewing or biting end. Of teeth with roots nothing is said.
    """
    vertices, faces = mesh
    rim = _rim(vertices, faces)
    if rim is not None:
        way = centre(mesh) - rim
        return float(sign * (turn @ way)[1] / np.linalg.norm(way))
    across, middle = _triangles(mesh)
    area, height = np.linalg.norm(across, axis=1), sign * (middle @ turn[1])
    low, high = np.quantile(height, (0.01, 0.99))
    if high - low > _ROOT_MM:
        return 0.0
    up = sign * (across @ turn[1]) / np.maximum(area, 1e-12)
    base = (area * np.clip(-up, 0, 1) ** 4)[height < low + _END * (high - low)].sum()
    tip = (area * np.clip(up, 0, 1) ** 4)[height > high - _END * (high - low)].sum()
    return float((base - tip) / max(base + tip, 1e-12))


def _triangles(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Outward normals of twice the area (F, 3), and middles (F, 3), of the triangles."""
    corner = mesh[0][mesh[1]]
    return np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), corner.mean(1)


def _rim(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray | None:
    """Centre (3,) of the edges that only one triangle has, None where they are few: a closed crown may have a hole."""
    edges = np.sort(np.concatenate((faces[:, :2], faces[:, 1:], faces[:, ::2])), axis=1)
    found, count = np.unique(edges, axis=0, return_counts=True)
    ends = vertices[found[count == 1]]
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    return None if length.sum() < _OPEN_MM else (ends.mean(1) * length[:, None]).sum(0) / length.sum()


def _laid(centres: Mapping[int, np.ndarray], numbers: Sequence[int]) -> Fit:
    return fit(np.stack([centres[fdi] for fdi in numbers]), places(numbers))


def _is_arch(centres: Mapping[int, np.ndarray], jaw: Sequence[int]) -> bool:
    """Whether a jaw's teeth can be laid on the arch in one way only: three or more, not on a line."""
    if len(jaw) < _LEAST_JAW:
        return False
    points = np.stack([centres[fdi] for fdi in jaw])
    spread = np.linalg.svd(points - points.mean(0), compute_uv=False) / len(jaw) ** 0.5
    return bool(spread[1] > _LEAST_SPREAD_MM)


def _check_mirrored(meshes: Mapping[int, Mesh], centres: Mapping[int, np.ndarray], jaws: Mapping[str, list[int]],
                    own: Mapping[str, Fit], whole: Fit, field: str) -> None:
    """An arch alone looks the same from above and in a mirror from below; only the crowns tell which it is."""
    votes = {name: float(np.median([uprightness(meshes[fdi], own.get(name, whole).turn, crown_sign(fdi))
                                    for fdi in jaw])) for name, jaw in jaws.items() if jaw}
    wrong = [name for name, vote in votes.items() if vote < -_VOTE]
    silent = all(abs(vote) <= _VOTE for vote in votes.values())
    if silent and len(own) == 2 and _above(centres, jaws, own["upper"].turn) < 0:
        wrong = list(jaws)
    if wrong:
        which = "The teeth are a mirror image" if len(wrong) == len(votes) else (
            f"The teeth of the {wrong[0]} jaw are a mirror image")
        raise InputError(f"{which} of what their numbers say.",
                         "Numbers of left and right or of the two jaws are exchanged, or the file is mirrored.",
                         "Correct the numbers, or mirror the meshes.", field=field)


def _above(centres: Mapping[int, np.ndarray], jaws: Mapping[str, list[int]], turn: np.ndarray) -> float:
    """How far the upper teeth lie above the lower ones, mm."""
    upper, lower = (np.mean([centres[fdi] for fdi in jaws[name]], axis=0) for name in ("upper", "lower"))
    return float((turn @ (upper - lower))[1])


def _in_parts(centres: Mapping[int, np.ndarray], jaws: Mapping[str, list[int]], own: Mapping[str, Fit]) -> bool:
    """Whether the jaws lie otherwise than in a mouth: turned against each other, or far from it."""
    upper, lower = own["upper"], own["lower"]
    turn = np.arccos(np.clip((np.trace(upper.turn @ lower.turn.T) - 1) / 2, -1, 1))
    here, there = np.mean([centres[fdi] for fdi in jaws["lower"]], axis=0), places(jaws["lower"]).mean(0)
    away = np.linalg.norm(upper.turn @ here + upper.shift - there)
    return bool(np.degrees(turn) > _APART_DEG or away > _APART_MM)


def _check_mixed(meshes: Mapping[int, Mesh], jaws: Mapping[str, list[int]], whole: Fit, field: str) -> None:
    """Raises InputError for teeth that point and lie like those of the other jaw."""
    height = {fdi: float((whole.turn @ centre(mesh) + whole.shift)[1]) for fdi, mesh in meshes.items()}
    level = {name: np.median([height[fdi] for fdi in jaw]) for name, jaw in jaws.items() if jaw}
    wrong = []
    for name, other in (("upper", "lower"), ("lower", "upper")):
        for fdi in jaws[name] if len(level) == 2 else ():
            nearer = abs(height[fdi] - level[name]) > abs(height[fdi] - level[other])
            if nearer and uprightness(meshes[fdi], whole.turn, crown_sign(fdi)) < 0:
                wrong.append(fdi)
    if wrong:
        raise InputError(f"{teeth(wrong).capitalize()} {'lies' if len(wrong) == 1 else 'lie'} in the other jaw.",
                         "The numbers of upper teeth begin with 1 and 2, those of lower ones with 3 and 4.",
                         "Correct the numbers.", field=field)


def _turned(found: Fit, what: str) -> tuple[str, ...]:
    """What to tell of a turn; nothing of a small one."""
    if found.angle_deg <= _KEPT_DEG:
        return ()
    lay = ", where they lay upside down" if found.turn[1, 1] < -0.5 else ""
    return (f"The {what} were turned by {found.angle_deg:.0f} degrees onto an average arch, by their numbers{lay}.",)
