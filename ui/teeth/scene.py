"""Teeth as one message for the scripts of the page: surfaces, how each arrangement is reached, contacts, arches.

It travels once and holds everything that the page shows of the teeth, so that looking needs no server.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.tasks.base import Result
from ui.teeth import table
from ui.teeth.contacts import notable
from ui.teeth.meshes import MOST_FACES, Crown, crowns, packed, rounded, text

PLACE = 250
"""Centres travel in 1/250 mm from the middle of all: int16 reaches 131 mm."""
TURN = 32767
PREVIEW_FACES = 14_000
_LIKELY_MM, _USUAL_MM = (4.0, 20.0), 10.0
"""Longest side of crowns: what is drawn as it is, and what a dentition of an unknown unit is drawn like."""


def of_meshes(meshes: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """A dentition as it is, from meshes by FDI number in the frame of `anatomy`, also where its unit is not known."""
    widths = [np.ptp(vertices, axis=0).max() for vertices, _ in meshes.values()]
    scale = 1.0 if _LIKELY_MM[0] < np.median(widths) < _LIKELY_MM[1] else _USUAL_MM / max(np.median(widths), 1e-12)
    meshes = {fdi: (vertices * scale, faces) for fdi, (vertices, faces) in meshes.items()}
    centres = np.array([vertices.mean(0) for vertices, _ in meshes.values()])
    ups = np.array([(0.0, 1.0 if fdi >= 30 else -1.0, 0.0) for fdi in meshes])
    return packed(crowns(meshes, centres, ups, PREVIEW_FACES))


def of_result(result: Result) -> dict[str, Any]:
    """All that the page shows of an arrangement. See `ui.teeth.meshes.packed` for the surfaces.

    tracks: one for each arrangement that can be chosen, of `count` poses from the start to the end, (count, tooth, 7)
    int16: quaternion x, y, z, w in 1/32767, centre in 1/250 mm from `origin`. contacts: see `contacts.notable`. arches:
    {before, after}: one curve in mm per jaw. movement: the table's rows.
    """
    arrays = {name: array.values for name, array in result.arrays.items()}
    teeth = _crowns(arrays)
    origin = arrays["centres"].mean(0).round(3)
    samples = len(arrays["motions"])
    goal = f"Goal (mean of {samples} samples)" if samples > 1 else "Goal"
    tracks = [_track(goal, arrays["stages"], arrays["centres"], origin, arrays["goal"])]
    if samples > 1:
        tracks += [_track(f"Sample {number}", motion[None], arrays["centres"], origin)
                   for number, motion in enumerate(arrays["motions"], 1)]
    return packed(teeth) | {
        "origin": origin.tolist(), "tracks": tracks, "contacts": notable(teeth, arrays), "samples": samples,
        "arches": {when: [rounded(curve) for curve in arrays[f"arch_{when}"]] for when in ("before", "after")},
        "columns": table.COLUMNS, "rows": table.rows(arrays["fdi"], arrays["movement"], arrays["movement_spread"])}


def poses(motions: np.ndarray, centres: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Motions (..., T, 4, 4) of teeth whose centres (T, 3) were there before, as (..., T, 7) int16."""
    from scipy.spatial.transform import Rotation

    turns = motions[..., :3, :3].astype(float)
    quaternions = Rotation.from_matrix(turns.reshape(-1, 3, 3)).as_quat(canonical=True)
    places = (turns @ centres[:, :, None])[..., 0] + motions[..., :3, 3] - origin
    whole = np.concatenate([quaternions.reshape(*turns.shape[:-2], 4) * TURN, places * PLACE], -1)
    return whole.round().clip(-TURN, TURN).astype("<i2")


def _track(title: str, motions: np.ndarray, centres: np.ndarray, origin: np.ndarray,
           last: np.ndarray | None = None) -> dict[str, Any]:
    """The start, these motions (K, T, 4, 4), and `last` (T, 4, 4) where it is another place than theirs."""
    still = np.broadcast_to(np.eye(4), motions.shape[1:] if last is None else last.shape)
    ends = [] if last is None or (len(motions) and np.allclose(motions[-1], last, atol=1e-3)) else [last[None]]
    frames = poses(np.concatenate([still[None], motions.reshape(-1, *still.shape), *ends]), centres, origin)
    return {"title": title, "count": len(frames), "poses": text(frames, "<i2"), "staged": last is not None and not ends}


def _crowns(arrays: Mapping[str, np.ndarray]) -> list[Crown]:
    vertices, faces, owner = (arrays[name] for name in ("vertices", "faces", "tooth"))
    of_face, meshes = owner[faces[:, 0]], {}
    for index, fdi in enumerate(arrays["fdi"].tolist()):
        mine = np.flatnonzero(owner == index)
        place = np.zeros(len(vertices), int)
        place[mine] = np.arange(len(mine))
        meshes[fdi] = (vertices[mine].astype(float), place[faces[of_face == index]])
    return crowns(meshes, arrays["centres"], arrays["axes"][:, 2], MOST_FACES)
