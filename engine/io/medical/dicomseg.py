"""DICOM SEG: a mask as a standard object, with its place in space."""

import io
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import InputError
from engine.io.medical.orientation import LPS_TO_RAS
from engine.io.medical.scan import Scan

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_MAKER = "Diffuscope"
_TEXT = 64
"""Longest text of DICOM's value representation LO."""
_SOURCES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4", "PT": "1.2.840.10008.5.1.4.1.1.128"}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def dicom_seg(scan: Scan, mask: np.ndarray, label: str, algorithm: str, by_hand: bool = False) -> bytes:
    """A binary segmentation with one segment, in Explicit VR Little Endian. mask: (D, H, W), nonzero inside.

    A SEG must refer to the pictures it was drawn on. Their identifiers were dropped when the scan was read, along with
    the patient, and inventing a link to the original would undo that. So the object refers to a derived series that
    stands for the scan: same grid, place and spacing, new identifiers, no patient. It lies rightly in space, but in a
    frame of reference of its own, and a PACS cannot attach it to the original study. Slices without any mask are left
    out, as is usual.

    label, algorithm: plain text up to 64 characters; they are the caller's own words, so they must name no patient.
    by_hand: whether a person has corrected it, which makes it SEMIAUTOMATIC.
    Raises InputError for a scan without a place in space (a plain picture), which the object would have to invent, and
    for a mask of another size or an empty one.
    """
    import highdicom
    from pydicom.sr.codedict import codes

    if scan.affine is None:
        raise InputError("The scan has no known place in a patient.",
                         "A DICOM SEG states positions in mm, which would have to be made up.",
                         "Export the mask as PNG or NIfTI.", field="export")
    _check_mask(scan, mask)
    kinds = highdicom.seg.SegmentAlgorithmTypeValues
    segment = highdicom.seg.SegmentDescription(
        segment_number=1, segment_label=_text(label, "label"), segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.Tissue, algorithm_type=kinds.SEMIAUTOMATIC if by_hand else kinds.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=_text(algorithm, "algorithm"), version="1", family=codes.cid7162.ArtificialIntelligence))
    made = highdicom.seg.Segmentation(
        source_images=_stand_ins(scan), pixel_array=(mask != 0).astype(np.uint8), segmentation_type="BINARY",
        segment_descriptions=[segment], series_instance_uid=highdicom.UID(), series_number=2,
        sop_instance_uid=highdicom.UID(), instance_number=1, manufacturer=_MAKER, manufacturer_model_name=_MAKER,
        software_versions="1", device_serial_number="1", content_description="Research use, not for diagnosis")
    out = io.BytesIO()
    made.save_as(out)
    return out.getvalue()


def _check_mask(scan: Scan, mask: np.ndarray) -> None:
    if mask.shape != scan.size:
        raise InputError(f"The mask has {' x '.join(map(str, mask.shape))} voxels.",
                         f"The scan has {' x '.join(map(str, scan.size))}.", "Give the mask of this scan.",
                         field="mask")
    if not mask.any():
        raise InputError("The mask is empty.", "A DICOM SEG holds at least one marked pixel.", "Mark something.",
                         field="mask")


def _text(text: str, field: str) -> str:
    cleaned = " ".join(text.replace("\\", "/").split())
    if not cleaned.isprintable() or not 1 <= len(cleaned) <= _TEXT:
        raise InputError(f"The {field} has {len(cleaned)} characters.",
                         f"It must have 1 to {_TEXT} that can be printed.", "Shorten it.", field=field)
    return cleaned


def _stand_ins(scan: Scan) -> list["Dataset"]:
    """Headers of the derived series: one per slice, with geometry and new identifiers and nothing else."""
    from pydicom.uid import generate_uid

    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    return [_stand_in(scan, index, study, series, frame) for index in range(len(scan.values))]


def _stand_in(scan: Scan, index: int, study: str, series: str, frame: str) -> "Dataset":
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid
    from pydicom.valuerep import format_number_as_ds

    affine = LPS_TO_RAS @ scan.affine  # its own inverse
    x, y = np.linalg.norm(affine[:3, :2], axis=0)
    directions = np.concatenate([affine[:3, 0] / x, affine[:3, 1] / y])
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = _SOURCES.get(scan.modality, _SECONDARY_CAPTURE), generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = study, series, frame
    for empty in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
                  "StudyDate", "StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator"):
        setattr(made, empty, "")
    made.Modality, made.SeriesNumber, made.InstanceNumber = scan.modality or "OT", 1, index + 1
    made.ImageType = ["DERIVED", "SECONDARY"]
    _, made.Rows, made.Columns = scan.size
    made.PixelSpacing = [format_number_as_ds(float(v)) for v in (y, x)]
    made.SliceThickness = format_number_as_ds(float(scan.source.get("thickness_mm") or scan.spacing_mm[0]))
    if len(scan.values) > 1:
        made.SpacingBetweenSlices = format_number_as_ds(float(scan.spacing_mm[0]))
    made.ImageOrientationPatient = [format_number_as_ds(float(v)) for v in directions]
    made.ImagePositionPatient = [format_number_as_ds(float(v)) for v in (affine @ [0, 0, index, 1])[:3]]
    return made
