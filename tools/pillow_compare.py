#!/usr/bin/env python3
"""Compares decoded images with Pillow's, file by file.

    python tools/pillow_compare.py target/release/examples/decode FOLDER...

Needs numpy and pillow, and the example (cargo build --release --example decode). The reference is Pillow's first frame, rotated by
ImageOps.exif_transpose and converted to RGB; 16-bit grey is compared by its high byte, since Pillow clips every value above 255 to white.
Only JPEG, PNG, GIF, WebP and BMP are compared, by content. `--all` also lists the files that are equal or refused by both.
Exits with 1 when pixels differ or when a file that Pillow opens is refused.
"""

import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF87a", b"GIF89a", b"BM")
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP")
warnings.simplefilter("ignore")


def by_pillow(path):
    """The pixels, or the error."""
    try:
        with Image.open(path) as image:
            if image.format not in FORMATS:
                return None
            if image.mode == "I;16":
                image.load()
                high = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
                high.info, high._exif = image.info, image.getexif()
                image = high
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def by_program(program, path, folder):
    """The pixels, or the error."""
    out = Path(folder) / f"{path.name}.ppm"
    out.unlink(missing_ok=True)
    try:
        run = subprocess.run([program, "--out", folder, str(path)], capture_output=True, text=True, errors="replace", timeout=30)
    except subprocess.TimeoutExpired:
        return "no answer within 30 s"
    if run.returncode != 0 or not out.exists():
        return (run.stdout.splitlines() or [""])[0].removeprefix(f"{path}: ") + run.stderr.strip()
    return np.asarray(Image.open(out))


def verdict(path, theirs, ours):
    if isinstance(theirs, str) and isinstance(ours, str):
        return "both refuse", f"{ours}  [Pillow: {theirs}]"
    if isinstance(theirs, str):
        return "Pillow refuses", theirs
    if isinstance(ours, str):
        return "refused here", ours
    if theirs.shape != ours.shape:
        return "differs", f"{ours.shape[1]} x {ours.shape[0]}, Pillow {theirs.shape[1]} x {theirs.shape[0]}"
    off = np.abs(theirs.astype(int) - ours)
    if off.any():
        return "differs", f"{(off > 0).mean():.2%} of the values, by at most {off.max()}"
    return "equal", ""


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--all"]
    program, folders = arguments[0], arguments[1:]
    counts = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(file for top in folders for file in Path(top).rglob("*") if file.is_file()):
            head = path.read_bytes()[:16]
            if not (head.startswith(MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")):
                continue
            theirs = by_pillow(path)
            if theirs is None:
                continue
            result, why = verdict(path, theirs, by_program(program, path, folder))
            counts[result] += 1
            if "--all" in sys.argv or result not in ("equal", "both refuse"):
                print(f"{result:15} {path}  {why}", flush=True)
    print(", ".join(f"{count} {result}" for result, count in counts.most_common()))
    return bool(counts["differs"] or counts["refused here"])


if __name__ == "__main__":
    sys.exit(main())
