"""Masks and measurements as files for other programs. Nothing of a patient can be in them: no scan holds any."""

import csv
import gzip
import io
import zipfile
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image

from engine.io.medical.dicomseg import dicom_seg
from engine.io.medical.orientation import regridded
from engine.io.medical.scan import Scan

__all__ = ["dicom_seg", "mask_nifti", "mask_nifti_for", "mask_png", "measurements_csv", "zipped_slices"]
_SCANNER = 1
"""Code of NIfTI for coordinates of the scanner."""
_ZIPPED_AT = (1980, 1, 1, 0, 0, 0)
"""The same pictures give the same zip."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def mask_png(mask: np.ndarray) -> bytes:
    """(H, W), nonzero inside, as an 8-bit grey PNG of 0 and 255."""
    out = io.BytesIO()
    Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))).save(out, "PNG")
    return out.getvalue()


def mask_nifti(mask: np.ndarray, affine: np.ndarray | None, spacing_mm: tuple[float, float, float] | None = None,
               axes: str = "") -> bytes:
    """A .nii.gz of a mask (D, H, W), bool or numbers of instances, on the grid of its scan.

    affine: the scan's, (column, row, slice) to RAS mm, or None: then only spacing_mm (z, y, x) is written and the file
    says that its orientation is unknown. axes: the scan's `source["axes"]`; with them a volume that came as NIfTI gets
    a mask with the file's own order of voxels and its affine. The same mask gives the same bytes.
    """
    import nibabel

    values = np.swapaxes(mask, 0, 2)
    values = values.astype(np.uint8 if values.max(initial=0) < 256 else np.int32)
    if affine is not None and axes:
        values, affine = regridded(values, affine, axes)
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    if affine is not None:
        image.set_sform(affine, _SCANNER)
        image.set_qform(affine, _SCANNER if _is_rigid(affine) else 0)
    elif spacing_mm is not None:
        image.header.set_zooms(spacing_mm[::-1])
        image.set_sform(None, 0)
        image.set_qform(None, 0)
    return gzip.compress(image.to_bytes(), mtime=0)


def _is_rigid(affine: np.ndarray) -> bool:
    """Whether the axes are perpendicular: the quaternion of a qform cannot hold a shear."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() < 1e-4)


def mask_nifti_for(scan: Scan, mask: np.ndarray) -> bytes:
    """`mask_nifti` of a mask of this scan."""
    return mask_nifti(mask, scan.affine, scan.spacing_mm, str(scan.source.get("axes", "")))


def zipped_slices(pictures: Mapping[int, bytes]) -> bytes:
    """A zip of PNG files by slice, from 0; their names count from 1: slice-0001.png."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for index in sorted(pictures):
            archive.writestr(zipfile.ZipInfo(f"slice-{index + 1:04}.png", _ZIPPED_AT), pictures[index])
    return out.getvalue()


def measurements_csv(rows: Iterable[Mapping[str, object]]) -> bytes:
    """A table as UTF-8 CSV with a header: columns in the order in which they first appear, empty for None.

    Texts that a spreadsheet would take as a formula get an apostrophe in front; numbers stay numbers.
    """
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_cell, columns))
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return out.getvalue().encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | str):
        text = str(value)
        return "'" + text if text.lstrip(" ").startswith(_FORMULA) else text
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
