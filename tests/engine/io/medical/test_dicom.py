"""DICOM: units, places and order that come right, and the bad files of rows 13 to 17, each refused by name."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian

from engine.errors import InputError
from engine.io.medical import dicom, read, slice_picture
from tests.engine.io.medical.making import (
    AXIAL,
    NAME,
    SECONDARY_CAPTURE,
    dataset,
    numbers,
    series,
    written,
)
from tests.engine.io.medical.making import dicom as one

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom complains about the files made here


def parsed(*files: bytes, choice: int = 0) -> dict[str, np.ndarray]:
    """What the child process finds, without the process."""
    return dicom.parse(dicom.packed(files, choice))


def notes(found) -> str:
    return " ".join(map(str, found["notes"]))


def everything(found) -> bytes:
    return b" ".join(np.asarray(value).tobytes() + str(value).encode() for value in found.values())


def test_a_slice_comes_in_its_units_with_its_place_and_nothing_of_the_patient():
    scan = read(one())
    assert scan.kind == "dicom" and scan.modality == "CT" and scan.source["units"] == "HU"
    assert np.array_equal(scan.values[0], numbers().astype(np.float32) - 1024) and scan.values.dtype == np.float32
    assert scan.spacing_mm == pytest.approx((2, 0.5, 0.7)) and scan.window == (40, 400) and scan.consent == ()
    # Column 3, row 2 lies at x = -10 + 3 * 0.7, y = -20 + 2 * 0.5 in LPS; RAS turns both signs.
    assert scan.affine @ [3, 2, 0, 1] == pytest.approx([7.9, 19, 30, 1])
    told = " ".join(scan.notes)
    assert "left of the picture is the patient's right" in told and "Overlays" in told and "anonym" not in told
    texts = repr(scan) + repr(dict(scan.source)) + repr(vars(slice_picture(scan, 0)))
    assert NAME not in texts and "19610203" not in texts


def test_series_in_any_order_is_a_volume():
    files = series()
    shuffled = [files[i] for i in (3, 0, 5, 1, 4, 2)]
    scan = read(shuffled)
    assert scan.kind == "series" and scan.size == (6, 12, 16) and scan.spacing_mm == pytest.approx((2.5, 0.5, 0.7))
    for i in range(6):
        assert np.array_equal(scan.values[i], numbers(seed=i) - 1024.0)
    assert scan.affine @ [0, 0, 4, 1] == pytest.approx([10, 20, 40, 1])
    assert NAME not in repr(scan)


def test_no_field_of_a_patient_leaves_the_parser():
    found = parsed(*series(3))
    blob = everything(found)
    assert NAME.encode() not in blob and NAME.encode("utf-32-le") not in blob and b"1.2.826" not in blob


@pytest.mark.parametrize("keyword", ["Modality", "PhotometricInterpretation", "BurnedInAnnotation", "SeriesInstanceUID",
                                     "ImageType", "LossyImageCompression"])
def test_names_hidden_in_fields_that_are_read_are_not_repeated(keyword):
    files = [one(**{keyword: NAME}), one(numbers(seed=1), **{keyword: NAME[::-1]}, ImagePositionPatient=[0, 0, 0])]
    for chosen in (files[:1], files):
        try:
            told = everything(parsed(*chosen)).replace(b"\0", b"")
        except InputError as error:
            told = str(error).encode()
        assert b"JANE" not in told and b"ENAJ" not in told and b"ENALP" not in told


# Row 13


def test_what_holds_no_picture_is_named():
    with pytest.raises(InputError, match="holds no picture") as caught:
        read(one(PixelData=None), field="scan")
    assert caught.value.field == "scan" and NAME not in str(caught.value)


def test_a_missing_preamble_is_forgiven_where_the_fields_can_be_read():
    scan = read(written(dataset(), preamble=False))
    assert np.array_equal(scan.values[0], numbers() - 1024.0)
    with pytest.raises(InputError, match="preamble"):
        read(b"\x08\0\x05\0" + b"\xff" * 200)


def test_damaged_files_are_refused():
    data = one()
    for bad in (data[:len(data) - 100], data[:200], data[:400] + b"\xff" * 200):
        with pytest.raises(InputError):
            read(bad)


def test_unknown_transfer_syntaxes_are_refused():
    made = dataset()
    data = written(made).replace(b"1.2.840.10008.1.2.1\0", b"1.2.826.99999.1.2.1\0")
    with pytest.raises(InputError, match=r"unknown transfer syntax.*TransferSyntaxUID"):
        parsed(data)


def test_a_bomb_of_deflated_fields_dies_alone():
    made = dataset()
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    made.ImageComments = None
    made.add_new(0x00420011, "OB", b"\0" * 150_000_000)
    data = written(made)
    assert len(data) < 300_000
    with pytest.raises(InputError, match="damaged"):
        dicom.child.parsed(dicom.parse, dicom.packed([data]), "DICOM", "picture", memory_bytes=400_000_000)


# Row 14


@pytest.mark.parametrize(("changed", "words"), [
    ({"Rows": 13}, "Rows x Columns are 13 x 16"), ({"Columns": 9}, "Rows x Columns are 12 x 9"),
    ({"Rows": 0}, "Rows is 0"), ({"Rows": 60000}, "Rows is 60000"), ({"Rows": None}, "Rows is missing"),
    ({"NumberOfFrames": 3}, "12 x 16 x 3 frames"), ({"NumberOfFrames": 10**6}, "NumberOfFrames is 1e\\+06"),
    ({"BitsStored": 0}, "BitsStored is 0"), ({"BitsStored": 17}, "BitsStored is 17"),
    ({"BitsAllocated": 1}, "BitsAllocated is 1"), ({"BitsAllocated": 12}, "BitsAllocated is 12"),
    ({"HighBit": 3}, "HighBit is 3"), ({"PixelRepresentation": 7}, "PixelRepresentation is 7"),
    ({"RescaleSlope": 0}, "RescaleSlope is 0"), ({"RescaleSlope": "NaN"}, "RescaleSlope is no finite"),
    ({"RescaleIntercept": "inf"}, "RescaleIntercept is no finite"),
    ({"PhotometricInterpretation": "MONOCHROME9"}, "PhotometricInterpretation holds none"),
    ({"PhotometricInterpretation": None}, "PhotometricInterpretation is missing"),
    ({"SamplesPerPixel": 2}, "SamplesPerPixel is 2"), ({"PixelSpacing": [0, 1]}, "PixelSpacing is 0 mm"),
    ({"PixelSpacing": [1, 1, 1]}, "PixelSpacing holds 3"),
    ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "ImageOrientationPatient"),
    ({"TotalPixelMatrixColumns": 1000}, "slide in tiles")])
def test_fields_that_cannot_be_are_named(changed, words):
    with pytest.raises(InputError, match=words) as caught:
        parsed(one(**changed))
    assert NAME not in str(caught.value) and caught.value.fix


def test_inverted_pictures_show_bright_as_bright():
    plain, mirrored = parsed(one()), parsed(one(PhotometricInterpretation="MONOCHROME1"))
    # 12 bits with intercept -1024 reach from -1024 to 3071.
    assert np.array_equal(mirrored["values"], 3071 - 1024 - plain["values"])
    assert tuple(mirrored["window"]) == (3071 - 1024 - 40, 400) and "MONOCHROME1" in notes(mirrored)


def test_signed_values_and_bits_beside_the_stored_ones():
    values = np.array([[-2048, -1, 0, 2047] * 4] * 8, np.int16)
    crowded = (values & 0x0FFF) | 0x7000  # an old overlay in the bits above
    found = parsed(one(crowded.astype(np.int16), PixelRepresentation=1, RescaleIntercept=0))
    assert np.array_equal(found["values"][0], values)


@pytest.mark.parametrize("interpretation", ["RGB", "YBR_FULL"])
def test_colours_come_as_rgb(interpretation):
    pixels = np.zeros((12, 16, 3), np.uint8)
    pixels[...] = (200, 30, 90) if interpretation == "RGB" else (128, 128, 128)
    found = parsed(one(pixels, SamplesPerPixel=3, PhotometricInterpretation=interpretation, PlanarConfiguration=0,
                       BitsStored=8, HighBit=7))
    assert found["values"].shape == (1, 12, 16, 3) and found["values"].dtype == np.uint8
    assert tuple(found["values"][0, 0, 0]) == ((200, 30, 90) if interpretation == "RGB" else (128, 128, 128))


# Row 16


@pytest.mark.parametrize(("changed", "words"), [
    ({"BurnedInAnnotation": "YES"}, "says that text is burned"), ({"BurnedInAnnotation": None}, "does not say"),
    ({"SOPClassUID": SECONDARY_CAPTURE}, "secondary capture"), ({"Modality": "US"}, "ultrasound")])
def test_burned_in_text_needs_consent(changed, words):
    consent = parsed(one(**changed))["consent"]
    assert len(consent) == 1 and words in str(consent[0]) and "not removed" in str(consent[0])


# Row 17


def test_several_series_are_listed_and_one_can_be_chosen():
    other = [one(numbers(seed=9), SeriesInstanceUID="1.2.3", ImagePositionPatient=[0, 0, z]) for z in (0, 1)]
    with pytest.raises(InputError, match=r"hold 2 series.*1: 4 slices of 16 x 12 px, CT; 2: 2 slices"):
        parsed(*other, *series(4))
    assert parsed(*other, *series(4), choice=1)["values"].shape[0] == 4
    found = parsed(*other, *series(4), choice=2)
    assert found["values"].shape[0] == 2 and "Series 2 of 2" in notes(found)
    with pytest.raises(InputError, match="none is number 3"):
        parsed(*other, *series(4), choice=3)


def test_a_localiser_in_the_series_is_a_volume_of_its_own():
    localiser = one(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    with pytest.raises(InputError, match="hold 2 series"):
        parsed(localiser, *series(3))


def test_missing_slices_are_named_by_their_numbers():
    files = series(50)
    with pytest.raises(InputError, match="Slices 40 to 43 are missing"):
        parsed(*files[:39], *files[43:])
    with pytest.raises(InputError, match="Slice 3 is missing"):
        parsed(*files[:2], *files[3:9])
    downwards = [one(numbers(seed=i), InstanceNumber=10 - i, ImagePositionPatient=[0, 0, 3 * i]) for i in range(9)]
    with pytest.raises(InputError, match="Slices 5 to 6 and 9 are missing"):
        parsed(*(downwards[i] for i in (0, 2, 3, 6, 7, 8)))
    nameless = series(9, numbered=False)
    with pytest.raises(InputError, match="Slice 4 is missing"):
        parsed(*nameless[:3], *nameless[4:])


def test_slices_without_places_stand_by_number():
    def placeless(i):
        return one(numbers(seed=i), InstanceNumber=i, ImagePositionPatient=None, ImageOrientationPatient=None)

    found = parsed(*map(placeless, (3, 1, 2)))
    assert np.array_equal(found["values"][2], numbers(seed=3) - 1024.0) and "affine" not in found
    assert "spacing" not in found and "distance of the slices is not known" in notes(found)
    with pytest.raises(InputError, match="Slices 4 to 5 are missing"):
        parsed(*map(placeless, (1, 2, 3, 6)))
    single = parsed(placeless(1))
    assert single["spacing"] == pytest.approx([2, 0.5, 0.7]) and "how the picture lies" in notes(single)


def test_slices_at_one_place():
    files = series(4)
    found = parsed(*files, files[2])
    assert found["values"].shape[0] == 4 and "taken once: 1" in notes(found)
    with pytest.raises(InputError, match="Slices 2 and 77"):
        parsed(*files, one(numbers(seed=50), InstanceNumber=77, ImagePositionPatient=[-10, -20, 32.5]))


def test_unequal_distances_are_refused():
    places = (0, 2, 4, 6.7, 8.7)
    files = [one(numbers(seed=i), InstanceNumber=i, ImagePositionPatient=[0, 0, z]) for i, z in enumerate(places)]
    with pytest.raises(InputError, match=r"2 to 2.7 mm apart"):
        parsed(*files)
    rounded = [one(numbers(seed=i), ImagePositionPatient=[0, 0, round(0.625 * i, 1)]) for i in range(40)]
    found = parsed(*rounded)
    # The last position is rounded by at most 0.05 mm, spread over 39 distances.
    assert found["spacing"][0] == pytest.approx(0.625, abs=0.05 / 39)


def test_a_tilted_gantry_is_stated_and_kept():
    tilt = np.radians(15)
    found = parsed(*series(5, step=(0, 4 * np.sin(tilt), 4 * np.cos(tilt))))
    assert "tilted by 15.0 degrees" in notes(found)
    assert found["spacing"][0] == pytest.approx(4 * np.cos(tilt), rel=1e-4)
    # The tilted column of the affine still leads from slice to slice, and its determinant is a voxel's volume.
    assert abs(np.linalg.det(found["affine"][:3, :3])) == pytest.approx(np.prod(found["spacing"]))
    with pytest.raises(InputError, match="shifted against each other"):
        parsed(*(one(numbers(seed=i), ImagePositionPatient=[9 * (i == 2), 0, i]) for i in range(5)))


def enhanced(places, slopes, shared_directions=AXIAL):
    def item(**values):
        made = Dataset()
        for keyword, value in values.items():
            setattr(made, keyword, value)
        return made

    def group(**macros):
        return item(**{name: Sequence([content]) for name, content in macros.items()})

    pixels = np.stack([numbers(seed=i) for i in range(len(places))])
    shared = group(PixelMeasuresSequence=item(PixelSpacing=[1, 2], SliceThickness=3),
                   PlaneOrientationSequence=item(ImageOrientationPatient=shared_directions))
    own = [group(PlanePositionSequence=item(ImagePositionPatient=[0, 0, z]),
                 PixelValueTransformationSequence=item(RescaleSlope=slope, RescaleIntercept=0))
           for z, slope in zip(places, slopes)]
    return one(pixels, NumberOfFrames=len(places), PixelSpacing=None, ImageOrientationPatient=None,
               ImagePositionPatient=None, RescaleSlope=None, RescaleIntercept=None, SliceThickness=None,
               SharedFunctionalGroupsSequence=Sequence([shared]), PerFrameFunctionalGroupsSequence=Sequence(own))


def test_many_frames_of_one_file_are_a_volume():
    found = parsed(enhanced((6, 3, 0), (1, 2, 3)))
    assert np.array_equal(found["values"][0], numbers(seed=2) * 3.0)
    assert found["spacing"] == pytest.approx([3, 1, 2])
    with pytest.raises(InputError, match="RescaleSlope is 0"):
        parsed(enhanced((0, 3), (1, 0)))
    with pytest.raises(InputError, match="Slice 3 is missing"):
        parsed(enhanced((0, 3, 9), (1, 1, 1)))


def test_files_without_pictures_in_a_series_are_passed_over():
    found = parsed(one(PixelData=None), *series(3))
    assert found["values"].shape[0] == 3 and "without pictures were skipped: 1" in notes(found)


def test_empty_slices_stay_and_are_named():
    files = series(5)
    files[1:3] = [one(np.zeros((12, 16), np.uint16), InstanceNumber=i + 1,
                      ImagePositionPatient=[-10, -20, 30 + 2.5 * i]) for i in (1, 2)]
    scan = read(files)
    assert any("Slices 2 to 3 are empty" in note for note in scan.notes) and (scan.values[1:3] == -1024).all()
