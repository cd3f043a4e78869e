"""Masks out: read back by the libraries of other programs, in the right place, with no one's name."""

import csv
import gzip
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from engine.errors import InputError
from engine.io.medical import Scan, read
from engine.io.medical.exports import (
    dicom_seg,
    mask_nifti,
    mask_nifti_for,
    mask_png,
    measurements_csv,
    zipped_slices,
)
from tests.engine.io.medical.making import NAME, SERIES, nifti, png, series

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def opened(data: bytes):
    import nibabel

    return nibabel.Nifti1Image.from_bytes(gzip.decompress(data))


def test_png_holds_the_mask():
    mask = np.random.default_rng(0).random((9, 11)) > 0.5
    image = Image.open(io.BytesIO(mask_png(mask)))
    assert image.mode == "L" and np.array_equal(np.asarray(image), mask * np.uint8(255))


def test_zipped_slices_stand_in_order_and_count_from_one():
    pages = {11: b"twelfth", 0: b"first"}
    with zipfile.ZipFile(io.BytesIO(zipped_slices(pages))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "slice-0001.png": b"first", "slice-0012.png": b"twelfth"}
    assert zipped_slices(pages) == zipped_slices(dict(sorted(pages.items())))


def test_nifti_of_a_series_lies_where_the_series_lies():
    scan = read(series(4, step=(0, 0.5, 2.5)))
    mask = np.zeros(scan.size, bool)
    mask[1, 2, 3] = True
    data = mask_nifti_for(scan, mask)
    image = opened(data)
    assert tuple(np.argwhere(np.asarray(image.dataobj))[0]) == (3, 2, 1)
    # The header keeps float32; positions are below 100 mm.
    assert image.affine == pytest.approx(scan.affine, abs=1e-5) and data == mask_nifti_for(scan, mask)
    # The stack is sheared, which a qform cannot say.
    assert int(image.header["sform_code"]) == 1 and int(image.header["qform_code"]) == 0
    assert NAME.encode() not in gzip.decompress(data)


def test_nifti_without_a_place_says_so():
    image = opened(mask_nifti(np.ones((2, 3, 4), bool), None, (5, 2, 1)))
    assert image.header.get_zooms() == (1, 2, 5) and image.shape == (4, 3, 2)
    assert int(image.header["sform_code"]) == int(image.header["qform_code"]) == 0
    labels = np.arange(24).reshape(2, 3, 4) * 1000
    assert np.array_equal(np.asarray(opened(mask_nifti(labels, None)).dataobj), labels.swapaxes(0, 2))


def test_a_rigid_affine_stands_in_both_forms():
    scan = read(nifti())
    image = opened(mask_nifti_for(scan, scan.values > 50))
    assert np.allclose(image.get_qform(), image.get_sform()) and int(image.header["qform_code"]) == 1


@pytest.mark.parametrize("tilt", [0, 0.8])
def test_dicom_seg_is_read_back_with_its_geometry(tilt):
    import highdicom
    import pydicom

    scan = read(series(5, step=(0, tilt, 2.5)))
    mask = np.zeros(scan.size, bool)
    mask[1:4, 2:6, 3:9] = True
    mask[2, 0, 0] = True
    data = dicom_seg(scan, mask, "nodule", "MedSegDiff")
    raw = pydicom.dcmread(io.BytesIO(data))
    assert raw.SOPClassUID.name == "Segmentation Storage" and raw.NumberOfFrames == 3
    measures = raw.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.PixelSpacing == [0.5, 0.7] and measures.SliceThickness == 2
    seg = highdicom.seg.segread(io.BytesIO(data))
    assert seg.get_segment_description(1).segment_label == "nodule"
    # Frames may stand in any order; each says where it lies.
    back = np.zeros_like(mask)
    for frame, groups in zip(seg.pixel_array, raw.PerFrameFunctionalGroupsSequence):
        place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float) * [-1, -1, 1]
        voxel = np.linalg.inv(scan.affine) @ [*place, 1]
        assert voxel == pytest.approx(np.rint(voxel), abs=1e-4)
        back[round(voxel[2])] = frame
    assert np.array_equal(back, mask)
    if not tilt:  # highdicom makes volumes of perpendicular stacks only
        volume = seg.get_volume(combine_segments=True)
        marked = np.argwhere(volume.array)
        there = np.c_[marked, np.ones(len(marked))] @ volume.affine.T * [-1, -1, 1, 1]
        here = np.c_[np.argwhere(mask)[:, ::-1], np.ones(mask.sum())] @ scan.affine.T
        assert sorted(map(tuple, there.round(3))) == sorted(map(tuple, here.round(3)))


def test_dicom_seg_holds_nobody_and_no_identifier_of_the_source():
    scan = read(series(3))
    data = dicom_seg(scan, np.ones(scan.size), "nodule", "MedSegDiff")
    assert NAME.encode() not in data and str(SERIES).encode() not in data and b"19610203" not in data
    assert data != dicom_seg(scan, np.ones(scan.size), "nodule", "MedSegDiff")


def test_dicom_seg_of_what_has_no_place_is_refused():
    scan = read(png(np.arange(256, dtype=np.uint8).reshape(16, 16)))
    with pytest.raises(InputError, match=r"no known place.*made up.*PNG or NIfTI"):
        dicom_seg(scan, np.ones(scan.size), "nuclei", "MedSegDiff")


@pytest.mark.parametrize(("shape", "value", "label", "words"), [
    ((1, 2, 3), 1, "x", "mask has 1 x 2 x 3"), ((2, 8, 8), 0, "x", "mask is empty"),
    ((2, 8, 8), 1, "", "label has 0"), ((2, 8, 8), 1, "x" * 65, "label has 65")])
def test_dicom_seg_refuses_what_it_cannot_say(shape, value, label, words):
    scan = Scan(np.zeros((2, 8, 8), np.float32), (1, 1, 1), np.diag([-1.0, -1, 1, 1]))
    with pytest.raises(InputError, match=words):
        dicom_seg(scan, np.full(shape, value), label, "a")


def test_a_single_slice_can_be_a_dicom_seg():
    import highdicom

    scan = read(series(1))
    mask = np.zeros(scan.size, bool)
    mask[0, 3, 4] = True
    assert np.array_equal(highdicom.seg.segread(io.BytesIO(dicom_seg(scan, mask, "x", "y"))).pixel_array, mask[0])


def test_csv_escapes_formulas_and_keeps_numbers():
    rows = [{"name": "=cmd|'/c calc'!A1", "area": -2.5}, {"name": " +1", "count": np.int64(3), "area": None},
            {"name": 'a,"b"\nc', "@x": "-1", "area": 1 / 3}]
    data = measurements_csv(rows)
    read_back = list(csv.reader(io.StringIO(data.decode())))
    assert read_back[0] == ["name", "area", "count", "'@x"]
    assert read_back[1] == ["'=cmd|'/c calc'!A1", "-2.5", "", ""]
    assert read_back[2] == ["' +1", "", "3", ""] and read_back[3] == ['a,"b"\nc', "0.333333", "", "'-1"]
    assert measurements_csv([]) == b"\n"
