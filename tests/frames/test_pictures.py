"""Pictures through Pillow: every mode, several pages, hostile files."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomloom.dicomize.icc import srgb
from dicomloom.errors import DicomloomError, LimitError, ReadError, UnsupportedError
from dicomloom.frames.pictures import facts_of, is_picture, pages
from support import peer_module

ORIENTATION = 0x0112


@pytest.fixture
def save(tmp_path):
    """Write an array as a picture; returns the path."""

    def write(pixels, form="PNG", *, name="picture", mode=None, **options) -> str:
        image = pixels
        if isinstance(pixels, np.ndarray):
            image = peer_module("PIL.Image").fromarray(pixels)
        path = tmp_path / name
        (image.convert(mode) if mode else image).save(path, form, **options)
        return str(path)

    return write


def ramp(*shape, dtype="u1", step=1):
    return (np.arange(np.prod(shape)) * step % np.iinfo(dtype).max).astype(dtype).reshape(shape)


def one(path, **options):
    found = list(pages(path, **options))
    assert len(found) == 1
    page = found[0]
    assert page.pixels.shape[:2] == (page.rows, page.columns)
    assert page.pixels.shape[2:] == ((3,) if page.samples == 3 else ())
    assert page.pixels.dtype == {1: "?", 8: "u1", 16: "u2"}[page.bits]
    return page


def png(width, height, bits, color, rows=b"", *chunks) -> bytes:
    def chunk(kind, body):
        return (
            struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
        )

    head = struct.pack(">LLBBBBB", width, height, bits, color, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


# --- Modes ---


def test_bits_gray_color(save):
    bits = ramp(5, 9) % 3 == 0
    assert np.array_equal(one(save(bits)).pixels, bits)
    for form in ("PNG", "BMP", "TIFF", "GIF"):
        assert np.array_equal(one(save(ramp(5, 9), form)).pixels, ramp(5, 9)), form
    for form in ("PNG", "BMP", "TIFF"):
        page = one(save(ramp(5, 9, 3), form))
        assert np.array_equal(page.pixels, ramp(5, 9, 3)), form
        assert (page.samples, page.bits, page.notes) == (3, 8, ())


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_sixteen_bits(save, form, dtype):
    pixels = ramp(6, 7, dtype="u2", step=1561)
    image = peer_module("PIL.Image").frombytes(
        "I;16" if dtype[0] == "<" else "I;16B", (7, 6), pixels.astype(dtype).tobytes()
    )
    page = one(save(image, form))
    assert (page.bits, page.samples) == (16, 1)
    assert np.array_equal(page.pixels, pixels)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_white_is_zero(tmp_path, bits):
    """TIFF 6.0: 0 is white; MONOCHROME2 has it black (PS3.3 C.7.6.3.1.2)."""
    pixels = ramp(4, 8, dtype="u2", step=1777) if bits == 16 else ramp(4, 8, step=7)
    data = pixels.astype("<u2").tobytes() if bits == 16 else pixels.tobytes()
    data = bytes([0xF0, 0x0F, 0xAA, 0x00]) if bits == 1 else data
    entries = [(256, 8), (257, 4), (258, bits), (259, 1), (262, 0), (273, 200), (277, 1)]
    entries += [(278, 4), (279, len(data))]
    table = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in entries)
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + bytes(4)
    path = tmp_path / "a.tif"
    path.write_bytes(head.ljust(200, b"\0") + data)
    if bits == 1:
        expected = ~np.unpackbits(np.frombuffer(data, "u1")).reshape(4, 8).astype("?")
    else:
        expected = np.iinfo(pixels.dtype).max - pixels
    assert np.array_equal(one(str(path)).pixels, expected)


def test_sixteen_bit_color_is_cut_to_eight(tmp_path):
    pixels = ramp(4, 5, 3, dtype="u2", step=1771)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    path = tmp_path / "a.png"
    path.write_bytes(png(5, 4, 16, 2, rows))
    page = one(str(path))
    assert np.array_equal(page.pixels, pixels >> 8)
    assert "16 bits" in page.notes[0]
    for color, samples in ((6, 4), (4, 2)):
        path.write_bytes(png(2, 1, 16, color, bytes(1 + 4 * samples)))
        with pytest.raises(UnsupportedError, match="transparency"):
            one(str(path))


def test_palettes(save):
    module = peer_module("PIL.Image")
    gray = module.fromarray(ramp(4, 6)).convert("P")
    gray.putpalette(bytes(255 - value for value in range(256) for _ in range(3)))
    page = one(save(gray))
    assert page.samples == 1
    assert np.array_equal(page.pixels, 255 - ramp(4, 6))
    color = module.fromarray(ramp(4, 6, 3, step=3)).quantize(8)
    page = one(save(color))
    assert (page.samples, page.notes) == (3, ())
    assert np.array_equal(page.pixels, np.asarray(color.convert("RGB")))
    page = one(save(color, transparency=0))
    shown = np.asarray(color.convert("RGB")).copy()
    shown[np.asarray(color) == 0] = 255
    assert np.array_equal(page.pixels, shown)
    assert "transparent" in page.notes[0]


def test_transparency(save):
    pixels = ramp(6, 6, 4, step=5)
    page = one(save(pixels))
    alpha = pixels[..., 3:] / 255
    expected = pixels[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(page.pixels - expected).max() <= 1
    assert page.notes == ("blended with white where it is transparent",)
    pixels[..., 3] = 255
    page = one(save(pixels))
    assert (page.notes, page.samples) == ((), 3)
    assert np.array_equal(page.pixels, pixels[..., :3])
    both = ramp(6, 6, 2, step=5)
    page = one(save(both, mode="LA"))
    alpha = both[..., 1] / 255
    assert page.samples == 1
    assert np.abs(page.pixels - (both[..., 0] * alpha + 255 * (1 - alpha))).max() <= 1


def test_a_transparent_color(save):
    """PNG's tRNS of gray and color: not shown, so white."""
    page = one(save(ramp(2, 8), transparency=3))
    assert (page.samples, page.pixels[0, 3], page.pixels[0, 2]) == (1, 255, 2)
    assert "transparent" in page.notes[0]
    page = one(save(ramp(2, 8, 3), transparency=(3, 4, 5)))
    assert page.pixels[0, 1].tolist() == [255, 255, 255]
    assert page.pixels[0, 2].tolist() == [6, 7, 8]


def test_cmyk(save):
    profile = srgb().replace(b"RGB ", b"CMYK", 1)
    path = save(ramp(4, 4, 3, step=5), "TIFF", mode="CMYK", icc_profile=profile)
    page = one(path)
    assert (page.samples, "CMYK" in page.notes[0]) == (3, True)
    assert facts_of(path).icc is None
    path = save(ramp(4, 4, 3), "TIFF", icc_profile=srgb())
    assert facts_of(path).icc == srgb()


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_modes_that_need_a_decision(save, mode):
    module = peer_module("PIL.Image")
    path = save(module.new(mode, (4, 4)), "TIFF")
    with pytest.raises(UnsupportedError, match=f"mode {mode}.*convert") as caught:
        list(pages(path))
    assert caught.value.path == path


# --- Pages ---


def test_pages_of_different_sizes(save):
    module = peer_module("PIL.Image")
    arrays = [ramp(4, 6), ramp(8, 3, 3), ramp(5, 5) % 2 == 0]
    images = [module.fromarray(array) for array in arrays]
    path = save(images[0], "TIFF", save_all=True, append_images=images[1:])
    assert facts_of(path).pages == 3
    for page, array in zip(pages(path), arrays, strict=True):
        assert np.array_equal(page.pixels, array)


def test_animations(save):
    module = peer_module("PIL.Image")
    arrays = [np.full((6, 8, 3), shade, "u1") for shade in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    images = [module.fromarray(array) for array in arrays]
    for form, options in (("GIF", {}), ("WEBP", {"lossless": True})):
        path = save(images[0], form, save_all=True, append_images=images[1:], **options)
        found = list(pages(path))
        assert [page.pixels[0, 0].tolist() for page in found] == [a[0, 0].tolist() for a in arrays]


def test_the_second_picture_of_mpo_is_no_page(save):
    module = peer_module("PIL.Image")
    first, second = (module.fromarray(np.full((16, 16, 3), v, "u1")) for v in (200, 20))
    path = save(first, "MPO", save_all=True, append_images=[second])
    assert module.open(path).n_frames == 2
    assert facts_of(path).pages == 1
    assert abs(int(one(path).pixels[0, 0, 0]) - 200) <= 2


def test_pages_that_go_in_a_circle(tmp_path, save):
    path = save(ramp(4, 4), "TIFF")
    with open(path, "rb") as file:
        data = bytearray(file.read())
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    data[start + 2 + 12 * count :][:4] = b""
    data[start + 2 + 12 * count : start + 6 + 12 * count] = struct.pack("<L", start)
    (tmp_path / "loop").write_bytes(data)
    assert 1 <= len(list(pages(str(tmp_path / "loop")))) <= 2


# --- Orientation, loss ---


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_upright(save, form):
    exif = peer_module("PIL.Image").Exif()
    exif[ORIENTATION] = 6
    options = {"lossless": True} if form == "WEBP" else {}
    path = save(ramp(4, 6, 3), form, exif=exif, **options)
    page = one(path, upright=True)
    assert np.array_equal(page.pixels, np.rot90(ramp(4, 6, 3), -1))
    if form != "TIFF":  # which Pillow turns always
        assert np.array_equal(one(path).pixels, ramp(4, 6, 3))
        assert facts_of(path).exif.startswith((b"II*\0", b"MM\0*"))


def test_lossy(save):
    pixels = ramp(16, 16, 3)
    module = peer_module("PIL.Image")
    frames = {"save_all": True, "append_images": [module.fromarray(pixels[::-1].copy())]}
    icc = b"VP8 " * 100
    for lossy, form, options in (
        (True, "WEBP", {"lossless": False}),
        (True, "WEBP", {"lossless": False, **frames}),
        (True, "WEBP", {"lossless": False, "icc_profile": srgb()}),
        (False, "WEBP", {"lossless": True}),
        (False, "WEBP", {"lossless": True, "exif": b"Exif\0\0" + icc}),
        (False, "WEBP", {"lossless": True, "icc_profile": icc}),
        (False, "WEBP", {"lossless": True, **frames}),
        (True, "TIFF", {"compression": "jpeg"}),
        (False, "TIFF", {"compression": "tiff_lzw"}),
        (False, "PNG", {}),
        (True, "JPEG", {}),
    ):
        assert facts_of(save(pixels, form, **options)).lossy is lossy, (form, options)


# --- Hostile files ---


def test_a_header_that_claims_too_much(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(100_000, 100_000, 8, 2))
    tracemalloc.start()
    for read in (facts_of, lambda name: list(pages(name))):
        with pytest.raises(LimitError, match="pixels") as caught:
            read(str(path))
        assert caught.value.path == str(path)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    path.write_bytes(png(70_000, 2, 1, 0, bytes(2 * 8751)))
    with pytest.raises(UnsupportedError, match="65535"):
        list(pages(str(path)))


def test_what_is_no_picture(tmp_path):
    path = tmp_path / "a"
    for data in (b"", b"hello", b"BM", b"II*\0", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"):
        path.write_bytes(data)
        for read in (facts_of, lambda name: list(pages(name))):
            with pytest.raises(ReadError) as caught:
                read(str(path))
            assert caught.value.path == str(path)
    with pytest.raises(ReadError) as caught:
        facts_of(str(tmp_path / "none"))
    assert caught.value.errno == 2


def test_formats_that_run_programs_are_not_opened(tmp_path):
    path = tmp_path / "a.eps"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(ReadError):
        facts_of(str(path))


def pictures():
    module = peer_module("PIL.Image")
    image = module.fromarray(ramp(6, 6, 3, step=9))
    for form, options in (
        ("PNG", {}),
        ("BMP", {}),
        ("GIF", {"save_all": True, "append_images": [image.rotate(90)]}),
        ("TIFF", {"save_all": True, "append_images": [image]}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {}),
    ):
        into = io.BytesIO()
        image.save(into, form, **options)
        yield into.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_cut_anywhere(tmp_path):
    """An error or whole pages, nothing else; a GIF or BMP may end early."""
    path = str(tmp_path / "a")
    for data in pictures():
        for end in range(0, len(data), 3):
            with open(path, "wb") as file:
                file.write(data[:end])
            try:
                facts_of(path)
                found = list(pages(path))
            except DicomloomError as error:
                assert error.path == path
            else:
                assert all(page.pixels.shape[:2] == (6, 6) for page in found)


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=200, deadline=None)
@given(st.integers(0, 5), st.data())
def test_mangled(tmp_path_factory, which, draw):
    data = bytearray(list(pictures())[which])
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, min(len(data), 200) - 1))] = draw.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "mangled"
    path.write_bytes(data)
    try:
        facts_of(str(path))
        for page in pages(str(path)):
            assert page.pixels.size <= 1 << 28
    except DicomloomError as error:
        assert error.path == str(path)


def test_is_picture(save):
    for form in ("PNG", "BMP", "GIF", "TIFF", "WEBP"):
        with open(save(ramp(4, 4), form), "rb") as file:
            assert is_picture(file.read(16)), form
    assert not is_picture(b"%PDF-1.4")
    assert not is_picture(b"")
