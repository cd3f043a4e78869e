"""One door for all files: a scan out of a picture, a DICOM file or series, a NIfTI volume or a zip of such files."""

from collections.abc import Sequence
from dataclasses import replace

from engine.errors import InputError
from engine.io.formats import PICTURES, kind
from engine.io.medical import archive, dicom, nifti, stills
from engine.io.medical.headers import without_preamble
from engine.io.medical.scan import Scan
from engine.runtime.settings import limits

_PICTURE, _DICOM, _NIFTI, _ZIP = "picture", "DICOM", "NIfTI", "ZIP"
_ACCEPTED = "Scans must be PNG, JPEG, TIFF, DICOM, NIfTI, or a zip of pictures or of DICOM files."


def read(data: bytes | Sequence[bytes], field: str = "picture", series: int = 0) -> Scan:
    """The scan in a file, or in several (a DICOM series in any order, or pictures of one size in this order).

    What a file is, is told from its content. series: which one, from 1, when DICOM files belong to several; 0 for the
    only one. Raises InputError (field named) in the words of the reader concerned. Nothing of a patient comes along.
    """
    files, from_zip = _files(data, field)
    kinds = [_kind(one) for one in files]
    known = [name for name in (_DICOM, _NIFTI, _PICTURE) if name in kinds]
    if not known:
        raise _unsupported(kinds[0], field)
    chosen, left = known[0], len(files) - kinds.count(known[0])
    # Discs for patients come with viewers and their pictures; apart from them, files of several kinds are a mistake.
    if left and not (from_zip and (chosen == _DICOM or len(known) == 1)):
        raise InputError(f"The {len(files)} files are of several kinds.",
                         f"{len(files) - left} are {chosen} files, {left} are not.", "Give files of one kind.",
                         field=field)
    scan = _scan([one for one, name in zip(files, kinds) if name == chosen], chosen, field, series)
    return replace(scan, notes=(f"Other files in the zip were skipped: {left}.", *scan.notes)) if left else scan


def _scan(files: list[bytes], name: str, field: str, series: int) -> Scan:
    if len(files) > limits().scan_files:
        raise InputError(f"There are {len(files)} files.", f"The limit is {limits().scan_files}.",
                         "Give a part of them.", field=field)
    if name == _PICTURE:
        return stills.load(files, field)
    if name == _DICOM:
        return dicom.load(files, field, series)
    if len(files) > 1:
        raise InputError(f"There are {len(files)} NIfTI files.", "One volume is read at a time.", "Give one of them.",
                         field=field)
    return nifti.load(files[0], field)


def _files(data: bytes | Sequence[bytes], field: str) -> tuple[list[bytes], bool]:
    """The files, and whether they come out of a zip."""
    files = [data] if isinstance(data, bytes) else list(data)
    size = sum(map(len, files))
    if size > limits().scan_bytes:
        raise InputError(f"The files have {size / 1e6:.0f} MB.", f"The limit is {limits().scan_bytes / 1e6:.0f} MB.",
                         "Give fewer or smaller files.", field=field)
    if not files or not all(files):
        raise InputError("There is no file." if not files else "The file is empty." if len(files) == 1 else
                         f"{sum(not one for one in files)} of {len(files)} files are empty.", _ACCEPTED,
                         "Give another file.", field=field)
    if len(files) == 1 and kind(files[0]) == _ZIP:
        return list(archive.unpack(files[0], field)), True
    return files, False


def _kind(data: bytes) -> str:
    """What reads the file, or the name of a format that nothing here reads. A TIFF's preamble may precede DICOM."""
    name = kind(data)
    if (name == "TIFF" and data[128:132] == b"DICM") or (name == "unknown" and without_preamble(data)):
        return _DICOM
    if name in PICTURES:
        return _PICTURE
    return _NIFTI if name in ("unknown", "gzip") and nifti.is_nifti(data) else name


def _unsupported(name: str, field: str) -> InputError:
    what = "The file is of no kind that is known here." if name == "unknown" else f"The file is a {name} file."
    return InputError(what, _ACCEPTED, "Export it as one of these.", field=field)
