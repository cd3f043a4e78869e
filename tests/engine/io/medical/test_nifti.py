"""NIfTI: volumes that keep their place, whatever the order of their axes, and row 18, refused from the header."""

import gzip
import time

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.medical import nifti, read
from engine.io.medical.exports import mask_nifti_for
from tests.engine.io.medical.making import NAME, patched
from tests.engine.io.medical.making import nifti as one

DIM, DATATYPE, PIXDIM, VOX_OFFSET, QFORM_CODE, QUATERN, SROW = 40, 70, 76, 108, 252, 256, 280
OBLIQUE = np.array([[0.9, -0.1, 0.2, 5], [0.1, 1.8, 0.3, -7], [-0.1, -0.2, 2.9, 11], [0, 0, 0, 1.0]])


def notes(found) -> str:
    return " ".join(map(str, found["notes"]))


def opened(data: bytes):
    import nibabel

    return nibabel.Nifti1Image.from_bytes(gzip.decompress(data))


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "PSR", "IRA"])
def test_every_voxel_keeps_its_place_and_the_picture_its_orientation(axes):
    import nibabel
    from nibabel import orientations as turning

    values = np.random.default_rng(0).integers(0, 1000, (5, 6, 7)).astype(np.int16)
    source = nibabel.Nifti1Image(values, OBLIQUE).as_reoriented(
        turning.ornt_transform(turning.io_orientation(OBLIQUE), turning.axcodes2ornt(tuple(axes))))
    scan = read(gzip.compress(one(np.asarray(source.dataobj), source.affine)))
    stored, columns = np.asarray(source.dataobj), np.indices(scan.size)[::-1].reshape(3, -1)
    places = scan.affine @ np.vstack([columns, np.ones(columns.shape[1])])
    i, j, k = np.rint(np.linalg.inv(source.affine) @ places)[:3].astype(int)
    assert np.array_equal(scan.values[columns[2], columns[1], columns[0]], stored[i, j, k])
    # Columns lead to the patient's left, rows to the back, slices to the head.
    assert (np.diag(scan.affine)[:3] * [-1, -1, 1] > 0).all()
    assert scan.source["axes"] == axes and any(f"towards {axes}" in note for note in scan.notes)
    assert np.prod(scan.spacing_mm) == pytest.approx(abs(np.linalg.det(OBLIQUE[:3, :3])), rel=1e-5)
    mask = scan.values > 500
    back = opened(mask_nifti_for(scan, mask))
    assert np.array_equal(np.asarray(back.dataobj), stored > 500)
    # The header keeps float32.
    assert back.affine == pytest.approx(source.affine, abs=1e-5)


def test_slices_lie_in_the_plane_of_thick_slices():
    found = nifti.parse(one(np.zeros((8, 9, 10), np.uint8), np.diag([1.0, 5, 1, 1])))
    assert found["values"].shape == (9, 10, 8) and "its top the patient's head" in notes(found)
    single = nifti.parse(one(np.zeros((1, 9, 10), np.uint8)))
    assert single["values"].shape == (1, 10, 9)


def test_nothing_of_the_patient_comes_along():
    data = one()
    assert NAME.encode() in data
    scan = read(data)
    found = nifti.parse(data)
    told = repr(scan) + repr(dict(scan.source)) + "".join(map(str, found.values()))
    assert NAME not in told and scan.kind == "nifti"
    assert NAME.encode() not in gzip.decompress(mask_nifti_for(scan, scan.values > 3))


def test_values_are_scaled_as_the_header_says():
    def scale(image):
        image.header.set_slope_inter(0.5, -3)

    values = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    data = one(values)
    scaled = patched(data, 112, [0.5, -3], np.float32)
    found = nifti.parse(scaled)["values"]
    assert sorted(found.ravel()) == pytest.approx(sorted(values.ravel() * 0.5 - 3))
    unscaled = nifti.parse(patched(data, 112, [0, 7], np.float32))["values"]
    assert sorted(unscaled.ravel()) == pytest.approx(sorted(values.ravel()))


def test_numbers_that_are_not_finite_are_stated():
    values = np.ones((8, 8, 3), np.float32)
    values[2, 2, 0], values[3, 3, 1], values[4, 4, 1] = np.nan, np.inf, -5
    scan = read(one(values))
    assert np.isfinite(scan.values).all() and (scan.values == -5).sum() == 3
    assert any("2 values that are not finite" in note and "-5" in note for note in scan.notes)
    with pytest.raises(InputError, match="No value") as caught:
        read(one(values * np.nan), field="volume")
    assert caught.value.field == "volume"


def test_colours_and_second_version():
    colours = np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["G"] = 9
    found = nifti.parse(one(colours))["values"]
    assert found.shape == (6, 5, 4, 3) and (found[..., 1] == 9).all() and found.dtype == np.uint8
    data = one(kind="Nifti2Image")
    assert nifti.is_nifti(data) and nifti.parse(data)["values"].shape == (6, 5, 4)


def test_micrometres_become_millimetres():
    def micron(image):
        image.header.set_xyzt_units("micron")

    assert nifti.parse(one(change=micron))["spacing"] == pytest.approx([0.003, 0.002, 0.001])


# Row 18


def short(dims) -> bytes:
    """400 bytes whose header promises more."""
    return patched(one(), DIM, dims, np.int16)[:400]


def test_a_header_that_promises_18_gb_in_400_bytes_is_refused_at_once():
    data = short([3, 3000, 3000, 1000, 1, 1, 1, 1])
    started = time.process_time()
    for given in (data, gzip.compress(data)):
        with pytest.raises(InputError, match=r"promises 36 GB.*limit is 0.512 GB"):
            nifti.parse(given)
    assert time.process_time() - started < 1
    with pytest.raises(InputError, match=r"promises 2000\d+ bytes.*has 400"):
        nifti.parse(short([3, 100, 100, 100, 1, 1, 1, 1]))


def test_a_gzip_bomb_is_unpacked_only_as_far_as_the_header_promises():
    import tracemalloc

    bomb = gzip.compress(one() + b"\0" * 100_000_000, compresslevel=1)
    tracemalloc.start()
    nifti.parse(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000
    with pytest.raises(InputError, match="gzip file is damaged"):
        nifti.parse(gzip.compress(one())[:-30])


@pytest.mark.parametrize(("place", "values", "kind", "words"), [
    (DIM, [3, -4, 5, 6], np.int16, "dimension of -4"), (DIM, [3, 0, 5, 6], np.int16, "dimension of 0"),
    (DIM, [9, 4, 5, 6], np.int16, r"says \d+ dimensions"), (DIM, [4, 4, 5, 2, 3], np.int16, "holds 3 volumes"),
    (DIM, [1, 120, 1, 1], np.int16, "120 x 1 x 1 voxels"),
    (DATATYPE, [32, 64], np.int16, "complex"), (DATATYPE, [999, 16], np.int16, "unknown type"),
    (VOX_OFFSET, [np.nan], np.float32, "start nowhere"), (VOX_OFFSET, [10], np.float32, "start nowhere"),
    (VOX_OFFSET, [1e9], np.float32, "start nowhere"), (SROW, [np.nan], np.float32, "sform that is not finite"),
    (SROW, [0] * 12, np.float32, "sform without volume"), (SROW, [-1], np.float32, "places the volume in two ways"),
    (344, list(b"ni1\0"), np.uint8, "one of a pair")])
def test_headers_that_cannot_be_are_refused(place, values, kind, words):
    def both(image):
        image.set_qform(image.affine, 1)

    with pytest.raises(InputError, match=words) as caught:
        nifti.parse(patched(one(change=both), place, values, kind))
    assert NAME not in str(caught.value) and caught.value.fix


def test_a_qform_that_is_no_rotation_is_refused():
    def only_qform(image):
        image.set_qform(image.affine, 1)
        image.set_sform(None, 0)

    good = one(change=only_qform)
    assert "affine" in nifti.parse(good)
    for bad in ([np.nan] * 3, [5, 5, 5]):
        with pytest.raises(InputError, match="qform that is no"):
            nifti.parse(patched(good, QUATERN, bad, np.float32))


def test_small_conflicts_and_missing_places_are_stated():
    def moved(image):
        shifted = image.affine.copy()
        shifted[0, 3] += 12
        image.set_qform(shifted, 1)

    assert "differ by up to 12 mm" in notes(nifti.parse(one(change=moved)))

    def nowhere(image):
        image.set_qform(None, 0)
        image.set_sform(None, 0)

    found = nifti.parse(one(change=nowhere))
    assert "affine" not in found and found["spacing"] == pytest.approx([3, 2, 1]) and "does not say" in notes(found)


def test_long_extensions_are_passed_over():
    import nibabel

    def talkative(image):
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", NAME.encode() * 1000))

    assert np.array_equal(nifti.parse(one(change=talkative))["values"], nifti.parse(one())["values"])


def test_other_bytes_are_no_nifti():
    for data in (b"", b"\x1f\x8b", gzip.compress(b"text"), b"\0" * 400, one()[:340]):
        assert not nifti.is_nifti(data)
