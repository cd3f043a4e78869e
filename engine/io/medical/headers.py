"""The header of a DICOM file, checked before anything is decoded."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.io.medical import codecs
from engine.io.medical.fields import MODALITIES, OVERLAY_ROWS, WHITELIST, Fields, bad_field
from engine.runtime.settings import limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MOST_FRAMES = 4096
GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PALETTE = "PALETTE COLOR"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_PREAMBLE = 132
_UNREADABLE = "Export it again from the system that made it, uncompressed where it lets you choose."


@dataclass(frozen=True, eq=False)
class Header:
    """What is known of a file before it is decoded. key: equal for the files that may form one volume."""

    dataset: "Dataset"
    rows: int
    columns: int
    frames: int
    photometric: str
    modality: str
    number: int
    key: tuple

    @property
    def is_colour(self) -> bool:
        return self.photometric not in GREY

    @property
    def voxels(self) -> int:
        return self.rows * self.columns * self.frames


def without_preamble(data: bytes) -> bool:
    """Whether the bytes look like DICOM that starts at once with its first group (0002 or 0008)."""
    return data[:2] in (b"\x02\0", b"\x08\0") and len(data) > 8 and data[3:4] == b"\0" and data[2] < 0x20


def opened(data: bytes) -> "Dataset":
    """The whitelisted fields of a file. Raises InputError when they cannot be parsed."""
    from pydicom import dcmread
    from pydicom.datadict import tag_for_keyword

    has_preamble = data[128:_PREAMBLE] == b"DICM"
    try:
        tags = [*(tag_for_keyword(keyword) for keyword in WHITELIST), *OVERLAY_ROWS]
        dataset = dcmread(io.BytesIO(data), force=not has_preamble, specific_tags=tags)
        if not has_preamble and "Rows" not in dataset and "PixelData" not in dataset:
            raise ValueError
    except Exception:  # the parser raises whatever it stumbles over
        why = "It ends early or its fields cannot be told apart." if has_preamble else \
            "It lacks the 128-byte preamble and cannot be read without it."
        raise InputError("The DICOM file is damaged.", why, "Save or copy it again.") from None
    return dataset


def header(dataset: "Dataset") -> Header:
    """The checked header. Raises InputError naming the field, the transfer syntax or the codec that stands in the way.

    Decodes nothing.
    """
    fields, bounds = Fields(dataset), limits()
    if "PixelData" not in dataset:
        raise InputError("The DICOM file holds no picture.", "It has no pixel data; reports, plans and directories are "
                         "DICOM files too.", "Choose the file with the pictures.")
    if dataset.get("TotalPixelMatrixColumns"):
        raise InputError("The DICOM file is a slide in tiles.", "Its frames are parts of one large picture.",
                         "Export a region of the slide as TIFF or PNG.")
    rows, columns = (fields.integer(name, bounds.min_side_px, bounds.max_side_px) for name in ("Rows", "Columns"))
    frames = fields.integer("NumberOfFrames", 1, MOST_FRAMES, 1)
    if rows * columns > bounds.image_pixels:
        raise InputError(f"The picture is {columns} x {rows} px.",
                         f"The limit is {bounds.image_pixels / 1e6:.1f} million pixels.", "Crop or shrink it.")
    photometric = _photometric(fields)
    _check_bits(fields)
    _check_transfer_syntax(dataset, fields)
    _check_length(dataset, fields, rows, columns, frames, photometric)
    slope = fields.numbers("RescaleSlope")
    if slope and slope[0] == 0:
        raise bad_field("RescaleSlope", "is 0", "All values would be the same.")
    modality = fields.text("Modality")
    directions = fields.numbers("ImageOrientationPatient", 6)
    placed = directions is not None and fields.numbers("ImagePositionPatient", 3) is not None
    key = (str(dataset.get("SeriesInstanceUID", "")), rows, columns, photometric in GREY,
           tuple(round(v, 2) + 0.0 for v in directions) if placed else None,
           tuple(round(v, 4) for v in spacing_of(fields)[0] or ()))
    number = fields.number("InstanceNumber")
    return Header(dataset, rows, columns, frames, photometric, modality if modality in MODALITIES else "",
                  int(number) if number is not None else 0, key)


def _photometric(fields: Fields) -> str:
    name = fields.text("PhotometricInterpretation")
    if name not in (*GREY, *_COLOUR, PALETTE):
        raise bad_field("PhotometricInterpretation", "is missing" if not name else "holds none of the known values",
                        f"Known are {', '.join((*GREY, *_COLOUR, PALETTE))}.")
    expected = 3 if name in _COLOUR else 1
    fields.integer("SamplesPerPixel", expected, expected, 1)
    return name


def _check_bits(fields: Fields) -> None:
    allocated = fields.integer("BitsAllocated", 8, 32)
    if allocated not in (8, 16, 32):
        raise bad_field("BitsAllocated", f"is {allocated}", "It must be 8, 16 or 32.")
    stored = fields.integer("BitsStored", 1, allocated)
    fields.integer("HighBit", stored - 1, allocated - 1, stored - 1)
    fields.integer("PixelRepresentation", 0, 1, 0)


def _check_transfer_syntax(dataset: "Dataset", fields: Fields) -> None:
    from pydicom.uid import AllTransferSyntaxes, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    stated = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if stated is None:
        if dataset["PixelData"].is_undefined_length:
            raise InputError("The DICOM file does not say how its picture is compressed.",
                             "The field TransferSyntaxUID is missing.", _UNREADABLE)
        from pydicom.dataset import FileMetaDataset

        dataset.file_meta = FileMetaDataset()
        stated = ImplicitVRLittleEndian if dataset.original_encoding[0] else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = stated
    if stated not in AllTransferSyntaxes:
        raise InputError("The DICOM file has an unknown transfer syntax.",
                         "The field TransferSyntaxUID names none of the standard's ways to store pictures.",
                         _UNREADABLE)
    bits = fields.integer("BitsStored", 1, 32)
    if codecs.decoder_for(stated, bits) is None:
        raise InputError(f"The picture is compressed as {stated.name}, with {bits} bits.",
                         f"This installation has no codec for it. {codecs.READ}", _UNREADABLE)


def _check_length(dataset: "Dataset", fields: Fields, rows: int, columns: int, frames: int, photometric: str) -> None:
    samples = 2 if photometric == "YBR_FULL_422" else 3 if photometric in _COLOUR else 1
    needed = rows * columns * frames * samples * int(fields.number("BitsAllocated")) // 8
    found = len(dataset.PixelData)
    if dataset.file_meta.TransferSyntaxUID.is_compressed or found in (needed, needed + needed % 2):
        return
    each = f" x {frames} frames" if frames > 1 else ""
    raise InputError(f"Rows x Columns are {rows} x {columns}{each}, which needs {needed} bytes.",
                     f"The pixel data have {found}.", "Copy or export the DICOM file again.")


def spacing_of(fields: Fields) -> tuple[tuple[float, float] | None, bool]:
    """(y, x) distance of pixels in mm, or None; and whether it holds at the detector instead of in the patient."""
    inside = fields.lengths("PixelSpacing", 2)
    return (inside, False) if inside else (fields.lengths("ImagerPixelSpacing", 2), True)


def warnings_of(head: Header) -> tuple[list[str], list[str]]:
    """(notes, consent) of a file's header, in our own words."""
    fields, notes, consent = Fields(head.dataset), [], []
    if any(tag in head.dataset for tag in OVERLAY_ROWS):
        notes.append("Overlays of the file were left out.")
    if head.photometric == "MONOCHROME1":
        notes.append("The file stores bright as dark (MONOCHROME1); its values were mirrored.")
    if fields.text("LossyImageCompression") == "01":
        notes.append("The picture was compressed with loss before it came here.")
    burned, image_type = fields.text("BurnedInAnnotation"), fields.text("ImageType")
    captured = fields.text("SOPClassUID").startswith(_SECONDARY_CAPTURE) or "SCREEN" in image_type
    reasons = [reason for reason, holds in (
        ("says that text is burned into its picture", burned == "YES"),
        ("does not say whether text is burned into its picture", burned not in ("YES", "NO")),
        ("is a secondary capture, which often shows text", captured),
        ("is an ultrasound picture, which often shows text", head.modality in ("US", "BDUS", "IVUS"))) if holds]
    if reasons:
        consent.append(f"The file {' and '.join(reasons)}. Names and dates in the picture itself are not removed. Look "
                       "at every slice and go on only if it shows none.")
    return notes, consent
