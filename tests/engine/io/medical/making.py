"""Files for the tests: DICOM, NIfTI and zips, whole or broken on purpose."""

import io
import struct
import zipfile

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

NAME = "DOE^JANEPLANTED"
CT, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"
SERIES = generate_uid()
AXIAL = [1, 0, 0, 0, 1, 0]


def numbers(shape=(12, 16), seed=0, top=4096) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, top, shape).astype(np.uint16)


def dataset(pixels=None, **changed) -> Dataset:
    """A whole CT slice with a patient everywhere a patient can be. `changed` replaces fields; None removes one."""
    pixels = numbers() if pixels is None else pixels
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = CT, generate_uid()
    made.SOPClassUID, made.SOPInstanceUID = CT, made.file_meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = SERIES, SERIES, SERIES
    made.PatientName = made.PatientID = made.StudyDescription = made.SeriesDescription = NAME
    made.ImageComments = made.InstitutionName = made.AccessionNumber = NAME
    made.PatientBirthDate = "19610203"
    _nest(made)
    made.Modality, made.BurnedInAnnotation, made.InstanceNumber = "CT", "NO", 1
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.Rows, made.Columns = pixels.shape[-3:-1] if changed.get("SamplesPerPixel") == 3 else pixels.shape[-2:]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = pixels.dtype.itemsize * 8
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, min(bits, 12), min(bits, 12) - 1
    made.PixelRepresentation = 0
    made.RescaleSlope, made.RescaleIntercept = 1, -1024
    made.WindowCenter, made.WindowWidth = [40, 300], [400, 1500]
    made.PixelSpacing, made.SliceThickness = [0.5, 0.7], 2
    made.ImageOrientationPatient, made.ImagePositionPatient = AXIAL, [-10, -20, 30]
    made.PixelData = pixels.tobytes()
    for keyword, value in changed.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


def _nest(made: Dataset) -> None:
    item = Dataset()
    item.PatientID = NAME
    made.OtherPatientIDsSequence = Sequence([item])
    made.private_block(0x0011, NAME, create=True).add_new(0x01, "LO", NAME)
    made.add_new(0x60000010, "US", 12)
    made.add_new(0x60000011, "US", 16)
    made.add_new(0x60000022, "LO", NAME)
    made.add_new(0x60003000, "OW", (NAME + " ").encode() * 2)


def written(made: Dataset, preamble: bool = True) -> bytes:
    out = io.BytesIO()
    if preamble:
        made.save_as(out, enforce_file_format=True)
        return out.getvalue()
    del made.file_meta
    made.save_as(out, implicit_vr=True, little_endian=True)
    return out.getvalue()


def dicom(pixels=None, **changed) -> bytes:
    return written(dataset(pixels, **changed))


def compressed(syntax, stream: bytes, pixels=None, **changed) -> bytes:
    """A file with one compressed frame."""
    made = dataset(pixels, **changed)
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate([stream])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    return written(made)


def lossless_jpeg(pixels: np.ndarray, bits: int, predictor: int = 1) -> bytes:
    """Grey pixels as lossless JPEG (ITU T.81, annex H): differences to a neighbour, each as its length and its bits."""
    values = pixels.astype(int)
    left, above, corner = (np.zeros_like(values) for _ in range(3))
    left[:, 1:], above[1:], corner[1:, 1:] = values[:, :-1], values[:-1], values[:-1, :-1]
    guess = {1: left, 2: above, 4: left + above - corner, 7: (left + above) >> 1}[predictor].copy()
    guess[0, 1:], guess[1:, 0], guess[0, 0] = left[0, 1:], above[1:, 0], 1 << (bits - 1)
    words = []
    for gap in ((values - guess + 32768) % 65536 - 32768).ravel():
        size = int(abs(gap)).bit_length()
        words.append(f"{size:05b}")
        if 0 < size < 16:
            words.append(f"{gap if gap > 0 else gap + (1 << size) - 1:0{size}b}")
    text = "".join(words)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    codes = bytes([0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))  # 17 codes of 5 bits, for lengths from 0 to 16
    return b"".join((b"\xff\xd8\xff\xc3", struct.pack(">HBHHB3B", 11, bits, *pixels.shape, 1, 1, 0x11, 0),
                     b"\xff\xc4", struct.pack(">HB", 3 + len(codes), 0), codes,
                     b"\xff\xda", struct.pack(">HBBB3B", 8, 1, 1, 0, predictor, 0, 0), scan, b"\xff\xd9"))


def series(count=6, step=(0, 0, 2.5), first=(-10, -20, 30), numbered=True, **changed) -> list[bytes]:
    """Slices `step` mm apart; slice i holds random numbers of seed i."""
    return [dicom(numbers(seed=i), InstanceNumber=i + 1 if numbered else 0,
                  ImagePositionPatient=[float(first[a] + i * step[a]) for a in range(3)], **changed)
            for i in range(count)]


def nifti(values=None, affine=None, change=lambda image: None, kind="Nifti1Image") -> bytes:
    """A .nii with the patient's name in all its free texts. `change` alters the image before it is written."""
    import nibabel

    values = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) if values is None else values
    image = getattr(nibabel, kind)(values, np.diag([1.0, 2, 3, 1]) if affine is None else affine)
    image.header["descrip"], image.header["intent_name"] = NAME.encode(), NAME.encode()
    image.header["aux_file"] = NAME.encode()
    image.header.set_xyzt_units("mm")
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", NAME.encode()))
    change(image)
    return image.to_bytes()


def patched(data: bytes, place: int, values, kind: str) -> bytes:
    """The file with numbers at a byte position replaced."""
    new = np.asarray(values, kind).tobytes()
    return data[:place] + new + data[place + len(new):]


def png(pixels: np.ndarray, form="PNG", **options) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def zipped(files: dict[str, bytes], method=zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()
