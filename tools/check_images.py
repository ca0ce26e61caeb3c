#!/usr/bin/env python3
"""Compares image preprocessing with torchvision's evaluation transform and with Caffe's warp to 256, which uses OpenCV.

    python tools/check_images.py target/release/alexnet target/release/examples/decode FOLDER

Needs numpy, pillow, opencv-python-headless, torch and torchvision, the built program, and the example (cargo build --release --example decode). Bounds:
99.9 % of the values of decoded and resized images differ by at most 2 levels, and none by more than 8; logits of a random torchvision net differ
by at most 1e-2 of the largest for JPEG, 1e-4 for the same images as PNG.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2 as transforms

PROGRAM, DECODE, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
files = sorted(path for path in FOLDER.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
failed = []


def levels(what, ours_options, theirs):
    """Compares all values of all images, decoded and resized."""
    worst, beyond, values, odd = 0, 0, 0, []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([DECODE, "--out", folder, *ours_options, *map(str, files)], check=True, stdout=subprocess.DEVNULL)
        for path in files:
            ours = np.asarray(Image.open(f"{folder}/{path.name}.ppm"), np.int16)
            other = np.asarray(theirs(Image.open(path).convert("RGB")), np.int16)
            if ours.shape != other.shape:
                odd.append(f"{path.name}: {ours.shape} and {other.shape}")
                continue
            off = np.abs(ours - other)
            worst, beyond, values = max(worst, off.max()), beyond + (off > 2).sum(), values + off.size
    print(f"{what}: {len(files)} images, {100 * beyond / values:.4f} % of values more than 2 levels apart, at most {worst}", *odd)
    if odd or worst > 8 or beyond > values / 1000:
        failed.append(what)


def logits(what, paths, net, model, bound):
    """Compares centred logits of this program on image files with those of torchvision's pipeline."""
    prepare = transforms.Compose([transforms.Resize(256, antialias=True), transforms.CenterCrop(224), transforms.PILToTensor(),
                                  transforms.ToDtype(torch.float32, scale=True),
                                  transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])  # fmt: skip
    output = subprocess.run([PROGRAM, "predict", "--model", model, "--top", "1000", "--json", *map(str, paths)],
                          check=True, capture_output=True, text=True)  # fmt: skip
    worst = 0.0
    for path, answer in zip(paths, json.loads(output.stdout), strict=True):
        ours = np.zeros(1000)
        for prediction in answer["top"]:
            ours[prediction["index"]] = np.log(prediction["probability"])
        with torch.no_grad():
            theirs = net(prepare(Image.open(path).convert("RGB"))[None]).double().numpy()[0]
        ours, theirs = ours - ours.mean(), theirs - theirs.mean()
        worst = max(worst, np.abs(ours - theirs).max() / np.abs(theirs).max())
    print(f"{what}: logits of {len(paths)} images differ by at most {worst:.1e} of the largest")
    if worst > bound:
        failed.append(what)


levels("decoded", [], lambda picture: picture)
levels("short side to 256", ["--short-side", "256"], transforms.Resize(256, antialias=True))
levels("warped to 256", ["--warp", "256"], lambda picture: cv2.resize(np.asarray(picture), (256, 256), interpolation=cv2.INTER_LINEAR))

torch.manual_seed(0)
net = torchvision.models.alexnet().eval()
with tempfile.TemporaryDirectory() as folder:
    model = f"{folder}/net.pth"
    torch.save(net.state_dict(), model)
    some = files[:100]
    logits("JPEG", [path for path in some if path.suffix.lower() != ".png"], net, model, 1e-2)
    lossless = []
    for path in some:
        lossless.append(Path(folder) / f"{path.stem}.png")
        Image.open(path).convert("RGB").save(lossless[-1], compress_level=1)
    logits("PNG", lossless, net, model, 1e-4)
if failed:
    raise SystemExit(f"failed: {', '.join(failed)}")
