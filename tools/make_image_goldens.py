#!/usr/bin/env python3
"""Generates the small image files in crates/alexnet-image/tests/fixtures, and a hash of Pillow's pixels for each: python tools/make_image_goldens.py [FOLDER]

Needs numpy and pillow (13.0 wrote the committed files). Each file covers one feature of image files; `expected.tsv` holds its name, size and the
start of the SHA-256 of its RGB bytes, or part of the expected error message. Pillow cannot write arithmetic*.jpg: libjpeg wrote them, with
`arith_code = TRUE`, and they are kept unchanged.
"""

import hashlib
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "crates/alexnet-image/tests/fixtures")
rows = []

y, x = np.mgrid[0:13, 0:18]
COLOURS = np.stack([x * 14, y * 19, (x * y * 3 + 40) % 256], 2).astype(np.uint8)
GREY = (x * 9 + y * 5).astype(np.uint8)
RGB, L = Image.fromarray(COLOURS), Image.fromarray(GREY)


def keep(name, data, refused=None):
    """Writes a file and its expected result: Pillow's pixels, or part of the error message."""
    (OUT / name).write_bytes(data)
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode == "I;16":
                image.load()
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception as error:
        assert refused, f"{name}: {error!r}"
        rows.append(f"{name}\trefused\t{refused}")
        return
    if refused:
        rows.append(f"{name}\trefused\t{refused}")
        return
    rows.append(f"{name}\t{pixels.shape[1]}x{pixels.shape[0]}\t{hashlib.sha256(pixels.tobytes()).hexdigest()[:16]}")


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


# --- EXIF and XMP ---

def tiff(value, kind=3, order="<", count=1, ahead=0):
    """A TIFF directory with tag 274 after `ahead` other tags."""
    others = b"".join(struct.pack(order + "HHLL", 256 + i, 4, 1, 7) for i in range(ahead))
    sizes = {1: "B", 3: "H", 4: "L", 5: "LL", 6: "b", 8: "h", 9: "l", 11: "f", 12: "d"}
    data = struct.pack(order + sizes[kind] * count, *([value, 1] if kind == 5 else [value] + [1] * (count - 1)))
    behind = b""
    if len(data) > 4:
        behind, data = data, struct.pack(order + "L", 8 + 2 + 12 * (ahead + 1) + 4)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    return head + struct.pack(order + "H", ahead + 1) + others + struct.pack(order + "HHL", 274, kind, count) + data.ljust(4, b"\0") + b"\0" * 4 + behind


def segment(marker, data):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def inserted(jpeg, *segments):
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


XAP = b"http://ns.adobe.com/xap/1.0/\0"
ATTRIBUTE = b'<x:xmpmeta><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
ELEMENT = b"<x:xmpmeta><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>"


def jpegs():
    base = saved(RGB, "JPEG", quality=80)
    grey = saved(L, "JPEG", quality=80)
    keep("grey.jpg", grey)
    for subsampling in range(3):
        keep(f"sampling{subsampling}.jpg", saved(RGB, "JPEG", quality=80, subsampling=subsampling))
    progressive = saved(RGB, "JPEG", quality=80, progressive=True)
    keep("progressive.jpg", progressive)
    keep("restarts.jpg", saved(RGB, "JPEG", quality=80, restart_marker_blocks=1))
    flat = saved(Image.new("L", (1024, 1024), 128), "JPEG", quality=50, progressive=True)
    keep("scans.jpg", flat)
    keep("inks.jpg", saved(RGB.convert("CMYK"), "JPEG", quality=80))
    keep("rgb.jpg", saved(RGB, "JPEG", quality=80, keep_rgb=True))
    keep("comment.jpg", inserted(base, segment(0xFE, b"\xff\xda\xff\xd9 no markers")))
    keep("fill_bytes.jpg", base[:2] + b"\xff\xff\xff" + base[2:])
    # Truncated and trailing data.
    keep("no_end_marker.jpg", grey[:-2] + b"\0" * 16)
    keep("behind.jpg", base + b"\xff\xd8 more of another file" * 9)
    keep("cut.jpg", base[: len(base) * 9 // 10], "ends too early")
    keep("cut_progressive.jpg", progressive[: len(progressive) * 9 // 10], "ends too early")
    keep("cut_in_header.jpg", base[:100], "ends too early")
    # Features that libjpeg lacks, detected in the header.
    frame = base.index(b"\xff\xc0")
    for name, at, byte, words in [("lossless", 1, 0xC3, "lossless JPEG"), ("hierarchical", 1, 0xC5, "hierarchical JPEG"), ("twelve_bits", 4, 12, "12 bits")]:
        keep(f"{name}.jpg", base[: frame + at] + bytes([byte]) + base[frame + at + 1 :], words)
    two = grey.index(b"\xff\xc0")
    keep("two_channels.jpg", grey[:two] + segment(0xC0, grey[two + 4 : two + 9] + b"\x02\x01\x11\x00\x02\x11\x00") + grey[two + 13 :], "2 channels")
    # EXIF orientation.
    exif = lambda *given, **options: inserted(base, segment(0xE1, b"Exif\0\0" + tiff(*given, **options)))
    for value in range(1, 9):
        keep(f"exif{value}.jpg", exif(value))
    keep("exif_big_endian.jpg", exif(6, order=">", ahead=3))
    for kind in (1, 4, 5, 6, 8, 9, 11, 12):
        keep(f"exif_type{kind}.jpg", exif(6, kind))
    keep("exif_many.jpg", exif(6, count=4))
    keep("exif_9.jpg", inserted(base, segment(0xE1, b"Exif\0\0" + tiff(9)), segment(0xE1, XAP + ATTRIBUTE)))
    whole = tiff(8, ahead=2)
    keep("exif_in_two.jpg", inserted(base, segment(0xE1, b"Exif\0\0" + whole[:20]), segment(0xE1, b"Exif\0\0" + whole[20:])))
    keep("xmp_attribute.jpg", inserted(base, segment(0xE1, XAP + ATTRIBUTE)))
    keep("xmp_element.jpg", inserted(base, segment(0xE1, XAP + ELEMENT)))
    keep("exif_before_xmp.jpg", inserted(base, segment(0xE1, XAP + ATTRIBUTE), segment(0xE1, b"Exif\0\0" + tiff(3))))
    keep("exif_of_thumbnail.jpg", inserted(base, segment(0xE1, b"Exif\0\0" + b"II*\0\x08\0\0\0" + b"\0\0\0\0\0\0")))


def chunk(name, data, sum_off=0):
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data) ^ sum_off)


def png_of(bits, kind, width=18, height=13, interlaced=False, extra=b"", palette=None, seed=1):
    """A hand-written PNG, which covers every colour type and bit depth; the samples are noise."""
    rng = np.random.default_rng(seed)
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)] if interlaced else [(0, 1, 0, 1)]
    data = b""
    for first, down, start, across in passes:
        columns = len(range(start, width, across))
        for number, _ in enumerate(range(first, height, down)):
            if columns:
                size = (columns * samples * bits + 7) // 8
                data += bytes([number % 5]) + rng.integers(0, 256, size, np.uint8).tobytes()
    colours = rng.integers(0, 256, 3 * (palette or 2 ** min(bits, 8)), np.uint8).tobytes()
    head = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, bits, kind, 0, 0, int(interlaced)))
    return b"\x89PNG\r\n\x1a\n" + head + (chunk(b"PLTE", colours) if kind == 3 else b"") + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def pngs():
    kinds = [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (2, 3), (4, 3), (8, 3), (8, 4), (16, 4), (8, 6), (16, 6)]
    for bits, kind in kinds:
        keep(f"kind{kind}_{bits}.png", png_of(bits, kind))
        keep(f"kind{kind}_{bits}_interlaced.png", png_of(bits, kind, interlaced=True))
    for width, height in [(1, 1), (1, 9), (5, 1), (2, 3)]:
        keep(f"interlaced_{width}x{height}.png", png_of(8, 2, width, height, interlaced=True))
    keep("short_palette.png", png_of(8, 3, palette=9))
    keep("transparent.png", png_of(8, 2, extra=chunk(b"tRNS", b"\0\0\0\0\0\0")))
    keep("transparent_palette.png", png_of(4, 3, extra=chunk(b"tRNS", bytes(range(0, 160, 10)))))
    base = png_of(8, 2)
    data = base.index(b"IDAT") - 4
    length = struct.unpack(">L", base[data : data + 4])[0]
    stream, front = base[data + 8 : data + 8 + length], base[:data]
    end = chunk(b"IEND", b"")
    keep("no_end.png", base[:-12])
    keep("half_end.png", base[:-7])
    keep("no_checksum.png", base[: data + 8 + length])
    keep("no_adler.png", front + chunk(b"IDAT", stream[:-4]) + end)
    keep("wrong_adler.png", front + chunk(b"IDAT", stream[:-4] + b"\0\0\0\1") + end, "broken PNG")
    keep("wrong_checksum.png", front + chunk(b"IDAT", stream, 1) + end)
    keep("wrong_header_checksum.png", base[:30] + b"\0" + base[31:], "wrong checksum of IHDR")
    keep("behind.png", base + b"\0" * 5000)
    keep("many_chunks.png", front + b"".join(chunk(b"IDAT", stream[i : i + 1]) for i in range(40)) + chunk(b"IDAT", b"") + chunk(b"IDAT", stream[40:]) + end)
    keep("garbage_in_data.png", front + chunk(b"IDAT", stream + b"garbage") + end)
    keep("split_data.png", front + chunk(b"IDAT", stream[:50]) + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", stream[50:]) + end, "ends too early")
    keep("cut.png", base[: data + 8 + length * 2 // 3], "ends too early")
    keep("cut_before_data.png", base[:33], "ends too early")
    keep("cut_in_header.png", base[:20], "ends too early")
    keep("broken_stream.png", front + chunk(b"IDAT", stream[:20] + b"\xff" * 40 + stream[60:]) + end, "broken PNG")
    # EXIF orientation.
    with_chunk = lambda *chunks: front + b"".join(chunks) + base[data:]
    keep("exif.png", with_chunk(chunk(b"eXIf", tiff(6))))
    keep("exif_behind.png", base[:-12] + chunk(b"eXIf", tiff(8)) + end)
    raw = b"\nexif\n%8d\n" % (len(tiff(5)) + 6) + (b"Exif\0\0" + tiff(5)).hex().encode() + b"\n"
    keep("raw_profile.png", with_chunk(chunk(b"tEXt", b"Raw profile type exif\0" + raw)))
    keep("raw_profile_compressed.png", with_chunk(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw))))
    keep("xmp.png", with_chunk(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + ATTRIBUTE)))
    keep("xmp_compressed.png", with_chunk(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0\0" + zlib.compress(ELEMENT))))
    # Animations.
    control = lambda number, w, h, left=0, top=0: chunk(b"fcTL", struct.pack(">LLLLLHHBB", number, w, h, left, top, 1, 10, 0, 0))
    count = chunk(b"acTL", struct.pack(">LL", 2, 0))
    second = control(1, 4, 4, 2, 2) + chunk(b"fdAT", struct.pack(">L", 2) + zlib.compress((b"\0" + b"\x80" * 12) * 4))
    keep("animated.png", front + count + control(0, 18, 13) + base[data:-12] + second + end)
    keep("animated_default.png", front + count + base[data:-12] + control(0, 4, 4, 2, 2) + chunk(b"fdAT", struct.pack(">L", 1) + zlib.compress((b"\0" + b"\x80" * 12) * 4)) + end)
    small = zlib.compress((b"\0" + bytes(range(30, 60))) * 5)
    keep("animated_part.png", front + count + control(0, 10, 5, 3, 7) + chunk(b"IDAT", small) + second + end)


def lzw(indices, bits):
    """GIF codes, one per index, with a clear code before the table grows."""
    clear, size, buffer, filled, out, since = 1 << bits, bits + 1, 0, 0, bytearray(), 0
    codes = [clear]
    for index in indices:
        if since == clear - 2:
            codes.append(clear)
            since = 0
        codes.append(index)
        since += 1
    for code in codes + [clear + 1]:
        buffer |= code << filled
        filled += size
        while filled >= 8:
            out.append(buffer & 255)
            buffer >>= 8
            filled -= 8
    if filled:
        out.append(buffer & 255)
    blocks = b"".join(bytes([len(out[i : i + 255])]) + out[i : i + 255] for i in range(0, len(out), 255))
    return bytes([bits]) + blocks + b"\0"


def gif_of(screen=(18, 13), frame=(0, 0, 18, 13), palette=16, local=None, transparent=None, interlaced=False, version=b"GIF89a", ramp=False, indices=None):
    left, top, width, height = frame
    colours = lambda count, seed: bytes(i // 3 for i in range(3 * count)) if ramp else np.random.default_rng(seed).integers(1, 256, 3 * count, np.uint8).tobytes()
    bits = lambda count: count.bit_length() - 2
    out = version + struct.pack("<HHBBB", *screen, 0x80 | bits(palette) if palette else 0, 3, 0) + (colours(palette, 1) if palette else b"")
    if transparent is not None:
        out += b"!\xf9\x04" + bytes([1, 5, 0, transparent]) + b"\0"
    flags = (0x40 if interlaced else 0) | (0x80 | bits(local) if local else 0)
    out += b"," + struct.pack("<HHHHB", left, top, width, height, flags) + (colours(local, 2) if local else b"")
    if indices is None:
        indices = [(i * 7 + i // width) % 16 for i in range(width * height)]
    return out + lzw(indices, 4) + b";"


def gifs():
    base = gif_of()
    keep("plain.gif", base)
    keep("version87.gif", gif_of(version=b"GIF87a"))
    keep("interlaced.gif", gif_of(interlaced=True))
    keep("interlaced_low.gif", gif_of(screen=(4, 3), frame=(0, 0, 4, 3), interlaced=True))
    keep("local_palette.gif", gif_of(local=16))
    keep("no_palette.gif", gif_of(palette=None))
    keep("ramp.gif", gif_of(ramp=True, palette=8))
    keep("short_palette.gif", gif_of(palette=4))
    keep("part.gif", gif_of(frame=(3, 2, 8, 6)))
    keep("part_transparent.gif", gif_of(frame=(3, 2, 8, 6), transparent=5))
    keep("part_local_interlaced.gif", gif_of(frame=(3, 2, 8, 9), transparent=6, local=16, interlaced=True))
    keep("outside.gif", gif_of(screen=(5, 4), frame=(3, 2, 8, 6)))
    keep("no_screen.gif", gif_of(screen=(0, 0)))
    keep("no_trailer.gif", base[:-1])
    keep("behind.gif", base + b"behind" * 100)
    keep("garbage_between.gif", base[:61] + b"\0\1\2" + base[61:])
    comment = b"!\xfe\x05hello\x03abc\0" + b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    keep("comment.gif", base[:61] + comment + base[61:])
    keep("animated.gif", saved(RGB.quantize(16), "GIF", save_all=True, append_images=[L.quantize(8)], duration=50))
    keep("written.gif", saved(RGB.quantize(200), "GIF"))
    keep("cut.gif", base[:120], "ends too early")
    keep("cut_in_header.gif", base[:11], "ends too early")
    keep("few_pixels.gif", gif_of(indices=[1] * 100), "ends too early")
    keep("no_image.gif", base[:61] + b";", "no image")


def webp_chunk(name, data):
    return name + struct.pack("<L", len(data)) + data + b"\0" * (len(data) % 2)


def webp_file(*chunks):
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<L", len(body)) + body


def extended(flags, width, height):
    return webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + struct.pack("<L", width - 1)[:3] + struct.pack("<L", height - 1)[:3])


def webps():
    alpha = Image.fromarray(np.dstack([COLOURS, 255 - GREY]))
    lossy, lossless = saved(RGB, "WEBP", quality=60), saved(alpha, "WEBP", lossless=True, exact=True)
    keep("lossy.webp", lossy)
    keep("lossless.webp", lossless)
    keep("lossy_alpha.webp", saved(alpha, "WEBP", quality=60))
    keep("grey.webp", saved(L, "WEBP", quality=20))
    keep("behind.webp", lossy + b"behind" * 50)
    keep("cut.webp", lossy[: len(lossy) * 2 // 3], "ends too early")
    keep("cut_in_header.webp", lossy[:18], "ends too early")
    frame = webp_chunk(lossless[12:16], lossless[20 : 20 + struct.unpack("<L", lossless[16:20])[0]])
    two = webp_chunk(b"ANIM", b"\x10\x80\xf0\xff\0\0") + b"".join(
        webp_chunk(b"ANMF", b"".join(struct.pack("<L", n)[:3] for n in (place, place, 17, 12, 100)) + b"\0" + frame) for place in (2, 0)
    )
    keep("animated_part.webp", webp_file(extended(0x12, 24, 19), two))
    keep("animated.webp", saved(RGB, "WEBP", save_all=True, append_images=[alpha.convert("RGB").rotate(180)], lossless=True))
    keep("exif.webp", webp_file(extended(0x18, 18, 13), frame, webp_chunk(b"EXIF", tiff(6))))
    keep("exif_headed.webp", webp_file(extended(0x18, 18, 13), frame, webp_chunk(b"EXIF", b"Exif\0\0" + tiff(8, order=">"))))
    keep("exif_without_flag.webp", webp_file(extended(0x10, 18, 13), frame, webp_chunk(b"EXIF", tiff(6))))
    keep("xmp.webp", webp_file(extended(0x14, 18, 13), frame, webp_chunk(b"XMP ", ATTRIBUTE)))


def bmp_of(bits, *, size=40, height=13, coding=0, masks=b"", colours=0, palette=None, data=None, offset=None, seed=3, width=18):
    rng = np.random.default_rng(seed)
    stride = (width * bits + 31) // 32 * 4
    if data is None:
        data = rng.integers(0, 256, stride * abs(height), np.uint8).tobytes()
    if size == 12:
        head = struct.pack("<LHHHH", 12, width, height, 1, bits)
    else:
        head = struct.pack("<LlLHHLLLLLL", size, width, height & 0xFFFFFFFF, 1, bits, coding, len(data), 2835, 2835, colours, 0)
        head = (head + (masks if size > 40 else b"")).ljust(size, b"\0") + (masks[:12] if size == 40 else b"")
    if palette is None and bits <= 8:
        palette = rng.integers(0, 256, (3 if size == 12 else 4) * (colours or 1 << bits), np.uint8).tobytes()
    palette = palette or b""
    place = 14 + len(head) + len(palette) if offset is None else offset
    return b"BM" + struct.pack("<LHHL", 14 + len(head) + len(palette) + len(data), 0, 0, place) + head + palette + data


def bmps():
    for bits in (1, 4, 8, 16, 24, 32):
        keep(f"bits{bits}.bmp", bmp_of(bits))
        keep(f"top_down{bits}.bmp", bmp_of(bits, height=-13))
    for bits in (1, 4, 8, 24):
        keep(f"os2_{bits}.bmp", bmp_of(bits, size=12))
    for size in (52, 56, 64, 108, 124):
        keep(f"header{size}.bmp", bmp_of(24, size=size))
    mask = lambda *values: struct.pack("<4L", *values)
    keep("masks555.bmp", bmp_of(16, coding=3, masks=mask(0x7C00, 0x3E0, 0x1F, 0)))
    keep("masks565.bmp", bmp_of(16, coding=3, masks=mask(0xF800, 0x7E0, 0x1F, 0)))
    keep("masks565_v4.bmp", bmp_of(16, size=108, coding=3, masks=mask(0xF800, 0x7E0, 0x1F, 0)))
    orders = {"bgrx": (0xFF0000, 0xFF00, 0xFF, 0), "xbgr": (0xFF000000, 0xFF0000, 0xFF00, 0), "bgxr": (0xFF000000, 0xFF00, 0xFF, 0), "abgr": (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
              "rgba": (0xFF, 0xFF00, 0xFF0000, 0xFF000000), "bgra": (0xFF0000, 0xFF00, 0xFF, 0xFF000000), "bgar": (0xFF000000, 0xFF00, 0xFF, 0xFF0000), "none": (0, 0, 0, 0)}  # fmt: skip
    for name, values in orders.items():
        keep(f"masks_{name}.bmp", bmp_of(32, size=124, coding=3, masks=mask(*values)))
    keep("few_colours.bmp", bmp_of(8, colours=5))
    keep("grey_ramp.bmp", bmp_of(8, palette=bytes(v for i in range(256) for v in (i, i, i, 0))))
    keep("short_ramp.bmp", bmp_of(8, colours=9, palette=bytes(v for i in range(9) for v in (i, i, i, 0))))
    keep("black_white.bmp", bmp_of(1, palette=b"\0\0\0\0\xff\xff\xff\0"))
    keep("white_black.bmp", bmp_of(1, palette=b"\xff\xff\xff\0\0\0\0\0"))
    keep("no_offset.bmp", bmp_of(8, offset=0))
    keep("offset_of_palette.bmp", bmp_of(8, offset=54))
    keep("behind.bmp", bmp_of(24) + b"behind" * 100)
    keep("cut.bmp", bmp_of(24)[:-60], "ends too early")
    keep("cut_in_header.bmp", bmp_of(24)[:30], "ends too early")
    keep("last_padding_missing.bmp", bmp_of(24)[:-2])
    keep("jpeg_inside.bmp", bmp_of(24, coding=4), "JPEG data")
    keep("odd_masks.bmp", bmp_of(16, coding=3, masks=mask(0xF00, 0xF0, 0xF, 0)), "masks")
    keep("two_bits.bmp", bmp_of(2, palette=b"\0" * 16), "2 bits a pixel")
    # Run lengths: runs, absolute runs of odd length, jumps, short rows.
    line8 = b"\x05\x07\x00\x03\x01\x02\x03\x00\x0a\x09" + b"\0\0"
    keep("runs8.bmp", bmp_of(8, coding=1, data=line8 * 13 + b"\0\1"))
    keep("runs8_short.bmp", bmp_of(8, coding=1, data=b"\x04\x11\0\0" * 13))
    keep("runs8_long.bmp", bmp_of(8, coding=1, data=b"\xff\x11\0\0" * 13))
    keep("runs8_jump.bmp", bmp_of(8, coding=1, data=b"\x04\x11\0\2\3\2" + line8[:-2] + b"\0\0" + line8 * 10 + b"\0\1"))
    keep("runs8_wide.bmp", bmp_of(8, coding=1, data=b"\xff\x11\0\0" * 13, width=255))
    # Absolute runs are aligned relative to the start of the file.
    keep("runs8_odd_offset.bmp", bmp_of(8, coding=1, data=b"\0" + b"\x05\x07\x00\x04\1\2\3\4\5\x09\x08\0\0" * 13, offset=54 + 1024 + 1))
    line4 = b"\x05\x7a\x00\x05\x12\x34\x50\x00\x08\x9b" + b"\0\0"
    keep("runs4.bmp", bmp_of(4, coding=2, data=line4 * 13 + b"\0\1"))
    keep("runs4_top.bmp", bmp_of(4, coding=2, height=13, data=b"\x12\xab\0\0" * 13))
    keep("runs_end.bmp", bmp_of(8, coding=1, data=line8 * 3 + b"\0\1"), "ends too early")
    keep("runs_cut.bmp", bmp_of(8, coding=1, data=line8 * 3 + b"\0"), "ends too early")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for make in (jpegs, pngs, gifs, webps, bmps):
        make()
    for path in sorted(OUT.glob("arithmetic*.jpg")):
        keep(path.name, path.read_bytes())
    (OUT / "expected.tsv").write_text("\n".join(sorted(rows)) + "\n")
    print(f"{len(rows)} files, {sum(path.stat().st_size for path in OUT.iterdir())} bytes")


if __name__ == "__main__":
    main()
