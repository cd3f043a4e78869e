"""The few fields of a DICOM file that are read: geometry and intensity, nothing of a patient.

Everything else is passed over when the file is parsed. No message repeats the text of a field, as any may hold a name.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import InputError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MACROS = ("PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence",
          "PixelValueTransformationSequence", "FrameVOILUTSequence")
"""Parts of the functional groups of files with many frames."""
WHITELIST = (
    "SOPClassUID", "SeriesInstanceUID", "Modality", "ImageType", "InstanceNumber", "BurnedInAnnotation",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing", "SliceThickness",
    "SpacingBetweenSlices", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
    "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope",
    "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "LossyImageCompression",
    "TotalPixelMatrixColumns", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "PixelData")
"""SOPClassUID tells captured screens, SeriesInstanceUID tells series apart; neither leaves the child process."""
OVERLAY_ROWS = tuple((group << 16) | 0x0010 for group in range(0x6000, 0x6020, 2))
MODALITIES = frozenset((
    "CT", "MR", "PT", "NM", "US", "BDUS", "IVUS", "IVOCT", "CR", "DX", "MG", "XA", "RF", "IO", "PX", "RTIMAGE", "OP",
    "OPT", "OPM", "SM", "GM", "ES", "XC", "SC"))
_AGAIN = "Export the picture again from the system that made it."


def bad_field(keyword: str, found: str, rule: str) -> InputError:
    """The error for a field. found: what is wrong with it ("is 0"). rule: what is allowed, a sentence."""
    return InputError(f"The DICOM field {keyword} {found}.", rule, _AGAIN)


class Fields:
    """The fields of one frame: those of its own functional groups first, then the shared ones, then the file's."""

    def __init__(self, dataset: "Dataset", frame: int = 0):
        own = dataset.get("PerFrameFunctionalGroupsSequence") or ()
        shared = dataset.get("SharedFunctionalGroupsSequence") or ()
        groups = [*own[frame:frame + 1], *shared[:1]]
        self._places = [part for group in groups for macro in MACROS for part in (group.get(macro) or ())[:1]]
        self._places.append(dataset)

    def numbers(self, keyword: str, count: int | None = None) -> tuple[float, ...] | None:
        """The finite numbers of a field, None when it is missing or empty. Raises InputError naming the field."""
        for place in self._places:
            try:
                found = place.get(keyword)
                if found is None or found == "":
                    continue
                several = isinstance(found, Sequence) and not isinstance(found, str | bytes)
                values = tuple(float(v) for v in (found if several else (found,)))
            except Exception:  # conversions raise whatever they stumble over
                raise bad_field(keyword, "is no number", "It must be finite.") from None
            if not values:
                continue
            if not all(map(math.isfinite, values)):
                raise bad_field(keyword, "is no finite number", "It must be finite.")
            if count is not None and len(values) != count:
                raise bad_field(keyword, f"holds {len(values)} numbers", f"It must hold {count}.")
            return values
        return None

    def number(self, keyword: str) -> float | None:
        """The first number of a field, None when it is missing."""
        values = self.numbers(keyword)
        return values[0] if values else None

    def integer(self, keyword: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number within low..high, or `default` when it is missing. Raises InputError naming the field."""
        value = self.number(keyword)
        if value is None:
            if default is None:
                raise bad_field(keyword, "is missing", "The picture cannot be read without it.")
            return default
        if value != int(value) or not low <= value <= high:
            raise bad_field(keyword, f"is {value:g}", f"It must lie from {low} to {high}.")
        return int(value)

    def lengths(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Numbers above 0, in mm."""
        values = self.numbers(keyword, count)
        if values and min(values) <= 0:
            raise bad_field(keyword, f"is {min(values):g} mm", "It must be above 0.")
        return values

    def text(self, keyword: str) -> str:
        """A code of the file in capitals, "" when missing. To be compared with known codes, never to be shown."""
        for place in self._places:
            found = place.get(keyword)
            if found:
                return str(found).strip().upper()
        return ""
