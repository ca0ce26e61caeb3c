#!/usr/bin/env python3
"""Generates crates/alexnet-image/tests/fixtures/augment.png and augment.tsv: torchvision's results of augmentations: python tools/make_augment_goldens.py [FOLDER]

Needs torch, torchvision (0.29 wrote the committed files), numpy and pillow. The PNG holds images of equal size one below the other: the original, then the
result of each line of the table, as `transforms.v2` computes it on a tensor of bytes. The table also has the magnitudes of automatic augmentation.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "crates/alexnet-image/tests/fixtures")
WIDTH, HEIGHT = 24, 17

# Slopes with an edge, a grey part and some noise; red does not reach 0, blue not 255.
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
noise = np.random.default_rng(5).integers(0, 12, (HEIGHT, WIDTH, 3))
pixels = np.stack([30 + x * 8 + 0 * y, y * 13 + 0 * x, 200 - x * y // 2], 2) + noise
pixels[4:9, 3:15] = pixels[4:9, 3:15, ::-1] // 2
pixels[11:15, 12:20] = pixels[11:15, 12:20, :1]
image = torch.from_numpy(np.clip(pixels, [20, 0, 0], [255, 255, 230]).astype(np.uint8)).permute(2, 0, 1).contiguous()

rows, images = [], [image]


def keep(result, *words):
    rows.append("\t".join(map(str, words)))
    images.append(result)


for factor in (0.0, 0.35, 0.8, 1.0, 1.3, 2.2):
    keep(F.adjust_brightness(image, factor), "brightness", factor)
    keep(F.adjust_contrast(image, factor), "contrast", factor)
    keep(F.adjust_saturation(image, factor), "saturation", factor)
    keep(F.adjust_sharpness(image, factor), "sharpness", factor)
for shift in (-0.5, -0.31, -0.07, 0.0, 0.02, 0.1, 0.29, 0.45, 0.5):
    keep(F.adjust_hue(image, shift), "hue", shift)
keep(F.rgb_to_grayscale(image, 3), "grayscale")
keep(F.invert(image), "invert")
keep(F.autocontrast(image), "autocontrast")
keep(F.equalize(image), "equalize")
for bits in (1, 3, 7, 8):
    keep(F.posterize(image, bits), "posterize", bits)
for threshold in (0.0, 77.5, 128.0, 255.0):
    keep(F.solarize(image, threshold), "solarize", threshold)
for radius, sigma in ((1, 0.4), (2, 0.1), (3, 1.1), (4, 2.0), (7, 5.0)):
    keep(F.gaussian_blur(image, [2 * radius + 1, 2 * radius + 1], [sigma, sigma]), "gaussian_blur", radius, sigma)
# No point lies exactly between two pixels, where rounding errors would choose the nearest one.
for interpolation in ("nearest", "bilinear"):
    for angle in (-170.3, -45.0, -7.7, 0.0, 12.4, 33.3, 91.0, 135.0, 180.0):
        keep(F.rotate(image, angle, v2.InterpolationMode(interpolation)), "rotate", interpolation, angle)
    for angle, tx, ty, zoom, sx, sy in (
        (0, 3, -2, 1.0, 0, 0),
        (0, 0, 0, 0.73, 0, 0),
        (0, 0, 0, 1.43, 0, 0),
        (0, 0, 0, 1.0, 17.3, 0),
        (0, 0, 0, 1.0, 0, -11.9),
        (21.7, -4, 1, 0.83, -8.1, 3.3),
        (-101.0, 2, 2, 1.27, 6.0, -14.2),
    ):
        result = F.affine(image, angle, [tx, ty], zoom, [sx, sy], v2.InterpolationMode(interpolation))
        keep(result, "affine", interpolation, angle, tx, ty, zoom, sx, sy)

# Automatic augmentation: every operation at some of its magnitudes, of either sign.
for space, transform, bins, interpolation in (
    ("wide", v2.TrivialAugmentWide(), (14, 30), "nearest"),
    ("rand", v2.RandAugment(), (9, 21), "nearest"),
    ("augmix", v2.AugMix(), (1, 2), "bilinear"),
):
    count = 10 if space == "augmix" else 31
    for name, (magnitudes, signed) in transform._AUGMENTATION_SPACE.items():
        values = magnitudes(count, HEIGHT, WIDTH)
        for bin in bins if values is not None else (0,):
            magnitude = 0.0 if values is None else float(values[bin])
            for sign in (1, -1) if signed and values is not None and magnitude != 0 else (1,):
                mode = v2.InterpolationMode(interpolation)
                result = transform._apply_image_or_video_transform(image, name, sign * magnitude, mode, transform._fill)
                keep(result, "operation", space, name, bin, sign, interpolation, repr(magnitude))

stack = torch.cat(images, 1).permute(1, 2, 0).numpy()
Image.fromarray(stack).save(OUT / "augment.png", optimize=True)
(OUT / "augment.tsv").write_text("".join(row + "\n" for row in rows))
print(len(rows), "results")
