"""Zips: row 19, refused before anything is unpacked, and what is passed over."""

import io
import struct
import tracemalloc
import zipfile
import zlib

import pytest

from engine.errors import InputError
from engine.io.medical.archive import unpack
from tests.engine.io.medical.making import zipped

NOISE = bytes(range(256)) * 4


def with_info(change, name="a.png", content=NOISE) -> bytes:
    """A zip with one entry whose description `change` altered."""
    info = zipfile.ZipInfo(name)
    change(info)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, content)
    return out.getvalue()


def test_files_come_in_natural_order_without_hidden_ones():
    found = unpack(zipped({"p/10.png": b"ten", "p/2.png": b"two", "__MACOSX/p/._2.png": b"x", "p/.DS_Store": b"x",
                           "Thumbs.db": b"x", "DICOMDIR": b"x", "p/": b""}))
    assert found == (b"two", b"ten")


@pytest.mark.parametrize("name", ["../a.png", "p/../../a.png", "/etc/a.png", "C:\\a.png", "..\\a.png",
                                  "\\\\host\\a.png"])
def test_names_that_leave_the_folder_are_refused(name):
    with pytest.raises(InputError, match="leads out of its folder") as caught:
        unpack(zipped({name: NOISE}), "files")
    assert caught.value.field == "files"


def test_links_and_encryption_are_refused():
    def link(info):
        info.external_attr = 0o120777 << 16

    with pytest.raises(InputError, match="holds a link"):
        unpack(with_info(link, content=b"/etc/passwd"))
    data = bytearray(zipped({"a.png": NOISE}))
    for start, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        data[data.find(start) + flags] |= 1
    with pytest.raises(InputError, match="encrypted"):
        unpack(bytes(data))


def test_a_million_entries_are_refused_unread():
    listed = b"".join(struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0)
                      + b"%06d" % number for number in range(1000)) * 1000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(listed), 0, 0)
    data = listed + end
    tracemalloc.start()
    with pytest.raises(InputError, match="more than 2000 entries"):
        unpack(data)
    lying = listed + end.replace(b"\xff\xff\xff\xff", b"\1\0\1\0", 1)
    with pytest.raises(InputError, match="more than 2000 entries"):
        unpack(lying)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Nothing but the second copy of the bytes made here.
    assert peak < len(data) + 1_000_000


def test_too_many_files_are_refused():
    with pytest.raises(InputError, match="2001 entries"):
        unpack(zipped({f"{number}.png": b"x" for number in range(2001)}))


def test_bombs_are_refused_before_they_are_unpacked(monkeypatch):
    bomb, half = zipped({"a.png": b"\0" * 3_000_000}), zipped({"a.png": b"\0" * 3_000_000, "b.png": NOISE * 10})
    huge = bytearray(zipped({"a.png": NOISE}))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("unpacked"))
    for data in (bomb, half):
        with pytest.raises(InputError, match="times its size"):
            unpack(data)
    struct.pack_into("<L", huge, huge.find(b"PK\1\2") + 24, 900_000_000)
    with pytest.raises(InputError, match="unpacks to 900 MB"):
        unpack(bytes(huge))


def test_a_size_that_lies_unpacks_no_more_than_it_says():
    data = bytearray(zipped({"a.png": b"\0" * 50_000_000}))
    place = data.find(b"PK\1\2")
    struct.pack_into("<L", data, place + 24, 1000)
    struct.pack_into("<L", data, place + 16, zlib.crc32(b"\0" * 7))
    tracemalloc.start()
    with pytest.raises(InputError, match="damaged"):
        unpack(bytes(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("files", [{"inner.zip": zipped({"a": NOISE})}, {"a.png": zipped({"a": NOISE})},
                                   {"a.7z": NOISE}, {"a.dcm": b"7z\xbc\xaf\x27\x1c" + NOISE}])
def test_archives_in_archives_are_refused(files):
    with pytest.raises(InputError, match="holds a packed file"):
        unpack(zipped(files))


def test_empty_damaged_and_unusual_ones_are_refused():
    whole = zipped({"a.png": NOISE})
    for data, words in ((zipped({}), "empty"), (zipped({".hidden": NOISE}), "empty"), (whole[:-30], "damaged"),
                        (whole[:60] + b"\xff" * 8 + whole[68:], "damaged"), (b"PK\3\4", "damaged"),
                        (zipped({"a.png": NOISE}, zipfile.ZIP_LZMA), "unusual compression")):
        with pytest.raises(InputError, match=words):
            unpack(data)
