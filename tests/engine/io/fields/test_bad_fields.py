"""Files of weather maps that are damaged or mean harm: refused in words, and the process lives (row 24)."""

import io
import json
import struct
import zipfile
from importlib.util import find_spec

import h5py
import numpy as np
import pytest

from engine.errors import InputError
from engine.io.fields import read, store
from engine.io.fields.netcdf import parse
from engine.runtime.settings import limits
from tests.engine.io.fields import making


@pytest.fixture(scope="module")
def whole() -> bytes:
    noisy = making.pressures() + np.random.default_rng(0).normal(size=(6, 5, 7))
    return making.netcdf(making.dataset(noisy), encoding={"msl": {"zlib": True, "chunksizes": (2, 5, 7)}})


def test_a_truncated_file_is_damaged(whole, tmp_path):
    with pytest.raises(InputError, match="NetCDF file is damaged"):
        read(whole[:len(whole) // 2])
    classic = tmp_path / "classic.nc"
    making.dataset().to_netcdf(classic, engine="scipy")
    with pytest.raises(InputError, match="damaged"):
        read(classic.read_bytes()[:-1000])


def test_a_corrupt_compressed_chunk_is_damage(whole):
    with h5py.File(io.BytesIO(whole)) as file:
        place = file["msl"].id.get_chunk_info(1).byte_offset
    broken = bytearray(whole)
    broken[place + 10:place + 40] = b"\xff" * 30
    with pytest.raises(InputError, match="damaged"):
        read(bytes(broken))


def _hdf(build) -> bytes:
    out = io.BytesIO(making.netcdf(making.dataset()))
    with h5py.File(out, "r+") as file:
        build(file)
    return out.getvalue()


def test_files_that_point_at_others_are_refused_unread(tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["numbers"] = np.arange(3.0)

    def link(file):
        file["far"] = h5py.ExternalLink(str(secret), "/numbers")

    def virtual(file):
        layout = h5py.VirtualLayout((3,), float)
        layout[:] = h5py.VirtualSource(str(secret), "numbers", (3,))
        file.create_virtual_dataset("far", layout)

    def external(file):
        file.create_dataset("far", (3,), float, external=[(str(secret), 0, 24)])

    with pytest.raises(InputError, match="another file"):
        read(_hdf(link))
    for build in (link, virtual, external):
        with pytest.raises(InputError, match="another file"):
            parse(_hdf(build))


def test_a_huge_chunk_and_a_huge_shape_are_refused_from_the_header():
    def chunk(file):
        file.create_dataset("far", (2**30,), float, chunks=(2**28,), compression="gzip")

    with pytest.raises(InputError, match="2147 MB"):
        parse(_hdf(chunk))

    def shape(file):
        del file["time"], file["msl"]
        count = 10 * limits().field_values // 35
        file.create_dataset("time", (count,), "f8", chunks=(1000,)).attrs["units"] = "hours since 1900-01-01"
        file["time"].make_scale("time")
        maps = file.create_dataset("msl", (count, 5, 7), "f4", chunks=(1000, 5, 7))
        maps.attrs["units"] = "Pa"
        for axis, name in enumerate(("time", "latitude", "longitude")):
            maps.dims[axis].attach_scale(file[name])

    data = _hdf(shape)
    assert len(data) < 1_000_000
    with pytest.raises(InputError, match=r"500 million values.*limit is 50"):
        read(data)


def test_an_unlimited_dimension_is_an_ordinary_one():
    field = read(making.netcdf(making.dataset(), unlimited_dims=["time"]))
    assert field.values.shape == (6, 5, 7)
    empty = making.netcdf(making.dataset().isel(time=slice(0, 0)), unlimited_dims=["time"])
    with pytest.raises(InputError, match="no map"):
        parse(empty)


@pytest.mark.parametrize("data, words", [
    (b"", "empty"), (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG file"), (b"hello, weather", "text file"),
    (bytes(range(200)), "no kind"), (b"PK\5\6" + bytes(18), "no kind")])
def test_other_files_are_named(data, words):
    with pytest.raises(InputError, match=words):
        read(data)


def test_the_form_with_64_bits_is_named():
    with pytest.raises(InputError, match="CDF-5"):
        read(b"CDF\x05" + bytes(100))


def test_files_above_the_limit_are_refused_unread(monkeypatch, tmp_path):
    path = tmp_path / "large.nc"
    with path.open("wb") as file:
        file.truncate(limits().field_bytes + 1)
    with pytest.raises(InputError, match="limit is 200 MB"):
        read(path)


@pytest.mark.skipif(find_spec("cfgrib") is not None, reason="cfgrib is installed")
def test_grib_without_its_packages_says_how_to_get_them():
    with pytest.raises(InputError, match="Install cfgrib"):
        read(b"GRIB" + bytes(100))


def test_grib_is_read_where_its_packages_are(tmp_path):
    eccodes = pytest.importorskip("eccodes")
    pytest.importorskip("cfgrib")
    out = io.BytesIO()
    for day in range(2):
        message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
        for key, value in {"Ni": 7, "Nj": 5, "latitudeOfFirstGridPointInDegrees": 70,
                           "latitudeOfLastGridPointInDegrees": 30, "longitudeOfFirstGridPointInDegrees": 330,
                           "longitudeOfLastGridPointInDegrees": 30, "iDirectionIncrementInDegrees": 10,
                           "jDirectionIncrementInDegrees": 10, "shortName": "msl", "dataDate": 20040226 + day,
                           "dataTime": 0}.items():
            eccodes.codes_set(message, key, value)
        eccodes.codes_set_values(message, making.pressures()[day].ravel())
        out.write(eccodes.codes_get_message(message))
    field = read(out.getvalue())
    # Values are packed with 16 bits or so over their range.
    np.testing.assert_allclose(field.values, making.pressures()[:2, ::-1] / 100, atol=0.01)
    assert field.unit == "hPa" and field.lon.tolist() == making.LON.tolist()


def _zip(entries: dict[str, bytes], change=None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            if change is not None:
                change(info)
            archive.writestr(info, content)
    return out.getvalue()


def test_zips_that_are_no_store_or_mean_harm_are_refused(monkeypatch):
    with pytest.raises(InputError, match="no Zarr store"):
        read(_zip({"a.nc": b"CDF\x01"}))
    with pytest.raises(InputError, match="leads out"):
        store.parse(_zip({"../zarr.json": b"{}"}))

    def link(info):
        info.external_attr = 0o120777 << 16

    with pytest.raises(InputError, match="link"):
        store.parse(_zip({"zarr.json": b"/etc/passwd"}, link))
    monkeypatch.setattr(store, "_ENTRIES", 3)
    with pytest.raises(InputError, match="4 files"):
        store.parse(_zip({str(i): b"" for i in range(4)}))


def test_a_bomb_is_refused_from_its_directory():
    data = _zip({"zarr.json": b"{}"})
    place = data.rfind(b"PK\1\2")
    bomb = data[:place + 24] + struct.pack("<I", 2**31) + data[place + 28:]
    with pytest.raises(InputError, match="2147 MB"):
        store.parse(bomb)


def test_a_store_cannot_run_what_it_says(tmp_path):
    """Zarr's codec for Python objects unpickles; a store with it is one that cannot be read."""
    data = making.zarr_zip(making.dataset(), tmp_path / "store", version=2)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(entries["msl/.zarray"])
    entries["msl/.zarray"] = json.dumps(metadata | {"filters": [{"id": "pickle", "protocol": 5}]}).encode()
    with pytest.raises(InputError, match="Zarr file is damaged"):
        read(_zip(entries))
    assert read(data).values.shape == (6, 5, 7)
