"""DICOM: one file or a series, parsed in a child process. Only geometry and intensity come out of it."""

import io
import zipfile
from collections.abc import Sequence

import numpy as np

from engine.errors import InputError
from engine.io import child
from engine.io.medical import stack
from engine.io.medical.fields import Fields
from engine.io.medical.frames import Frame, decoded
from engine.io.medical.headers import MOST_FRAMES, Header, header, opened, spacing_of, warnings_of
from engine.io.medical.orientation import axes_of, told
from engine.io.medical.orientation import spacing_of as spacing_of_affine
from engine.io.medical.scan import Scan, made
from engine.runtime.settings import limits

_SECONDS = 120
_LISTED = 6
_LEFT_BEHIND = "Only fields on geometry and intensity were read; names, dates and private fields stayed behind."


def load(files: Sequence[bytes], field: str = "picture", series: int = 0) -> Scan:
    """The scan in one file or in the files of a series, in any order.

    series: which one, from 1, when the files belong to several; 0 for the only one. Raises InputError (field named)
    for what cannot be read whole, for several series (listed) and for slices that form no volume.
    """
    found = child.parsed(parse, packed(files, series), "DICOM", field, seconds=_SECONDS)
    return made(found["values"], tuple(map(str, found["notes"])), field, kind="dicom" if len(files) == 1 else "series",
                spacing_mm=tuple(map(float, found["spacing"])) if "spacing" in found else None,
                affine=found.get("affine"), modality=str(found["modality"]),
                window=tuple(map(float, found["window"])) if "window" in found else None,
                consent=tuple(map(str, found["consent"])),
                source={"units": str(found["units"]), "thickness_mm": float(found["thickness"])})


def packed(files: Sequence[bytes], series: int = 0) -> bytes:
    """Files and a choice as the one blob that the child process takes: an uncompressed zip with names of ours."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = str(int(series)).encode()
        for number, data in enumerate(files):
            archive.writestr(str(number), data)
    return out.getvalue()


def parse(blob: bytes) -> dict[str, np.ndarray]:
    """The arrays that `load` makes its scan from. Runs in the child process."""
    with zipfile.ZipFile(io.BytesIO(blob)) as archive:
        series = int(archive.comment)
        heads, notes = _headers([archive.read(name) for name in archive.namelist()])
    chosen = _one_series(heads, series, notes)
    _check_volume(chosen)
    consent: list[str] = []
    for head in chosen:
        told_of = warnings_of(head)
        notes += [note for note in told_of[0] if note not in notes]
        consent += [text for text in told_of[1] if text not in consent]
    first = chosen[0]
    found = _volume([frame for head in chosen for frame in decoded(head)], Fields(first.dataset), notes)
    units = "HU" if first.modality == "CT" and Fields(first.dataset).numbers("RescaleIntercept") else ""
    return found | {"modality": np.array(first.modality), "units": np.array(units),
                    "notes": np.array([*notes, _LEFT_BEHIND]), "consent": np.array(consent, str)}


def _headers(files: list[bytes]) -> tuple[list[Header], list[str]]:
    """Headers of the files with pictures; of several files those without are passed over, with a note."""
    datasets = [opened(data) for data in files]
    pictures = [dataset for dataset in datasets if "PixelData" in dataset] or datasets[:1]
    skipped = len(datasets) - len(pictures)
    notes = [f"DICOM files without pictures were skipped: {skipped}."] if skipped else []
    return [header(dataset) for dataset in pictures], notes


def _one_series(heads: list[Header], choice: int, notes: list[str]) -> list[Header]:
    """The files of one volume: those whose keys agree. The longest series is number 1."""
    groups: dict[tuple, list[Header]] = {}
    for head in heads:
        groups.setdefault(head.key, []).append(head)
    ordered = sorted(groups.values(), key=lambda group: -sum(head.frames for head in group))
    if len(ordered) == 1 and choice in (0, 1):
        return ordered[0]
    if 1 <= choice <= len(ordered):
        notes.append(f"Series {choice} of {len(ordered)} is shown.")
        return ordered[choice - 1]
    listed = [f"{number}: {sum(head.frames for head in group)} slices of {group[0].columns} x {group[0].rows} px"
              + (f", {group[0].modality}" if group[0].modality else "")
              for number, group in enumerate(ordered[:_LISTED], 1)]
    more = "; and more" if len(ordered) > _LISTED else ""
    raise InputError(f"The files hold {len(ordered)} series{f', none is number {choice}' if choice else ''}.",
                     f"Only one can be one volume: {'; '.join(listed)}{more}.",
                     "Choose one by its number, or give its files alone.")


def _check_volume(heads: list[Header]) -> None:
    frames = sum(head.frames for head in heads)
    size = sum(head.voxels for head in heads) * (3 if heads[0].is_colour else 4)
    if size > limits().scan_bytes or frames > MOST_FRAMES:
        raise InputError(f"The scan has {frames} slices and {size / 1e6:.0f} MB.",
                         f"The limit is {MOST_FRAMES} slices and {limits().scan_bytes / 1e6:.0f} MB.",
                         "Give a part of it.")


def _volume(frames: list[Frame], fields: Fields, notes: list[str]) -> dict[str, np.ndarray]:
    directions = frames[0].directions
    if any(not _agree(frame.directions, directions) for frame in frames):
        raise InputError("The slices lie in several directions.", "They are no single volume.",
                         "Give slices of one direction.")

    def same(one: int, other: int) -> bool:
        return np.array_equal(frames[one].pixels, frames[other].pixels)

    numbers = [frame.number for frame in frames]
    placed = directions is not None
    arranged = stack.by_place(np.array([frame.position for frame in frames]), directions, numbers, same) if placed \
        else stack.by_number(numbers, same)
    notes += arranged.notes
    ordered = [frames[index] for index in arranged.order]
    found = {"values": np.stack([frame.pixels for frame in ordered])}
    if ordered[0].window:
        found["window"] = np.array(ordered[0].window)
    return found | _geometry(ordered[0], len(ordered), arranged.step, fields, notes)


def _agree(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other if one is None or other is None else bool(np.abs(one - other).max() < 0.01)


def _geometry(first: Frame, depth: int, step: np.ndarray | None, fields: Fields, notes: list[str]
              ) -> dict[str, np.ndarray]:
    plane, at_detector = spacing_of(fields)
    thickness = fields.number("SliceThickness") or 0.0
    found = {"thickness": np.array(max(thickness, 0.0))}
    if plane is None:
        notes.append("The file does not say how large its pixels are; no sizes in mm are given.")
        return found
    if at_detector:
        notes.append("Pixel sizes hold at the detector; what lies in front of it is smaller than measured.")
    between = fields.number("SpacingBetweenSlices") or 0.0
    apart = between if between > 0 else max(thickness, 0.0)
    if first.directions is None:
        notes.append("The file does not say how the picture lies in the patient; it is shown as stored.")
        if depth > 1 and not between > 0:
            notes.append("The distance of the slices is not known; no sizes in mm are given.")
            return found
        return found | {"spacing": np.array([apart or 1.0, *plane])}
    if step is None:
        step = stack.normal_of(first.directions) * (apart or 1.0)
    affine = stack.affine_of(first.position, first.directions, plane, step)
    notes.append(f"Shown as stored. {told(axes_of(affine))}")
    return found | {"affine": affine, "spacing": np.array(spacing_of_affine(affine))}
